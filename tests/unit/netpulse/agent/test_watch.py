"""Who is probed, when, and who waits for whom. Counts and states; nothing here is timed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from holdfast.netpulse.core.result import Failure, Outcome, Result
from holdfast.netpulse.core.settings import MonitorSettings
from holdfast.netpulse.shell.agent import watch as watch_module
from holdfast.netpulse.shell.agent.clock import Clock
from holdfast.netpulse.shell.agent.lag import Lag
from holdfast.netpulse.shell.agent.watch import Watch
from holdfast.testing import eventually
from tests.unit.netpulse.agent.scripted import Found, ScriptedProber, target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass
class Eye:
    """Says whether failures can be believed."""

    reason: str = ""
    asked: list[bool] = field(default_factory=list)

    async def doubt(self, began: float, *, known: bool) -> str:
        self.asked.append(known)
        return self.reason


@dataclass
class Seen:
    """What was reported."""

    watch: Watch
    prober: ScriptedProber
    eye: Eye
    results: list[tuple[Result, bool]]

    def of(self, name: str) -> list[Result]:
        return [each for each, _ in self.results if each.monitor == f"t/{name}"]


@asynccontextmanager
async def watching(*, places: int = 512) -> AsyncIterator[Seen]:
    prober, eye, results = ScriptedProber(), Eye(), []
    watch = Watch(prober, eye, Clock(), places=places, report=lambda *seen: results.append(seen))
    try:
        yield Seen(watch, prober, eye, results)
    finally:
        await watch.stop(0.0)


def test_each_target_is_probed_again_and_again() -> None:
    async def scenario() -> None:
        async with watching() as seen:
            seen.watch.replace([target("a"), target("b", "down", offset=0.05)])
            await eventually(lambda: len(seen.of("a")) > 3 and len(seen.of("b")) > 3)
            assert {each.outcome for each in seen.of("a")} == {Outcome.UP}
            assert {each.failure for each in seen.of("b")} == {Failure.REFUSED}
            spacing = [b.at - a.at for a, b in zip(seen.of("a"), seen.of("a")[1:], strict=False)]
            assert all(gap > 0.04 for gap in spacing), "half an interval at least"
            assert all(seen.prober.running[key] == 0 for key in seen.prober.running)

    asyncio.run(scenario())


def test_targets_that_hang_hold_up_nobody_else() -> None:
    async def scenario() -> None:
        async with watching(places=16) as seen:
            hanging = [target(f"h{n}", f"hang{n}", timeout_s=30.0, offset=n / 100) for n in range(10)]
            seen.watch.replace([*hanging, *(target(f"a{n}", offset=n / 200) for n in range(20))])
            await eventually(lambda: all(len(seen.of(f"a{n}")) > 5 for n in range(20)), within_s=20)
            assert seen.watch.probing == 10, "each in a place of its own, once"
            assert all(count <= 1 for count in seen.prober.running.values())

    asyncio.run(scenario())


def test_targets_that_hang_cannot_take_all_places_once_they_are_known() -> None:
    async def scenario() -> None:
        async with watching(places=8) as seen:
            hanging = [target(f"h{n}", f"hang{n}", timeout_s=0.2, offset=n / 100) for n in range(30)]
            seen.watch.replace(hanging)
            await eventually(lambda: all(seen.of(f"h{n}") for n in range(30)), within_s=20)
            seen.watch.replace([*hanging, *(target(f"a{n}", offset=n / 200) for n in range(4))])
            most = 0
            begun = len(seen.results)
            while any(len(seen.of(f"a{n}")) < 4 for n in range(4)) and len(seen.results) < begun + 2000:
                most = max(most, sum(count for key, count in seen.prober.running.items() if key.startswith("hang")))
                await asyncio.sleep(0.005)
            assert 0 < most <= 6, "three quarters of eight"
            assert all(len(seen.of(f"a{n}")) >= 4 for n in range(4))

    asyncio.run(scenario())


def test_with_too_few_places_everybody_gets_a_turn_and_the_lag_says_so() -> None:
    async def scenario() -> None:
        async with watching(places=2) as seen:
            seen.watch.replace([target(f"h{n}", f"hang{n}", interval_s=0.05, timeout_s=0.05) for n in range(12)])
            await eventually(lambda: all(len(seen.of(f"h{n}")) > 1 for n in range(12)), within_s=20)
            assert seen.watch.lag_p99_ms > 50.0
            counts = [len(seen.of(f"h{n}")) for n in range(12)]
            assert max(counts) - min(counts) <= 2
            assert seen.watch.skipped > 0

    asyncio.run(scenario())


def test_a_confirmation_is_probed_at_once_and_marked() -> None:
    async def scenario() -> None:
        async with watching(places=1) as seen:
            seen.watch.replace(
                [target("a", interval_s=3600.0, offset=3599.0), target("h", "hang", interval_s=0.05, timeout_s=30.0)]
            )
            await eventually(lambda: seen.watch.probing == 1)
            assert seen.watch.confirm("t/a"), "although every place is taken"
            await eventually(lambda: seen.of("a"))
            assert [(each.confirm, urgent) for each, urgent in seen.results] == [(True, True)]
            assert not seen.watch.confirm("t/unknown")

    asyncio.run(scenario())


def test_a_probe_under_way_is_the_confirmation() -> None:
    async def scenario() -> None:
        async with watching() as seen:
            seen.watch.replace([target("h", "hang", timeout_s=30.0)])
            await eventually(lambda: seen.watch.probing == 1)
            assert seen.watch.confirm("t/h")
            assert seen.watch.confirm("t/h")
            seen.prober.release.set()
            await eventually(lambda: seen.results)
            assert seen.of("h")[0].confirm
            assert max(seen.prober.running.values()) <= 1

    asyncio.run(scenario())


def test_a_failure_that_cannot_be_believed_is_unknown() -> None:
    async def scenario() -> None:
        async with watching() as seen:
            seen.eye.reason = "no canary answers"
            seen.watch.replace([target("a", "down"), target("b")])
            await eventually(lambda: len(seen.of("a")) > 1 and len(seen.of("b")) > 1)
            assert {(each.outcome, each.failure, each.detail) for each in seen.of("a")} == {
                (Outcome.UNKNOWN, Failure.BLIND, "no canary answers")
            }
            assert {each.outcome for each in seen.of("b")} == {Outcome.UP}

    asyncio.run(scenario())


def test_a_change_is_urgent_and_what_stays_as_it_was_is_not() -> None:
    async def scenario() -> None:
        async with watching() as seen:
            seen.watch.replace([target("a", "turns")])
            await eventually(lambda: len(seen.results) > 1)
            seen.prober.says["turns"] = "down"
            await eventually(lambda: [each.outcome for each in seen.of("a")].count(Outcome.DOWN) > 1)
            seen.prober.says["turns"] = "up"
            await eventually(lambda: seen.of("a")[-1].outcome is Outcome.UP)
            before = Outcome.UP
            for result, urgent in seen.results:
                assert urgent == (result.outcome is not before)
                before = result.outcome
            assert seen.eye.asked[:2] == [False, True]

    asyncio.run(scenario())


def test_a_prober_that_breaks_or_never_ends_says_nothing_about_its_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "OVERRUN_S", 0.05)

    class Endless(ScriptedProber):
        async def probe(self, spec: MonitorSettings) -> Found:
            if spec.tcp is not None and "endless" in spec.tcp.address:
                await asyncio.Event().wait()
            return await super().probe(spec)

    async def scenario() -> None:
        async with watching() as seen:
            seen.watch._prober = Endless()
            seen.watch.replace([target("a", "raises"), target("b", "endless", timeout_s=0.05)])
            await eventually(lambda: seen.of("a") and seen.of("b"))
            assert (seen.of("a")[0].outcome, seen.of("a")[0].failure) == (Outcome.UNKNOWN, Failure.AGENT)
            assert seen.of("a")[0].detail == "the probe failed: RuntimeError"
            assert seen.of("b")[0].detail.startswith("the probe did not end within")

    asyncio.run(scenario())


def test_what_goes_is_not_reported_and_what_comes_again_is_probed_once_at_a_time() -> None:
    async def scenario() -> None:
        async with watching() as seen:
            seen.watch.replace([target("h", "hang", timeout_s=30.0)])
            await eventually(lambda: seen.watch.probing == 1)
            seen.watch.replace([])
            seen.watch.replace([target("h", "hang", timeout_s=30.0), target("a")])
            await eventually(lambda: len(seen.of("a")) > 3)
            assert seen.watch.probing == 1
            seen.watch.replace([])
            seen.prober.release.set()
            await eventually(lambda: seen.watch.probing == 0)
            assert not seen.of("h")

    asyncio.run(scenario())


def test_a_clock_that_is_set_bends_no_duration_and_bunches_nothing() -> None:
    async def scenario() -> None:
        wall_s = 1_000_000.0
        clock = Clock(wall=lambda: wall_s + asyncio.get_running_loop().time(), steady=asyncio.get_running_loop().time)
        prober, results = ScriptedProber(), []
        watch = Watch(prober, Eye(), clock, places=8, report=lambda *seen: results.append(seen[0]))
        watch.replace([target("h", "hang", interval_s=60.0, timeout_s=30.0), target("a")])
        watch.confirm("t/h")
        await eventually(lambda: results)
        wall_s += 3600.0
        assert clock.adjust() > 3599.0
        watch.clock_set()
        count = len(results)
        await eventually(lambda: len(results) > count + 2)
        assert prober.probes < 20, "no slots of the hour are made up for"
        prober.release.set()
        await eventually(lambda: any(each.monitor == "t/h" for each in results))
        found = next(each for each in results if each.monitor == "t/h")
        assert found.total_ms < 30_000.0
        assert found.at > 1_003_000.0, "by the clock as it is now"
        await watch.stop(0.0)

    asyncio.run(scenario())


def test_stopping_lets_probes_finish_for_a_while_and_abandons_the_rest() -> None:
    async def scenario() -> None:
        async with watching() as seen:
            seen.watch.replace([target("h", "hang", timeout_s=0.2), target("x", "hangx", timeout_s=30.0)])
            await eventually(lambda: seen.watch.probing == 2)
            await seen.watch.stop(0.5)
            assert len(seen.of("h")) == 1
            assert not seen.of("x")
            assert seen.watch.probing == 0
            assert not seen.watch.confirm("t/h")

    asyncio.run(scenario())


def test_lag_is_of_the_last_minute() -> None:
    lag = Lag(0.0)
    assert lag.percentile_ms(0.99, 0.0) == 0.0
    for _ in range(98):
        lag.add(0.001, 1.0)
    lag.add(2.0, 1.0)
    lag.add(2.0, 1.0)
    assert 0.9 < lag.percentile_ms(0.5, 2.0) < 1.3
    assert 1900 < lag.percentile_ms(0.99, 2.0) < 2500
    for _ in range(10):
        lag.add(0.001, 65.0)
    assert lag.percentile_ms(0.99, 65.0) < 2.0
    assert lag.percentile_ms(0.99, 4000.0) == 0.0
