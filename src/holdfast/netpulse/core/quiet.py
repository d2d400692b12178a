"""Quiet hours: when do they end, in the time of the people who sleep. Pure.

A night begins at ``start`` on each of ``days`` and lasts until ``end``, the next day when that is not later. Both are
times of a clock on the wall of ``timezone``, so the length of a night changes with daylight saving:

- a time that the clock skips is taken by the offset before the change (02:30 becomes 03:30), and of a time that it
  shows twice the first is meant: RFC 5545, section 3.3.5;
- nights that touch are one.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from holdfast.netpulse.core.settings import QuietSettings

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST: Final = 8
"""Nights that are followed one after the other: quiet for a whole week is an error of settings, not a wish."""


def quiet_until(quiet: QuietSettings, now: float) -> float:
    """When the quiet that holds at ``now`` ends; ``now`` itself when there is none. Seconds since the epoch.

    Raises:
        ValueError: A time or the time zone cannot be read (validation says so before).
    """
    zone = _zone(quiet.timezone)
    start, end = time_of_day(quiet.start), time_of_day(quiet.end)
    until = now
    for _ in range(_LONGEST):
        later = _night_end(until, start, end, zone, quiet.days)
        if later is None:
            break
        until = later
    return until


def time_of_day(text: str) -> dt.time:
    """``22:00``. Raises ``ValueError`` for anything else."""
    if len(text) != 5 or text[2] != ":" or not (text[:2] + text[3:]).isdigit():
        raise ValueError(f"not a time of day: {text!r}; write it like 22:00")
    return dt.time(int(text[:2]), int(text[3:]))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"not a time zone: {name!r}; write it like Europe/Berlin") from error


def _night_end(now: float, start: dt.time, end: dt.time, zone: ZoneInfo, days: tuple[str, ...]) -> float | None:
    today = dt.datetime.fromtimestamp(now, zone).date()
    for evening in (today - dt.timedelta(days=1), today):
        if days and _DAYS[evening.weekday()] not in days:
            continue
        morning = evening if end > start else evening + dt.timedelta(days=1)
        begins = dt.datetime.combine(evening, start, zone).timestamp()
        ends = dt.datetime.combine(morning, end, zone).timestamp()
        if begins <= now < ends:
            return ends
    return None
