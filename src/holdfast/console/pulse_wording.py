"""NetPulse in words: what a page says of a state, a figure, a piece of evidence. Values in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.console.netpulse import Incident, Monitor, Notice, Summary
from holdfast.console.wording import Badge, Tone, milliseconds

STATES: Final[Mapping[str, tuple[str, str, Tone]]] = {
    "down": ("✕", "down", "bad"),
    "partial": ("◐", "partly down", "bad"),
    "flapping": ("⇅", "flapping", "wait"),
    "slow": ("◷", "slow", "wait"),
    "unknown": ("?", "unknown", "wait"),
    "maintenance": ("⚒", "maintenance", "quiet"),
    "pending": ("…", "no result yet", "quiet"),
    "paused": ("‖", "paused", "quiet"),
    "up": ("✓", "up", "good"),
}
"""Sign, word and tone of each state, the worst first."""
_TROUBLE: Final = ("down", "partial", "flapping", "slow", "unknown")
INCIDENT_STATES: Final[Mapping[str, tuple[str, str, Tone]]] = {
    "detected": ("…", "detected", "wait"),
    "open": ("✕", "open", "bad"),
    "reopened": ("✕", "open again", "bad"),
    "acknowledged": ("◉", "acknowledged", "wait"),
    "recovering": ("◔", "recovering", "wait"),
    "flapping": ("⇅", "flapping", "wait"),
    "resolved": ("✓", "resolved", "good"),
}
REGION_STATES: Final[Mapping[str, tuple[str, str, Tone]]] = {
    "seeing": ("✓", "sees", "good"),
    "blind": ("◌", "blind", "bad"),
    "lost": ("✕", "lost", "bad"),
    "waiting": ("…", "never seen", "quiet"),
}
OUTCOMES: Final[Mapping[str, tuple[str, str, Tone]]] = {
    "up": ("✓", "up", "good"),
    "down": ("✕", "down", "bad"),
    "unknown": ("?", "unknown", "wait"),
}
CONDITIONS: Final = {
    "down": "down",
    "partial": "a part of the checks fails",
    "slow": "slow",
    "certificate": "certificate expires soon",
    "burn-fast": "error budget goes fast",
    "burn-slow": "error budget goes",
    "agent": "agent cannot see",
}
NOTICE_STATES: Final[Mapping[str, tuple[str, str, Tone]]] = {
    "sent": ("✓", "arrived", "good"),
    "waiting": ("…", "waiting", "wait"),
    "failed": ("✕", "given up", "bad"),
}
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Mark(Badge):
    """A badge with a sign, so that it is told apart without its colour."""

    sign: str


def _mark(known: Mapping[str, tuple[str, str, Tone]], state: str) -> Mark:
    sign, text, tone = known.get(state, ("•", state.replace("_", " ") or "unknown", "quiet"))
    return Mark(text, tone, sign)


def monitor_mark(monitor: Monitor) -> Mark:
    """The state of a monitor."""
    return _mark(STATES, monitor.state)


def state_mark(state: str) -> Mark:
    """A state of monitors."""
    return _mark(STATES, state)


def incident_mark(incident: Incident) -> Mark:
    """The state of an incident."""
    return _mark(INCIDENT_STATES, incident.state)


def region_mark(state: str) -> Mark:
    """The state of a region."""
    return _mark(REGION_STATES, state)


def outcome_mark(outcome: str) -> Mark:
    """What one check found."""
    return _mark(OUTCOMES, outcome)


def notice_mark(notice: Notice) -> Mark:
    """What became of a message."""
    return _mark(NOTICE_STATES, notice.state)


def condition(name: str) -> str:
    """What is wrong with a monitor."""
    return CONDITIONS.get(name, name.replace("-", " "))


def share(part: float | None) -> str:
    """``100 %``, ``99.95 %``; never rounded up to a hundred."""
    if part is None:
        return "–"
    percent = 100 * part
    if percent >= 100:
        return "100 %"
    if percent < 10:
        return f"{percent:.2g} %"
    return f"{int(percent * 1000) / 1000:.3f}".rstrip("0").rstrip(".") + " %"


def span(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 5 min``, ``2 d 4 h``."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s" if whole or not seconds else milliseconds(seconds * 1000)
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 and whole % 60 else "")
    if whole < _DAY_S:
        return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")
    return f"{whole // _DAY_S} d" + (f" {whole % _DAY_S // 3600} h" if whole % _DAY_S // 3600 else "")


def glance(summary: Summary) -> str:
    """The whole in one line: ``9 monitors, 2 down; 1 incident stands.`` and the like."""
    total, count = sum(summary.monitors.values()), summary.incidents
    parts = [f"{total} monitor{'' if total == 1 else 's'}"]
    parts += [f"{summary.monitors[state]} {STATES[state][1]}" for state in _TROUBLE if summary.monitors.get(state)]
    return f"{', '.join(parts)}; {count or 'no'} incident{'' if count < 2 else 's'} stand{'s' if count < 2 else ''}."


def doubt(monitor: Monitor) -> str:
    """The evidence that a monitor is down, in words."""
    percent = round(100 * min(1.0, max(0.0, monitor.doubt)))
    if monitor.state in {"paused", "pending"}:
        return "Nothing is weighed at the moment."
    if percent == 0:
        return "No evidence that it is down."
    if percent < 50:
        return f"{percent} % of what an alarm needs: a few failures, not enough from any side."
    if percent < 100:
        return f"{percent} % of what an alarm needs: the other regions are being asked."
    return "The evidence has reached the threshold: it counts as down."


def budget(objective: Mapping[str, float]) -> str:
    """What is left of an error budget."""
    left = objective.get("budget_left", 1.0)
    window = span(objective.get("window_s", 30 * _DAY_S))
    if left <= 0:
        return f"Nothing is left of the error budget of {window}."
    return f"{share(int(1000 * left) / 1000)} of the error budget of {window} is left."
