"""One tenant submits thousands of programs at once; nine others go on with one a second each.

Three servers, each with the same slots: Holdfast; the same with a first-in-first-out queue and no slot
kept free (the control); and one that runs the program inside the request. Each is measured alone (the
nine by themselves), steady (the mix of the burst, never more than a few waiting) and in the burst.
Arrivals are open-loop. One program in five of the burst is C++ that nobody has compiled before.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp

from holdfast.drills.code_service import NO_BOUNDS, CodeService
from holdfast.drills.contenders import CONTROL
from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CODE_RUNNER, Findings, Setting
from holdfast.drills.process import Child, free_port, proportional_memory_bytes

HEAVY_TENANT: Final = "heavy"
LIGHT_TENANTS: Final = tuple(f"light-{number}" for number in range(1, 10))
COUPLED: Final = "coupled"
HEAVY_EVERY: Final = 5
BATCH: Final = 100
STEADY_DEPTH: Final = 24
"""Programs in the system at one time while the steady throughput is taken: enough to keep all slots busy."""
LIGHT_RATE_PER_S: Final = 1.0
SLOTS: Final = 4


def program(number: int) -> dict[str, Any]:
    """The ``number``-th program of the burst."""
    if number % HEAVY_EVERY == 0:
        source = f"// {number}\n#include <iostream>\nint main() {{ std::cout << {number} << '\\n'; }}\n"
        return {"language": "cpp", "source": source}
    return {"language": "python", "source": f"print({number})\n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one program. Times are seconds since the epoch."""

    tenant: str
    submitted: float
    wait_s: float
    """Until it was given a slot; until now for one that still waits."""
    finished: float | None


class Runner(Protocol):
    """A server of programs, from the outside."""

    async def submit(self, tenant: str, jobs: list[dict[str, Any]]) -> list[float]:
        """Hand programs in at once; how long each post took, in ms. Raises :class:`DrillError` when one is refused."""
        ...

    async def fates(self, tenants: Sequence[str]) -> list[Fate]:
        """Everything that these tenants handed in."""
        ...

    def memory_bytes(self) -> int:
        """Proportional set size of all its processes."""
        ...


class QueueRunner:
    """Holdfast, fair or first in, first out."""

    def __init__(self, service: CodeService, session: aiohttp.ClientSession) -> None:
        self._service = service
        self._session = session

    async def submit(self, tenant: str, jobs: list[dict[str, Any]]) -> list[float]:
        """One post, or batches of a hundred."""
        return await asyncio.gather(
            *(self._post(tenant, jobs[start : start + BATCH]) for start in range(0, len(jobs), BATCH))
        )

    async def _post(self, tenant: str, jobs: list[dict[str, Any]]) -> float:
        path, body = ("/v1/jobs", jobs[0]) if len(jobs) == 1 else ("/v1/batches", {"jobs": jobs})
        answer = await self._service.call(self._session, "POST", path, self._service.keys[tenant], body)
        if answer.status != 202:
            raise DrillError(f"POST {path} of {tenant} answered {answer.status}: {answer.body}")
        return answer.took_s * 1e3

    async def fates(self, tenants: Sequence[str]) -> list[Fate]:
        """From the lists of jobs."""
        now = time.time()
        return [
            Fate(
                tenant=tenant,
                submitted=epoch(job["submitted_at"]),
                wait_s=(epoch(job["started_at"]) if job.get("started_at") else now) - epoch(job["submitted_at"]),
                finished=epoch(job["finished_at"]) if job.get("finished_at") else None,
            )
            for tenant in tenants
            for job in await self._service.jobs(self._session, tenant)
        ]

    def memory_bytes(self) -> int:
        """Of the API and its workers."""
        children = [*self._service.workers, *([self._service.api] if self._service.api else [])]
        return proportional_memory_bytes([pid for child in children for pid in child.tree()])


class CoupledRunner:
    """Every program is a request that lasts until the program ends."""

    def __init__(self, child: Child, session: aiohttp.ClientSession) -> None:
        self._child = child
        self._session = session
        self._fates: list[Fate] = []
        self._open: dict[asyncio.Task[None], tuple[str, float]] = {}

    async def submit(self, tenant: str, jobs: list[dict[str, Any]]) -> list[float]:
        """Posts do not return before the program has run, so there is nothing to time here."""
        for job in jobs:
            task = asyncio.create_task(self._run(tenant, job))
            self._open[task] = (tenant, time.time())
            task.add_done_callback(lambda done: self._open.pop(done, None))
        return []

    async def _run(self, tenant: str, job: dict[str, Any]) -> None:
        submitted = time.time()
        async with self._session.post("/run", json=job) as response:
            answer = await response.json()
        self._fates.append(
            Fate(tenant=tenant, submitted=submitted, wait_s=answer["queued_ms"] / 1e3, finished=time.time())
        )

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
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*tuple(self._open), return_exceptions=True)

    def memory_bytes(self) -> int:
        """Of the server and what it runs at the moment."""
        return proportional_memory_bytes([self._child.pid])


class Burst:
    """``holdfast drill run burst``."""

    name = "burst"
    title = "Does one tenant's burst of 5,000 programs make the others wait?"
    packages = CODE_RUNNER

    async def run(self, setting: Setting) -> Findings:
        """The three servers, one after the other."""
        found = Findings(control_what="first in, first out; no shares, no slot kept free")
        burst = int(setting.pick(5000, 200))
        found.parameters |= {
            "burst": burst,
            "heavy_every": HEAVY_EVERY,
            "light_tenants": len(LIGHT_TENANTS),
            "light_rate_per_s": LIGHT_RATE_PER_S,
            "slots": SLOTS,
            "alone_s": setting.pick(20, 2),
            "steady_s": setting.pick(20, 2),
            "burst_s": setting.pick(60, 4),
        }
        for name, serving in (("holdfast", _fair), (CONTROL, _fifo), (COUPLED, _coupled)):
            async with serving(setting) as runner:
                await _measure(found, setting, name, runner, burst)
        _judge(found)
        return found


async def _measure(found: Findings, setting: Setting, name: str, runner: Runner, burst: int) -> None:
    rng = random.Random(f"{setting.seed}/{name}")
    setting.progress(f"burst: {name}: the light tenants alone")
    began = time.time()
    await _light(runner, rng, setting.pick(20, 2))
    alone = await runner.fates(LIGHT_TENANTS)
    found.add(name, "alone_wait_ms", [fate.wait_s * 1e3 for fate in alone])

    setting.progress(f"burst: {name}: the mix of the burst, a few at a time")
    steady_s = setting.pick(20, 2)
    found.add(name, "steady_per_s", [await _steady(runner, steady_s)])

    setting.progress(f"burst: {name}: {burst} at once")
    burst_s = setting.pick(60, 4)
    began = time.time()
    before = len(await runner.fates([HEAVY_TENANT]))
    posting = asyncio.create_task(_flood(runner, burst))
    submits = await _light(runner, rng, burst_s)
    accepted_s, posts = await posting
    ended = time.time()
    lights = [fate for fate in await runner.fates(LIGHT_TENANTS) if fate.submitted >= began]
    all_fates = [*lights, *(await runner.fates([HEAVY_TENANT]))]
    done = [fate.finished for fate in all_fates if fate.finished is not None and began <= fate.finished < ended]
    found.add(name, "light_wait_ms", [fate.wait_s * 1e3 for fate in lights])
    found.add(name, "light_jobs", [len(lights)])
    found.add(name, "light_unfinished", [sum(fate.finished is None for fate in lights)])
    found.add(name, "finished_each_s", _each_second(done, began, ended))
    found.add(name, "burst_per_s", [len(done) / (ended - began)])
    found.add(name, "memory_bytes", [runner.memory_bytes()])
    if submits:
        found.add(name, "submit_ms", submits)
        found.add(name, "batch_ms", posts)
        found.add(name, "accepted_per_s", [(len(all_fates) - len(lights) - before) / accepted_s])
    if isinstance(runner, CoupledRunner):
        await runner.close()


async def _light(runner: Runner, rng: random.Random, duration_s: float) -> list[float]:
    """Each light tenant hands in programs as a Poisson process, whatever the answers take."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    moments = sorted(
        (moment, tenant) for tenant in LIGHT_TENANTS for moment in _poisson(rng, LIGHT_RATE_PER_S, duration_s)
    )
    posts = []
    for number, (moment, tenant) in enumerate(moments):
        await asyncio.sleep(max(0.0, began + moment - loop.time()))
        job = {"language": "python", "source": f"print('light', {number})\n"}
        posts.append(asyncio.create_task(runner.submit(tenant, [job])))
    await asyncio.sleep(max(0.0, began + duration_s - loop.time()))
    return [took for taken in await asyncio.gather(*posts) for took in taken]


def _poisson(rng: random.Random, rate_per_s: float, duration_s: float) -> list[float]:
    moments: list[float] = []
    moment = rng.expovariate(rate_per_s)
    while moment < duration_s:
        moments.append(moment)
        moment += rng.expovariate(rate_per_s)
    return moments


async def _steady(runner: Runner, duration_s: float) -> float:
    """Programs per second that end while never more than a few wait."""
    began, handed_in = time.time(), 0
    while time.time() < began + duration_s:
        fates = await runner.fates([HEAVY_TENANT])
        missing = STEADY_DEPTH - sum(fate.finished is None for fate in fates)
        if missing > 0:
            await runner.submit(HEAVY_TENANT, [program(1_000_000 + handed_in + n) for n in range(missing)])
            handed_in += missing
        await asyncio.sleep(0.25)
    ended = time.time()
    done = sum(fate.finished is not None and fate.finished < ended for fate in await runner.fates([HEAVY_TENANT]))
    await _until_idle(runner)
    return done / (ended - began)


async def _until_idle(runner: Runner, *, timeout_s: float = 120.0) -> None:
    async with asyncio.timeout(timeout_s):
        # What is waited for happens in another process.
        while any(fate.finished is None for fate in await runner.fates([HEAVY_TENANT])):  # noqa: ASYNC110
            await asyncio.sleep(0.25)


async def _flood(runner: Runner, count: int) -> tuple[float, list[float]]:
    began = time.monotonic()
    took = await runner.submit(HEAVY_TENANT, [program(number) for number in range(count)])
    return time.monotonic() - began, took


def _each_second(moments: Sequence[float], began: float, ended: float) -> list[float]:
    counts = [0.0] * max(int(ended - began), 1)
    for moment in moments:
        second = int(moment - began)
        if second < len(counts):
            counts[second] += 1
    return counts


def _judge(found: Findings) -> None:
    for name in ("holdfast", CONTROL, COUPLED):
        for share in ("p50", "p95", "p99"):
            found.metric(name, f"light_wait_{share}_ms", f"{share}($light_wait_ms)", unit="ms", better="lower")
        found.metric(name, "alone_wait_p95_ms", "p95($alone_wait_ms)", unit="ms", better="lower")
        found.metric(name, "longest_wait_ms", "max($light_wait_ms)", unit="ms", better="lower")
        found.metric(name, "burst_per_s", "sum($burst_per_s)", unit="1/s", better="higher")
        found.metric(name, "steady_per_s", "sum($steady_per_s)", unit="1/s", better="higher")
        found.metric(name, "light_unfinished", "sum($light_unfinished)", unit="jobs", better="lower")
        found.metric(name, "memory_bytes", "sum($memory_bytes)", unit="B", better="lower")
        if name != COUPLED:
            found.metric(name, "accepted_per_s", "sum($accepted_per_s)", unit="1/s", better="higher")
            found.metric(name, "submit_p99_ms", "p99($submit_ms)", unit="ms", better="lower")
    found.metric(
        "holdfast",
        "wait_against_alone",
        "p95($light_wait_ms) / p95($alone_wait_ms)",
        unit="ratio",
        better="lower",
    )
    found.metric(
        "holdfast",
        "wait_against_fifo",
        "p95(control.light_wait_ms) / p95($light_wait_ms)",
        unit="ratio",
        better="higher",
    )
    found.metric(
        "holdfast", "burst_against_steady", "sum($burst_per_s) / sum($steady_per_s)", unit="ratio", better="higher"
    )
    found.claim("light tenants wait at most 1.5 times as long as alone", "holdfast.wait_against_alone", "<=", 1.5)
    found.claim("20 times shorter than first in, first out", "holdfast.wait_against_fifo", ">=", 20)
    found.claim("the burst costs no throughput", "holdfast.burst_against_steady", ">=", 0.95)
    found.claim("submissions stay quick", "holdfast.submit_p99_ms", "<=", 50)
    found.claim("every light program ended", "holdfast.light_unfinished", "<=", len(LIGHT_TENANTS), in_quick=True)


def epoch(text: str) -> float:
    """Seconds since the epoch, from a time as the API writes it."""
    return dt.datetime.fromisoformat(text).timestamp()


@asynccontextmanager
async def _fair(setting: Setting) -> AsyncIterator[Runner]:
    async with _service(setting, "holdfast", {}) as runner:
        yield runner


@asynccontextmanager
async def _fifo(setting: Setting) -> AsyncIterator[Runner]:
    async with _service(setting, CONTROL, {"scheduling": "fifo"}) as runner:
        yield runner


@asynccontextmanager
async def _service(setting: Setting, name: str, fairness: Mapping[str, object]) -> AsyncIterator[Runner]:
    section = {"admission": NO_BOUNDS, "fairness": fairness, "worker": {"slots": SLOTS}}
    tenants = (HEAVY_TENANT, *LIGHT_TENANTS)
    async with (
        CodeService(name, setting.directory, tenants=tenants, section=section) as service,
        service.session() as session,
    ):
        yield QueueRunner(service, session)


@asynccontextmanager
async def _coupled(setting: Setting) -> AsyncIterator[Runner]:
    port = free_port()
    child = Child(
        [sys.executable, "-P", "-m", "holdfast.drills.coupled", str(port), str(SLOTS)],
        log=setting.directory / "coupled.log",
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
