"""Code execution that is scaled to no worker at all, and back by the queue.

Bursts of programs arrive while nobody is there. A scaler reads what ``GET /v1/scaling`` wants, starts workers, drains
them when they are not wanted any more, and the next burst finds nobody again. Beside it: the same with workers that are
killed instead of drained; the same with programs that wait where the others compute, as the backlog is counted in
processor time; and as many workers as there are at most, all of the time. The control goes by the processor time of the
workers, as autoscalers do by default.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from holdfast.drills.code_runners import epoch
from holdfast.drills.code_service import NO_BOUNDS, CodeService
from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CODE_RUNNER, CONTROL, Findings, Setting
from holdfast.drills.persistence import Acknowledged, PersistentClient
from holdfast.drills.scaler import Fleet, Signal, by_backlog, by_processor, follow

TENANTS: Final = ("red", "green")
MOST: Final = 3
"""Workers at most."""
SLOTS: Final = 4
SHORT_S: Final = (0.05, 0.25)
"""How long most programs run, from and to."""
COMPUTING: Final = "import time\nwhile time.process_time() < {seconds:.3f}:\n    pass\nprint({number})\n"
WAITING: Final = "import time\ntime.sleep({seconds:.3f})\nprint({number})\n"
LONG: Final = 2
"""Programs of each burst that wait for ``long_s``: one of them is still running when fewer workers are wanted."""
REST_S: Final = 60.0
"""An acknowledged program that has not ended so long after its burst is lost."""
EMPTY_S: Final = 60.0
"""A scaler that has not come back to zero so long after its burst does not come back."""
_LONGEST_S: Final = 900.0


class ScaleToZero:
    """``holdfast drill run scale-to-zero``."""

    name = "scale-to-zero"
    title = "Is a program lost or run twice when workers come from zero and go back to it, and what does that save?"
    packages = CODE_RUNNER

    async def run(self, setting: Setting) -> Findings:
        """One service; the contenders one after the other."""
        found = Findings(control_what="a scaler that goes by the processor time of the workers")
        size = _Size(
            bursts=int(setting.pick(3, 1)),
            programs=int(setting.pick(60, 12)),
            long_s=setting.pick(6.0, 1.5),
            idle_s=setting.pick(15.0, 0.2),
            patience_s=setting.pick(20.0, 1.0),
        )
        down_s, lease_s = setting.pick(3.0, 0.3), setting.pick(4.0, 1.5)
        found.parameters |= {
            "bursts": size.bursts,
            "programs": size.programs,
            "long_s": size.long_s,
            "idle_s": size.idle_s,
            "patience_s": size.patience_s,
            "most": MOST,
            "slots": SLOTS,
            "lease_s": lease_s,
            "down_cooldown_s": down_s,
        }
        section = {
            "admission": NO_BOUNDS,
            "lease": {"duration": f"{lease_s}s", "renew": "500ms", "attempts": 5, "backoff_max": "1s"},
            "scaling": {
                "target_backlog": "1s",
                "up_cooldown": "1s",
                "down_cooldown": f"{down_s}s",
                "max_workers": MOST,
                "slots_per_worker": SLOTS,
            },
            "worker": {"slots": SLOTS},
        }
        service = CodeService("scaled", setting.directory, tenants=TENANTS, workers=0, section=section)
        async with asyncio.timeout(_LONGEST_S), service, service.session() as session:
            stage = _Stage(found=found, setting=setting, service=service, session=session, size=size)
            await stage.scaled("holdfast", drain=True, idle_s=size.idle_s)
            await stage.scaled("killed", drain=False)
            if not setting.quick:
                await stage.scaled("waiting", drain=True, program=WAITING)
            await stage.always()
            await stage.control()
        _judge(found)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    bursts: int
    programs: int
    """In each burst."""
    long_s: float
    idle_s: float
    """Between two bursts, with nobody there."""
    patience_s: float
    """For so long the control is waited for."""


@dataclass(slots=True, kw_only=True)
class _Stage:
    """A service whose workers somebody else starts, and the programs that are handed in to it."""

    found: Findings
    setting: Setting
    service: CodeService
    session: aiohttp.ClientSession
    size: _Size
    numbers: int = 0
    ends: list[dict[str, Any]] = field(default_factory=list)

    async def scaled(self, name: str, *, drain: bool, program: str = COMPUTING, idle_s: float = 0.0) -> None:
        """Bursts onto nobody, each after the workers of the one before have gone."""
        fleet = Fleet(self.service, drain=drain)
        began = time.monotonic()
        wakes: list[float] = []
        returned = 0
        self.ends = []
        async with _following(fleet, by_backlog(self.service, self.session)):
            for number in range(self.size.bursts):
                self.setting.progress(f"scale-to-zero: {name}: burst {number + 1} of {self.size.bursts}, from zero")
                wakes.append(await self._burst(name, program))
                returned += await fleet.wait_until_empty(within_s=EMPTY_S)
                await asyncio.sleep(idle_s)
            span_s = time.monotonic() - began
        self._keep(name, wakes)
        self.found.add(name, "worker_s", fleet.lived_s)
        self.found.add(name, "zero_s", [fleet.zero_s])
        self.found.add(name, "span_s", [span_s])
        self.found.add(name, "returned_to_zero", [returned])
        self.found.add(name, "bursts", [self.size.bursts])
        self.found.add(name, "most_workers", [fleet.peak])

    async def always(self) -> None:
        """The same bursts, with as many workers as there are at most, all of the time."""
        fleet = Fleet(self.service, drain=True)
        self.setting.progress(f"scale-to-zero: always: {MOST} workers throughout")
        self.ends = []
        wakes = []
        try:
            await asyncio.gather(*(fleet.grow() for _ in range(MOST)))
            await self.service.wait_for_workers(MOST)
            began = time.monotonic()
            for _ in range(self.size.bursts):
                wakes.append(await self._burst("always"))
                await asyncio.sleep(self.size.idle_s)
            span_s = time.monotonic() - began
        finally:
            await fleet.disband()
        self._keep("always", wakes)
        self.found.add("always", "worker_s", [MOST * span_s])
        self.found.add("always", "span_s", [span_s])

    async def control(self) -> None:
        """One burst, and the patience to see whether anybody comes."""
        self.setting.progress("scale-to-zero: control: goes by processor time")
        fleet = Fleet(self.service, drain=True)
        async with _following(fleet, by_processor(fleet, most=MOST)):
            handed_in = await self._hand_in("control")
            await asyncio.sleep(self.size.patience_s)
            started = len(fleet) + len(fleet.lived_s)
        left = [await self._client.ended(one, within_s=0.2) for one in handed_in[:3]]
        figures = await self.service.figures(self.session)
        self.found.add(CONTROL, "acknowledged", [len(handed_in)])
        self.found.add(CONTROL, "never_started", [figures["queued"] if not any(left) else 0])
        self.found.add(CONTROL, "starts", [started])
        self.found.add(CONTROL, "patience_s", [self.size.patience_s])
        for series, unit in (("acknowledged", "jobs"), ("never_started", "jobs"), ("starts", "workers")):
            self.found.metric(CONTROL, series, f"sum(${series})", unit=unit, better="lower")

    @property
    def _client(self) -> PersistentClient:
        return PersistentClient(self.service, self.session)

    async def _hand_in(self, name: str, program: str = COMPUTING) -> list[Acknowledged]:
        rng = random.Random(f"{self.setting.seed}/{name}/{self.numbers}")
        handed_in = []
        for place in range(self.size.programs):
            self.numbers += 1
            seconds = rng.uniform(*SHORT_S)
            if place >= self.size.programs - LONG:
                program, seconds = WAITING, self.size.long_s
            source = program.format(seconds=seconds, number=self.numbers)
            job = {"language": "python", "source": source, "limits": {"wall": "30s"}}
            tenant = TENANTS[place % len(TENANTS)]
            handed_in.append(await self._client.submit(tenant, self.numbers, job))
        return handed_in

    async def _burst(self, name: str, program: str = COMPUTING) -> float:
        """Hand in one burst and wait for all of it. Seconds until the first program was started."""
        handed_in = await self._hand_in(name, program)
        ends = await asyncio.gather(*(self._client.ended(one, within_s=REST_S) for one in handed_in))
        ended = [end for end in ends if end is not None]
        twice = await asyncio.gather(*(self._client.results_written(one) for one in handed_in))
        for one, end, written in zip(handed_in, ends, twice, strict=True):
            right = end is not None and end["verdict"] == "ok" and end["stdout"] == f"{one.number}\n"
            self.ends.append({"end": end, "right": right, "written": written})
        if not ended:
            raise DrillError(f"none of {len(handed_in)} programs ended in {REST_S:g} s: {self.service.log()[-600:]}")
        first = min(epoch(end["submitted_at"]) for end in ended)
        return min(epoch(end["started_at"]) for end in ended if end["started_at"]) - first

    def _keep(self, name: str, wakes: Sequence[float]) -> None:
        ended = [one["end"] for one in self.ends if one["end"] is not None]
        found = self.found
        found.add(name, "acknowledged", [len(self.ends)])
        found.add(name, "lost", [len(self.ends) - len(ended)])
        found.add(name, "wrong_results", [sum(not one["right"] for one in self.ends if one["end"] is not None)])
        found.add(name, "run_twice", [sum(end["attempts"] > 1 for end in ended)])
        found.add(name, "written_twice", [sum(one["written"] > 1 for one in self.ends)])
        found.add(name, "wake_ms", [wake * 1e3 for wake in wakes])
        # From the first byte of the burst to the end of each program, waking included.
        turnaround = [(epoch(end["finished_at"]) - epoch(end["submitted_at"])) * 1e3 for end in ended]
        found.add(name, "turnaround_ms", turnaround)


@asynccontextmanager
async def _following(fleet: Fleet, signal: Signal) -> AsyncIterator[None]:
    task = asyncio.create_task(follow(fleet, signal))
    try:
        yield
    finally:
        task.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            await fleet.disband()


def _judge(found: Findings) -> None:
    scaled = [name for name in ("holdfast", "killed", "waiting") if f"{name}.span_s" in found.samples]
    for name in (*scaled, "always"):
        found.metric(name, "acknowledged", "sum($acknowledged)", unit="jobs", better="higher")
        for series in ("lost", "run_twice", "written_twice", "wrong_results"):
            found.metric(name, series, f"sum(${series})", unit="jobs", better="lower")
        found.metric(name, "wake_p50_ms", "p50($wake_ms)", unit="ms", better="lower")
        found.metric(name, "wake_max_ms", "max($wake_ms)", unit="ms", better="lower")
        for how in ("p50", "p99", "max"):
            found.metric(name, f"turnaround_{how}_ms", f"{how}($turnaround_ms)", unit="ms", better="lower")
        found.metric(name, "worker_s", "sum($worker_s)", unit="s", better="lower")
    for name in scaled:
        found.metric(name, "most_workers", "max($most_workers)", unit="workers", better="neither")
        found.metric(name, "starts", "count($worker_s)", unit="workers", better="lower")
        found.metric(name, "stayed_up", "sum($bursts) - sum($returned_to_zero)", unit="times", better="lower")
        # Workers that are always there cost their number in seconds per second.
        found.metric(
            name, "pays_beyond_s", f"sum($worker_s) / sum($bursts) / {MOST}", unit="s between bursts", better="lower"
        )
    found.metric("holdfast", "zero_share", "sum($zero_s) / sum($span_s)", unit="share", better="higher")
    # Per second of each run: the runs are not equally long, as waking and draining take their time.
    found.metric(
        "holdfast",
        "worker_s_ratio",
        "(sum($worker_s) / sum($span_s)) / (sum(samples.always.worker_s) / sum(samples.always.span_s))",
        unit="times",
        better="lower",
    )
    found.metric("holdfast", "wake_ratio", "p50($wake_ms) / p50(samples.always.wake_ms)", unit="times", better="lower")
    found.claim("no program is lost on the way from zero and back", "holdfast.lost", "==", 0, in_quick=True)
    found.claim("no program is run twice", "holdfast.run_twice", "==", 0, in_quick=True)
    found.claim("every program printed what it had to", "holdfast.wrong_results", "==", 0, in_quick=True)
    found.claim("after every burst there is nobody left", "holdfast.stayed_up", "==", 0, in_quick=True)
    found.claim("half of the bursts that find nobody are begun in 10 s", "holdfast.wake_p50_ms", "<=", 10_000)
    found.claim(
        "with pauses of 15 s it takes less than workers that are always there", "holdfast.worker_s_ratio", "<=", 0.9
    )
    found.claim("workers that are killed lose nothing either", "killed.lost", "==", 0, in_quick=True)
    found.claim("but run programs twice", "killed.run_twice", ">=", 1)
