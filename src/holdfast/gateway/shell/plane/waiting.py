"""Requests that wait for a place at a deployment: the fleet's queue, and those who wait in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.gateway.core.admission import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.gateway.core.fleet import DeploymentFleet
    from holdfast.gateway.core.ports import Need


class Waiting:
    """Bounded; interactive requests before batch, otherwise first come, first served."""

    def __init__(self, fleet: DeploymentFleet, bound: int, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._clock = clock
        self._queue: Queue[asyncio.Future[Need | None]] = Queue(bound)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    async def until_free(
        self, tiers: Sequence[Sequence[str]], need: Need, until: float, since: float | None
    ) -> Need | None:
        """Wait until there may be a place; ``None`` when the queue is full or ``until`` has come.

        What comes back is the need to choose by: a batch request that waited long has come of age. ``since``: it was
        woken before, and somebody else was quicker.
        """
        now = self._clock()
        turn: asyncio.Future[Need | None] = asyncio.get_running_loop().create_future()
        if not self._queue.push(turn, need, until, tiers=tuple(map(tuple, tiers)), now=now, since=since):
            return None
        try:
            return await turn
        finally:
            self._queue.remove(turn)

    def ahead(self, tiers: Sequence[Sequence[str]], need: Need) -> bool:
        """Whether somebody waits who has to go first."""
        return bool(len(self._queue)) and self._queue.ahead(tuple(map(tuple, tiers)), need.priority)

    def wake(self, now: float) -> None:
        """A place may be free: tell those whose turn it is."""
        if len(self._queue):
            for turn, need in self._queue.wake(now, self._fleet.room(now)):
                if not turn.done():
                    turn.set_result(need)

    def expire(self, now: float) -> None:
        """Turn away whose time is up; limits that grew by themselves let others go."""
        if len(self._queue):
            for turn in self._queue.expired(now):
                if not turn.done():
                    turn.set_result(None)
            self.wake(now)
