"""How often somebody may ask, in this process: a bucket for each."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from holdfast.resilience import RateLimit

KEPT: Final = 10_000
"""Buckets that are kept; beyond that, the one that was asked for the longest ago is forgotten."""


class Buckets:
    """A :class:`~holdfast.resilience.RateLimit` for each name, all alike."""

    def __init__(self, per_s: float, burst: float) -> None:
        """As of a :class:`~holdfast.resilience.RateLimit`; a ``per_s`` of 0 is no limit."""
        self._per_s = per_s
        self._burst = burst
        self._of: OrderedDict[str, RateLimit] = OrderedDict()

    def __len__(self) -> int:
        """Names that are remembered."""
        return len(self._of)

    def take(self, name: str, now: float, count: int = 1) -> float:
        """Count something. 0 when it may be, else the seconds after which it could; ``now`` is monotonic."""
        if self._per_s == 0:
            return 0.0
        bucket = self._of.get(name)
        if bucket is None:
            # Names may be a stranger's invention: constant work and room, whatever they are.
            if len(self._of) >= KEPT:
                self._of.popitem(last=False)
            bucket = self._of[name] = RateLimit(self._per_s, self._burst)
        self._of.move_to_end(name)
        return bucket.take(now, count)
