"""Maintenance windows: when they are, in the time of the place that they are written for.

The start is wall-clock time of an IANA zone, and a recurrence (RFC 5545, ``RRULE``) repeats that wall-clock time:
``02:00`` stays ``02:00`` in summer and winter. Where the clock is changed, RFC 5545 (sections 3.3.5 and 3.3.10) says
what is meant:

    the time does not exist (clocks go forward)   by the offset before the change: 02:30 becomes 03:30
    the time exists twice (clocks go back)        the first of the two

The duration is time that really passes: a window of four hours over a change ends four hours later, whatever clocks
on the wall say. Windows are half open: the start belongs to it, the end does not.
Occurrences may overlap.

Of a recurrence, ``FREQ`` from ``DAILY`` to ``YEARLY`` with ``INTERVAL``, ``COUNT``, ``UNTIL``, ``BYDAY``, ``BYMONTH``,
``BYMONTHDAY``, ``BYSETPOS`` and ``WKST`` are taken. What is finer than a day would make a rule that is expensive to
follow; several windows say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from holdfast.kernel.settings import Problem
from holdfast.netpulse.core.matching import too_large
from holdfast.netpulse.core.settings import MaintenanceSettings

LONGEST_S: Final = 31 * 86_400.0
"""A window that takes longer is no maintenance; pause the monitor."""
_START: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?")
_RULE_LIMIT: Final = 256
_PARTS: Final = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS", "WKST"},
)
_FREQUENCIES: Final = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
_DAYS: Final = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time that a window is open; seconds since the epoch."""

    since: float
    until: float


class Window:
    """When a maintenance is. Asked with a ``now`` that does not go back (or only a little).

    Raises:
        ValueError: The settings are wrong; :func:`problems` says how.
    """

    __slots__ = ("_current", "_duration", "_next", "_starts")

    def __init__(self, settings: MaintenanceSettings) -> None:
        wrong = problems(settings)
        if wrong:
            raise ValueError(f"maintenance: {wrong[0].message}; {wrong[0].remedy}")
        self._duration = float(settings.duration)
        self._starts = _starts(settings)
        self._current: Occurrence | None = None
        self._next: Occurrence | None = self._following()

    def at(self, now: float) -> Occurrence | None:
        """The occurrence that ``now`` falls into."""
        self._advance(now)
        current = self._current
        return current if current is not None and current.since <= now < current.until else None

    def next_change(self, now: float) -> float | None:
        """When it opens or closes next; ``None`` when it never will."""
        occurrence = self.at(now)
        if occurrence is not None:
            return occurrence.until
        return self._next.since if self._next is not None else None

    def last_end(self, now: float) -> float | None:
        """When it was open last; ``None`` when it is, or never was."""
        self._advance(now)
        current = self._current
        return current.until if current is not None and current.until <= now else None

    def coming(self, now: float) -> Occurrence | None:
        """The next occurrence that has not begun."""
        self._advance(now)
        return self._next

    def _advance(self, now: float) -> None:
        while self._next is not None and self._next.since <= now:
            self._current = self._next
            self._next = self._following()

    def _following(self) -> Occurrence | None:
        since = next(self._starts, None)
        if since is None:
            return None
        until = since + self._duration
        return Occurrence(since, until)


def _starts(settings: MaintenanceSettings) -> Iterator[float]:
    zone = ZoneInfo(settings.timezone)
    start = datetime.fromisoformat(settings.start)
    if not settings.rrule:
        yield start.replace(tzinfo=zone).timestamp()
        return
    for local in _rule(settings.rrule, start, zone):
        # fold=0 is both rules of RFC 5545: in a gap the offset before it, in an overlap the first time.
        yield local.replace(tzinfo=zone, fold=0).timestamp()


def _rule(text: str, start: datetime, zone: ZoneInfo) -> rrule:
    parts = []
    for part in text.upper().split(";"):
        name, _, value = part.partition("=")
        if name == "UNTIL" and value.endswith("Z"):  # an instant; the rule counts in the time of the place
            until = datetime.fromisoformat(value).astimezone(zone)
            value = f"{until:%Y%m%dT%H%M%S}"
        parts.append(f"{name}={value}")
    rule = rrulestr(";".join(parts), dtstart=start)
    if not isinstance(rule, rrule):
        raise TypeError("one rule gives one rrule")
    return rule


def problems(settings: MaintenanceSettings) -> list[Problem]:
    """What is wrong with a maintenance; nothing when :class:`Window` takes it."""
    found: list[Problem] = []

    def wrong(key: str, value: object, message: str, remedy: str) -> None:
        found.append(Problem(path=(key,), value=value, message=message, remedy=remedy))

    try:
        zone = ZoneInfo(settings.timezone)
    except (KeyError, ValueError, OSError):
        zone = ZoneInfo("UTC")
        wrong("timezone", settings.timezone, "is no time zone", "write a name of the IANA list, like Europe/Berlin")
    start: datetime | None = None
    if _START.fullmatch(settings.start):
        try:
            start = datetime.fromisoformat(settings.start)
        except ValueError:
            start = None
    if start is None or not 1990 <= start.year <= 2200:
        wrong("start", settings.start, "is no local time", "write it like 2026-11-22T02:00, without a zone")
    if not 0 < settings.duration <= LONGEST_S:
        wrong(
            "duration", settings.duration, "is not more than 0 and at most 31 days", "write how long it lasts, like 2h"
        )
    large = too_large(settings.match)
    if large:
        wrong("match", dict(settings.match), large, "write several maintenances")
    if settings.rrule and start is not None and not found:
        message = _wrong_rule(settings.rrule, start, zone)
        if message:
            wrong("rrule", settings.rrule, message, "write it like FREQ=WEEKLY;BYDAY=SU (RFC 5545, section 3.3.10)")
    return found


def _wrong_rule(text: str, start: datetime, zone: ZoneInfo) -> str:
    if len(text) > _RULE_LIMIT:
        return f"is longer than {_RULE_LIMIT} characters"
    pairs = [part.partition("=") for part in text.upper().split(";")]
    parts = {name: value for name, _, value in pairs}
    strange = sorted(set(parts) - _PARTS)
    if strange or len(parts) < len(pairs):
        return f"has a part that is not taken: {strange[0]}" if strange else "has a part twice"
    if parts.get("FREQ") not in _FREQUENCIES:
        return "has no FREQ of DAILY, WEEKLY, MONTHLY or YEARLY"
    try:
        if not 1 <= int(parts.get("INTERVAL", "1")) <= 1_000:
            return "has an INTERVAL that is not from 1 to 1000"
        if never := _impossible(parts):
            return never
        first = next(iter(_rule(text, start, zone)), None)
    except (ValueError, TypeError, OverflowError) as error:
        return f"cannot be read ({error})"
    return "" if first is not None else "never comes true"


def _impossible(parts: dict[str, str]) -> str:
    """Dates that no year has: looking for them takes until the year 9999."""
    months = [int(month) for month in parts["BYMONTH"].split(",")] if "BYMONTH" in parts else list(_DAYS)
    days = [int(day) for day in parts["BYMONTHDAY"].split(",")] if "BYMONTHDAY" in parts else [1]
    if not all(month in _DAYS for month in months) or not all(1 <= abs(day) <= 31 for day in days):
        return "names a month or a day that does not exist"
    if min(map(abs, days)) > max(_DAYS[month] for month in months):
        return "names a day that none of its months has"
    if "BYSETPOS" in parts and parts["FREQ"] not in {"MONTHLY", "YEARLY"}:
        return "has BYSETPOS, which only helps with MONTHLY and YEARLY"
    limit = 53 if parts["FREQ"] == "YEARLY" and "BYMONTH" not in parts else 5
    for day in parts.get("BYDAY", "").split(","):
        ordinal = day[:-2]
        if ordinal and (parts["FREQ"] not in {"MONTHLY", "YEARLY"} or not 1 <= abs(int(ordinal)) <= limit):
            return f"names a weekday that there is not: {day}"
    return ""


def as_utc(at: float) -> str:
    """For people: ``2026-11-22 02:00 UTC``."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
