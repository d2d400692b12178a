"""Servers of programs as the drill ``burst`` sees them: hand programs in now, read what became of them afterwards."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp

from holdfast.drills.code_service import NO_BOUNDS, CodeService
from holdfast.drills.errors import DrillError
from holdfast.drills.process import Child, free_port, proportional_memory_bytes

BATCH: Final = 100
"""Programs in one request, the most that ``POST /v1/batches`` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one program. Times are seconds since the epoch."""

    tenant: str
    submitted: float
    wait_s: float
    """From its acceptance until a slot had it; until now for one that still waits."""
    finished: float | None


class Runner(Protocol):
    """A server of programs, from the outside."""

    async def submit(self, tenant: str, programs: Sequence[dict[str, Any]]) -> None:
        """Hand programs in at once. Raises :class:`DrillError` when one is refused."""
        ...

    async def unfinished(self, tenants: Sequence[str]) -> int:
        """Programs of these tenants that wait or run, as of up to ``FIGURES_AGE_S`` ago. Cheap to ask."""
        ...

    async def fates(self, tenants: Sequence[str]) -> list[Fate]:
        """Everything that these tenants handed in. Not for while something is measured."""
        ...

    def memory_bytes(self) -> int:
        """Proportional set size of all its processes, what they run at the moment included."""
        ...


class QueueRunner:
    """Holdfast, fair or first in, first out."""

    def __init__(self, service: CodeService, session: aiohttp.ClientSession) -> None:
        self._service = service
        self._session = session

    async def submit(self, tenant: str, programs: Sequence[dict[str, Any]]) -> None:
        """One post, or batches of a hundred; returns when all of them are acknowledged."""
        await asyncio.gather(
            *(self._post(tenant, programs[start : start + BATCH]) for start in range(0, len(programs), BATCH))
        )

    async def _post(self, tenant: str, programs: Sequence[dict[str, Any]]) -> None:
        path, body = ("/v1/jobs", programs[0]) if len(programs) == 1 else ("/v1/batches", {"jobs": programs})
        answer = await self._service.call(self._session, "POST", path, self._service.keys[tenant], body)
        if answer.status != 202:
            raise DrillError(f"POST {path} of {tenant} answered {answer.status}: {answer.body}")

    async def unfinished(self, tenants: Sequence[str]) -> int:
        """From the figures of the queue."""
        figures = await self._service.figures(self._session)
        return sum(one["queued"] + one["running"] for one in figures["tenants"] if one["tenant"] in tenants)

    async def fates(self, tenants: Sequence[str]) -> list[Fate]:
        """From the lists of jobs."""
        now = time.time()
        return [
            Fate(
                tenant=tenant,
                submitted=(submitted := epoch(job["submitted_at"])),
                wait_s=now - submitted if job["queued_ms"] is None else job["queued_ms"] / 1e3,
                finished=epoch(job["finished_at"]) if job["finished_at"] else None,
            )
            for tenant in tenants
            for job in await self._service.jobs(self._session, tenant)
        ]

    def memory_bytes(self) -> int:
        """Of the API and its workers."""
        return proportional_memory_bytes(self._service.processes())


class CoupledRunner:
    """Every program is a request that lasts until the program ends."""

    def __init__(self, child: Child, session: aiohttp.ClientSession) -> None:
        self._child = child
        self._session = session
        self._fates: list[Fate] = []
        self._open: dict[asyncio.Task[None], tuple[str, float]] = {}
        self._failed: BaseException | None = None

    async def submit(self, tenant: str, programs: Sequence[dict[str, Any]]) -> None:
        """Send the requests. There is no acknowledgement before the answer."""
        for program in programs:
            task = asyncio.create_task(self._run(tenant, program))
            self._open[task] = (tenant, time.time())
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
        if not task.cancelled():
            self._failed = self._failed or task.exception()

    async def _run(self, tenant: str, program: dict[str, Any]) -> None:
        submitted = time.time()
        async with self._session.post("/run", json=program) as response:
            answer = await response.json()
        fate = Fate(tenant=tenant, submitted=submitted, wait_s=answer["started"] - submitted, finished=time.time())
        self._fates.append(fate)

    async def unfinished(self, tenants: Sequence[str]) -> int:
        """Requests without an answer. Raises :class:`DrillError` when one has failed."""
        if self._failed is not None:
            raise DrillError(f"the request-coupled server failed: {self._failed}") from self._failed
        return sum(tenant in tenants for tenant, _ in self._open.values())

    async def fates(self, tenants: Sequence[str]) -> list[Fate]:
        """Those that ended, and those that have not."""
        now = time.time()
        waiting = [
            Fate(tenant=tenant, submitted=submitted, wait_s=now - submitted, finished=None)
            for tenant, submitted in self._open.values()
        ]
        return [fate for fate in (*self._fates, *waiting) if fate.tenant in tenants]

    async def close(self) -> None:
        """Give up what still waits."""
        tasks = tuple(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def memory_bytes(self) -> int:
        """Of the server and what it runs at the moment."""
        return proportional_memory_bytes(self._child.tree())


@asynccontextmanager
async def queued(
    name: str, directory: Path, *, tenants: Sequence[str], slots: int, fairness: Mapping[str, object]
) -> AsyncIterator[QueueRunner]:
    """An API and one worker, on SQLite."""
    section = {"admission": NO_BOUNDS, "fairness": fairness, "worker": {"slots": slots}}
    async with (
        CodeService(name, directory, tenants=tenants, section=section) as service,
        service.session() as session,
    ):
        yield QueueRunner(service, session)


@asynccontextmanager
async def coupled(directory: Path, *, slots: int) -> AsyncIterator[CoupledRunner]:
    """The server that runs programs inside requests."""
    port = free_port()
    child = Child(
        [sys.executable, "-P", "-m", "holdfast.drills.coupled", str(port), str(slots)], log=directory / "coupled.log"
    )
    try:
        await asyncio.to_thread(child.wait_until_listening, port)
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}",
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session:
            runner = CoupledRunner(child, session)
            try:
                yield runner
            finally:
                await runner.close()
    finally:
        await asyncio.to_thread(child.stop)


def epoch(text: str) -> float:
    """Seconds since the epoch, from a time as the API writes it."""
    return dt.datetime.fromisoformat(text).timestamp()
