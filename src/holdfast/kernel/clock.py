"""Time and chance as values that are passed in.

Two kinds of time never mix: *monotonic* seconds (``float``, arbitrary origin) for
durations and deadlines, and *aware UTC* ``datetime`` for anything that is written down.
"""

from __future__ import annotations

import datetime as dt
from typing import Protocol


class Clock(Protocol):
    """A source of both kinds of time."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes back."""
        ...

    def utc(self) -> dt.datetime:
        """The wall clock, aware and in UTC."""
        ...


class IdSource(Protocol):
    """A source of identifiers that never repeat."""

    def new_id(self) -> str:
        """A fresh identifier: printable ASCII, no spaces."""
        ...
