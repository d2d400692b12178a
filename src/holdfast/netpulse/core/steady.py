"""Wall-clock time that never runs back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

PACE: Final = 0.9
"""Of real time, while the wall clock catches up: an hour set back is made up for in ten."""


class Steady:
    """Seconds since the epoch: the wall clock's, unless that was set back; then a slower time until it is ahead again.

    Everything that is decided rests on an order in time: evidence, escalation, what is due in the outbox. A clock that
    was set back an hour would hold back every message by that hour. One that was set forward is followed at once.
    """

    def __init__(self, *, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        """Start with the wall clock. ``monotonic`` gives seconds from any origin."""
        self._wall = wall
        self._monotonic = monotonic
        self._now = wall()
        self._at = monotonic()

    def __call__(self) -> float:
        """Now."""
        at = self._monotonic()
        self._now = max(self._wall(), self._now + PACE * (at - self._at))
        self._at = at
        return self._now
