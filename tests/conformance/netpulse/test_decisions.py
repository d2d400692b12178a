"""Decisions are stored whole, once, and only by the one mind that decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.netpulse.core.incident import Cause, Condition, Decisions, Member, Span, State
from holdfast.netpulse.errors import Conflict
from holdfast.store import StoreUnavailable
from tests.conformance.netpulse.world import START, after, decided, incident, notice, step

if TYPE_CHECKING:
    from tests.conformance.netpulse.world import World

pytestmark = pytest.mark.anyio


async def test_an_incident_comes_back_as_it_was_decided(world: World) -> None:
    one = incident()
    await world.records.decide(decided(one, notice(one)))
    assert await world.records.incident("t", one.id) == one
    assert await world.records.timeline(one.id) == [step(one)]
    assert await world.records.notices(one.id) == [(notice(one), "waiting", "")]


async def test_the_same_decision_again_changes_nothing(world: World) -> None:
    one = incident()
    two = after(one, State.ACKNOWLEDGED, acknowledged=START, acknowledged_by="ann")
    span = Span(monitor="t/web", kind="down", since=START)
    for _ in range(2):
        await world.records.decide(decided(one, notice(one), spans=(span,)))
    for _ in range(2):
        await world.records.decide(decided(two))
        await world.records.decide(decided(one, notice(one), spans=(span,)))
    assert await world.records.incident("t", one.id) == two
    assert await world.records.timeline(one.id) == [step(one), step(two)]
    assert len(await world.records.notices(one.id)) == 1


async def test_several_steps_of_an_incident_are_stored_together(world: World) -> None:
    one = incident(revision=3)
    steps = tuple(step(one, number) for number in (1, 2, 3))
    await world.records.decide(Decisions(incidents=(one,), transitions=steps))
    assert await world.records.timeline(one.id) == list(steps)


async def test_a_revision_that_leaves_one_out_fails(world: World) -> None:
    one = incident()
    await world.records.decide(decided(one))
    with pytest.raises(Conflict, match="revision 1; 3"):
        await world.records.decide(decided(replace(one, revision=3)))


async def test_another_step_of_the_same_revision_fails(world: World) -> None:
    one = incident()
    await world.records.decide(decided(one))
    await world.records.decide(decided(after(one, State.ACKNOWLEDGED)))
    with pytest.raises(Conflict, match="another one"):
        await world.records.decide(decided(after(one, State.RESOLVED, resolved=START)))
    with pytest.raises(Conflict, match="another one"):
        await world.records.decide(Decisions(incidents=(replace(after(one, State.ACKNOWLEDGED), title="other"),)))


async def test_a_transition_without_its_incident_fails(world: World) -> None:
    with pytest.raises(Conflict, match="without their incident"):
        await world.records.decide(Decisions(transitions=(step(incident()),)))


async def test_of_a_decision_that_fails_nothing_is_kept(world: World) -> None:
    one, two = incident(1), incident(2)
    await world.records.decide(decided(two))
    bad = replace(two, revision=9)
    span = Span(monitor="t/web", kind="down", since=START)
    with pytest.raises(Conflict):
        await world.records.decide(
            Decisions(incidents=(one, bad), transitions=(step(one), step(bad)), notices=(notice(one),), spans=(span,))
        )
    assert await world.records.incident("t", one.id) is None
    assert await world.records.timeline(one.id) == []
    assert await world.records.notices(one.id) == []
    assert await world.records.spans(["t/web"], since=0.0, until=2e9) == []


async def test_a_span_ends_once(world: World) -> None:
    for until in (None, START + 5, START + 9, None):
        span = Span(monitor="t/web", kind="down", since=START, until=until)
        await world.records.decide(Decisions(spans=(span,)))
    assert await world.records.spans(["t/web"], since=START, until=START + 9) == [
        Span(monitor="t/web", kind="down", since=START, until=START + 5)
    ]


async def test_spans_are_those_that_touch_the_time(world: World) -> None:
    def span(since: float, until: float | None, monitor: str = "t/web") -> Span:
        return Span(monitor=monitor, kind="down", since=since, until=until)

    made = (span(1, 10), span(10, 20), span(20, 30), span(25, None), span(12, 15, "t/other"), span(12, 15, "u/web"))
    await world.records.decide(Decisions(spans=made))
    found = await world.records.spans(["t/web", "t/other"], since=10.0, until=25.0)
    assert [(one.since, one.monitor) for one in found] == [(10, "t/web"), (12, "t/other"), (20, "t/web")]
    assert [one.since for one in await world.records.spans(["t/web"], since=40.0, until=50.0)] == [25]


async def test_a_tenant_sees_its_own_incidents_and_the_platforms_newest_first(world: World) -> None:
    tenants = ["t", "u", "", "t", "T"]
    for number, tenant in enumerate(tenants):
        await world.records.decide(decided(incident(number, tenant=tenant)))
    gone = after(incident(3), State.RESOLVED, resolved=START)
    await world.records.decide(decided(gone))

    async def found(standing: bool | None = None, limit: int = 9, before: str | None = None) -> list[int]:
        page = await world.records.incidents("t", standing=standing, limit=limit, before=before)
        return [int(one.id.removeprefix("inc_")) for one in page]

    assert await found() == [3, 2, 0]
    assert (await found(True), await found(False)) == ([2, 0], [3])
    assert (await found(limit=1), await found(limit=1, before=incident(3).id)) == ([3], [2])
    assert await world.records.incident("t", incident(1).id) is None
    assert await world.records.incident("t", incident(2).id) is not None


async def test_incidents_are_found_by_any_monitor_that_was_in_them(world: World) -> None:
    one = incident(1)
    joined = Member(monitor="t/db", condition=Condition.DOWN, began=START, joined=START)
    await world.records.decide(decided(one))
    await world.records.decide(decided(after(one, State.OPEN, members=(*one.members, joined))))
    await world.records.decide(decided(incident(2, cause=Cause(kind="monitor", value="t/web"))))
    for monitor, numbers in (("t/web", [2, 1]), ("t/db", [1]), ("t/%", []), ("u/web", [])):
        found = await world.records.incidents("t", monitor=monitor, limit=9)
        assert [int(one.id.removeprefix("inc_")) for one in found] == numbers
    assert await world.records.incidents("u", monitor="t/web", limit=9) == []


async def test_a_decision_whose_commit_was_not_confirmed_can_be_stored_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = incident()
    write = world.database.write

    async def unconfirmed(work: object, **options: object) -> None:
        await write(work, **options)  # type: ignore[arg-type]
        raise StoreUnavailable("it may or may not have happened")

    with monkeypatch.context() as patch:
        patch.setattr(world.database, "write", unconfirmed)
        with pytest.raises(StoreUnavailable):
            await world.records.decide(decided(one, notice(one)))
    await world.records.decide(decided(one, notice(one)))
    assert len(await world.records.notices(one.id)) == 1
