"""The raw numbers behind a metric: a list, or a histogram when there are many."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

_DIGITS: Final = 3
"""Significant digits of a histogram's values: any quantile is off by 0.5 % at most, and a
hundred thousand latencies over four decades shrink to a few thousand pairs."""


class Histogram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often each value occurred. ``values`` ascend; both lists are equally long."""

    values: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.counts):
            raise ValueError(f"{len(self.values)} values but {len(self.counts)} counts")
        if any(left >= right for left, right in zip(self.values, self.values[1:], strict=False)):
            raise ValueError("the values of a histogram must ascend")
        if any(count < 1 for count in self.counts):
            raise ValueError("the counts of a histogram must be positive")

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Histogram:
        """Round to three significant digits and count."""
        counted = Counter(_rounded(number) for number in numbers)
        values = sorted(counted)
        return cls(values=tuple(values), counts=tuple(counted[value] for value in values))


Samples = tuple[float, ...] | Histogram
"""Numbers in the order in which they were taken, or counted by value."""


def _rounded(number: float) -> float:
    if number == 0 or not math.isfinite(number):
        return number
    return round(number, _DIGITS - 1 - math.floor(math.log10(abs(number))))


def pairs(samples: Samples) -> Sequence[tuple[float, int]]:
    """Values in ascending order with their counts."""
    if isinstance(samples, Histogram):
        return list(zip(samples.values, samples.counts, strict=True))
    return [(value, 1) for value in sorted(samples)]


def count(samples: Samples) -> int:
    """How many numbers there are."""
    return sum(samples.counts) if isinstance(samples, Histogram) else len(samples)


def total(samples: Samples) -> float:
    """Their sum, exactly rounded."""
    return math.fsum(value * times for value, times in pairs(samples))


def quantile(samples: Samples, q: float) -> float | None:
    """The smallest value that at least a share ``q`` (0 to 1) of all does not exceed.

    Nearest rank: the result is a number that occurred. ``None`` without numbers.
    """
    rank = max(1, math.ceil(q * count(samples)))
    seen = 0
    for value, times in pairs(samples):
        seen += times
        if seen >= rank:
            return value
    return None
