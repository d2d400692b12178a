"""Latencies counted in buckets 5 % wide: sparse, so small, and sums of them are exact.

Bucket ``i`` holds what is nearest to ``1.05 ** i`` hundredths of a millisecond, so a quantile read from it is within
2.5 %. Quantiles of quantiles would be within nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH: Final = 1.05

_PER_E: Final = 1 / math.log(WIDTH)


def bucket(hundredths: int) -> int:
    """Where a latency belongs. 0 has what is at most 0.01 ms."""
    return round(math.log(hundredths) * _PER_E) if hundredths > 1 else 0


def quantile_ms(counts: Mapping[int, int], part: float) -> float | None:
    """The latency that ``part`` of the counted are at or under (nearest rank); ``None`` of none."""
    rank = math.ceil(part * sum(counts.values()))
    for index in sorted(counts):
        rank -= counts[index]
        if rank <= 0:
            return round(WIDTH**index / 100, 3)
    return None
