"""One tenant submits thousands of programs at once; nine others go on with one a second each.

Three servers, each with the same slots: Holdfast; the same with a first-in-first-out queue, without shares and
without slots kept free (the control); and one that runs the program inside the request. Each meets three
situations: the nine alone; the burst, until its last program has ended; and before and after it the same mix with
never more than a few waiting (steady). Arrivals of the nine are open-loop: a Poisson process that waits for no
answer. One program in five of the burst is C++ that nobody has compiled before.

What became of the programs is read from the API afterwards. While something is measured the drill posts, and asks for
the length of the queue now and then.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.drills.code_runners import CoupledRunner, QueueRunner, Runner, coupled, queued
from holdfast.drills.code_service import FIGURES_AGE_S
from holdfast.drills.errors import ToolMissingError
from holdfast.drills.findings import CODE_RUNNER, CONTROL, Findings, Setting

HEAVY_TENANT: Final = "heavy"
LIGHT_TENANTS: Final = tuple(f"light-{number}" for number in range(1, 10))
EVERYBODY: Final = (HEAVY_TENANT, *LIGHT_TENANTS)
COUPLED: Final = "coupled"
HEAVY_EVERY: Final = 5
STEADY_DEPTH: Final = 96
"""Programs of the heavy tenant in the system while the steady throughput is taken: more than all slots get through
between two looks."""
LIGHT_RATE_PER_S: Final = 1.0
"""Of each light tenant."""
SLOTS: Final = 8
SPAN_S: Final = 5.0
"""Finished programs are counted in spans of this length."""
WARM_UP: Final = 10
"""Programs that run before anything is measured."""
_LONGEST_S: Final = 1200.0


def program(number: int) -> dict[str, Any]:
    """The ``number``-th program of the heavy tenant."""
    if number % HEAVY_EVERY == 0:
        source = f'// {number}\n#include <cstdio>\nint main() {{ std::printf("%d\\n", {number}); }}\n'
        return {"language": "cpp", "source": source}
    return {"language": "python", "source": f"print({number})\n"}


class Burst:
    """``holdfast drill run burst``."""

    name = "burst"
    title = "Does one tenant's burst of 5,000 programs make the others wait?"
    packages = CODE_RUNNER

    async def run(self, setting: Setting) -> Findings:
        """The three servers, one after the other."""
        if shutil.which("g++") is None:
            raise ToolMissingError("g++", "g++")
        found = Findings(control_what="first in, first out; no shares, no slot kept free")
        size = _Size(burst=int(setting.pick(5000, 30)), steady=int(setting.pick(1000, 8)), alone_s=setting.pick(30, 1))
        found.parameters |= {
            "burst": size.burst,
            "steady": size.steady,
            "alone_s": size.alone_s,
            "heavy_every": HEAVY_EVERY,
            "light_tenants": len(LIGHT_TENANTS),
            "light_rate_per_s": LIGHT_RATE_PER_S,
            "slots": SLOTS,
        }
        for name in ("holdfast", CONTROL, COUPLED):
            async with _serving(name, setting) as runner:
                await _measure(found, setting, name, runner, size)
        _judge(found)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    burst: int
    steady: int
    alone_s: float


def _serving(name: str, setting: Setting) -> AbstractAsyncContextManager[QueueRunner | CoupledRunner]:
    if name == COUPLED:
        return coupled(setting.directory, slots=SLOTS)
    fairness = {"scheduling": "fifo"} if name == CONTROL else {}
    return queued(name, setting.directory, tenants=EVERYBODY, slots=SLOTS, fairness=fairness)


async def _measure(found: Findings, setting: Setting, name: str, runner: Runner, size: _Size) -> None:
    async with asyncio.timeout(_LONGEST_S):
        # What is slow once, the first compile and an estimate that nothing is known for, is nobody's wait.
        await runner.submit(HEAVY_TENANT, [program(number) for number in range(WARM_UP)])
        await _until_idle(runner)
        setting.progress(f"burst: {name}: the light tenants alone")
        began = time.time()
        async with _light_tenants(runner, random.Random(f"{setting.seed}/{name}/alone")):
            await asyncio.sleep(size.alone_s)
        await _until_idle(runner)
        alone = [fate for fate in await runner.fates(LIGHT_TENANTS) if fate.submitted >= began]
        found.add(name, "alone_wait_ms", [fate.wait_s * 1e3 for fate in alone])
        found.add(name, "alone_turnaround_ms", _turnaround_ms(alone))

        # Before and after: a machine that others use as well changes its pace.
        before = await _steady(setting, name, runner, size, first=1_000_000)
        setting.progress(f"burst: {name}: {size.burst} at once")
        await _burst(found, setting, name, runner, size)
        after = await _steady(setting, name, runner, size, first=3_000_000)
        found.add(name, "steady_per_s", [before, after])
        if isinstance(runner, CoupledRunner):
            await runner.close()


async def _steady(setting: Setting, name: str, runner: Runner, size: _Size, *, first: int) -> float:
    """Programs that end per second."""
    setting.progress(f"burst: {name}: the mix of the burst, {STEADY_DEPTH} at a time")
    began = time.time()
    async with _light_tenants(runner, random.Random(f"{setting.seed}/{name}/steady/{first}")):
        await _hand_in_steadily(runner, size.steady, first=first)
    await _until_idle(runner)
    return _per_second(await _finished(runner, since=began), began)


async def _burst(found: Findings, setting: Setting, name: str, runner: Runner, size: _Size) -> None:
    began = time.time()
    async with _light_tenants(runner, random.Random(f"{setting.seed}/{name}/burst")) as light:
        await runner.submit(HEAVY_TENANT, [program(2_000_000 + number) for number in range(size.burst)])
        accepted_s = time.time() - began
        memory: list[float] = []
        waited_s = 0.0
        while not waited_s or await runner.unfinished([HEAVY_TENANT]):
            if waited_s >= SPAN_S * len(memory):
                memory.append(await asyncio.to_thread(runner.memory_bytes))
            await asyncio.sleep(FIGURES_AGE_S)
            waited_s += FIGURES_AGE_S
    ended = time.time()
    lights = [fate for fate in await runner.fates(LIGHT_TENANTS) if began <= fate.submitted]
    unfinished = sum(fate.finished is None for fate in lights)
    await _until_idle(runner)
    lights = [fate for fate in await runner.fates(LIGHT_TENANTS) if began <= fate.submitted]
    done = [moment for moment in await _finished(runner, since=began) if moment < ended]
    found.add(name, "light_wait_ms", [fate.wait_s * 1e3 for fate in lights])
    found.add(name, "light_turnaround_ms", _turnaround_ms(lights))
    found.add(name, "light_unfinished", [unfinished])
    found.add(name, "finished_per_s_over_time", spans(done, began, ended, SPAN_S))
    found.add(name, "burst_per_s", [_per_second(done, began)])
    found.add(name, "memory_bytes", memory)
    found.add(name, "generator_lag_ms", light.lag_ms)
    if not isinstance(runner, CoupledRunner):
        found.add(name, "submit_ms", light.took_ms)
        found.add(name, "accepted_per_s", [size.burst / accepted_s])
    setting.progress(f"burst: {name}: over after {ended - began:.0f} s")


@dataclass(slots=True)
class _Light:
    """What the light tenants saw. Both count from the moment at which the program was due."""

    lag_ms: list[float] = field(default_factory=list)
    """Until it was sent."""
    took_ms: list[float] = field(default_factory=list)
    """Until the answer to the post."""


@asynccontextmanager
async def _light_tenants(runner: Runner, rng: random.Random) -> AsyncIterator[_Light]:
    """While this lasts, they hand in programs as one Poisson process, whatever the answers take."""
    loop = asyncio.get_running_loop()
    seen = _Light()

    async def post(tenant: str, number: int, due: float) -> None:
        seen.lag_ms.append((loop.time() - due) * 1e3)
        await runner.submit(tenant, [{"language": "python", "source": f"print('light', {number})\n"}])
        seen.took_ms.append((loop.time() - due) * 1e3)

    async def arrivals() -> None:
        async with asyncio.TaskGroup() as posts:
            due, number = loop.time(), 0
            while not over.is_set():
                due += rng.expovariate(LIGHT_RATE_PER_S * len(LIGHT_TENANTS))
                await asyncio.sleep(max(0.0, due - loop.time()))
                posts.create_task(post(rng.choice(LIGHT_TENANTS), number, due))
                number += 1

    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(arrivals())
        yield seen
        over.set()


async def _hand_in_steadily(runner: Runner, count: int, *, first: int) -> None:
    """Hand in the mix of the burst, and top it up to the same depth until ``count`` of it have ended."""
    handed_in = 0
    while handed_in < count:
        missing = min(STEADY_DEPTH - await runner.unfinished([HEAVY_TENANT]), count - handed_in)
        if missing > 0:
            await runner.submit(HEAVY_TENANT, [program(first + handed_in + n) for n in range(missing)])
            handed_in += missing
        await asyncio.sleep(FIGURES_AGE_S)
    await _until_idle(runner, [HEAVY_TENANT])


async def _until_idle(runner: Runner, tenants: Sequence[str] = EVERYBODY) -> None:
    # What is waited for happens in another process.
    await asyncio.sleep(FIGURES_AGE_S)
    while await runner.unfinished(tenants):  # noqa: ASYNC110
        await asyncio.sleep(FIGURES_AGE_S)


async def _finished(runner: Runner, *, since: float) -> list[float]:
    """When the programs handed in since then ended, in order."""
    fates = await runner.fates(EVERYBODY)
    return sorted(fate.finished for fate in fates if fate.submitted >= since and fate.finished is not None)


def _turnaround_ms(fates: Sequence[Any]) -> list[float]:
    return [(fate.finished - fate.submitted) * 1e3 for fate in fates if fate.finished is not None]


def _per_second(moments: Sequence[float], began: float) -> float:
    return len(moments) / (moments[-1] - began)


def spans(moments: Sequence[float], began: float, ended: float, span_s: float) -> list[float]:
    """How many of the moments fall into each whole span from ``began`` to ``ended``, per second."""
    counts = [0] * int((ended - began) // span_s)
    for moment in moments:
        index = int((moment - began) // span_s)
        if 0 <= index < len(counts):
            counts[index] += 1
    return [count / span_s for count in counts]


def _judge(found: Findings) -> None:
    for name in ("holdfast", CONTROL, COUPLED):
        for share in ("p50", "p95", "p99"):
            found.metric(name, f"light_wait_{share}_ms", f"{share}($light_wait_ms)", unit="ms", better="lower")
        found.metric(name, "longest_wait_ms", "max($light_wait_ms)", unit="ms", better="lower")
        found.metric(name, "alone_wait_p95_ms", "p95($alone_wait_ms)", unit="ms", better="lower")
        found.metric(name, "light_turnaround_p95_ms", "p95($light_turnaround_ms)", unit="ms", better="lower")
        found.metric(name, "alone_turnaround_p95_ms", "p95($alone_turnaround_ms)", unit="ms", better="lower")
        found.metric(
            name,
            "burst_per_s",
            "sum($burst_per_s)",
            unit="1/s",
            better="higher",
            low="min($finished_per_s_over_time)",
            high="max($finished_per_s_over_time)",
        )
        found.metric(
            name,
            "steady_per_s",
            "mean($steady_per_s)",
            unit="1/s",
            better="higher",
            low="min($steady_per_s)",
            high="max($steady_per_s)",
        )
        found.metric(
            name, "burst_against_steady", "sum($burst_per_s) / mean($steady_per_s)", unit="ratio", better="higher"
        )
        found.metric(name, "light_unfinished", "sum($light_unfinished)", unit="jobs", better="lower")
        found.metric(name, "memory_bytes", "max($memory_bytes)", unit="B", better="lower")
        found.metric(name, "generator_lag_p99_ms", "p99($generator_lag_ms)", unit="ms", better="lower")
        if name != COUPLED:
            found.metric(name, "accepted_per_s", "sum($accepted_per_s)", unit="1/s", better="higher")
            found.metric(name, "submit_p99_ms", "p99($submit_ms)", unit="ms", better="lower")
    against_alone = "p95($light_wait_ms) / p95($alone_wait_ms)"
    found.metric("holdfast", "wait_against_alone", against_alone, unit="ratio", better="lower")
    against_fifo = "p95(control.light_wait_ms) / p95($light_wait_ms)"
    found.metric("holdfast", "wait_against_fifo", against_fifo, unit="ratio", better="higher")
    found.claim("light tenants wait at most 1.5 times as long as alone", "holdfast.wait_against_alone", "<=", 1.5)
    found.claim("20 times shorter than first in, first out", "holdfast.wait_against_fifo", ">=", 20)
    found.claim("the burst costs no throughput", "holdfast.burst_against_steady", ">=", 0.95)
    found.claim("submissions stay quick", "holdfast.submit_p99_ms", "<=", 50)
    found.claim("no light program is left over", "holdfast.light_unfinished", "<=", len(LIGHT_TENANTS), in_quick=True)
