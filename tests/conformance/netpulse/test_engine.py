"""What an engine starts with, and that there is one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.netpulse.core.incident import Decisions, Span, State
from holdfast.netpulse.core.result import Failure, Outcome, Phases
from holdfast.netpulse.errors import Superseded
from tests.conformance.netpulse.world import START, after, decided, down, incident, notice, seen

if TYPE_CHECKING:
    from holdfast.netpulse.core.result import Observation
    from holdfast.netpulse.shell.records import NetpulseRecords
    from tests.conformance.netpulse.world import World

pytestmark = pytest.mark.anyio


async def replayed(records: NetpulseRecords) -> list[Observation]:
    return [one async for page in records.since_checkpoint() for one in page]


async def reopened(world: World) -> NetpulseRecords:
    engine = world.engine()
    await engine.open(world.now)
    return engine


async def test_a_new_engine_starts_with_nothing(world: World) -> None:
    restored = await world.records.restore(world.now, reopen_since=0.0)
    assert (restored.states, restored.incidents, restored.told, restored.spans) == ({}, [], {}, [])
    assert await replayed(world.records) == []


async def test_an_engine_starts_with_the_last_checkpoint_and_what_was_stored_since_in_that_order(world: World) -> None:
    await world.take(seen(START), seen(START + 1))
    await world.records.checkpoint({"t/web": b"state"})
    await world.take(seen(START + 9), seen(START + 5), first=3)
    await world.take(down(START + 7), agent="us-1")
    engine = await reopened(world)
    assert (await engine.restore(world.now, reopen_since=0.0)).states == {"t/web": b"state"}
    assert [one.at - START for one in await replayed(engine)] == [9.0, 5.0, 7.0]


async def test_what_comes_back_is_what_was_seen_as_far_as_it_is_kept(world: World) -> None:
    one = seen(START + 0.125, phases=Phases(1.5, 2.5, None, 100.0, 0.25), cert_days=31.5, confirm=True, simulated=True)
    two = down(START, failure=Failure.EXIT, status=-9, detail="it broke: 5 %", address="", late=True)
    three = seen(START, outcome=Outcome.UNKNOWN, failure=Failure.BLIND, phases=Phases(), total_ms=70_000.0)
    await world.take(one, two, three)
    assert await replayed(await reopened(world)) == [one, two, three]


async def test_a_checkpoint_forgets_the_states_before_it(world: World) -> None:
    await world.records.checkpoint({"t/a": b"1", "t/b": b"1"})
    await world.records.checkpoint({"t/a": b"2"})
    assert (await world.records.restore(world.now, reopen_since=0.0)).states == {"t/a": b"2"}


async def test_an_engine_starts_with_incidents_that_stand_or_may_reopen_and_what_was_told_of_them(world: World) -> None:
    standing, recent, old = incident(1), incident(2), incident(3)
    await world.records.decide(decided(standing, notice(standing)))
    for one, resolved in ((recent, START + 100), (old, START + 10)):
        await world.records.decide(decided(one, notice(one)))
        await world.records.decide(decided(after(one, State.RESOLVED, resolved=resolved)))
    restored = await world.records.restore(world.now, reopen_since=START + 50)
    assert list(restored.incidents) == [standing, after(recent, State.RESOLVED, resolved=START + 100)]
    assert restored.told == {one.id: {notice(one).key: START} for one in (standing, recent)}


async def test_an_engine_starts_with_spans_that_have_not_ended(world: World) -> None:
    open_ = Span(monitor="t/web", kind="down", since=START)
    await world.records.decide(Decisions(spans=(open_, Span(monitor="t/web", kind="slow", since=START))))
    await world.records.decide(Decisions(spans=(Span(monitor="t/web", kind="slow", since=START, until=START + 5),)))
    assert (await world.records.restore(world.now, reopen_since=0.0)).spans == [open_]


async def test_an_engine_that_was_superseded_stores_nothing_more(world: World) -> None:
    await world.take(seen())
    engine = await reopened(world)
    with pytest.raises(Superseded, match="taken over"):
        await world.records.decide(decided(incident()))
    with pytest.raises(Superseded):
        await world.records.checkpoint({"t/web": b"old"})
    with pytest.raises(Superseded):
        await world.take(seen(), first=2)
    restored = await engine.restore(world.now, reopen_since=0.0)
    assert (restored.states, restored.incidents, await world.stored()) == ({}, [], 1)
    await engine.decide(decided(incident()))
