"""What is known, in the words of the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from holdfast.netpulse.core.beats import Beat as Bar
from holdfast.netpulse.core.incident import Incident, Notice, Transition
from holdfast.netpulse.core.presence import Presence
from holdfast.netpulse.core.result import Observation
from holdfast.netpulse.core.views import (
    Beat,
    IncidentView,
    LastCheck,
    MemberView,
    NoticeView,
    RegionView,
    TransitionView,
)
from holdfast.netpulse.core.world import World


def moment(at: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_or_none(at: float | None) -> str | None:
    """The same for what may not have happened."""
    return None if at is None else moment(at)


def tenant_of(key: str) -> str:
    """Of ``TENANT/ID``."""
    return key.partition("/")[0]


def id_of(key: str) -> str:
    """Of ``TENANT/ID``; a region's name is its own."""
    return key.partition("/")[2] or key


def last_check(seen: Observation) -> LastCheck:
    """What a region saw."""
    return LastCheck(
        region=seen.region,
        at=moment(seen.at),
        outcome=seen.outcome.name.lower(),
        failure=seen.failure.value,
        total_ms=round(seen.total_ms, 2),
        status=seen.status,
        detail=seen.detail,
    )


def bar(beat: Bar) -> Beat:
    """One bar of the heartbeat."""
    p50 = beat.p50_ms
    return Beat(
        at=moment(beat.at),
        up=beat.up,
        down=beat.down,
        unknown=beat.unknown,
        p50_ms=None if p50 is None else round(p50, 2),
    )


def incident_view(incident: Incident, world: World, *, now: float, url: str) -> IncidentView:
    """An incident; of its members those that the caller may see are all, for a cause never spans tenants."""
    return IncidentView(
        id=incident.id,
        state=incident.state.value,
        condition=incident.condition.value,
        severity=incident.severity,
        title=incident.title,
        cause={"kind": incident.cause.kind, "value": id_of(incident.cause.value)},
        members=[
            MemberView(
                monitor=id_of(member.monitor),
                name=world.entries[member.monitor].name if member.monitor in world.entries else id_of(member.monitor),
                condition=member.condition.value,
                began=moment(member.began),
                joined=moment(member.joined),
                until=moment_or_none(member.until),
                evidence=dict(member.evidence),
            )
            for member in incident.members
        ],
        began=moment(incident.began),
        detected=moment(incident.detected),
        opened=moment_or_none(incident.opened),
        acknowledged=moment_or_none(incident.acknowledged),
        acknowledged_by=incident.acknowledged_by,
        recovering=moment_or_none(incident.recovering),
        resolved=moment_or_none(incident.resolved),
        resolved_by=incident.resolved_by,
        reopenings=incident.reopenings,
        suppressed_by=incident.suppressed_by,
        simulated=incident.simulated,
        duration_s=round((incident.resolved or now) - incident.began, 1),
        url=url,
    )


def transition_view(transition: Transition) -> TransitionView:
    """One line of a timeline."""
    return TransitionView(
        number=transition.number,
        at=moment(transition.at),
        rule=transition.rule,
        before=None if transition.before is None else transition.before.value,
        after=transition.after.value,
        text=transition.text,
        actor=transition.actor,
        evidence=dict(transition.evidence),
    )


def notice_views(notices: Iterable[tuple[Notice, str, str]]) -> list[NoticeView]:
    """Messages and what became of them."""
    return [
        NoticeView(
            key=notice.key,
            channel=notice.channel,
            event=notice.event,
            at=moment(notice.at),
            not_before=moment(notice.not_before),
            state=state,
            error=error,
        )
        for notice, state, error in notices
    ]


def region_views(presence: Presence, world: World) -> list[RegionView]:
    """Regions and their agents."""
    found = []
    for name, region in presence.regions().items():
        agents: list[dict[str, Any]] = [
            {
                "agent": agent.name,
                "state": ("blind" if agent.blind else "seeing") if agent.alive else "lost",
                "seen": moment(agent.heard),
                "version": agent.version,
                "spooled": agent.spooled,
                "dropped": agent.dropped,
                "lag_p99_ms": round(agent.lag_p99_ms, 1),
                "clock_offset_s": round(agent.offset_s, 3),
            }
            for agent in sorted(presence.agents.values(), key=lambda agent: agent.name)
            if agent.region == name
        ]
        found.append(
            RegionView(
                region=name,
                domain=world.domain(name),
                state=region.state,
                since=moment(region.since),
                reason=region.reason,
                agents=agents,
            )
        )
    return found


@dataclass(slots=True)
class Figures:
    """Of one monitor: what is too dear to be read from the records for every look at it."""

    uptime: Mapping[str, float | None] = field(default_factory=lambda: dict.fromkeys(("24h", "7d", "30d", "90d")))
    p95_ms: float | None = None
    objective: dict[str, float] | None = None
    fresh: float = 0.0
    """When they were read, seconds since the epoch."""
