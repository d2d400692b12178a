"""Threads that do the work of a store, each with a connection of its own.

Calls wait in one queue. A thread that becomes free takes all that wait, up to its share: what arrives while one
commit waits for the disk is the next group. That is why a lone write never waits for company, and why the groups
grow by themselves with the load. (Waiting 2 ms for company was tried at 2,500 writes/s on SQLite: a tenth less CPU
time, and 2.4 ms instead of 0.5 for half of the writes.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from holdfast.store.errors import StoreError, StoreUnavailable
from holdfast.store.group import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.store.database import Tx
    from holdfast.store.group import Note

T = TypeVar("T")

GROUP: Final = 256
"""Most writes in one commit. The first of them waits for all; at about 50 µs for each that is 13 ms."""

IDLE_S: Final = 0.25
"""How often a thread that has nothing to do looks around."""

_OVERTIME_S: Final = 1.0
"""How long work may go on when nobody waits for it any more, before its connection is interrupted."""

_log = logging.getLogger(__name__)


class Session(Protocol):
    """A connection and what is done with it. All but :meth:`interrupt` is called on its own thread."""

    def open(self, closing: Event) -> None:
        """Connect. Raises ``StoreError``. Once ``closing`` is set, nothing is worth waiting for."""
        ...

    def ready(self) -> bool:
        """Wait until it is connected; ``False`` when it is not and the store is being closed."""
        ...

    def work(self, calls: Sequence[Call]) -> list[Note]:
        """Work; never raises. Outcomes are in the calls."""
        ...

    def idle(self) -> list[Note]:
        """Look around; never raises. What to tell the listeners."""
        ...

    def interrupt(self) -> None:
        """Make what runs on the other thread fail soon."""
        ...

    def close(self) -> None:
        """Disconnect; never raises."""
        ...


class _Worker:
    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        self.session = session
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.thread: Thread | None = None
        self.until = math.inf
        """On the clock of the loop: when the last of those who wait for the present work has gone."""
        self.dismissed = False


class Threads:
    """A fixed number of them, for reads or for writes. All methods are called on the loop."""

    def __init__(
        self,
        name: str,
        sessions: Sequence[Session],
        *,
        pending: int,
        group: int,
        tell: Callable[[list[Note]], None],
    ) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._workers = [_Worker(session, self._loop) for session in sessions]
        self._queue: SimpleQueue[Call | None] = SimpleQueue()
        self._pending = pending
        self._group = group
        self._tell = tell
        self._closing = Event()
        self._watch: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Connect all of them. Raises the ``StoreError`` of the first that cannot; close it then as well."""
        for number, worker in enumerate(self._workers):
            worker.thread = Thread(target=self._work, args=(worker,), name=f"store-{self._name}-{number}", daemon=True)
            worker.thread.start()
        self._look_after()
        await asyncio.wait([worker.opened for worker in self._workers])
        failed = [error for worker in self._workers if (error := worker.opened.exception()) is not None]
        if failed:
            raise failed[0]

    async def call(self, work: Callable[[Tx], T], deadline_s: float) -> T:
        """Have it run and wait for it, at most so long. Raises what it raises, or ``StoreUnavailable``."""
        if self._closing.is_set():
            raise StoreUnavailable("the store is closed")
        if self._queue.qsize() >= self._pending:
            raise StoreUnavailable(
                f"{self._pending} {self._name}s are waiting for the store already; try again, or raise store.pending"
            )
        future: asyncio.Future[Any] = self._loop.create_future()
        # Cheaper than asyncio.timeout(), which makes a context and cancels the task.
        timer = self._loop.call_later(deadline_s, _give_up, future, self._name, deadline_s)
        self._queue.put(Call(work, future, self._loop.time() + deadline_s))
        try:
            result: T = await future
            return result
        finally:
            timer.cancel()

    async def close(self, within_s: float) -> None:
        """Finish what waits, then end the threads. Work that takes longer is interrupted, and fails."""
        if not self._closing.is_set():
            self._closing.set()
            for _ in self._workers:
                self._queue.put(None)
        started = [worker for worker in self._workers if worker.thread is not None]
        if started:
            _, late = await asyncio.wait([worker.ended for worker in started], timeout=within_s)
            if late:
                for worker in started:
                    worker.session.interrupt()
                await asyncio.wait([worker.ended for worker in started], timeout=_OVERTIME_S)
        if self._watch is not None:
            self._watch.cancel()
        with contextlib.suppress(Empty):
            while True:
                if (call := self._queue.get_nowait()) is not None:
                    call.error = StoreUnavailable("the store was closed before it came to this")
                    call.settle()

    def _look_after(self) -> None:
        """Interrupt work that outlives everybody's patience; without this one stuck statement stops the store."""
        now = self._loop.time()
        for worker in self._workers:
            if now > worker.until + _OVERTIME_S:
                worker.session.interrupt()
        self._watch = self._loop.call_later(_OVERTIME_S, self._look_after)

    def _settle(self, calls: Sequence[Call], notes: list[Note]) -> None:
        for call in calls:
            call.settle()
        if notes:
            self._tell(notes)

    # ------------------------------------------------------------ on the threads

    def _work(self, worker: _Worker) -> None:
        session = worker.session
        try:
            session.open(self._closing)
        except StoreError as error:
            self._post(worker.opened.set_exception, error)
        else:
            self._post(worker.opened.set_result, None)
            while not worker.dismissed and session.ready():
                calls = self._take(worker)
                if not calls:
                    if notes := session.idle():
                        self._post(self._tell, notes)
                    continue
                worker.until = max(call.deadline for call in calls)
                try:
                    notes = session.work(calls)
                except Exception as error:  # noqa: BLE001 - see _all_fail
                    _log.exception("a %s failed as it must not", self._name, extra={"action": "store_thread_failed"})
                    notes = _all_fail(calls, error)
                worker.until = math.inf
                self._post(self._settle, calls, notes)  # one wake-up of the loop for the whole group
        finally:
            session.close()
            self._post(worker.ended.set_result, None)

    def _take(self, worker: _Worker) -> list[Call]:
        calls: list[Call] = []
        try:
            call = self._queue.get(timeout=IDLE_S)
            while call is not None:
                calls.append(call)
                if len(calls) == self._group:
                    return calls
                call = self._queue.get_nowait()
            worker.dismissed = True
        except Empty:
            if not calls and self._closing.is_set():  # close() was tired of waiting, and emptied the queue
                worker.dismissed = True
        return calls

    def _post(self, callback: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(callback, *args)


def _all_fail(calls: Sequence[Call], error: Exception) -> list[Note]:
    """A thread that ended here would leave its callers, and all that come after, without an answer."""
    for call in calls:
        call.error = StoreUnavailable(f"the store failed: {error!r}")
    return []


def _give_up(future: asyncio.Future[Any], name: str, deadline_s: float) -> None:
    if not future.done():
        future.set_exception(StoreUnavailable(f"the store did not finish a {name} within {deadline_s:g} s; try again"))
