"""When a provider says to come back."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping

__all__ = ["LONGEST_S", "bounded_s", "retry_after_s"]

LONGEST_S = 3600.0
"""A provider that asks for more is asked again after an hour."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds from ``retry-after-ms`` or ``retry-after`` (names in lower case), within 0..3600.

    A date (RFC 9110, 10.2.3) is counted from the response's own ``date``: both are of the provider's clock. Without
    one, or with nonsense, the answer is ``None``.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return bounded_s(float(milliseconds) / 1000)
    value = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(value):
        return bounded_s(float(value))
    then, now = _epoch(value), _epoch(headers.get("date", "").strip())
    return None if then is None or now is None else bounded_s(float(then - now))


def bounded_s(seconds: float) -> float:
    """Within 0..3600; nonsense (not a number) is 0."""
    return min(max(0.0, seconds), LONGEST_S)


def _epoch(text: str) -> int | None:
    """Seconds since the epoch of a date as HTTP writes them (IMF-fixdate)."""
    found = _DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, month, year, hour, minute, second = (
        int(found[1]),
        _MONTHS.index(found[2]) + 1,
        *(int(found[n]) for n in (3, 4, 5, 6)),
    )
    if not 1 <= day <= 31 or year < 1970:
        return None
    return calendar.timegm((year, month, day, hour, minute, second))
