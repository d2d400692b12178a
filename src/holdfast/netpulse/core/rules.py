"""Simple rules instead of the detector: so many regions, each so many times in a row.

Recovery is the same the other way round. What regions say that have not been heard for long stays what it was: a
rule has no notion of time, which is one reason to prefer the detector.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.netpulse.core.settings import SimpleRule


class Streaks:
    """Results in a row, per region: failures positive, successes negative."""

    __slots__ = ("_in_a_row", "_regions", "streaks")

    def __init__(self, rule: SimpleRule, regions: Iterable[str]) -> None:
        names = tuple(regions)
        # A rule that asks for more regions than watch could never be met.
        self._regions = max(1, min(rule.regions, len(names)))
        self._in_a_row = max(1, rule.in_a_row)
        self.streaks = dict.fromkeys(names, 0)

    def add(self, region: str, failed: bool) -> None:
        """One more result."""
        streak = self.streaks[region]
        if failed:
            self.streaks[region] = streak + 1 if streak > 0 else 1
        else:
            self.streaks[region] = streak - 1 if streak < 0 else -1

    @property
    def failing(self) -> int:
        """Regions that say down."""
        return sum(streak >= self._in_a_row for streak in self.streaks.values())

    @property
    def well(self) -> int:
        """Regions that say up."""
        return sum(streak <= -self._in_a_row for streak in self.streaks.values())

    @property
    def down(self) -> bool:
        """Whether enough regions agree."""
        return self.failing >= self._regions

    @property
    def up(self) -> bool:
        """Whether enough regions agree that it is up, and not enough that it is down."""
        return self.well >= self._regions and not self.down

    @property
    def doubt(self) -> float:
        """0 to 1: failures in a row of those regions that are nearest to it, as a part of what the rule asks for."""
        nearest = sorted(self.streaks.values(), reverse=True)[: self._regions]
        return sum(min(max(streak, 0), self._in_a_row) for streak in nearest) / (self._regions * self._in_a_row)
