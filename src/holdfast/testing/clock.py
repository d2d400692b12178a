"""Time that passes when a test says so."""

from __future__ import annotations

import datetime as dt


class FakeClock:
    """A :class:`~holdfast.kernel.Clock` that stands still until :meth:`advance`.

    Both kinds of time move together. The start of the monotonic one is arbitrary, as it is in production.
    """

    def __init__(self, *, monotonic: float = 1000.0, utc: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) -> None:
        self._monotonic = monotonic
        self._utc = utc

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin."""
        return self._monotonic

    def utc(self) -> dt.datetime:
        """The wall clock, aware and in UTC."""
        return self._utc

    def advance(self, seconds: float) -> None:
        """Let time pass. Raises ``ValueError`` for a negative step: time never goes back."""
        if seconds < 0:
            raise ValueError(f"time cannot go back, got a step of {seconds} s")
        self._monotonic += seconds
        self._utc += dt.timedelta(seconds=seconds)
