"""What the public is told: components, their last 90 days, incidents in plain words, maintenance.

Values in, one :class:`StatusView` out. Only monitors that are ``public`` appear, under the names that people gave them
and opaque ids; no target, address, evidence, region's agent or person does. Conditions that are nobody else's business
(a certificate that expires soon, an error budget, an agent) make no public incident, nor does what is simulated.

Texts are drafted from the incident and published by themselves: a plain ``investigating`` once somebody is being
told, then ``identified``, ``monitoring`` and ``resolved`` as the incident goes on. What a person writes for one of
these takes the place of the draft.

Times are seconds since the epoch; days are those of UTC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from holdfast.netpulse.core.incident import Span
from holdfast.netpulse.core.settings import StatusSettings
from holdfast.netpulse.core.views import IncidentView, MemberView, MonitorView

DAYS: Final = 90
DAY_S: Final = 86_400
RECENT_DAYS: Final = 14
"""Resolved incidents that the front page still shows."""
PARTIAL_WEIGHT: Final = 0.3
"""How much of a partial outage counts as downtime, as on Statuspage ("30 % of partial outages")."""
_PUBLIC_CONDITIONS: Final = {"down": "is not reachable", "partial": "works only in part", "slow": "is slow"}
_PLURAL: Final = {"down": "are not reachable", "partial": "work only in part", "slow": "are slow"}
_NAMED: Final = 4
"""Components that a title or sentence names; the others are counted."""


class ComponentState(StrEnum):
    """Of a component; the values are Statuspage's, and ``unknown`` besides."""

    OPERATIONAL = "operational"
    DEGRADED = "degraded_performance"
    PARTIAL = "partial_outage"
    MAJOR = "major_outage"
    MAINTENANCE = "under_maintenance"
    UNKNOWN = "unknown"
    """Nobody can say at the moment: not watched yet, paused, or the watchers cannot see."""


class UpdateStatus(StrEnum):
    """How far an incident is."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class Indicator(StrEnum):
    """The whole in a word, as on Statuspage."""

    NONE = "none"
    MAINTENANCE = "maintenance"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


DESCRIPTIONS: Final = {
    Indicator.NONE: "All systems operational",
    Indicator.MAINTENANCE: "Maintenance under way",
    Indicator.MINOR: "Some systems have trouble",
    Indicator.MAJOR: "Some systems are not reachable",
    Indicator.CRITICAL: "No system is reachable",
}

NOBODY_KNOWS: Final = "How the systems are is not known at the moment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of a component, in seconds; the rest of it was well."""

    date: str
    """``2026-01-31``."""
    watched_s: float
    """0 before the component was watched, and for days to come."""
    down_s: float = 0.0
    partial_s: float = 0.0
    maintenance_s: float = 0.0

    @property
    def uptime(self) -> float | None:
        """Part of the watched time outside of maintenance that was well; ``None`` without any."""
        counted = self.watched_s - self.maintenance_s
        if counted <= 0:
            return None
        return max(0.0, 1 - (self.down_s + PARTIAL_WEIGHT * self.partial_s) / counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A public monitor."""

    id: str
    """Opaque, and the same for as long as the monitor keeps its id."""
    name: str
    state: ComponentState
    days: tuple[Day, ...]
    uptime: float | None
    """Over :data:`DAYS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Components that stand together; without a title those that are in no group."""

    title: str
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What was said about an incident."""

    id: str
    at: float
    status: UpdateStatus
    body: str
    written: bool = False
    """By a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicIncident:
    """An incident as the public sees it."""

    id: str
    name: str
    status: UpdateStatus
    impact: Indicator
    began: float
    updated: float
    resolved: float | None
    updates: tuple[Update, ...]
    """Newest first, at least one."""
    components: tuple[str, ...]
    """Ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One occurrence of a maintenance, and whom it is about."""

    id: str
    title: str
    starts: float
    ends: float
    monitors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicMaintenance:
    """A maintenance that runs, or will."""

    id: str
    name: str
    starts: float
    ends: float
    running: bool
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """All that the page says."""

    title: str
    url: str
    """Where the public finds the page, without a ``/`` at its end; empty when nobody said."""
    subscribe_url: str
    """Where the API that takes subscriptions is reached; empty when only feeds are offered."""
    by_mail: bool
    generated: float
    indicator: Indicator
    groups: tuple[Group, ...]
    incidents: tuple[PublicIncident, ...]
    """Newest first: those that stand, and the resolved ones of the last :data:`DAYS`."""
    maintenances: tuple[PublicMaintenance, ...]
    """Soonest first."""

    @property
    def description(self) -> str:
        """The banner."""
        return NOBODY_KNOWS if self.nobody_knows else DESCRIPTIONS[self.indicator]

    @property
    def nobody_knows(self) -> bool:
        """Nothing can be said of any component: the watchers themselves cannot see, or nothing was watched yet."""
        states = {component.state for component in self.components}
        return self.indicator is Indicator.NONE and states == {ComponentState.UNKNOWN}

    @property
    def components(self) -> tuple[Component, ...]:
        """Of all groups."""
        return tuple(component for group in self.groups for component in group.components)

    @property
    def standing(self) -> tuple[PublicIncident, ...]:
        """Not resolved."""
        return tuple(incident for incident in self.incidents if incident.resolved is None)

    @property
    def recent(self) -> tuple[PublicIncident, ...]:
        """Resolved in the last days."""
        since = self.generated - RECENT_DAYS * DAY_S
        return tuple(
            incident for incident in self.incidents if incident.resolved is not None and incident.began > since
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSource:
    """What a view is made of. Monitors are named by their id, with or without their tenant before it."""

    settings: StatusSettings
    monitors: Sequence[MonitorView]
    incidents: Sequence[IncidentView] = ()
    spans: Sequence[Span] = ()
    """Of the last :data:`DAYS`."""
    watched_since: Mapping[str, float] = field(default_factory=dict)
    """Of each monitor; one that is not in it was always watched."""
    updates: Mapping[str, Sequence[Update]] = field(default_factory=dict)
    """That people wrote, by incident."""
    windows: Sequence[Window] = ()
    subscribe_url: str = ""
    """Where the API is reached, if it takes subscriptions."""


def status_view(source: StatusSource, *, now: float) -> StatusView:
    """The page as of ``now``."""
    public = {monitor.id: monitor for monitor in source.monitors if monitor.public}
    spans: dict[str, list[Span]] = {}
    for span in source.spans:
        spans.setdefault(_bare(span.monitor), []).append(span)
    since = {_bare(name): at for name, at in source.watched_since.items()}
    components = {
        id: _component(monitor, spans.get(id, ()), since=since.get(id, 0.0), now=now) for id, monitor in public.items()
    }
    incidents = [
        incident
        for told in source.incidents
        if (incident := _incident(told, components, source.updates.get(told.id, ()))) is not None
        and (incident.resolved is None or incident.resolved > now - DAYS * DAY_S)
    ]
    incidents.sort(key=lambda incident: (incident.began, incident.id), reverse=True)
    maintenances = [_maintenance(window, components, now) for window in source.windows if window.ends > now]
    maintenances.sort(key=lambda maintenance: (maintenance.starts, maintenance.id))
    return StatusView(
        title=source.settings.title,
        url=source.settings.url.rstrip("/"),
        subscribe_url=source.subscribe_url.rstrip("/"),
        by_mail=bool(source.settings.subscribe_channel),
        generated=now,
        indicator=_indicator(components.values(), [it for it in incidents if it.resolved is None]),
        groups=_groups(source.settings, components),
        incidents=tuple(incidents),
        maintenances=tuple(it for it in maintenances if it.components),
    )


def component_id(monitor: str) -> str:
    """The public id of a monitor; says nothing about its name inside."""
    return hashlib.sha256(f"component {monitor}".encode()).hexdigest()[:12]


def _bare(monitor: str) -> str:
    return monitor.rpartition("/")[2]


_STATES: Final = {
    "up": ComponentState.OPERATIONAL,
    "slow": ComponentState.DEGRADED,
    "partial": ComponentState.PARTIAL,
    "flapping": ComponentState.PARTIAL,
    "down": ComponentState.MAJOR,
    "maintenance": ComponentState.MAINTENANCE,
}


def _component(monitor: MonitorView, spans: Sequence[Span], *, since: float, now: float) -> Component:
    state = _STATES.get(monitor.state, ComponentState.UNKNOWN)
    if monitor.simulated is not None:
        state = ComponentState.OPERATIONAL  # nothing is wrong with it
    days = tuple(_days(spans, since=since, now=now))
    watched = sum(day.watched_s - day.maintenance_s for day in days)
    lost = sum(day.down_s + PARTIAL_WEIGHT * day.partial_s for day in days)
    return Component(
        id=component_id(monitor.id),
        name=monitor.name or monitor.id,
        state=state,
        days=days,
        uptime=max(0.0, 1 - lost / watched) if watched > 0 else None,
    )


def _days(spans: Sequence[Span], *, since: float, now: float) -> Iterable[Day]:
    today = now // DAY_S * DAY_S
    for back in reversed(range(DAYS)):
        start = today - back * DAY_S
        first, last = max(start, since), min(start + DAY_S, now)
        sums = dict.fromkeys(("down", "partial", "maintenance"), 0.0)
        for span in spans:
            if span.kind in sums:
                overlap = min(last, now if span.until is None else span.until) - max(first, span.since)
                sums[span.kind] += max(0.0, overlap)
        yield Day(
            date=datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d"),
            watched_s=max(0.0, last - first),
            down_s=sums["down"],
            partial_s=sums["partial"],
            maintenance_s=sums["maintenance"],
        )


def _groups(settings: StatusSettings, components: Mapping[str, Component]) -> tuple[Group, ...]:
    left = dict(components)
    groups = [
        Group(title=group.title, components=tuple(left.pop(id) for id in dict.fromkeys(group.monitors) if id in left))
        for group in settings.groups
    ]
    rest = sorted(left.values(), key=lambda component: (component.name.lower(), component.id))
    groups.append(Group(title="", components=tuple(rest)))
    return tuple(group for group in groups if group.components)


def _indicator(components: Iterable[Component], standing: Sequence[PublicIncident]) -> Indicator:
    states = [component.state for component in components]
    if states and all(state is ComponentState.MAJOR for state in states):
        return Indicator.CRITICAL
    if ComponentState.MAJOR in states:
        return Indicator.MAJOR
    if standing or ComponentState.PARTIAL in states or ComponentState.DEGRADED in states:
        return Indicator.MINOR
    return Indicator.MAINTENANCE if ComponentState.MAINTENANCE in states else Indicator.NONE


def _maintenance(window: Window, components: Mapping[str, Component], now: float) -> PublicMaintenance:
    return PublicMaintenance(
        id=hashlib.sha256(f"maintenance {window.id} {window.starts:.0f}".encode()).hexdigest()[:12],
        name=window.title or "Maintenance",
        starts=window.starts,
        ends=window.ends,
        running=window.starts <= now,
        components=tuple(components[id].id for id in map(_bare, window.monitors) if id in components),
    )


def _incident(
    told: IncidentView, components: Mapping[str, Component], written: Sequence[Update]
) -> PublicIncident | None:
    """``None``: not for the public, or not yet."""
    members = [m for m in told.members if m.condition in _PUBLIC_CONDITIONS and _bare(m.monitor) in components]
    if told.simulated or told.opened is None or not members:
        return None
    affected = [components[_bare(member.monitor)] for member in members]
    names = list(dict.fromkeys(component.name for component in affected))
    worst = min((member.condition for member in members), key=list(_PUBLIC_CONDITIONS).index)
    texts = {update.status for update in written}
    updates = [*written, *(draft for draft in drafts(told, members, names, worst) if draft.status not in texts)]
    updates.sort(key=lambda update: (update.at, list(UpdateStatus).index(update.status)), reverse=True)
    resolved = _seconds(told.resolved)
    if not updates:
        return None
    return PublicIncident(
        id=told.id,
        name=f"{_named(names)} {(_PUBLIC_CONDITIONS if len(names) == 1 else _PLURAL)[worst]}",
        status=UpdateStatus.RESOLVED if resolved is not None else updates[0].status,
        impact=Indicator.MAJOR if worst == "down" else Indicator.MINOR,
        began=_seconds(told.began) or updates[-1].at,
        updated=updates[0].at,
        resolved=resolved,
        updates=tuple(updates),
        components=tuple(dict.fromkeys(component.id for component in affected)),
    )


def drafts(told: IncidentView, members: Sequence[MemberView], names: Sequence[str], condition: str) -> list[Update]:
    """What is said without a person: what is affected, since when, and how it went on."""
    one = len(names) == 1
    what = f"{_named(names)} {(_PUBLIC_CONDITIONS if one else _PLURAL)[condition]}"
    began = _seconds(told.began)
    since = "" if began is None else f" since {_clock(began)}"
    again = " It had recovered before." if told.reopenings else ""
    length = "" if not told.duration_s else f" It took {_length(told.duration_s)}."
    found = [
        (told.opened, UpdateStatus.INVESTIGATING, f"{what}{since}{_where(members)}.{again} We are looking into it."),
        (told.acknowledged, UpdateStatus.IDENTIFIED, "Somebody has taken it on and works on it."),
        (
            told.recovering,
            UpdateStatus.MONITORING,
            f"{_named(names)} {'answers' if one else 'answer'} again. We keep watching.",
        ),
        (told.resolved, UpdateStatus.RESOLVED, f"{_named(names)} {'is' if one else 'are'} well again.{length}"),
    ]
    return [
        Update(id=f"{told.id}-{status}", at=at, status=status, body=body)
        for text, status, body in found
        if (at := _seconds(text)) is not None
    ]


def _where(members: Sequence[MemberView]) -> str:
    """From where it was seen: the regions of the evidence that found it failing. A list of names are all of them."""
    regions: dict[str, None] = {}
    for member in members:
        listed = member.evidence.get("regions")
        for item in listed if isinstance(listed, list) else ():
            name = item.get("region") if isinstance(item, dict) and item.get("failing", True) else item
            if isinstance(name, str):
                regions[name] = None
    return f", seen from {_listed(list(regions))}" if regions else ""


def _named(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return _listed(names)
    return f"{', '.join(names[: _NAMED - 1])} and {len(names) - _NAMED + 1} more"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC")


def _length(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
