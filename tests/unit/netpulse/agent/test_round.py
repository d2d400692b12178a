"""One round of an agent that sleeps, against an engine and a prober that do as they are told."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.netpulse.core.result import Outcome
from holdfast.netpulse.core.schedule import falls_within
from holdfast.netpulse.shell.agent.canaries import Canaries
from holdfast.netpulse.shell.agent.clock import Clock
from holdfast.netpulse.shell.agent.errors import Unanswered
from holdfast.netpulse.shell.agent.round import DELIVER_S, Report, Round
from holdfast.netpulse.shell.agent.spool import Spool
from tests.unit.netpulse.agent.scripted import ScriptedEngine, ScriptedProber, target

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.netpulse.core.protocol import Ask, Batch, Orders, Receipt


class Straight:
    """To the engine without a network."""

    def __init__(self, engine: ScriptedEngine, *, deaf: bool = False) -> None:
        self.engine, self.deaf = engine, deaf

    async def orders(self, ask: Ask, *, wait_s: float) -> Orders:
        return await self.engine.orders(ask)

    async def results(self, batch: Batch) -> Receipt:
        if self.deaf:
            raise Unanswered("away")
        return await self.engine.take(batch)


def one_round(
    tmp_path: Path, engine: ScriptedEngine, *, deadline_s: float = DELIVER_S + 5.0, deaf: bool = False
) -> Report:
    async def scenario() -> Report:
        clock = Clock()
        spool = Spool.open(tmp_path / "eu.sqlite", size_bytes=2**20, clock=clock, boot="")
        canaries = Canaries((), clock, changed=lambda _: None)
        try:
            one = Round(
                Straight(engine, deaf=deaf),
                spool,
                ScriptedProber(),
                canaries,
                clock,
                name="eu",
                region="eu",
                most=100,
                rng=Random(1),
            )
            return await one.run(length_s=60.0, deadline_s=deadline_s)
        finally:
            await canaries.close()
            await spool.close()

    return asyncio.run(scenario())


def test_a_round_probes_what_is_due_and_brings_it_home(tmp_path: Path) -> None:
    engine = ScriptedEngine(targets=(target("a", interval_s=60.0), target("b", interval_s=10.0)))
    report = one_round(tmp_path, engine)
    assert (report.due, report.probed, report.down, report.abandoned) == (2, 2, 0, 0)
    assert sorted(each.monitor for each in engine.results()) == ["t/a", "t/b"]


def test_a_monitor_whose_slot_is_in_another_round_is_left_alone(tmp_path: Path) -> None:
    engine = ScriptedEngine(targets=tuple(target(f"m{at}", interval_s=600.0, offset=at * 60.0) for at in range(10)))
    assert one_round(tmp_path, engine).due == 1


def test_a_round_asks_for_the_whole_schedule_because_it_remembers_none(tmp_path: Path) -> None:
    engine = ScriptedEngine(targets=(target("a", interval_s=60.0),))
    one_round(tmp_path, engine)
    assert engine.asks[0].schedule == ""


def test_probes_that_would_outlast_the_round_are_abandoned_and_say_nothing(tmp_path: Path) -> None:
    engine = ScriptedEngine(
        targets=(target("a", interval_s=60.0), target("b", "hang", interval_s=60.0, timeout_s=30.0))
    )
    report = one_round(tmp_path, engine, deadline_s=DELIVER_S + 0.3)
    assert (report.probed, report.abandoned) == (1, 1)
    assert [each.monitor for each in engine.results()] == ["t/a"]


def test_a_failure_is_reported_and_the_engine_may_want_another_look(tmp_path: Path) -> None:
    engine = ScriptedEngine(targets=(target("a", "down", interval_s=60.0),), wait_s=0.1)
    report = one_round(tmp_path, engine)
    assert report.down == 1
    assert [each.outcome for each in engine.results()] == [Outcome.DOWN]
    assert len(engine.asks) == 2
    assert engine.asks[1].schedule


def test_another_look_that_the_engine_wants_is_taken_in_the_same_round(tmp_path: Path) -> None:
    engine = ScriptedEngine(targets=(target("a", "down", interval_s=60.0),))
    engine.on_take = lambda batch: engine.want("a") if not batch.results[0].confirm else None
    report = one_round(tmp_path, engine)
    assert (report.probed, report.down) == (2, 2)
    assert [each.confirm for each in engine.results()] == [False, True]


def test_what_a_silent_engine_did_not_take_is_delivered_by_the_next_round(tmp_path: Path) -> None:
    targets = (target("a", interval_s=60.0),)
    with pytest.raises(Unanswered):
        one_round(tmp_path, ScriptedEngine(targets=targets), deaf=True)
    engine = ScriptedEngine(targets=targets)
    one_round(tmp_path, engine)
    assert len(engine.results()) == 2


@given(offset=st.floats(0, 3600), interval=st.floats(1, 3600), number=st.integers(0, 10_000), length=st.floats(1, 600))
def test_rounds_that_follow_each_other_miss_no_slot(offset: float, interval: float, number: int, length: float) -> None:
    slot = offset + number * interval
    start = slot // length * length
    if slot + 1e-6 < start + length and slot - 1e-6 > start:  # not on the edge, where floats decide
        assert falls_within(offset, interval, start, length)
