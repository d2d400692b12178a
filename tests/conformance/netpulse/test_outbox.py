"""A notice is owed until it was sent: nothing that dies in between loses it, nothing sends it out of turn."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.netpulse.core.incident import State
from tests.conformance.netpulse.world import START, after, decided, incident, notice

if TYPE_CHECKING:
    from holdfast.netpulse.core.ports import Delivery
    from tests.conformance.netpulse.world import World

pytestmark = pytest.mark.anyio


async def owed(world: World, at: float = 0.0, limit: int = 10) -> list[Delivery]:
    return list(await world.records.owed(START + at, limit=limit, lease_s=30.0))


async def events(world: World, at: float = 0.0) -> list[str]:
    return [one.notice.event for one in await owed(world, at)]


async def opened_and_resolved(world: World) -> None:
    one = incident()
    await world.records.decide(decided(one, notice(one)))
    over = after(one, State.RESOLVED, resolved=START + 1)
    await world.records.decide(decided(over, notice(over, "resolved", at=START + 1, not_before=START + 1)))


async def test_a_notice_is_owed_as_it_was_decided(world: World) -> None:
    one = incident()
    await world.records.decide(decided(one, notice(one)))
    (delivery,) = await owed(world)
    assert (delivery.notice, delivery.attempt) == (notice(one), 1)


async def test_a_deferred_notice_is_owed_when_quiet_hours_are_over(world: World) -> None:
    one = incident()
    await world.records.decide(decided(one, notice(one, not_before=START + 3600)))
    assert await events(world, 3599) == []
    assert await events(world, 3600) == ["opened"]


async def test_what_is_leased_is_not_given_to_others(world: World) -> None:
    one = incident()
    channels = [notice(one, channel=f"c{number}") for number in range(20)]
    await world.records.decide(decided(one, *channels))
    given = await asyncio.gather(*(owed(world, limit=5) for _ in range(8)))
    keys = [delivery.notice.key for one in given for delivery in one]
    assert len(keys) == len(set(keys))
    keys += [delivery.notice.key for delivery in await owed(world, limit=20)]  # left out while others held them
    assert sorted(keys) == sorted(one.key for one in channels)


async def test_a_notice_whose_sender_died_is_owed_again_when_its_lease_is_over(world: World) -> None:
    one = incident()
    await world.records.decide(decided(one, notice(one)))
    (first,) = await owed(world)
    assert await events(world, 29.9) == []
    (second,) = await owed(world, 30.0)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.lease != second.lease


async def test_a_dedup_slot_claimed_before_the_send_swallows_no_retry(world: World) -> None:
    """The engine decides, a sender claims the notice and dies; then the engine, restarted, decides the same again."""
    one = incident()
    await world.records.decide(decided(one, notice(one)))
    await owed(world)
    await world.records.open(world.now)
    await world.records.decide(decided(one, notice(one)))
    (delivery,) = await owed(world, 30.0)
    await world.records.undelivered(delivery, error="HTTP 500", again_at=START + 40)
    await world.records.decide(decided(one, notice(one)))
    (delivery,) = await owed(world, 40.0)
    await world.records.delivered(delivery, START + 41)
    await world.records.decide(decided(one, notice(one)))
    assert await owed(world, 1e6) == []
    assert [state for _, state, _ in await world.records.notices(one.id)] == ["sent"]


async def test_dedup_does_not_outlive_its_window(world: World) -> None:
    """What happens again is another decision with another key, however soon it comes after the last."""
    one = incident()
    again = after(after(one, State.RESOLVED, resolved=START + 1), State.REOPENED)
    await world.records.decide(decided(one, notice(one)))
    (first,) = await owed(world)
    await world.records.delivered(first, START)
    await world.records.decide(decided(after(one, State.RESOLVED, resolved=START + 1)))
    await world.records.decide(decided(again, notice(again, "opened", at=START + 2, not_before=START + 2)))
    (second,) = await owed(world, 2.0)
    assert (second.notice.event, second.notice.channel) == (first.notice.event, first.notice.channel)


async def test_a_resolve_is_never_sent_before_its_open(world: World) -> None:
    await opened_and_resolved(world)
    (opened,) = await owed(world, 5.0)
    assert opened.notice.event == "opened"
    assert await events(world, 6.0) == []
    await world.records.undelivered(opened, error="HTTP 503", again_at=START + 60)
    assert await events(world, 50.0) == []
    (opened,) = await owed(world, 60.0)
    await world.records.delivered(opened, START + 61)
    assert await events(world, 61.0) == ["resolved"]


async def test_what_is_held_back_for_the_night_does_not_hold_back_what_is_not(world: World) -> None:
    one = incident()
    await world.records.decide(decided(one, notice(one, not_before=START + 3600)))
    worse = after(one, State.OPEN)
    await world.records.decide(decided(worse, notice(worse, "repeated", at=START + 1, not_before=START + 1)))
    (delivery,) = await owed(world, 2)
    assert delivery.notice.event == "repeated"
    await world.records.delivered(delivery, START + 2)
    assert await events(world, 3600) == ["opened"]


async def test_a_notice_that_was_given_up_holds_back_nobody(world: World) -> None:
    await opened_and_resolved(world)
    (opened,) = await owed(world, 5.0)
    await world.records.undelivered(opened, error="HTTP 410: \0gone", again_at=None)
    assert await events(world, 5.0) == ["resolved"]
    states = [(one.event, state, error) for one, state, error in await world.records.notices(incident().id)]
    assert states == [("opened", "failed", "HTTP 410: gone"), ("resolved", "waiting", "")]


async def test_channels_and_incidents_do_not_wait_for_each_other(world: World) -> None:
    one, two = incident(1), incident(2)
    await world.records.decide(decided(one, notice(one, channel="a"), notice(one, channel="b")))
    await world.records.decide(decided(two, notice(two, channel="a")))
    assert len(await owed(world)) == 3


async def test_delivered_twice_is_harmless(world: World) -> None:
    await opened_and_resolved(world)
    (opened,) = await owed(world, 5.0)
    for _ in range(2):
        await world.records.delivered(opened, START + 5, reference="pd-1")
    assert await events(world, 100.0) == ["resolved"]


async def test_a_sender_whose_lease_is_over_cannot_give_up_what_another_has(world: World) -> None:
    await opened_and_resolved(world)
    (first,) = await owed(world, 1.0)
    (second,) = await owed(world, 31.0)
    await world.records.undelivered(first, error="too slow", again_at=None)
    await world.records.undelivered(first, error="too slow", again_at=START)
    assert await events(world, 32.0) == []
    await world.records.delivered(second, START + 33)
    assert await events(world, 33.0) == ["resolved"]


async def test_what_was_sent_is_sent_also_when_it_is_told_after_the_lease(world: World) -> None:
    await opened_and_resolved(world)
    (first,) = await owed(world, 1.0)
    (second,) = await owed(world, 31.0)
    await world.records.delivered(first, START + 32)
    await world.records.undelivered(second, error="HTTP 500", again_at=START + 40)
    assert await events(world, 100.0) == ["resolved"]


async def test_a_test_message_belongs_to_no_incident_and_waits_for_nobody(world: World) -> None:
    test = replace(notice(incident(), "test"), incident="", snapshot=None)
    for number in range(3):
        await world.records.owe(replace(test, key=f"test/{number}"))
    await world.records.owe(replace(test, key="test/0"))
    assert [one.notice.key for one in await owed(world)] == ["test/0", "test/1", "test/2"]


async def test_the_longest_due_goes_first(world: World) -> None:
    for number in (1, 2, 3):
        one = incident(number)
        due = START - number
        await world.records.decide(decided(one, notice(one, at=due, not_before=due)))
    assert [one.notice.incident for one in await owed(world, limit=2)] == [incident(3).id, incident(2).id]
