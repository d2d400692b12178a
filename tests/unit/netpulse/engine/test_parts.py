"""The engine's small parts: listeners, the scribe, heartbeats, simulations, bars."""

from __future__ import annotations

import asyncio
import hashlib
from random import Random

import msgspec
import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.beats import STEPS, Beats
from holdfast.netpulse.core.incident import Decisions, Span, Wanted
from holdfast.netpulse.core.ports import Bucket
from holdfast.netpulse.core.result import Outcome
from holdfast.netpulse.core.settings import HeartbeatCheck, MonitorSettings
from holdfast.netpulse.core.world import World
from holdfast.netpulse.shell.engine.heartbeats import Heartbeats
from holdfast.netpulse.shell.engine.hub import PENDING, Hub
from holdfast.netpulse.shell.engine.scribe import Scribe
from holdfast.netpulse.shell.engine.simulation import Simulation
from holdfast.store import StoreUnavailable
from tests.unit.netpulse.core.test_engine import SETTINGS, seen

pytestmark = pytest.mark.anyio


# -- the hub


async def test_a_listener_gets_its_tenants_events_and_those_of_everybody() -> None:
    hub = Hub()
    listener = hub.subscribe("a")
    hub.publish("a", "monitor", {"n": 1})
    hub.publish("b", "monitor", {"n": 2})
    hub.publish("", "region", {"n": 3})
    hub.close()
    assert [event async for event in listener] == [("monitor", {"n": 1}), ("region", {"n": 3})]
    assert len(hub) == 0


async def test_a_listener_that_does_not_keep_up_is_told_to_look_anew() -> None:
    hub = Hub()
    listener = hub.subscribe("a")
    for number in range(PENDING + 10):
        hub.publish("a", "check", {"n": number})
    hub.close()
    events = [event async for event in listener]
    assert events[0] == ("reset", {})
    assert len(events) == 10


# -- the scribe


class Books:
    """Records that fail as they are told to."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.stored: list[Decisions] = []

    async def decide(self, decisions: Decisions) -> None:
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        self.stored.append(decisions)


def noted(number: int) -> Decisions:
    return Decisions(spans=(Span(monitor=f"t/{number}", kind="down", since=1.0),))


async def test_decisions_are_stored_in_order_and_acted_on_afterwards() -> None:
    books, acted = Books(), list[Decisions]()
    scribe = Scribe(books, act=acted.append, rng=Random(1))  # type: ignore[arg-type]
    writing = asyncio.create_task(scribe.run())
    for number in range(3):
        scribe.put(noted(number))
    assert acted == []
    await scribe.flushed()
    assert books.stored == acted == [noted(0), noted(1), noted(2)]
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def test_a_store_that_is_away_delays_and_loses_nothing() -> None:
    books, acted = Books(StoreUnavailable("away"), StoreUnavailable("away")), list[Decisions]()
    scribe = Scribe(books, act=acted.append, rng=Random(1))  # type: ignore[arg-type]
    writing = asyncio.create_task(scribe.run())
    scribe.put(noted(0))
    scribe.put(noted(1))
    await scribe.flushed()
    assert books.stored == acted == [noted(0), noted(1)]
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


async def test_any_other_failure_ends_the_deciding() -> None:
    scribe = Scribe(Books(ValueError("broken")), act=lambda _: None, rng=Random(1))  # type: ignore[arg-type]
    scribe.put(noted(0))
    with pytest.raises(ValueError, match="broken"):
        await scribe.run()


async def test_what_needs_no_storing_is_acted_on_at_once() -> None:
    acted: list[Decisions] = []
    scribe = Scribe(Books(), act=acted.append, rng=Random(1))  # type: ignore[arg-type]
    decisions = Decisions(wanted=(Wanted(monitor="t/m", regions=("eu",)),))
    scribe.put(decisions)
    assert acted == [decisions]


# -- heartbeats

TOKEN = "a-token-that-is-long-enough"
JOB = MonitorSettings(heartbeat=HeartbeatCheck(period=Duration(60.0), grace=Duration(30.0), token=TOKEN))
JOBS = World(msgspec.structs.replace(SETTINGS, monitors={"job": JOB}))


async def test_a_job_is_missed_after_its_period_and_grace_and_again_each_period() -> None:
    beats = Heartbeats()
    beats.configure(JOBS, 1000.0)
    assert list(beats.missed(1089.0)) == []
    ((key, detail),) = beats.missed(1090.0)
    assert key == "default/job"
    assert "90 s" in detail
    assert list(beats.missed(1091.0))  # until it is stored that it did not come
    beats.said(key, 1091.0)
    assert list(beats.missed(1100.0)) == []
    assert [key for key, _ in beats.missed(1151.0)] == ["default/job"]
    beats.came("default/job", 1152.0)
    assert list(beats.missed(1153.0)) == []


async def test_a_restart_remembers_when_a_job_came_last() -> None:
    beats = Heartbeats()
    beats.restore({"default/job": b"1000.0", "default/other": b"nonsense"})
    beats.configure(JOBS, 1085.0)
    assert [key for key, _ in beats.missed(1091.0)] == ["default/job"]


async def test_a_token_is_known_by_its_digest_alone() -> None:
    beats = Heartbeats()
    beats.configure(JOBS, 1000.0)
    assert beats.key(hashlib.sha256(TOKEN.encode()).digest()) == "default/job"
    assert beats.key(hashlib.sha256(b"another").digest()) is None


# -- simulations


@pytest.mark.parametrize(("kind", "outcomes"), [("down", "DD"), ("flapping", "DU"), ("slow", "UU")])
async def test_what_is_simulated_is_marked(kind: str, outcomes: str) -> None:
    simulation = Simulation(kind=kind, began=1000.0, until=2000.0, actor="me")
    found = [simulation.bent(seen("eu", at, up=True)) for at in (1001.0, 1061.0)]
    assert "".join("U" if each.outcome is Outcome.UP else "D" for each in found) == outcomes
    assert all(each.simulated for each in found)
    if kind == "slow":
        assert found[0].total_ms >= 2000


async def test_a_real_failure_stays_what_it_is() -> None:
    simulation = Simulation(kind="slow", began=1000.0, until=2000.0, actor="me")
    real = seen("eu", 1001.0)
    assert simulation.bent(real) is real


# -- bars


async def test_bars_count_by_step_and_the_oldest_leave() -> None:
    beats = Beats(30.0)
    for minute in range(STEPS + 5):
        beats.add(seen("eu", minute * 60.0 + 1, up=minute % 2 == 0))
    bars = beats.bars()
    assert len(bars) == STEPS
    assert bars[-1].at == (STEPS + 4) * 60.0
    assert beats.add(seen("eu", 1.0)) is None  # long gone


async def test_bars_begin_with_what_the_records_have_and_take_late_results() -> None:
    beats = Beats(30.0)
    bucket = Bucket(region="eu", at=60.0, up=3, down=1, unknown=0, p50_ms=4.0, p95_ms=None, p99_ms=None)
    beats.fill([bucket])
    beats.add(seen("us", 130.0, up=True))
    beats.add(seen("us", 70.0))
    first, second = beats.bars()
    assert (first.up, first.down, first.p50_ms) == (3, 2, 4.0)
    assert second.up == 1
