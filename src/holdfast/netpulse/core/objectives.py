"""Errors of objective: whether a monitor burns its error budget faster than it may.

Multi-window, multi-burn-rate alerts (Google, The Site Reliability Workbook, chapter 5, table 5-8): a burn rate of 1
spends the budget exactly over the objective's window. A rule holds when the rate is reached over its long window
(it matters) and over its short window (it still goes on).

    14.4 times over 1 h and 5 min,  6 times over 6 h and 30 min    BURN_FAST, somebody has to come
     3 times over 1 d and 2 h,      1 times over 3 d and 6 h       BURN_SLOW, a ticket

Rates of few checks are noise: one failure among sixty checks of an hour is 17 times the budget of 99.9 %. So a rule
needs :data:`LEAST_BAD` failures in its long window and :data:`LEAST_BAD_SHORT` in its short one, and what has begun
ends only when its short window is below half of the rate: a failure at the edge tells nobody twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.netpulse.core.incident import Condition, Evidence
from holdfast.netpulse.core.signal import Signal

LEAST_BAD: Final = 4
"""Failures in the long window before a rate means anything: one of them, or one in each of three regions, is not a
trend."""
LEAST_BAD_SHORT: Final = 2
END_RATIO: Final = 0.5
"""Part of its rate that the short window has to fall below."""

Counts = tuple[int, int]
"""Good checks and all checks that were decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRule:
    """One pair of windows."""

    condition: Condition
    rate: float
    long_s: float
    short_s: float


BURN_RULES: Final = (
    BurnRule(condition=Condition.BURN_FAST, rate=14.4, long_s=3_600.0, short_s=300.0),
    BurnRule(condition=Condition.BURN_FAST, rate=6.0, long_s=21_600.0, short_s=1_800.0),
    BurnRule(condition=Condition.BURN_SLOW, rate=3.0, long_s=86_400.0, short_s=7_200.0),
    BurnRule(condition=Condition.BURN_SLOW, rate=1.0, long_s=259_200.0, short_s=21_600.0),
)
WINDOWS_S: Final = tuple(sorted({window for rule in BURN_RULES for window in (rule.long_s, rule.short_s)}))
"""Windows that :meth:`Objective.judge` needs counts of, in seconds, ending now."""


def burn_rate(counts: Counts, target: float) -> float:
    """Failures as a multiple of those that the objective allows; 0 without any check."""
    good, total = counts
    return 0.0 if total <= 0 else (total - good) / total / (1.0 - target)


def budget_left(counts: Counts, target: float) -> float:
    """Part of the error budget that is left, by the counts of the objective's whole window; negative when overspent."""
    return 1.0 - burn_rate(counts, target)


class Objective:
    """Burn alerts of one monitor. Raises ``ValueError`` for a target outside of (0, 1)."""

    __slots__ = ("_holding", "monitor", "target")

    def __init__(self, monitor: str, target: float) -> None:
        if not 0.0 < target < 1.0:
            raise ValueError(f"objective of {monitor}: target is {target:g}; it must be above 0 and below 1")
        self.monitor = monitor
        self.target = target
        self._holding: set[int] = set()

    @property
    def active(self) -> frozenset[Condition]:
        """What stands."""
        return frozenset(BURN_RULES[index].condition for index in self._holding)

    def resume(self, active: frozenset[Condition]) -> None:
        """After a restart: what stood then stands until the counts say otherwise."""
        self._holding = {index for index, rule in enumerate(BURN_RULES) if rule.condition in active}

    def judge(self, counts: Mapping[float, Counts], now: float) -> list[Signal]:
        """What begins or ends by the counts of :data:`WINDOWS_S`."""
        before = self.active
        for index, rule in enumerate(BURN_RULES):
            long, short = counts[rule.long_s], counts[rule.short_s]
            if index in self._holding:
                if burn_rate(short, self.target) < rule.rate * END_RATIO:
                    self._holding.discard(index)
            elif (
                long[1] - long[0] >= LEAST_BAD
                and short[1] - short[0] >= LEAST_BAD_SHORT
                and burn_rate(long, self.target) >= rule.rate
                and burn_rate(short, self.target) >= rule.rate
            ):
                self._holding.add(index)
        after = self.active
        return [self._signal(condition, condition in after, counts, now) for condition in sorted(before ^ after)]

    def _signal(self, condition: Condition, active: bool, counts: Mapping[float, Counts], now: float) -> Signal:
        rules = [rule for rule in BURN_RULES if rule.condition is condition]
        held = [rule for index, rule in enumerate(BURN_RULES) if index in self._holding and rule in rules]
        figures: Evidence = {
            "target": self.target,
            "rules": [
                {
                    "rate": rule.rate,
                    "long_s": rule.long_s,
                    "short_s": rule.short_s,
                    "burn_long": round(burn_rate(counts[rule.long_s], self.target), 2),
                    "burn_short": round(burn_rate(counts[rule.short_s], self.target), 2),
                    "failures": counts[rule.long_s][1] - counts[rule.long_s][0],
                }
                for rule in rules
            ],
        }
        began = now - min((rule.long_s for rule in held), default=0.0)
        name = "objective.burns" if active else "objective.holds"
        return Signal(
            monitor=self.monitor,
            condition=condition,
            active=active,
            at=now,
            began=began,
            rule=name,
            evidence=figures,
        )
