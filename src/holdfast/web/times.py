"""Times as APIs write and read them: RFC 3339."""

from __future__ import annotations

import datetime as dt
from typing import overload


@overload
def timestamp(at: float) -> str: ...
@overload
def timestamp(at: float | None) -> str | None: ...
def timestamp(at: float | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond, of seconds since the epoch; ``None`` stays."""
    if at is None:
        return None
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time. Raises ``ValueError`` that says what is accepted."""
    try:
        at = dt.datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError
        return at.timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is not a time; write one like 2026-11-22T10:00:00Z") from None
