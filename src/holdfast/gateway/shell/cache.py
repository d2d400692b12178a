"""Identical requests in flight share one answer.

The first one leads: it asks the provider, and tells what comes. The others follow: from the beginning, then live.

States of a flight::

    quiet ---- tell ----> speaking ---- end ----> landed
      |                       |
      |  hand_over            |  fail
      v                       v
    quiet, another leads    failed

- A follower that leaves disturbs nobody.
- A leader that has to leave asks :attr:`Flight.is_followed`: when somebody follows, it carries on without its client
  (the answer is paid for, and wanted), or, while nothing was told, hands over (:meth:`Flight.hand_over`).
- What is the leader's own fault (its budget, its limits, its deadline) hands over; what is the provider's fails all:
  they would fail alike, one after the other.
- Events are what the provider said; each one's own guardrails come after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from holdfast.gateway.core.conversation import Event
from holdfast.gateway.errors import Refused

State = Literal["quiet", "speaking", "landed", "failed"]


@dataclass(frozen=True, slots=True)
class Lead:
    """What a follower hears when it leads from now on: nobody asks the provider but itself."""


class Follower:
    """Somebody who waits for another's answer."""

    __slots__ = ("_flight", "_heard", "wake")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._heard = 0
        self.wake: asyncio.Future[None] | None = None

    @property
    def flight(self) -> Flight:
        """What it takes part in."""
        return self._flight

    async def next(self, timeout_s: float) -> Sequence[Event] | Lead | None:
        """The next events, all that were told by now; ``None`` at the end.

        Raises:
            Refused: The flight failed.
            TimeoutError: Nothing was told in time. Ask again, or :meth:`leave`.
        """
        flight = self._flight
        while True:
            if flight.leader is self:
                return Lead()
            if self._heard < len(flight.events):
                told = flight.events[self._heard :]
                self._heard = len(flight.events)
                return told
            if flight.state == "landed":
                return None
            if flight.failure is not None:
                raise flight.failure
            self.wake = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self.wake
            finally:
                self.wake = None

    def leave(self) -> None:
        """Wait no longer. A follower that was chosen to lead and leaves hands over."""
        self._flight.drop(self)


class Flight:
    """One request that several wait for. Made by :class:`Flights`."""

    def __init__(self, flights: Flights, key: bytes) -> None:
        self._flights = flights
        self._key = key
        self._followers: dict[Follower, None] = {}
        self.state: State = "quiet"
        self.events: list[Event] = []
        self.failure: Refused | None = None
        self.leader: Follower | None = None
        """Who leads now; ``None``: whoever began."""

    @property
    def is_followed(self) -> bool:
        """Whether anybody but the leader waits."""
        return bool(self._followers)

    def tell(self, events: Sequence[Event]) -> None:
        """The provider said more."""
        if events:
            self.state = "speaking"
            self.events += events
            self._wake()

    def end(self) -> None:
        """The answer is whole. Followers that are slower still get all of it."""
        self._over("landed")

    def fail(self, error: Refused) -> None:
        """It failed, for all."""
        self.failure = error
        self._over("failed")

    def hand_over(self) -> bool:
        """The leader leaves before anything was told; whether somebody leads now. Else the flight is over."""
        if self.state != "quiet":
            return False
        self.leader = next(iter(self._followers), None)
        if self.leader is None:
            self._over("failed")
            return False
        del self._followers[self.leader]
        if self.leader.wake is not None and not self.leader.wake.done():
            self.leader.wake.set_result(None)
        return True

    def follow(self) -> Follower:
        """Wait for what the leader gets."""
        follower = Follower(self)
        self._followers[follower] = None
        return follower

    def drop(self, follower: Follower) -> None:
        """A follower leaves."""
        if self.leader is follower and self.state == "quiet":
            self.hand_over()
        self._followers.pop(follower, None)

    @property
    def followers(self) -> int:
        """How many wait."""
        return len(self._followers)

    def _over(self, state: State) -> None:
        self.state = state
        self._flights.forget(self._key, self)
        self._wake()

    def _wake(self) -> None:
        for follower in self._followers:
            if follower.wake is not None and not follower.wake.done():
                follower.wake.set_result(None)


class Flights:
    """The flights of this process.

    Args:
        followers: Of one flight at most; one more asks the provider itself.
    """

    def __init__(self, *, followers: int = 256) -> None:
        self._most = followers
        self._flights: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: bytes) -> Flight | Follower | None:
        """Take part: a :class:`Flight` to lead, a :class:`Follower` to wait, ``None`` when it is full.

        Args:
            key: Of :mod:`~holdfast.gateway.core.cache_key`: the tenant is in it.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(self, key)
            return flight
        return flight.follow() if flight.followers < self._most else None

    def forget(self, key: bytes, flight: Flight) -> None:
        """A flight is over: who asks now begins another."""
        if self._flights.get(key) is flight:
            del self._flights[key]
