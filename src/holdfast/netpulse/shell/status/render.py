"""The page as files: made all at once in memory, then written one by one, each whole or not at all.

Every address in them is relative, so that the page can stand at any path. Content comes from
:class:`~holdfast.netpulse.core.status.StatusView` alone, and everything in it is escaped.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Final

import jinja2

from holdfast.netpulse.core.status import Component, ComponentState, Day, Indicator, StatusView, UpdateStatus
from holdfast.netpulse.shell.status import times
from holdfast.netpulse.shell.status.badges import WORDS, badges
from holdfast.netpulse.shell.status.feeds import atom, rss
from holdfast.netpulse.shell.status.statuspage import documents

STALE_S: Final = 300
"""A page older than this says so itself; it is made anew every minute while the engine lives."""
BAD_PART: Final = 0.05
"""Part of a day that was down from which on its bar is that of an outage: 72 minutes."""
_TOLD_DAYS: Final = 10
"""Days that the description of a row of bars names."""
_BAR: Final = 4
_KINDS: Final = {"u": "well", "p": "partial", "d": "down", "m": "maintenance"}
_OWN: Final = re.compile(r"(incidents/[A-Za-z0-9_-]+\.html|badges/[a-z0-9]+\.svg)")
"""Files of ours that go when nothing is in them any more."""
_SIGNS: Final = {
    ComponentState.OPERATIONAL: ("✓", "good"),
    ComponentState.DEGRADED: ("◷", "wait"),
    ComponentState.PARTIAL: ("◐", "wait"),
    ComponentState.MAJOR: ("✕", "bad"),
    ComponentState.MAINTENANCE: ("⚒", "quiet"),
    ComponentState.UNKNOWN: ("?", "quiet"),
}
_BANNERS: Final = {
    Indicator.NONE: ("✓", "good"),
    Indicator.MAINTENANCE: ("⚒", "quiet"),
    Indicator.MINOR: ("◐", "wait"),
    Indicator.MAJOR: ("✕", "bad"),
    Indicator.CRITICAL: ("✕", "bad"),
}
_UPDATES: Final = {
    UpdateStatus.INVESTIGATING: "bad",
    UpdateStatus.IDENTIFIED: "wait",
    UpdateStatus.MONITORING: "wait",
    UpdateStatus.RESOLVED: "good",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """The days of a component as shapes: runs of one kind are one stroke, cut into bars by the style."""

    width: int
    paths: tuple[tuple[str, str], ...]
    """Class and path."""
    troubles: tuple[tuple[int, str], ...]
    """Place and text of each day that was not all well."""
    first: str
    letters: str
    label: str
    """For who does not see them."""


def render(view: StatusView, directory: Path) -> int:
    """Write the page there; how many files were changed. Raises ``OSError``."""
    return write(pages(view), directory)


def pages(view: StatusView) -> dict[str, bytes]:
    """Every file by its path."""
    months = [
        (month, list(incidents))
        for month, incidents in groupby(view.incidents, key=lambda incident: times.iso(incident.began)[:7])
    ]
    names = {component.id: component.name for component in view.components}
    made = {
        "index.html": _page("index.html", view, title=view.title, base="", names=names),
        "history.html": _page("history.html", view, title="History", base="", names=names, months=months),
        "feed.rss": rss(view),
        "feed.atom": atom(view),
        **dict(badges(view)),
        **dict(documents(view)),
    }
    for incident in view.incidents:
        made[f"incidents/{incident.id}.html"] = _page(
            "incident.html", view, title=incident.name, base="../", names=names, incident=incident
        )
    for entry in files("holdfast.netpulse.shell.status").joinpath("static").iterdir():
        if entry.name.endswith((".css", ".js", ".svg")):
            made[entry.name] = entry.read_bytes()
    return made


def write(made: Mapping[str, bytes], directory: Path) -> int:
    """Make the directory hold these files; how many were written or removed. Raises ``OSError``."""
    changed = 0
    for name, data in made.items():
        changed += _put(directory / name, data)
    for folder in ("incidents", "badges"):
        for entry in (directory / folder).glob("*"):
            name = f"{folder}/{entry.name}"
            if name not in made and _OWN.fullmatch(name):
                entry.unlink(missing_ok=True)
                changed += 1
    return changed


def _put(path: Path, data: bytes) -> bool:
    """Whole or not at all: a reader sees the old file or the new one."""
    try:
        if path.read_bytes() == data:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), 0o644)
        # Not flushed to the disk: after a crash the next view is written over it within a minute.
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True


def bars(component: Component) -> Bars:
    """The bars of a component."""
    letters = "".join(_letter(day) for day in component.days)
    found: dict[str, list[str]] = {}
    at = 0
    for letter, run in groupby(letters):
        count = len(list(run))
        if letter in _KINDS:
            found.setdefault(letter, []).append(f"M{_BAR * at} 12h{_BAR * count - 1}")
        at += count
    troubles = [(_BAR * place, _told(day)) for place, day in enumerate(component.days) if letters[place] in "pdm"]
    label = f"90 days: {percent(component.uptime)} up" if component.uptime is not None else "90 days: no figures yet"
    if troubles:
        named = "; ".join(text for _, text in list(reversed(troubles))[:_TOLD_DAYS])
        more = len(troubles) - _TOLD_DAYS
        label += f". {named}" + (f"; and {more} more days" if more > 0 else "")
    return Bars(
        width=_BAR * len(letters),
        paths=tuple((_KINDS[letter], "".join(path)) for letter, path in found.items()),
        troubles=tuple(troubles),
        first=component.days[0].date,
        letters=letters,
        label=label,
    )


def _letter(day: Day) -> str:
    if not day.watched_s:
        return "e"
    if day.down_s or day.partial_s:
        return "d" if day.down_s > BAD_PART * day.watched_s else "p"
    return "m" if day.maintenance_s else "u"


def _told(day: Day) -> str:
    parts = [
        f"{_length(amount)} {what}"
        for amount, what in (
            (day.down_s, "down"),
            (day.partial_s, "partly down"),
            (day.maintenance_s, "maintenance"),
        )
        if amount
    ]
    return f"{day.date}: {', '.join(parts)}"


def _length(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if not hours else f"{hours} h {rest} min" if rest else f"{hours} h"


def percent(part: float | None) -> str:
    """``99.95 %``; never rounded up to a hundred."""
    if part is None:
        return "–"
    return "100 %" if part >= 1 else f"{int(100_000 * part) / 1000:.3f}".rstrip("0").rstrip(".") + " %"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("holdfast.netpulse.shell.status"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters.update(
        bars=bars,
        iso=times.iso,
        percent=percent,
        said=times.said,
        sign=lambda state: _SIGNS[state][0],
        tone=lambda state: _SIGNS[state][1],
        word=WORDS.__getitem__,
        update_tone=_UPDATES.__getitem__,
    )
    return environment


_ENVIRONMENT: Final = _environment()


def _page(template: str, view: StatusView, **values: object) -> bytes:
    sign, tone = ("?", "quiet") if view.nobody_knows else _BANNERS[view.indicator]
    text = _ENVIRONMENT.get_template(template).render(
        view=view, banner_sign=sign, banner_tone=tone, stale_s=STALE_S, **values
    )
    return text.encode()
