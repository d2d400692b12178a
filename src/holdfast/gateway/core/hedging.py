"""When a first token is late, and what hedges may cost.

**Late** is later than a quantile of what this deployment took lately. The estimator is a histogram with geometric
buckets whose counts fade with time::

    bucket i holds  SHORTEST * RATIO ** i  <=  x  <  SHORTEST * RATIO ** (i + 1)
    weight of an observation t seconds ago:  0.5 ** (t / half_life)

Forward decay (Cormode et al., 2009) does that without touching old counts: a *new* one weighs ``2 ** (t / half_life)``,
and everything is scaled down before that grows out of bounds. The answer is off by at most the width of a bucket,
memory is constant, and unlike with P² what was true an hour ago is forgotten.

An attempt that lost against its hedge never says how long it would have taken. Left out, just the slow ones would be
missing, the quantile would sink, and more hedges would follow. So it is counted with the time it had waited: a lower
bound, and above the quantile, which is all that matters there.

**The cost** is bounded like retries (:class:`~holdfast.resilience.RetryBudget`), but in tokens: those of hedges are at
most a share of those of requests over the last minute.
"""

from __future__ import annotations

import math
from typing import Final

SHORTEST_S: Final = 0.001
LONGEST_S: Final = 600.0
RATIO: Final = 1.05
"""Width of a bucket: a quantile is off by 5 % at most."""
HALF_LIFE_S: Final = 300.0
"""Long enough for 20 samples at one request in ten seconds, short enough to follow a provider's bad hour."""
_BUCKETS: Final = math.ceil(math.log(LONGEST_S / SHORTEST_S) / math.log(RATIO)) + 1
_SCALE_AT: Final = 2.0**40
_RECOUNT: Final = 16
"""The quantile is walked for again after this many observations, or a second."""


class Quantiles:
    """Quantiles of times in seconds, the recent ones counting more. Memory: one float per bucket (273)."""

    __slots__ = ("_asked", "_cached", "_cached_at", "_counts", "_epoch", "_fresh", "_half_life_s", "_total")

    def __init__(self, half_life_s: float = HALF_LIFE_S) -> None:
        self._half_life_s = half_life_s
        self._counts = [0.0] * _BUCKETS
        self._total = 0.0
        """Sum of the counts, in weights of ``_epoch``."""
        self._epoch = 0.0
        self._fresh = _RECOUNT
        self._asked = -1.0
        self._cached = 0.0
        self._cached_at = -math.inf

    def observe(self, seconds: float, now: float) -> None:
        """Count one; what is shorter or longer than the range counts at its end."""
        weight = self._weight(now)
        if weight > _SCALE_AT:
            self._counts = [count / weight for count in self._counts]
            self._total /= weight
            self._epoch = now
            weight = 1.0
        place = int(math.log(max(SHORTEST_S, seconds) / SHORTEST_S) / math.log(RATIO))
        self._counts[min(place, _BUCKETS - 1)] += weight
        self._total += weight
        self._fresh += 1

    def volume(self, now: float) -> float:
        """Observations, faded."""
        return self._total / self._weight(now)

    def quantile(self, share: float, now: float) -> float | None:
        """What ``share`` of the observations did not exceed (the end of its bucket); ``None`` without any."""
        if self._total <= 0.0:
            return None
        if self._asked == share and self._fresh < _RECOUNT and now - self._cached_at < 1.0:
            return self._cached
        wanted = share * self._total
        seen = 0.0
        place = _BUCKETS - 1
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= wanted and count > 0.0:
                place = index
                break
        self._asked, self._fresh, self._cached_at = share, 0, now
        self._cached = SHORTEST_S * RATIO ** (place + 1)
        return self._cached

    def share_above(self, seconds: float) -> float:
        """Share of the observations in buckets above that of ``seconds``; 0 without any."""
        if self._total <= 0.0:
            return 0.0
        place = int(math.log(max(SHORTEST_S, seconds) / SHORTEST_S) / math.log(RATIO))
        return sum(self._counts[place + 1 :]) / self._total

    def _weight(self, now: float) -> float:
        return (
            math.exp2(min(1000.0, (now - self._epoch) / self._half_life_s)) if self._total > 0.0 else self._begin(now)
        )

    def _begin(self, now: float) -> float:
        self._epoch = now
        return 1.0


class TokenBudget:
    """How much may be added to what was asked for: a share of it, or a floor in quiet times, over a moving window.

    In tokens it bounds hedges; one per attempt, it bounds extra attempts (:class:`.attempts.ExtraAttempts`).

    Invariant: whenever something is granted, what was granted within the window, that included, is at most
    ``percent / 100`` of what was asked for in the same window, or ``floor``: the larger of both, not their sum.

    The window moves in ten steps and is up to a step longer than said, so that nothing is forgotten early.

    Args:
        percent: Of what is asked for, 0 or more.
        window_s: Seconds, more than 0. Long against the pace of requests, or a small share never adds up to one hedge.
        floor: Granted in any window, 0 or more.

    Raises:
        ValueError: An argument is out of range.
    """

    __slots__ = ("_floor", "_percent", "_step_s", "_steps", "refused", "spent")

    _STEPS: Final = 10

    def __init__(self, percent: float = 5.0, window_s: float = 60.0, floor: float = 0.0) -> None:
        if not percent >= 0 or not window_s > 0 or not floor >= 0:
            raise ValueError(
                f"a budget needs percent >= 0, window_s > 0 and floor >= 0; got {percent=}, {window_s=}, {floor=}"
            )
        self._percent = percent
        self._floor = floor
        self._step_s = window_s / self._STEPS
        self._steps: dict[int, list[int]] = {}
        """Number of the step -> asked for, granted; at most eleven."""
        self.spent = 0
        """Granted since the start."""
        self.refused = 0
        """How often it could not be afforded since the start."""

    def request(self, amount: int, now: float) -> None:
        """Count what a client asked for."""
        self._step(now)[0] += amount

    def try_spend(self, amount: int, now: float) -> bool:
        """Take so much from the budget, or nothing (``False``)."""
        step = self._step(now)
        asked = sum(entry[0] for entry in self._steps.values())
        spent = sum(entry[1] for entry in self._steps.values())
        if (spent + amount) * 100.0 > max(asked * self._percent, self._floor * 100.0):
            self.refused += 1
            return False
        step[1] += amount
        self.spent += amount
        return True

    def _step(self, now: float) -> list[int]:
        number = math.floor(now / self._step_s)
        step = self._steps.get(number)
        if step is None:
            oldest = number - self._STEPS
            self._steps = {at: entry for at, entry in self._steps.items() if at >= oldest}
            step = self._steps[number] = [0, 0]
        return step
