"""The heartbeat bars of a monitor: all regions over the last steps of time, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.netpulse.core.ports import Bucket
from holdfast.netpulse.core.result import Observation, Outcome

STEPS: Final = 60
SHORTEST_STEP_S: Final = 60.0
_KEPT: Final = 32
"""Times of one step that its median is taken of: the last ones."""


@dataclass(slots=True)
class Beat:
    """One bar."""

    at: float
    up: int = 0
    down: int = 0
    unknown: int = 0
    times_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))

    @property
    def p50_ms(self) -> float | None:
        """Median time of the checks that found it up."""
        return sorted(self.times_ms)[len(self.times_ms) // 2] if self.times_ms else None


class Beats:
    """The last :data:`STEPS` steps of one monitor."""

    __slots__ = ("_beats", "step_s")

    def __init__(self, interval_s: float) -> None:
        """Start empty; a step is the interval, and a minute at least."""
        self.step_s = max(SHORTEST_STEP_S, interval_s)
        self._beats: deque[Beat] = deque(maxlen=STEPS)

    def fill(self, buckets: Iterable[Bucket]) -> None:
        """Begin with what the records have."""
        for bucket in sorted(buckets, key=lambda bucket: bucket.at):
            beat = self._at(bucket.at)
            if beat is None:
                continue
            beat.up += bucket.up
            beat.down += bucket.down
            beat.unknown += bucket.unknown
            if bucket.p50_ms is not None:
                beat.times_ms.append(bucket.p50_ms)

    def add(self, seen: Observation) -> Beat | None:
        """Count one; the bar that it belongs to, unless that has left."""
        beat = self._at(seen.at)
        if beat is None:
            return None
        if seen.outcome is Outcome.UP:
            beat.up += 1
            beat.times_ms.append(seen.total_ms)
        elif seen.outcome is Outcome.DOWN:
            beat.down += 1
        else:
            beat.unknown += 1
        return beat

    def bars(self) -> Sequence[Beat]:
        """Oldest first."""
        return tuple(self._beats)

    def _at(self, at: float) -> Beat | None:
        start = at - at % self.step_s
        if not self._beats or start > self._beats[-1].at:
            self._beats.append(Beat(start))
            return self._beats[-1]
        for beat in reversed(self._beats):
            if beat.at == start:
                return beat
            if beat.at < start:
                break
        return None
