"""Events: kept, streamed, bounded."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from holdfast.balancer.shell.admin import event_stream
from holdfast.balancer.shell.events import KEPT, SUBSCRIBER_QUEUE, SUBSCRIBERS, EventLog, TooManySubscribersError

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def log_of(count: int) -> EventLog:
    log = EventLog("boot")
    for number in range(1, count + 1):
        log.append("transition", {"n": number}, AT)
    return log


def numbers(log: EventLog, last_id: str | None) -> list[int]:
    return [event.data["n"] for event in log.since(last_id)]


def test_the_last_thousand_are_kept() -> None:
    log = log_of(KEPT + 5)
    assert numbers(log, None) == list(range(6, KEPT + 6))


@pytest.mark.parametrize(
    ("last_id", "expected"),
    [
        ("boot-3", [4, 5]),
        ("boot-5", []),
        ("boot-99", []),
        ("boot-0", [1, 2, 3, 4, 5]),
        ("other-3", [1, 2, 3, 4, 5]),
        ("boot-x", [1, 2, 3, 4, 5]),
        ("", [1, 2, 3, 4, 5]),
    ],
)
def test_reading_goes_on_behind_the_last_id(last_id: str, expected: list[int]) -> None:
    assert numbers(log_of(5), last_id) == expected


def test_ids_that_are_no_longer_kept_give_all_that_is() -> None:
    assert numbers(log_of(KEPT + 5), "boot-2")[0] == 6


def test_a_subscriber_sees_what_it_missed_and_then_what_comes() -> None:
    async def scenario() -> None:
        log = log_of(2)
        with log.subscribe("boot-1") as subscriber:
            log.append("transition", {"n": 3}, AT)
            stream = subscriber.events(heartbeat_s=5.0)
            found = [event.data["n"] for event in [await anext(stream), await anext(stream)] if event]
            assert found == [2, 3]
            log.close()
            assert [event async for event in stream] == []

    asyncio.run(scenario())


def test_silence_is_broken_by_heartbeats() -> None:
    async def scenario() -> None:
        log = EventLog("boot")
        with log.subscribe(None) as subscriber:
            assert await anext(subscriber.events(heartbeat_s=0.001)) is None

    asyncio.run(scenario())


def test_a_slow_subscriber_is_dropped_and_others_are_not() -> None:
    async def scenario() -> None:
        log = EventLog("boot")
        with log.subscribe(None) as slow, log.subscribe(None) as quick:
            stream = quick.events(heartbeat_s=5.0)
            for number in range(SUBSCRIBER_QUEUE + 10):
                log.append("transition", {"n": number}, AT)
                event = await anext(stream)
                assert event is not None
                assert event.data["n"] == number
            assert slow.dropped
            assert not quick.dropped
            received = [event async for event in slow.events(heartbeat_s=5.0)]
            assert len(received) == SUBSCRIBER_QUEUE

    asyncio.run(scenario())


def test_a_stream_that_is_dropped_says_how_to_come_back() -> None:
    async def scenario() -> None:
        log = EventLog("boot")
        stream = event_stream(log, None)
        assert (await anext(stream)).startswith(b": holdfast events\n")
        for number in range(SUBSCRIBER_QUEUE + 1):
            log.append("transition", {"n": number, "text": "two\nlines"}, AT)
        pieces = [piece async for piece in stream]
        assert pieces[0] == (
            b'id: boot-1\nevent: transition\ndata: {"at":"2026-01-01T00:00:00Z","n":0,"text":"two\\nlines"}\n\n'
        )
        assert pieces[-1] == b": the stream ends here, come back with Last-Event-ID\n\n"
        assert len(pieces) == SUBSCRIBER_QUEUE + 1

    asyncio.run(scenario())


def test_the_number_of_subscribers_is_bounded() -> None:
    log = EventLog("boot")
    taken = [log.subscribe(None) for _ in range(SUBSCRIBERS)]
    for each in taken:
        each.__enter__()
    with pytest.raises(TooManySubscribersError), log.subscribe(None):
        pass
    taken[0].__exit__(None, None, None)
    with log.subscribe(None):
        pass
