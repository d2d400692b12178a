"""Posts that arrive together become one transaction.

A group is handed to the queue as soon as fewer than :data:`FLIGHTS` are under way, at the end of
the loop's turn in which its first job came; while they are, newcomers gather for the next one. So
a lone post waits for nobody, and under load groups grow as large as one commit takes time.
Nobody's outcome is known before the commit of its group.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from holdfast.execution.core.job import NewJob
from holdfast.execution.core.ports import SubmitOutcome
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.store import StoreError, StoreUnavailable

log = logging.getLogger(__name__)

FLIGHTS: Final = 2
"""Groups under way: while one is committed the next is prepared. More would only make groups smaller."""
LARGEST: Final = 200
"""Jobs in a group: some 2 ms of inserts, which is what one group may make another's jobs wait."""
WAITING: Final = 20_000
"""Jobs that may wait for a group; at 2,500 per second the last of them waits as long as a client does."""


class Submits(Protocol):
    """What is needed of the queue."""

    async def submit(self, jobs: Sequence[NewJob], *, now: float, together: bool = False) -> list[SubmitOutcome]:
        """Queue jobs of any tenants."""
        ...


class _Post(NamedTuple):
    job: NewJob
    outcome: asyncio.Future[SubmitOutcome]


class Batcher:
    """Groups single submissions; see the module."""

    def __init__(
        self, queue: Submits, *, clock: Callable[[], float], on_group: Callable[[int], None] = lambda _: None
    ) -> None:
        """``on_group`` is told the size of every group."""
        self._queue = queue
        self._clock = clock
        self._on_group = on_group
        self._waiting: deque[_Post] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._due = False

    async def submit(self, job: NewJob) -> SubmitOutcome:
        """Queue one job. Raises ``StoreUnavailable``, and :class:`ProblemError` when too many wait."""
        if len(self._waiting) >= WAITING:
            raise ProblemError("overloaded", f"{WAITING} submissions wait to be written; try again", retry_after_s=2.0)
        loop = asyncio.get_running_loop()
        post = _Post(job, loop.create_future())
        self._waiting.append(post)
        if not self._due and len(self._flights) < FLIGHTS:
            self._due = True
            loop.call_soon(self._start)
        return await post.outcome

    async def close(self) -> None:
        """Return when everything that waited is written, or has failed."""
        while self._flights or self._waiting:
            if self._flights:
                await asyncio.wait(self._flights)
            else:
                await asyncio.sleep(0)

    def _start(self) -> None:
        self._due = False
        while self._waiting and len(self._flights) < FLIGHTS:
            group = [self._waiting.popleft() for _ in range(min(LARGEST, len(self._waiting)))]
            flight = asyncio.create_task(self._fly(group), name="submit group")
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._start()

    async def _fly(self, group: list[_Post]) -> None:
        self._on_group(len(group))
        try:
            outcomes = await self._queue.submit([post.job for post in group], now=self._clock())
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits to hear of it
            if isinstance(error, StoreUnavailable) or len(group) == 1:
                self._fail(group, error)
                return
            # One job that the store cannot take must not fail the others', which may be other tenants'.
            log.warning("a group is submitted one by one", extra={"action": "submit", "why": type(error).__name__})
            for post in group:
                await self._fly([post])
            return
        for post, outcome in zip(group, outcomes, strict=True):
            if not post.outcome.done():
                post.outcome.set_result(outcome)

    @staticmethod
    def _fail(group: list[_Post], error: Exception) -> None:
        for post in group:
            if not post.outcome.done():
                # An exception of its own for each: one that is raised in many places collects all their tracebacks.
                own = StoreUnavailable(str(error)) if isinstance(error, StoreUnavailable) else StoreError(repr(error))
                own.__cause__ = error
                post.outcome.set_exception(own)
