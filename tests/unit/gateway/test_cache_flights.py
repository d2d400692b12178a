"""Identical requests in flight: one asks, all hear the same, nobody disturbs another."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.gateway.core.conversation import Delta, Ended, Event
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.cache import Flight, Flights, Follower, Lead


def said(text: str) -> Event:
    return Delta(index=0, text=text)


def take_off(flights: Flights) -> Flight:
    flight = flights.join(b"k")
    assert isinstance(flight, Flight)
    return flight


def follow(flights: Flights) -> Follower:
    follower = flights.join(b"k")
    assert isinstance(follower, Follower)
    return follower


async def all_of(follower: Follower) -> list[Event]:
    events: list[Event] = []
    while (more := await follower.next(5.0)) is not None:
        assert not isinstance(more, Lead)
        events += more
    return events


def test_a_follower_hears_everything_whenever_it_came() -> None:
    async def scene() -> None:
        flights = Flights()
        flight = take_off(flights)
        early = asyncio.create_task(all_of(follow(flights)))
        await asyncio.sleep(0)
        flight.tell([said("a")])
        late = asyncio.create_task(all_of(follow(flights)))
        await asyncio.sleep(0)
        flight.tell([said("b"), Ended()])
        flight.end()
        assert await early == await late == [said("a"), said("b"), Ended()]
        assert len(flights) == 0

    asyncio.run(scene())


def test_a_follower_that_leaves_disturbs_nobody() -> None:
    async def scene() -> None:
        flights = Flights()
        flight = take_off(flights)
        gone, stays = follow(flights), follow(flights)
        leaving = asyncio.create_task(gone.next(5.0))
        staying = asyncio.create_task(all_of(stays))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        gone.leave()
        flight.tell([said("a")])
        flight.end()
        assert await staying == [said("a")]

    asyncio.run(scene())


def test_a_leader_that_leaves_before_the_first_word_hands_over() -> None:
    async def scene() -> None:
        flights = Flights()
        flight = take_off(flights)
        heir, other = follow(flights), follow(flights)
        hearing, waiting = asyncio.create_task(heir.next(5.0)), asyncio.create_task(all_of(other))
        await asyncio.sleep(0)
        assert flight.hand_over()
        assert await hearing == Lead()
        flight.tell([said("a")])
        flight.end()
        assert await waiting == [said("a")]

    asyncio.run(scene())


def test_an_heir_that_leaves_hands_on_and_the_last_one_ends_it() -> None:
    async def scene() -> None:
        flights = Flights()
        flight = take_off(flights)
        first, second = follow(flights), follow(flights)
        assert flight.hand_over()
        first.leave()
        assert await second.next(5.0) == Lead()
        second.leave()
        assert len(flights) == 0

    asyncio.run(scene())


def test_a_failure_of_the_provider_is_everybodys() -> None:
    async def scene() -> None:
        flights = Flights()
        flight = take_off(flights)
        follower = follow(flights)
        flight.tell([said("a")])
        flight.fail(Refused("cut", "the stream broke"))
        assert await follower.next(5.0) == [said("a")]
        with pytest.raises(Refused):
            await follower.next(5.0)
        assert isinstance(flights.join(b"k"), Flight)

    asyncio.run(scene())


def test_followers_are_bounded_and_patient_only_for_so_long() -> None:
    async def scene() -> None:
        flights = Flights(followers=1)
        flight = take_off(flights)
        follower = follow(flights)
        assert flights.join(b"k") is None
        with pytest.raises(TimeoutError):
            await follower.next(0.0)
        follower.leave()
        assert not flight.is_followed
        assert isinstance(flights.join(b"k"), Follower)

    asyncio.run(scene())
