"""How often somebody may do something."""

from __future__ import annotations

import math
from typing import Final

_ROUNDING: Final = 1e-9
"""Slack for who comes back exactly when told to: 0.1 s at 10 per second is 0.9999999999999996 of a token."""


class RateLimit:
    """Token bucket: ``per_s`` in the long run, ``burst`` at once.

    Args:
        per_s: Tokens that come back per second; 0 switches the limit off.
        burst: Tokens of a full bucket, 1 or more. It starts full.

    Raises:
        ValueError: An argument is out of range.
    """

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, per_s: float, burst: float) -> None:
        if not per_s >= 0 or not burst >= 1:
            raise ValueError(f"a rate limit needs per_s >= 0 and burst >= 1; got {per_s=}, {burst=}")
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._at = -math.inf

    def take(self, now: float, count: int = 1) -> float:
        """Take ``count`` tokens, or none.

        A request for more than the bucket holds is granted from a full one and leaves it overdrawn: it could not be
        granted otherwise, and the long run is kept.

        Returns:
            0 when they were taken, else the seconds after which they could be. ``now`` is monotonic.
        """
        wait = self.missing(now, count)
        if wait == 0.0 and self._per_s:
            self._tokens -= count
        return wait

    def missing(self, now: float, count: int = 1) -> float:
        """What :meth:`take` would return; takes nothing. For who needs several buckets to agree."""
        if self._per_s == 0:
            return 0.0
        self._refill(now)
        missing = min(count, self._burst) - self._tokens
        return missing / self._per_s if missing > _ROUNDING else 0.0

    def full(self, now: float) -> bool:
        """Whether it may be forgotten: a new one would be the same."""
        self._refill(now)
        return self._tokens >= self._burst

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
            self._at = now
