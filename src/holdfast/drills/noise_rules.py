"""The rules that the detector is compared with, as watchers of the simulated world."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.netpulse.core.filter import DOWN_FAILS, Path
from holdfast.netpulse.core.incident import Condition
from holdfast.netpulse.core.result import Observation, Outcome
from holdfast.netpulse.core.rules import Streaks
from holdfast.netpulse.core.settings import SimpleRule
from holdfast.netpulse.core.signal import Signal

DEDUP_S: Final = 600.0


class _Rule:
    """What all of them share: they say down and up, and never ask for a confirmation."""

    suspicious = False

    def __init__(self) -> None:
        self.down = False

    def skip(self, region: str, successes: int, until: float) -> None:
        """Nothing is counted."""

    def confirmations(self, now: float) -> Sequence[str]:
        """None: these rules wait for the schedule."""
        return ()

    def _say(self, down: bool, seen: Observation, rule: str, *, told: bool = True) -> list[Signal]:
        self.down = down
        if not told:
            return []
        return [
            Signal(
                monitor=seen.monitor,
                condition=Condition.DOWN,
                active=down,
                at=seen.received,
                began=seen.at,
                rule=rule,
            )
        ]


class AnyTwice(_Rule):
    """The baseline: any region twice in a row is down, the first success resolves, ten minutes of deduplication.

    A rule like that runs in many a small monitor. The deduplication begins with the page and is not lifted by a
    recovery, so what goes down again within ten minutes is not told.
    """

    def __init__(self, regions: Mapping[str, str]) -> None:
        super().__init__()
        self._failures = dict.fromkeys(regions, 0)
        self._told_at = -math.inf

    @property
    def calm(self) -> bool:
        """Nothing failed last."""
        return not self.down and not any(self._failures.values())

    def observe(self, seen: Observation) -> Sequence[Signal]:
        """One result."""
        if seen.outcome is Outcome.UP:
            self._failures[seen.region] = 0
            return self._say(False, seen, "any-twice") if self.down else ()
        self._failures[seen.region] += 1
        if self.down or self._failures[seen.region] < 2:
            return ()
        told = seen.received - self._told_at >= DEDUP_S
        if told:
            self._told_at = seen.received
        return self._say(True, seen, "any-twice", told=told)


class KOfN(_Rule):
    """``k`` regions that each failed ``in_a_row`` times; up by the same number of successes."""

    def __init__(self, regions: Mapping[str, str], *, k: int, in_a_row: int) -> None:
        super().__init__()
        self._streaks = Streaks(SimpleRule(regions=k, in_a_row=in_a_row), regions)

    @property
    def calm(self) -> bool:
        """Nothing failed last, but for a region that does nothing else."""
        return not self.down and not any(0 < streak < 100 for streak in self._streaks.streaks.values())

    def observe(self, seen: Observation) -> Sequence[Signal]:
        """One result."""
        self._streaks.add(seen.region, seen.outcome is Outcome.DOWN)
        if self._streaks.down and not self.down:
            return self._say(True, seen, "k-of-n")
        if self._streaks.up and self.down:
            return self._say(False, seen, "k-of-n")
        return ()


class SummedCusum(_Rule):
    """The negative control: the same filters and ratios, in one sum over all regions, nothing capped.

    What one region says often enough is an alarm.
    """

    def __init__(self, regions: Mapping[str, str], *, threshold: float, interval_s: float) -> None:
        super().__init__()
        self._paths = {name: Path(interval_s) for name in regions}
        self._threshold = threshold
        self._sum = 0.0
        self._up = 0

    @property
    def calm(self) -> bool:
        """No evidence, and every path rests."""
        return not self.down and self._sum <= 0.0 and all(path.resting for path in self._paths.values())

    def skip(self, region: str, successes: int, until: float) -> None:
        """Only time goes on."""
        self._paths[region].last = until

    def observe(self, seen: Observation) -> Sequence[Signal]:
        """One result."""
        path = self._paths[seen.region]
        failed = seen.outcome is Outcome.DOWN
        fails = path.fails(seen.at)
        path.update(fails, failed)
        if self.down:
            self._up = 0 if failed else self._up + 1
            if self._up < 2:
                return ()
            self._sum = 0.0
            for other in self._paths.values():
                other.settle()
            return self._say(False, seen, "summed")
        llr = math.log(DOWN_FAILS / fails) if failed else math.log((1.0 - DOWN_FAILS) / (1.0 - fails))
        self._sum = max(0.0, self._sum + llr)
        if self._sum < self._threshold:
            return ()
        self._up = 0
        return self._say(True, seen, "summed")
