"""How late checks began, of the last minute."""

from __future__ import annotations

import math
from typing import Final

WINDOWS: Final = 6
WINDOW_S: Final = 10.0
_STEP: Final = math.log(1.2)
_FIRST_MS: Final = 0.1
_BUCKETS: Final = 96
"""Each 20 % wider than the one before, from 0.1 ms to over an hour."""


class Lag:
    """A sliding histogram: constant memory, a percentile within 20 %."""

    def __init__(self, now: float) -> None:
        """Times are steady seconds."""
        self._windows = [[0] * _BUCKETS for _ in range(WINDOWS)]
        self._at = 0
        self._until = now + WINDOW_S

    def add(self, lag_s: float, now: float) -> None:
        """One check began so late."""
        self._turn(now)
        ms = lag_s * 1000.0
        bucket = 0 if ms <= _FIRST_MS else min(_BUCKETS - 1, int(math.log(ms / _FIRST_MS) / _STEP) + 1)
        self._windows[self._at][bucket] += 1

    def percentile_ms(self, part: float, now: float) -> float:
        """The upper edge of the bucket that has it; 0 when nothing began in the last minute."""
        self._turn(now)
        totals = [sum(counts) for counts in zip(*self._windows, strict=True)]
        left = math.ceil(part * sum(totals))
        if not left:
            return 0.0
        for bucket, count in enumerate(totals):
            left -= count
            if left <= 0:
                return _FIRST_MS * math.exp(bucket * _STEP)
        raise AssertionError("the parts are more than the whole")

    def _turn(self, now: float) -> None:
        if now < self._until:
            return
        for _ in range(min(WINDOWS, int((now - self._until) / WINDOW_S) + 1)):
            self._at = (self._at + 1) % WINDOWS
            self._windows[self._at] = [0] * _BUCKETS
        self._until = now + WINDOW_S
