"""A queue, its clock, and short ways to say what tests say often."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from holdfast.execution.core.job import Limits, NewJob, Program, Result, SourceFile, Verdict
from holdfast.execution.core.ports import Accepted, Finish, Given, Lease, OutputPiece, Presence, Returned
from holdfast.execution.core.settings import ExecutionSettings
from holdfast.execution.shell.queue import JobQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.execution.core.job import Claim
    from holdfast.execution.core.ports import JobView
    from holdfast.store import Database

START = 1_790_000_000.0
LIMITS = Limits(wall_s=10, cpu_s=10, memory_bytes=2**28, output_bytes=1000, processes=64)
LANGUAGES = {"python": "3.11", "cpp": "12"}


def program(language: str = "python", source: bytes = b"print(1)") -> Program:
    return Program(language=language, files=(SourceFile(path="main", data=source),), entry="main", limits=LIMITS)


@dataclass
class World:
    """Everything happens at ``now``, which only tests move."""

    database: Database
    settings: ExecutionSettings = field(default_factory=ExecutionSettings)
    now: float = START
    numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.queue = JobQueue(self.database, self.settings, rng=Random(1))

    def new(self, tenant: str = "t", language: str = "python", **fields: Any) -> NewJob:
        values: dict[str, Any] = {"program": program(language), "cost_estimate_us": 100_000, "submitted": self.now}
        return NewJob(id=f"{next(self.numbers):026d}", tenant=tenant, **values | fields)

    async def submit(self, tenant: str = "t", language: str = "python", **fields: Any) -> str:
        """Submit one job that is accepted; its id."""
        (outcome,) = await self.queue.submit([self.new(tenant, language, **fields)], now=self.now)
        assert isinstance(outcome, Accepted), outcome
        return outcome.id

    async def give(self, worker: str = "w", free: int = 1, held: tuple[Lease, ...] = (), **fields: Any) -> Given:
        values: dict[str, Any] = {"epoch": f"{worker}-1", "slots": 4, "languages": LANGUAGES}
        presence = Presence(worker=worker, free=free, held=held, **values | fields)
        return await self.queue.give(presence, now=self.now)

    async def claim(self, worker: str = "w", **fields: Any) -> Claim:
        """Claim exactly one job."""
        (claim,) = (await self.give(worker, free=1, **fields)).claims
        return claim

    async def report(
        self,
        worker: str = "w",
        *,
        held: tuple[Lease, ...] = (),
        output: tuple[OutputPiece, ...] = (),
        finished: tuple[Finish, ...] = (),
        returned: tuple[Returned, ...] = (),
    ) -> Given:
        return await self.queue.report(
            worker, held=held, output=output, finished=finished, returned=returned, now=self.now
        )

    def finished(self, claim: Claim, verdict: Verdict = Verdict.OK, cpu_ms: float = 100.0, **fields: Any) -> Finish:
        return Finish(id=claim.id, token=claim.token, result=Result(verdict=verdict, cpu_ms=cpu_ms, **fields))

    async def finish(self, claim: Claim, worker: str = "w", **fields: Any) -> Given:
        return await self.report(worker, finished=(self.finished(claim, **fields),))

    def returned(self, claim: Claim, reason: str = "no disk", *, counts: bool = True) -> Returned:
        return Returned(id=claim.id, token=claim.token, reason=reason, counts=counts)

    async def view(self, id: str, tenant: str = "t") -> JobView:
        found = await self.queue.job(tenant, id)
        assert found is not None
        return found


def lease(claim: Claim) -> Lease:
    return Lease(id=claim.id, token=claim.token)


@asynccontextmanager
async def opened(world: World) -> AsyncIterator[World]:
    await world.queue.open(world.now)
    try:
        yield world
    finally:
        await world.queue.close()
