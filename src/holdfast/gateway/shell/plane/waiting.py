"""Requests that wait for a place at a deployment: the fleet's queue, and those who wait in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from holdfast.gateway.core.admission import Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.gateway.core.fleet import DeploymentFleet
    from holdfast.gateway.core.ports import Need

T = TypeVar("T")


class Waiting:
    """Bounded; interactive requests before batch, otherwise first come, first served."""

    def __init__(self, fleet: DeploymentFleet, bound: int, clock: Callable[[], float]) -> None:
        self._fleet = fleet
        self._clock = clock
        self._queue: Queue[asyncio.Future[bool]] = Queue(bound)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)
