"""What is sent when, and what is said of it to the outbox: no sockets, no store."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core import escalation
from holdfast.netpulse.core.delivery import Again, Outcome, Refused, Sent
from holdfast.netpulse.core.incident import State
from holdfast.netpulse.core.message import Message
from holdfast.netpulse.core.settings import ChannelSettings, NetpulseSettings, WebhookChannel
from holdfast.netpulse.shell.notify import Notifier
from holdfast.netpulse.shell.notify.dispatcher import LEASE_S, SENDING_PER_CHANNEL, TAKEN_PER_CHANNEL
from holdfast.testing import eventually
from tests.unit.netpulse.notify.memory import NOW, Outbox, incident, notice, settings

pytestmark = pytest.mark.anyio

RESOLVED = incident(state=State.RESOLVED, resolved=NOW + 60)


class Time:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class World:
    """Channels that do as they are told: an outcome an attempt, the last one for ever; or something to wait for."""

    def __init__(self) -> None:
        self.does: dict[str, list[Outcome | Callable[[], Awaitable[Outcome]]]] = {}
        self.sent: list[Message] = []
        self.asked: list[dict[str, Any]] = []
        self.at_a_time: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def send(self, network: object, channel: ChannelSettings, message: Message, **how: Any) -> Outcome:
        assert channel.webhook is not None
        name = channel.webhook.url
        self.sent.append(message)
        self.asked.append(how)
        self.at_a_time[name] += 1
        self.most[name] = max(self.most[name], self.at_a_time[name])
        try:
            script = self.does.get(name, [Sent("ref")])
            what = script.pop(0) if len(script) > 1 else script[0]
            return await what() if callable(what) else what
        finally:
            self.at_a_time[name] -= 1

    @property
    def titles(self) -> list[str]:
        return [f"{message.event} {message.key.split('/')[3]}" for message in self.sent]


async def forever() -> Outcome:
    await asyncio.Event().wait()
    return Sent()


def channels(*names: str, **changes: Any) -> NetpulseSettings:
    """Webhooks whose address is their name."""
    return settings(**{name: ChannelSettings(webhook=WebhookChannel(url=name), **changes) for name in names})


@asynccontextmanager
async def notifying(
    outbox: Outbox, world: World, how: NetpulseSettings | None = None, clock: Time | None = None
) -> AsyncIterator[Notifier]:
    notifier = Notifier(
        outbox,
        how or channels("ops"),
        lambda incident, channel: f"ack:{incident}:{channel}",
        clock=clock or Time(),
        rng=Random(1),
        send=world.send,
    )
    task = asyncio.create_task(notifier.run())
    try:
        yield notifier
    finally:
        notifier.close()
        await task


async def test_what_is_owed_is_sent_and_then_marked() -> None:
    outbox, world = Outbox(), World()
    outbox.owe(notice())
    async with notifying(outbox, world):
        await eventually(lambda: outbox.settled)
    row = outbox.rows["inc_1/2/opened/ops"]
    assert (row.state, row.reference) == ("sent", "ref")
    assert world.sent[0].acknowledge_url == "ack:inc_1:ops"


async def test_nothing_is_marked_before_it_is_sent_so_a_sender_that_dies_swallows_no_page() -> None:
    """The slot that deduplicates was once claimed before the send: a retry found it taken and dropped the page."""
    outbox, world, clock = Outbox(), World(), Time()
    outbox.owe(notice())
    world.does["ops"] = [forever, Sent()]
    first = Notifier(outbox, channels("ops"), lambda *_: "", clock=clock, rng=Random(1), send=world.send)
    task = asyncio.create_task(first.run())
    await eventually(lambda: world.sent)
    assert outbox.states() == {"inc_1/2/opened/ops": "waiting"}
    task.cancel()  # as good as killed: nothing of it is written
    await asyncio.gather(task, return_exceptions=True)
    outbox.owe(notice())  # the same is decided again after the crash
    clock.now += LEASE_S
    async with notifying(outbox, world, clock=clock):
        await eventually(lambda: outbox.settled)
    assert outbox.states() == {"inc_1/2/opened/ops": "sent"}
    assert [message.key for message in world.sent] == ["inc_1/2/opened/ops"] * 2


async def test_a_notice_of_one_tenant_never_goes_to_a_channel_of_another() -> None:
    """There was once one topic for everybody's mail."""
    outbox, world = Outbox(), World()
    outbox.owe(notice(of=incident("inc_b", tenant="other")))
    outbox.owe(escalation.test_notice(tenant="other", channel="ops", id="1", now=NOW))
    async with notifying(outbox, world):
        await eventually(lambda: outbox.settled)
    assert world.sent == []
    assert {row.error for row in outbox.rows.values()} == {"tenant other has no channel ops"}


async def test_the_platforms_own_incidents_go_to_its_operator() -> None:
    outbox, world = Outbox(), World()
    outbox.owe(notice(of=incident(tenant="")))
    async with notifying(outbox, world):
        await eventually(lambda: outbox.settled)
    assert world.titles == ["opened ops"]


async def test_a_channel_that_fails_is_tried_again_after_a_wait() -> None:
    outbox, world, clock = Outbox(), World(), Time()
    world.does["ops"] = [Again("answered 500"), Again("answered 429", 30.0), Sent()]
    outbox.owe(notice())
    row = outbox.rows["inc_1/2/opened/ops"]
    async with notifying(outbox, world, clock=clock) as notifier:
        await eventually(lambda: row.error)
        assert (row.error, row.state) == ("answered 500", "waiting")
        assert NOW + 0.5 <= row.due <= NOW + 1
        assert notifier.health["default", "ops"].failing_since == NOW
        clock.now = row.due
        notifier.wake()
        await eventually(lambda: row.error == "answered 429")
        assert row.due == clock.now + 30
        clock.now = row.due
        notifier.wake()
        await eventually(lambda: outbox.settled)
        health = notifier.health["default", "ops"]
    assert (health.sent, health.failed, health.failing_since, health.error) == (1, 2, None, "")


async def test_after_the_last_attempt_it_is_given_up_and_said(caplog: pytest.LogCaptureFixture) -> None:
    outbox, world, clock = Outbox(), World(), Time()
    world.does["ops"] = [Again("no answer within 10 s")]
    outbox.owe(notice())
    row = outbox.rows["inc_1/2/opened/ops"]
    async with notifying(outbox, world, channels("ops", attempts=3), clock) as notifier:
        for attempt in (1, 2, 3):
            await eventually(lambda attempt=attempt: len(world.sent) == attempt and row.error)  # type: ignore[misc]
            clock.now += LEASE_S
            notifier.wake()
        await eventually(lambda: outbox.settled)
    assert (row.state, row.error) == ("failed", "no answer within 10 s (attempt 3 of 3)")
    assert [how["last"] for how in world.asked] == [False, False, True]
    (record,) = [record for record in caplog.records if getattr(record, "action", "") == "notice_given_up"]
    assert record.levelno == logging.ERROR


async def test_a_refusal_is_given_up_at_once() -> None:
    outbox, world = Outbox(), World()
    world.does["ops"] = [Refused("answered 404")]
    outbox.owe(notice())
    async with notifying(outbox, world) as notifier:
        await eventually(lambda: outbox.settled)
        assert notifier.health["default", "ops"].given_up == 1
    assert outbox.rows["inc_1/2/opened/ops"].error == "answered 404"
    assert len(world.sent) == 1


async def test_a_fault_in_a_channel_counts_as_an_attempt_and_is_no_end() -> None:
    async def broken() -> Outcome:
        raise RuntimeError("nobody thought of this")

    outbox, world, clock = Outbox(), World(), Time()
    world.does["ops"] = [broken, Sent()]
    outbox.owe(notice())
    async with notifying(outbox, world, clock=clock) as notifier:
        await eventually(lambda: outbox.rows["inc_1/2/opened/ops"].error)
        clock.now += 10
        notifier.wake()
        await eventually(lambda: outbox.settled)
    assert outbox.states() == {"inc_1/2/opened/ops": "sent"}


async def test_a_dead_channel_with_a_long_queue_delays_nobody_else() -> None:
    outbox, world = Outbox(), World()
    world.does["dead"] = [forever]
    outbox.owe(*(notice(of=incident(f"inc_{number}"), channel="dead") for number in range(500)))
    outbox.owe(notice(of=incident("inc_live"), channel="ops", at=NOW + 0.5, not_before=NOW + 0.5))
    clock = Time()
    clock.now = NOW + 1
    async with notifying(outbox, world, replace_drain(channels("dead", "ops")), clock):
        await eventually(lambda: outbox.rows["inc_live/2/opened/ops"].state == "sent")
        assert world.most["dead"] == SENDING_PER_CHANNEL
        waiting = [row for row in outbox.rows.values() if row.error == "waits for its turn"]
        assert len(waiting) >= 500 - TAKEN_PER_CHANNEL
        assert len({row.due for row in waiting}) > 50  # spread, not all at once


def replace_drain(how: NetpulseSettings) -> NetpulseSettings:
    """Without waiting for what hangs."""
    return NetpulseSettings(channels=how.channels, drain_timeout=Duration(0.0))


async def test_a_later_message_never_overtakes_an_earlier_one_that_is_tried_again() -> None:
    outbox, world, clock = Outbox(), World(), Time()
    world.does["ops"] = [Again("answered 503"), Sent()]
    outbox.owe(notice(), notice("resolved", RESOLVED, cause=4, at=NOW + 1, not_before=NOW + 1))
    outbox.book["inc_1"] = RESOLVED
    clock.now = NOW + 1
    async with notifying(outbox, world, clock=clock) as notifier:
        await eventually(lambda: outbox.rows["inc_1/4/resolved/ops"].error)
        assert world.titles == ["opened ops"]
        for _ in range(4):
            clock.now += 20
            notifier.wake()
            await asyncio.sleep(0)
        await eventually(lambda: outbox.rows["inc_1/2/opened/ops"].state == "sent")
        clock.now += 100
        notifier.wake()
        await eventually(lambda: outbox.settled)
    assert world.titles == ["opened ops", "opened ops", "resolved ops"]


async def test_waiting_for_an_earlier_one_costs_no_attempt() -> None:
    outbox, world, clock = Outbox(), World(), Time()
    world.does["ops"] = [Again("answered 503"), Again("answered 503"), Again("answered 503"), Sent()]
    outbox.owe(notice(), notice("resolved", RESOLVED, cause=4, at=NOW + 1, not_before=NOW + 1))
    outbox.book["inc_1"] = RESOLVED
    clock.now = NOW + 1
    async with notifying(outbox, world, channels("ops", attempts=4), clock) as notifier:
        for _ in range(30):
            clock.now += 10
            notifier.wake()
            await eventually(lambda: not notifier.under_way)
            await asyncio.sleep(0.003)
        await eventually(lambda: outbox.settled)
    assert outbox.rows["inc_1/4/resolved/ops"].attempts > 2
    assert outbox.states() == {"inc_1/2/opened/ops": "sent", "inc_1/4/resolved/ops": "sent"}
    assert world.asked[-1]["last"] is False


async def test_what_was_held_back_and_is_over_is_dropped_and_the_record_says_why() -> None:
    outbox, world = Outbox(), World()
    outbox.owe(notice(at=NOW - 3600), notice("resolved", RESOLVED, cause=4, at=NOW - 1800))
    outbox.book["inc_1"] = RESOLVED
    async with notifying(outbox, world):
        await eventually(lambda: outbox.settled)
    assert world.sent == []
    assert [row.error for row in outbox.rows.values()] == [
        "obsolete: the incident was resolved while quiet hours held this back",
        "obsolete: the channel was not told of the incident",
    ]


async def test_what_was_held_back_is_told_as_it_stands_by_then() -> None:
    outbox, world = Outbox(), World()
    outbox.owe(notice(at=NOW - 3600))
    outbox.book["inc_1"] = incident(title="two monitors are down")
    async with notifying(outbox, world):
        await eventually(lambda: outbox.settled)
    assert world.sent[0].title == "[DOWN] two monitors are down"


async def test_what_is_late_for_its_channels_sake_is_told_as_it_was() -> None:
    outbox, world = Outbox(), World()
    outbox.owe(notice())
    outbox.book["inc_1"] = RESOLVED
    async with notifying(outbox, world):
        await eventually(lambda: outbox.settled)
    assert world.sent[0].title == "[DOWN] shop is down"


async def test_the_end_is_told_although_the_beginning_was_given_up() -> None:
    """Its answer may have got lost: the other side may hold it open."""
    outbox, world = Outbox(), World()
    outbox.owe(notice(), notice("resolved", RESOLVED, cause=4, at=NOW + 1))
    outbox.rows["inc_1/2/opened/ops"].state, outbox.rows["inc_1/2/opened/ops"].error = "failed", "no answer"
    async with notifying(outbox, world):
        await eventually(lambda: outbox.settled)
    assert world.titles == ["resolved ops"]


async def test_a_database_that_is_busy_for_a_moment_sends_nothing_twice() -> None:
    outbox, world = Outbox(unreadable=1, unwritable=2), World()
    outbox.owe(notice())
    async with notifying(outbox, world) as notifier:
        await asyncio.sleep(0)
        notifier.wake()
        await eventually(lambda: outbox.settled)
    assert len(world.sent) == 1


async def test_new_settings_count_from_the_next_notice_on() -> None:
    outbox, world = Outbox(), World()
    async with notifying(outbox, world) as notifier:
        notifier.reconfigure(channels("new"))
        outbox.owe(notice(), notice(channel="new"))
        notifier.wake()
        await eventually(lambda: outbox.settled)
    assert world.titles == ["opened new"]
    assert outbox.rows["inc_1/2/opened/ops"].error == "tenant default has no channel ops"


async def test_closing_waits_for_what_is_being_sent() -> None:
    release = asyncio.Event()

    async def slow() -> Outcome:
        await release.wait()
        return Sent()

    outbox, world = Outbox(), World()
    world.does["ops"] = [slow]
    outbox.owe(notice())
    notifier = Notifier(outbox, channels("ops"), lambda *_: "", clock=Time(), rng=Random(1), send=world.send)
    task = asyncio.create_task(notifier.run())
    await eventually(lambda: world.sent)
    notifier.close()
    release.set()
    await task
    assert outbox.states() == {"inc_1/2/opened/ops": "sent"}


async def test_a_test_goes_the_way_of_every_notice() -> None:
    outbox, world = Outbox(), World()
    outbox.owe(escalation.test_notice(tenant="default", channel="ops", id="1", now=NOW))
    async with notifying(outbox, world):
        await eventually(lambda: outbox.settled)
    assert world.sent[0].title == "[TEST] Channel ops works"


async def test_the_deadline_of_a_send_is_the_channels_and_within_the_lease() -> None:
    outbox, world = Outbox(), World()
    outbox.owe(notice(), notice(channel="patient"))
    how = NetpulseSettings(
        channels={
            "ops": ChannelSettings(timeout=Duration(5.0), webhook=WebhookChannel(url="ops")),
            "patient": ChannelSettings(timeout=Duration(600.0), webhook=WebhookChannel(url="patient")),
        }
    )
    async with notifying(outbox, world, how):
        await eventually(lambda: outbox.settled)
    assert sorted(ask["timeout_s"] for ask in world.asked) == [5.0, LEASE_S - 10]


async def test_what_is_owed_to_many_channels_is_sent_at_the_same_time() -> None:
    outbox, world = Outbox(), World()
    names = [f"channel{number}" for number in range(20)]
    everybody = asyncio.Barrier(20)

    async def together() -> Outcome:
        await everybody.wait()
        return Sent()

    for name in names:
        world.does[name] = [together]
    outbox.owe(*(notice(channel=name) for name in names))
    async with notifying(outbox, world, channels(*names)):
        await eventually(lambda: outbox.settled)
    assert len(world.sent) == 20
