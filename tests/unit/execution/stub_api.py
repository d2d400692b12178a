"""The API's side of the worker protocol, in this process, without HTTP: gives jobs, takes reports, fails on demand."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from holdfast.execution.core.protocol import Held, Orders, Receipt

if TYPE_CHECKING:
    from holdfast.execution.core.protocol import Report, Sync, WireJob, WireResult


class StubApi:
    """One worker's API. ``down`` makes every request fail, ``refuse`` those that report on a job."""

    def __init__(self) -> None:
        self.queue: deque[WireJob] = deque()
        self.syncs: list[Sync] = []
        self.reports: list[Report] = []
        self.results: dict[str, WireResult] = {}
        self.kill: set[tuple[str, int]] = set()
        self.lost: set[tuple[str, int]] = set()
        self.down: Exception | None = None
        self.refuse: dict[str, Exception] = {}
        self.report_gate = asyncio.Event()
        self.report_gate.set()
        self.open_syncs = 0
        self._changed = asyncio.Event()

    def submit(self, *jobs: WireJob) -> None:
        self.queue.extend(jobs)
        self._changed.set()

    def order(self, *, kill: WireJob | None = None, lost: WireJob | None = None) -> None:
        if kill is not None:
            self.kill.add((kill.id, kill.token))
        if lost is not None:
            self.lost.add((lost.id, lost.token))
        self._changed.set()

    async def result(self, job: WireJob, *, within_s: float = 30.0) -> WireResult:
        async with asyncio.timeout(within_s):
            while job.id not in self.results:
                await self._changed.wait()
                self._changed.clear()
        return self.results[job.id]

    async def sync(self, message: Sync) -> Orders:
        self.syncs.append(message)
        self.open_syncs += 1
        try:
            async with asyncio.timeout(message.wait_s):
                while True:
                    self._check()
                    jobs = tuple(self.queue.popleft() for _ in range(min(message.free, len(self.queue))))
                    kill, lost = self._orders(message.held)
                    if jobs or kill or lost:
                        return Orders(jobs=jobs, kill=kill, lost=lost)
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return Orders()
        finally:
            self.open_syncs -= 1

    async def report(self, message: Report) -> Receipt:
        await self.report_gate.wait()
        self._check()
        for result in message.results:
            if (error := self.refuse.get(result.id)) is not None:
                raise error
        self.reports.append(message)
        for result in message.results:
            if (result.id, result.token) not in self.lost:
                self.results[result.id] = result
        self._changed.set()
        kill, lost = self._orders(message.held)
        return Receipt(kill=kill, lost=lost)

    def _check(self) -> None:
        if self.down is not None:
            raise self.down

    def _orders(self, held: tuple[Held, ...]) -> tuple[tuple[Held, ...], tuple[Held, ...]]:
        kill = tuple(one for one in held if (one.id, one.token) in self.kill)
        lost = tuple(one for one in held if (one.id, one.token) in self.lost)
        return kill, lost
