"""Takes due callbacks from the outbox and has them sent, so that no receiver holds up another's.

Bounds, from the inside out:

- ``settings.concurrency`` requests at a time;
- of them at most a quarter to one host, so that we are nobody's flood;
- of one tenant at most half of ``concurrency`` taken from the outbox, waiting for their turn or
  being sent: a slow receiver, or a name that does not resolve, costs its own tenant the time.

What is taken is leased. A call that waited so long that its lease might end while it is sent is left
to whoever takes it next; so is everything that was under way when the process ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Final, Protocol, TypeAlias

from holdfast.execution.core.callback import Again, Attempt, Dead, Delivered, consequence, target
from holdfast.execution.core.ports import JobView
from holdfast.execution.core.settings import CallbackSettings
from holdfast.execution.shell.callbacks.outbox import DueCallback, Outbox
from holdfast.store import StoreError

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
"""How often the outbox is looked at without a :meth:`Callbacks.wake`: for retries, and for jobs that another API process
ended."""
LEASE_S: Final = 60.0
"""How long a killed process keeps others from what it had taken; several timeouts, because calls wait for their host."""

Sign: TypeAlias = Callable[[str, JobView, bytes], Awaitable[Mapping[str, str]]]


class Sends(Protocol):
    """A :class:`~.sender.Sender`, as far as it is used here."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        """Post, and say what came of it."""
        ...


class Callbacks:
    """The loop. One per API process; any number of them share an outbox."""

    def __init__(
        self,
        outbox: Outbox,
        sender: Sends,
        settings: CallbackSettings,
        *,
        job: Callable[[str, str], Awaitable[JobView | None]],
        render: Callable[[JobView], bytes],
        sign: Callable[[JobView, bytes, float], Awaitable[Mapping[str, str]]],
        rng: Random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``job`` finds a job by tenant and id, ``render`` makes the body, ``sign`` the header fields for it.

        ``clock`` gives seconds since the epoch.
        """
        self._outbox = outbox
        self._sender = sender
        self._settings = settings
        self._job = job
        self._render = render
        self._sign = sign
        self._rng = rng
        self._clock = clock
        self._tenant_bound = max(1, settings.concurrency // 2)
        self._host_bound = max(1, settings.concurrency // 4)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._hosts: dict[str, tuple[asyncio.Semaphore, int]] = {}
        self._tenants: Counter[str] = Counter()
        self._calls: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self.outcomes: Counter[str] = Counter()
        """How often calls were ``delivered``, ``failed`` and ``dead``, for metrics."""

    @property
    def under_way(self) -> int:
        """Calls that are taken and not yet decided."""
        return len(self._calls)

    def wake(self) -> None:
        """Look at the outbox now: a job with a callback has ended."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is cut off, and delivered later by whoever takes it."""
        try:
            while True:
                self._woken.clear()
                if not await self._take():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL_S):
                            await self._woken.wait()
        finally:
            calls = list(self._calls)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _take(self) -> bool:
        """Start what is due; whether it is worth looking again at once."""
        room = 2 * self._settings.concurrency - len(self._calls)
        if room <= 0:
            return False
        busy = {tenant for tenant, taken in self._tenants.items() if taken >= self._tenant_bound}
        try:
            due = await self._outbox.take(limit=room, lease_s=LEASE_S, busy=busy, now=self._clock())
        except StoreError as error:
            log.warning("callbacks cannot be read", extra={"action": "callbacks", "why": str(error)})
            return False
        leased_until = self._clock() + LEASE_S
        for call in due:
            self._tenants[call.tenant] += 1
            task = asyncio.create_task(self._deliver(call, leased_until), name=f"callback {call.job}")
            self._calls.add(task)
            task.add_done_callback(lambda done, call=call: self._done(done, call))  # type: ignore[misc]
        return len(due) == room
