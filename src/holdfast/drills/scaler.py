"""A small orchestrator of workers: looks at a signal, starts processes, and ends those that are not wanted.

What an autoscaler of a cloud does in minutes is done here in fractions of a second; what is examined is the signal that
it goes by and the way in which it takes a worker away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import aiohttp

from holdfast.drills.code_service import CodeService
from holdfast.drills.errors import DrillError
from holdfast.drills.process import Child, cpu_s

LOOK_S: Final = 0.25
"""Between two looks at the signal."""

Signal = Callable[[], Awaitable[int | None]]
"""How many workers there should be; ``None``: nothing is known, so that nothing is changed."""


class Fleet:
    """The workers of a service, with how long each has lived."""

    def __init__(self, service: CodeService, *, drain: bool) -> None:
        """``drain``: a worker is ended by SIGTERM and may finish what it runs; by SIGKILL otherwise."""
        self._service = service
        self._drain = drain
        self._since: dict[Child, float] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.lived_s: list[float] = []
        """Of each worker that has gone, from its start to its end."""
        self.zero_s = 0.0
        """For so long nobody was there, those who are on their way out included among the living."""
        self.peak = 0
        """The most that were there at a time, without those on their way out."""
        self._zero_since: float | None = time.monotonic()
        self._gone = asyncio.Event()
        self._gone.set()

    def __len__(self) -> int:
        """Workers that are there and stay."""
        return len(self._since)

    @property
    def members(self) -> Sequence[Child]:
        """Those who stay, the longest-serving first."""
        return tuple(self._since)

    async def grow(self) -> None:
        """Start one more."""
        self._count_zero(at_zero=False)
        self._gone.clear()
        child = await asyncio.to_thread(self._service.start_worker)
        self._since[child] = time.monotonic()
        self.peak = max(self.peak, len(self._since))

    def shrink(self) -> None:
        """End the longest-serving; it is on its way out from now on."""
        child = next(iter(self._since))
        began = self._since.pop(child)
        task = asyncio.create_task(self._end(child, began))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)  # before what looks whether it was the last
        task.add_done_callback(lambda _: self._left())

    async def _end(self, child: Child, began: float) -> None:
        if self._drain:
            await asyncio.to_thread(child.stop)
            with suppress(ValueError):
                self._service.workers.remove(child)
        else:
            await asyncio.to_thread(self._service.kill, child)
        self.lived_s.append(time.monotonic() - began)

    def _left(self) -> None:
        if not self._since and not self._leaving:
            self._count_zero(at_zero=True)
            self._gone.set()

    async def wait_until_empty(self, *, within_s: float) -> bool:
        """Wait until nobody is there and nobody on the way out; False if that takes longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._gone.wait()
        return self._gone.is_set()

    def inspect(self) -> None:
        """Nobody may leave unasked. Raises :class:`DrillError`."""
        for child in self._since:
            if child.over:
                raise DrillError(f"a worker ended by itself: {self._service.log()[-600:]}")

    def _count_zero(self, *, at_zero: bool) -> None:
        now = time.monotonic()
        if self._zero_since is not None:
            self.zero_s += now - self._zero_since
        self._zero_since = now if at_zero else None

    async def disband(self) -> None:
        """End everybody, and settle the account."""
        while self._since:
            self.shrink()
        await asyncio.gather(*self._leaving)
        self._count_zero(at_zero=False)


def by_backlog(service: CodeService, session: aiohttp.ClientSession) -> Signal:
    """What ``GET /v1/scaling`` wants: backlog in seconds, running jobs, cooldowns."""

    async def signal() -> int | None:
        try:
            answer = await service.call(session, "GET", "/v1/scaling", service.operator_key)
        except (aiohttp.ClientError, TimeoutError):
            return None
        if answer.status != 200:
            raise DrillError(f"GET /v1/scaling answered {answer.status}: {answer.body}")
        return int(answer.body["wanted_workers"])

    return signal


def by_processor(fleet: Fleet, *, most: int, high: float = 0.6, low: float = 0.1) -> Signal:
    """What the processor time of the workers wants: one more above ``high`` of a core each, one less below ``low``.

    Where there are no workers there is no such figure, which is the fault of this signal and not of this function.
    """
    before: dict[int, tuple[float, float]] = {}

    async def signal() -> int | None:
        shares = []
        for child in fleet.members:
            try:
                used, now = cpu_s(child.tree()), time.monotonic()
            except (FileNotFoundError, ProcessLookupError):
                continue
            earlier = before.get(child.pid)
            before[child.pid] = (used, now)
            if earlier is not None:
                shares.append((used - earlier[0]) / max(now - earlier[1], 1e-3))
        if not shares:
            return None
        mean = sum(shares) / len(shares)
        step = 1 if mean > high else -1 if mean < low else 0
        return min(max(len(fleet) + step, 0), most)

    return signal


async def follow(fleet: Fleet, signal: Signal) -> None:
    """Keep the fleet at what the signal wants, until cancelled."""
    while True:
        fleet.inspect()
        wanted = await signal()
        if wanted is not None:
            while len(fleet) < wanted:
                await fleet.grow()
            while len(fleet) > wanted:
                fleet.shrink()
        await asyncio.sleep(LOOK_S)
