"""Takes due callbacks from the outbox and has them sent, so that no receiver holds up another's.

Bounds, from the inside out:

- ``settings.concurrency`` requests at a time;
- of them at most a quarter to one host, so that we are nobody's flood;
- of one tenant at most half of ``concurrency`` taken, waiting for a turn or being sent: a slow
  receiver, or a name that does not resolve, costs its own tenant the time.

What is taken is leased, and everything that was under way when a process ended is taken by another
one when the lease is over. A call that waited for its turn so long that the lease might end
while it is sent is left for that, too. So a receiver may get a message twice, with the same
``webhook-id``; it gets none from a job that has not ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Final, Protocol

from holdfast.execution.core.callback import Again, Attempt, Dead, Delivered, consequence, target
from holdfast.execution.core.ports import JobView
from holdfast.execution.core.settings import CallbackSettings
from holdfast.execution.core.signature import sign
from holdfast.execution.shell.queue import Callback
from holdfast.identity import CallbackSecret
from holdfast.store import StoreError

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
"""How often the outbox is looked at without a :meth:`Callbacks.wake`: for what other processes put there."""
LEASE_S: Final = 60.0
"""How long a killed process keeps others from what it had taken."""
OUTPUT_LIMIT: Final = 64 * 2**10
"""Bytes of each output that a callback carries; all of it is at the job's address. What is sent here is held in memory
for ``concurrency`` receivers at a time, and sent up to ``attempts`` times to each."""


class Outbox(Protocol):
    """The calls that wait: :class:`~holdfast.execution.shell.queue.CallbackOutbox`."""

    async def next_due(self) -> float | None:
        """When the next call is due; ``None`` when there is none."""
        ...

    async def due(
        self, *, now: float, limit: int, lease_s: float, except_of: Collection[str] = ()
    ) -> Sequence[Callback]:
        """Take calls that are due, the longest due first, none of the tenants ``except_of``."""
        ...

    async def delivered(self, callback: Callback) -> None:
        """The receiver has it."""
        ...

    async def failed(self, callback: Callback, error: str, *, next_due: float) -> None:
        """To be tried again then."""
        ...

    async def dead(self, callback: Callback, error: str) -> None:
        """Given up, until it is replayed."""
        ...


class Sends(Protocol):
    """What sends: :class:`~holdfast.execution.shell.callbacks.sender.Sender`."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        """Post, and say what came of it."""
        ...


class Secrets(Protocol):
    """Where signing secrets come from: ``Identities.callback_secrets``."""

    async def __call__(self, tenant: str, *, now: float) -> Sequence[CallbackSecret]:
        """Those that are good, newest first."""
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
        secrets: Secrets,
        rng: Random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``job`` finds a job by tenant and id, ``render`` makes the JSON of it. ``clock``: seconds since the epoch."""
        self._outbox = outbox
        self._sender = sender
        self._settings = settings
        self._job = job
        self._render = render
        self._secrets = secrets
        self._rng = rng
        self._clock = clock
        self._room = 2 * settings.concurrency
        self._tenant_bound = max(1, settings.concurrency // 2)
        self._portion = max(1, self._tenant_bound // 2)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._hosts = _PerHost(max(1, settings.concurrency // 4))
        self._tenants: Counter[str] = Counter()
        self._calls: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self.outcomes: Counter[str] = Counter()
        """How many calls were ``delivered``, ``failed`` (to be tried again) and ``dead``; for metrics."""

    @property
    def under_way(self) -> int:
        """Calls that are taken and not yet decided; for metrics."""
        return len(self._calls)

    def wake(self) -> None:
        """Look at the outbox now: a job with a callback has ended, or calls were replayed."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled. What is under way then is cut off, and taken anew when its lease is over."""
        try:
            while True:
                self._woken.clear()
                try:
                    pause_s = await self._take()
                except StoreError as error:
                    log.warning("callbacks cannot be read", extra={"action": "callback_take", "why": str(error)})
                    pause_s = POLL_S
                except Exception:
                    log.exception("callbacks cannot be read", extra={"action": "callback_take"})
                    pause_s = POLL_S
                try:
                    async with asyncio.timeout(pause_s):
                        await self._woken.wait()
                except TimeoutError:
                    pass
        finally:
            calls = list(self._calls)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _take(self) -> float:
        """Start what is due and has room; seconds until it is worth looking again."""
        room = self._room - len(self._calls)
        if room <= 0:
            return POLL_S
        # A look costs a read; only when there is something, a write.
        due, now = await self._outbox.next_due(), self._clock()
        if due is None or due > now:
            return POLL_S if due is None else min(POLL_S, due - now)
        # A tenant's calls are often due together, so whoever is given another portion must have room for all of it.
        limit = min(room, self._portion)
        busy = [tenant for tenant, taken in self._tenants.items() if taken + limit > self._tenant_bound]
        taken = await self._outbox.due(now=now, limit=limit, lease_s=LEASE_S, except_of=busy)
        for call in taken:
            self._tenants[call.tenant] += 1
            task = asyncio.create_task(self._deliver(call, now + LEASE_S), name=f"callback {call.job}")
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        return 0.0 if len(taken) == limit else POLL_S

    async def _deliver(self, call: Callback, leased_until: float) -> None:
        try:
            attempt = await self._in_turn(call, leased_until)
            if attempt is not None:
                await self._settle(call, attempt)
        except StoreError as error:
            # Its lease ends, and it is tried again: at least once is what is promised.
            log.warning("callback undecided", extra=_fields(call, "callback_undecided", str(error)))
        except Exception:
            log.exception("callback failed in an unforeseen way", extra=_fields(call, "callback_error", ""))
        finally:
            self._tenants[call.tenant] -= 1
            if not self._tenants[call.tenant]:
                del self._tenants[call.tenant]
            self._woken.set()

    async def _in_turn(self, call: Callback, leased_until: float) -> Attempt | None:
        where = target(call.url, allow_private=self._settings.allow_private)
        if isinstance(where, str):
            return Attempt(failure=where, forbidden=True)
        async with self._hosts.turn(where.host), self._slots:
            if self._clock() + self._settings.timeout > leased_until:
                return None
            job = await self._job(call.tenant, call.job)
            if job is None:
                return Attempt(failure="the job was removed before it could be called back", forbidden=True)
            now = self._clock()
            body = self._render(_shortened(job))
            secrets = [secret.text for secret in await self._secrets(call.tenant, now=now)]
            headers = {
                "Content-Type": "application/json",
                **sign(secrets, id=message_id(job), timestamp=int(now), body=body),
            }
            return await self._sender.send(call.url, headers, body)

    async def _settle(self, call: Callback, attempt: Attempt) -> None:
        match consequence(attempt, attempts=call.attempt, settings=self._settings, rng=self._rng):
            case Delivered():
                await self._outbox.delivered(call)
                self.outcomes["delivered"] += 1
            case Again(after_s=after_s, why=why):
                await self._outbox.failed(call, why, next_due=self._clock() + after_s)
                self.outcomes["failed"] += 1
                log.info("callback failed", extra=_fields(call, "callback_failed", why) | {"retry_in_s": after_s})
            case Dead(why=why):
                await self._outbox.dead(call, why)
                self.outcomes["dead"] += 1
                log.warning("callback given up", extra=_fields(call, "callback_dead", why))


class _PerHost:
    """A semaphore per host, for as long as somebody holds or wants it."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it."""
        semaphore = self._hosts.setdefault(host, asyncio.Semaphore(self._bound))
        self._users[host] += 1
        try:
            async with semaphore:
                yield
        finally:
            self._users[host] -= 1
            if not self._users[host]:
                del self._users[host], self._hosts[host]


def message_id(job: JobView) -> str:
    """``webhook-id``: the same for every attempt, another one when a job that was replayed ends again."""
    return f"{job.id}-{int((job.finished or job.submitted) * 1000)}"


def _shortened(job: JobView) -> JobView:
    result = job.result
    if result is None:
        return job
    compiled = result.compiled
    if compiled is not None:
        compiled = replace(
            compiled,
            stdout=compiled.stdout[:OUTPUT_LIMIT],
            stderr=compiled.stderr[:OUTPUT_LIMIT],
            truncated=compiled.truncated or max(len(compiled.stdout), len(compiled.stderr)) > OUTPUT_LIMIT,
        )
    result = replace(
        result,
        stdout=result.stdout[:OUTPUT_LIMIT],
        stderr=result.stderr[:OUTPUT_LIMIT],
        stdout_truncated=result.stdout_truncated or len(result.stdout) > OUTPUT_LIMIT,
        stderr_truncated=result.stderr_truncated or len(result.stderr) > OUTPUT_LIMIT,
        compiled=compiled,
    )
    return replace(job, result=result)


def _fields(call: Callback, action: str, why: str) -> dict[str, object]:
    return {"action": action, "job": call.job, "tenant": call.tenant, "attempt": call.attempt, "why": why}
