"""How values are written on pages: days, durations, figures, names of metrics."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from holdfast.blog.core.quoting import anchor
from holdfast.blog.core.surroundings import kebab

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
"""Not those of the locale: a site is the same wherever it is built."""
_BARE: Final = frozenset({"ratio", "share"})
"""Units of what has none."""
_COMPARISONS: Final = {"<=": "at most", ">=": "at least", "<": "below", ">": "above", "==": "exactly"}


def day(date: dt.date) -> str:
    """``23 November 2026``."""
    return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"


def moment(at: dt.datetime) -> str:
    """``22 November 2026, 14:03 UTC``."""
    utc = at.astimezone(dt.UTC)
    return f"{day(utc)}, {utc:%H:%M} UTC"


def duration(seconds: float) -> str:
    """``5 min 44 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{max(1, whole)} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def figure(value: float | None, unit: str) -> str:
    """Three significant digits and the unit, whole numbers in full: ``5.03``, ``1,038 per year``."""
    if value is None:
        return "undefined"
    if not math.isfinite(value):
        return str(value)
    if value == math.trunc(value) and abs(value) < 1e15:
        text = f"{value:,.0f}"
    else:
        digits = max(0, 2 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{min(digits, 12)}f}"
    unit = "" if unit in _BARE else re.sub(r"^1/(?=[a-z])", "per ", unit)
    return f"{text} {unit}".rstrip()


def parameter(value: float | str | bool) -> str:
    """As a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else figure(float(value), "")


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "anchor": anchor,
    "comparison": _COMPARISONS.__getitem__,
    "day": day,
    "duration": duration,
    "figure": figure,
    "kebab": cache(kebab),
    "moment": moment,
    "parameter": parameter,
    "shown": lambda name: name.removeprefix("#"),
}
