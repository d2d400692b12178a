"""A world as a small shop would see it on a bad morning: many monitors, four regions, most kinds of trouble.

Everything is placed relative to ``now``, and nothing is left to chance: the same ``now`` gives the same world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Final

from holdfast.kernel import Duration
from holdfast.netpulse.core.incident import (
    Cause,
    Condition,
    Evidence,
    Incident,
    Member,
    Notice,
    Span,
    State,
    Transition,
)
from holdfast.netpulse.core.ports import Silence, StoredMonitor
from holdfast.netpulse.core.settings import (
    ChannelSettings,
    DnsCheck,
    EmailChannel,
    GrpcCheck,
    HeartbeatCheck,
    HttpCheck,
    MaintenanceSettings,
    MonitorSettings,
    NetpulseSettings,
    ObjectiveSettings,
    PagerDutyChannel,
    RegionSettings,
    RouteSettings,
    SlackChannel,
    StepSettings,
    TcpCheck,
    TlsCheck,
    WebhookChannel,
    WebSocketCheck,
)

TENANT: Final = "default"
DAY: Final = 86_400.0
HEARTBEAT_TOKEN: Final = "scripted-backup-token"  # noqa: S105 - it opens nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a monitor stands."""

    state: str = "up"
    total_ms: float = 80.0
    """About what a check takes."""
    failing: float = 0.0
    """Part of its checks that fails now."""
    status: int = 200
    failure: str = ""
    """What its failing checks say."""
    detail: str = ""
    doubt: float = 0.0
    since_s: float = 9 * DAY
    """For how long it has been in this state."""
    cert_days: float | None = None
    simulated: str | None = None


@dataclass(slots=True, kw_only=True)
class Scene:
    """What there is."""

    now: float
    settings: NetpulseSettings
    stored: list[StoredMonitor]
    looks: dict[str, Look]
    """By the monitor's id."""
    incidents: list[Incident]
    """Newest first."""
    timelines: dict[str, list[Transition]]
    notices: dict[str, list[tuple[Notice, str, str]]]
    silences: list[Silence]
    spans: list[Span] = field(default_factory=list)


def scene(now: float) -> Scene:
    """The world at ``now``, seconds since the epoch."""
    settings = _settings(now)
    stored = [
        StoredMonitor(
            tenant=TENANT,
            id="landing",
            spec=MonitorSettings(
                name="Landing page",
                group="Shop",
                http=HttpCheck(url="https://landing.example.com/", headers={"Authorization": "Bearer scripted"}),
            ),
            created=now - 40 * DAY,
            updated=now - 3 * DAY,
        ),
        StoredMonitor(
            tenant=TENANT,
            id="docs",
            spec=MonitorSettings(name="Handbook", http=HttpCheck(url="https://docs.example.com/")),
            created=now - 20,
            updated=now - 20,
        ),
        StoredMonitor(
            tenant="other",
            id="theirs",
            spec=MonitorSettings(name="Somebody else's", http=HttpCheck(url="https://other.example.com/")),
            created=now - 5 * DAY,
            updated=now - 5 * DAY,
        ),
    ]
    made = Scene(
        now=now,
        settings=settings,
        stored=stored,
        looks=dict(_LOOKS),
        incidents=[],
        timelines={},
        notices={},
        silences=[
            Silence(
                id="sil_cdn",
                tenant=TENANT,
                match={"monitor": "cdn"},
                starts=now - 3_600,
                ends=now + 2 * 3_600,
                comment="the provider is at it, ticket 4711",
                created_by="k-editor",
            )
        ],
    )
    _standing(made)
    _past(made)
    made.incidents.sort(key=lambda each: each.id, reverse=True)
    return made


def _settings(now: float) -> NetpulseSettings:
    every = Duration(30.0)
    monitors = {
        "web": MonitorSettings(
            name="Web shop",
            group="Shop",
            public=True,
            interval=every,
            objective=ObjectiveSettings(target=0.999),
            http=HttpCheck(url="https://www.example.com/", contains="Basket"),
        ),
        "checkout": MonitorSettings(
            name="Checkout",
            group="Shop",
            public=True,
            interval=every,
            depends_on=("db",),
            objective=ObjectiveSettings(target=0.9995),
            http=HttpCheck(url="https://www.example.com/checkout/health", jsonpath="$.status", equals="ok"),
        ),
        "search": MonitorSettings(
            name="Search",
            group="Shop",
            public=True,
            http=HttpCheck(url="https://search.example.com/q?text=kelp", max_time=Duration(0.8)),
        ),
        "cdn": MonitorSettings(
            name="Images", group="Shop", public=True, http=HttpCheck(url="https://img.example.com/1.webp")
        ),
        "db": MonitorSettings(name="Database", group="Data", tags={"host": "h3"}, tcp=TcpCheck(address="db:5432")),
        "cache": MonitorSettings(name="Cache", group="Data", tags={"host": "h7"}, tcp=TcpCheck(address="h7:6379")),
        "queue": MonitorSettings(name="Queue", group="Data", tags={"host": "h7"}, tcp=TcpCheck(address="h7:5672")),
        "worker": MonitorSettings(
            name="Worker", group="Data", tags={"host": "h7"}, http=HttpCheck(url="http://h7:9000/healthz")
        ),
        "names": MonitorSettings(name="Zone", group="Network", dns=DnsCheck(name="example.com", expect=("192.0.2.7",))),
        "mail": MonitorSettings(name="Mail", group="Network", tls=TlsCheck(address="mail.example.com:993")),
        "live": MonitorSettings(
            name="Live prices", group="Shop", websocket=WebSocketCheck(url="wss://live.example.com/feed", send="ping")
        ),
        "payments": MonitorSettings(
            name="Payments", group="Shop", public=True, grpc=GrpcCheck(address="pay.example.com:443", tls=True)
        ),
        "backup": MonitorSettings(
            name="Nightly backup",
            group="Data",
            heartbeat=HeartbeatCheck(period=Duration(DAY), grace=Duration(3_600.0), token=HEARTBEAT_TOKEN),
        ),
        "legacy": MonitorSettings(name="Old shop", paused=True, http=HttpCheck(url="https://old.example.com/")),
        "reports": MonitorSettings(
            name="Reports", group="Data", severity="ticket", http=HttpCheck(url="https://reports.example.com/")
        ),
    }
    return NetpulseSettings(
        public_url="https://pulse.example.com",
        tenant=TENANT,
        regions={
            "eu": RegionSettings(domain="hetzner"),
            "us": RegionSettings(domain="aws"),
            "ap": RegionSettings(domain="gcp"),
            "sa": RegionSettings(domain="aws"),
        },
        monitors=monitors,
        channels={
            "ops": ChannelSettings(slack=SlackChannel(webhook_url="https://hooks.slack.example/scripted")),
            "pager": ChannelSettings(pagerduty=PagerDutyChannel(routing_key="scripted")),
            "mail": ChannelSettings(
                email=EmailChannel(server="smtp.example.com:587", sender="pulse@example.com", to=("ops@example.com",))
            ),
            "hook": ChannelSettings(webhook=WebhookChannel(url="https://hook.example.com/", secret="scripted")),  # noqa: S106 - no secret
        },
        routes=(
            RouteSettings(
                match={"severity": "page"},
                steps=(StepSettings(channels=("ops",)), StepSettings(channels=("pager",), after=Duration(300.0))),
            ),
            RouteSettings(steps=(StepSettings(channels=("mail",)),)),
        ),
        maintenance={
            "reports-upgrade": MaintenanceSettings(
                title="New version of the reports",
                start=_local(now - 900),
                duration=Duration(3_600.0),
                match={"monitor": "reports"},
            )
        },
    )


_LOOKS: Final[Mapping[str, Look]] = {
    "web": Look(total_ms=84.0, cert_days=61.0),
    "checkout": Look(
        state="down",
        total_ms=10_000.0,
        failing=1.0,
        status=0,
        failure="timeout",
        detail="no answer within 10 s",
        doubt=1.0,
        since_s=720.0,
        cert_days=61.0,
    ),
    "search": Look(state="slow", total_ms=1_240.0, since_s=2_400.0, cert_days=47.0),
    "cdn": Look(
        state="partial",
        total_ms=45.0,
        failing=0.3,
        status=503,
        failure="status",
        detail="503",
        doubt=0.4,
        since_s=1_800.0,
    ),
    "db": Look(total_ms=2.4),
    "cache": Look(
        state="down", total_ms=1.0, failing=1.0, failure="refused", detail="refused", doubt=1.0, since_s=3_100.0
    ),
    "queue": Look(
        state="down", total_ms=1.0, failing=1.0, failure="refused", detail="refused", doubt=1.0, since_s=3_095.0
    ),
    "worker": Look(
        state="down", total_ms=1.0, failing=1.0, failure="refused", detail="refused", doubt=1.0, since_s=3_080.0
    ),
    "names": Look(total_ms=12.0, status=0),
    "mail": Look(total_ms=38.0, status=0, cert_days=9.2),
    "live": Look(
        state="flapping", total_ms=60.0, failing=0.5, failure="reset", detail="reset", doubt=0.6, since_s=5_400
    ),
    "payments": Look(
        state="down",
        total_ms=30.0,
        failing=1.0,
        failure="status",
        detail="simulated",
        doubt=1.0,
        since_s=95.0,
        simulated="down",
    ),
    "backup": Look(total_ms=0.0, status=0),
    "legacy": Look(state="paused", since_s=30 * DAY),
    "reports": Look(state="maintenance", total_ms=210.0, failing=1.0, status=502, failure="status", since_s=900.0),
    "landing": Look(total_ms=61.0, cert_days=80.0),
    "docs": Look(state="pending", since_s=20.0),
}


def evidence(domains: Mapping[str, float], *, threshold: float = 14.3) -> Evidence:
    """What an alarm rests on: each domain's sum, its cap, and the threshold, in natural units of evidence."""
    cap = threshold / 2
    return {
        "threshold": threshold,
        "sum": round(sum(min(cap, each) for each in domains.values()), 2),
        "cap_per_domain": round(cap, 2),
        "domains": [
            {"domain": name, "sum": each, "counted": round(min(cap, each), 2)} for name, each in domains.items()
        ],
    }


_BOTH: Final = {"hetzner": 9.8, "aws": 8.1}


def _standing(made: Scene) -> None:
    """What is wrong now."""
    now = made.now
    _incident(
        made,
        began=now - 720,
        monitors={"checkout": now - 720},
        condition=Condition.DOWN,
        cause=Cause(kind="monitor", value="checkout"),
        title="Checkout is down",
        seen=evidence(_BOTH),
        steps=(
            ("incident.detected", State.DETECTED, 8.2, "Two domains agree; its parent db was asked again and is up"),
            ("incident.open", State.OPEN, 9.0, "No parent explains it: ops is told"),
            ("incident.note", State.OPEN, 340.0, "A deployment went out at the same minute, rolling back"),
        ),
        channels=(("ops", "opened", "sent", ""), ("pager", "escalated", "waiting", "429: again in 30 s")),
    )
    host = {"cache": now - 3_100, "queue": now - 3_095, "worker": now - 3_080}
    _incident(
        made,
        began=now - 3_100,
        monitors=host,
        condition=Condition.DOWN,
        cause=Cause(kind="host", value="h7"),
        title="Host h7: 3 monitors are down",
        seen=evidence(_BOTH),
        steps=(
            ("incident.detected", State.DETECTED, 7.1, "Two domains agree"),
            ("incident.member", State.DETECTED, 12.0, "Queue joins: same host, 5 s apart"),
            ("incident.open", State.OPEN, 16.0, "ops is told"),
            ("incident.member", State.OPEN, 27.0, "Worker joins: same host, 15 s apart"),
            ("incident.acknowledge", State.ACKNOWLEDGED, 190.0, "Ada has it: escalation stops"),
        ),
        channels=(("ops", "opened", "sent", ""), ("ops", "joined", "sent", ""), ("ops", "acknowledged", "sent", "")),
    )
    _incident(
        made,
        began=now - 5_400,
        monitors={"live": now - 5_400},
        condition=Condition.DOWN,
        cause=Cause(kind="monitor", value="live"),
        title="Live prices is flapping",
        seen=evidence({"hetzner": 7.2, "aws": 7.9}),
        steps=(
            ("incident.detected", State.DETECTED, 9.0, "Two domains agree"),
            ("incident.open", State.OPEN, 10.0, "ops is told"),
            ("incident.recovering", State.RECOVERING, 130.0, "Every region sees it up"),
            ("incident.open", State.OPEN, 190.0, "Failed again before recovery had lasted"),
            (
                "incident.flapping",
                State.FLAPPING,
                800.0,
                "Penalty 3120 is over 3000: one message now",
            ),
        ),
        channels=(("ops", "opened", "sent", ""), ("ops", "flapping", "sent", "")),
    )
    _incident(
        made,
        began=now - 4 * DAY,
        monitors={"mail": now - 4 * DAY},
        condition=Condition.CERTIFICATE,
        severity="ticket",
        cause=Cause(kind="monitor", value="mail"),
        title="Mail: the certificate expires in 9 days",
        seen={"cert_days": 13.9, "bound_days": 14},
        steps=(
            ("incident.detected", State.DETECTED, 1.0, "13.9 days are left, 14 are asked for"),
            ("incident.open", State.OPEN, 2.0, "mail is told"),
        ),
        channels=(("mail", "opened", "sent", ""),),
    )
    _incident(
        made,
        began=now - 1_800,
        monitors={"cdn": now - 1_800},
        condition=Condition.PARTIAL,
        cause=Cause(kind="monitor", value="cdn"),
        title="Images: a part of the checks fails",
        seen={"failing_part": 0.3, "bound_part": 0.1, "checks": 180},
        suppressed_by="silence sil_cdn",
        steps=(("incident.detected", State.DETECTED, 95.0, "30 % of the checks fail; silenced until it ends"),),
        channels=(),
    )
    _incident(
        made,
        began=now - 95,
        monitors={"payments": now - 95},
        condition=Condition.DOWN,
        cause=Cause(kind="monitor", value="payments"),
        title="Payments is down (simulated)",
        seen=evidence(_BOTH),
        simulated=True,
        steps=(
            ("incident.detected", State.DETECTED, 6.0, "Forced by k-admin"),
            ("incident.open", State.OPEN, 7.0, "ops is told that this is a simulation"),
        ),
        channels=(("ops", "opened", "sent", ""),),
    )
    _incident(
        made,
        began=now - 260,
        monitors={"ap": now - 260},
        condition=Condition.AGENT,
        tenant="",
        cause=Cause(kind="agent", value="ap"),
        title="Region ap is blind",
        seen={"canaries": 2, "reached": 0},
        steps=(
            ("incident.detected", State.DETECTED, 5.0, "The agent reaches none of its canaries"),
            ("incident.open", State.OPEN, 10.0, "Its targets are not judged by it; ops is told of the agent"),
        ),
        channels=(("ops", "opened", "sent", ""),),
    )


def _past(made: Scene) -> None:
    """What was wrong: enough for a second page of a list."""
    chance = Random(7)
    for number in range(24):
        name = chance.choice(("web", "checkout", "search", "db", "landing", "names"))
        began = made.now - (number + 1) * 3.5 * DAY - chance.uniform(0, 1.5 * DAY)
        lasted = chance.choice((95.0, 240.0, 610.0, 2_900.0))
        title = (made.settings.monitors.get(name) or made.stored[0].spec).name
        _incident(
            made,
            began=began,
            monitors={name: began},
            condition=Condition.DOWN,
            cause=Cause(kind="monitor", value=name),
            title=f"{title} is down",
            seen=evidence(_BOTH),
            until=began + lasted,
            steps=(
                ("incident.detected", State.DETECTED, 8.0, "Two domains agree"),
                ("incident.open", State.OPEN, 9.0, "ops is told"),
                ("incident.recovering", State.RECOVERING, lasted, "Every region sees it up"),
                ("incident.resolved", State.RESOLVED, lasted + 60, "Recovery has lasted"),
            ),
            channels=(("ops", "opened", "sent", ""), ("ops", "resolved", "sent", "")),
        )


def _incident(
    made: Scene,
    *,
    began: float,
    monitors: Mapping[str, float],
    condition: Condition,
    cause: Cause,
    title: str,
    seen: Evidence,
    steps: Sequence[tuple[str, State, float, str]],
    channels: Sequence[tuple[str, str, str, str]],
    severity: str = "page",
    tenant: str = TENANT,
    suppressed_by: str = "",
    simulated: bool = False,
    until: float | None = None,
) -> None:
    """One more incident, with its timeline, notices and the stretches of downtime that it leaves."""
    id = f"inc_{int(began * 1000):013d}{len(made.incidents):013d}"
    times = {state: began + after for _, state, after, _ in reversed(steps)}
    prefix = f"{tenant}/" if tenant else ""
    members = tuple(
        Member(monitor=prefix + name, condition=condition, began=at, joined=at + 8, until=until, evidence=seen)
        for name, at in monitors.items()
    )
    state = steps[-1][1]
    incident = Incident(
        id=id,
        tenant=tenant,
        state=state,
        condition=condition,
        severity=severity,
        title=title,
        cause=cause,
        members=members,
        began=began,
        detected=times[State.DETECTED],
        opened=times.get(State.OPEN),
        acknowledged=times.get(State.ACKNOWLEDGED),
        acknowledged_by="Ada" if State.ACKNOWLEDGED in times else "",
        recovering=times.get(State.RECOVERING) if state is State.RESOLVED else None,
        resolved=times.get(State.RESOLVED),
        suppressed_by=suppressed_by,
        simulated=simulated,
        revision=len(steps),
    )
    made.incidents.append(incident)
    before: State | None = None
    made.timelines[id] = []
    for number, (rule, after, at, text) in enumerate(steps, 1):
        made.timelines[id].append(
            Transition(
                incident=id,
                number=number,
                at=began + at,
                rule=rule,
                before=before,
                after=after,
                evidence=seen if number == 1 else {},
                actor="k-editor" if rule in {"incident.note", "incident.acknowledge"} else "",
                text=text,
            )
        )
        before = after
    made.notices[id] = [
        (
            Notice(
                key=f"{id}/{number}/{event}/{channel}",
                incident=id,
                tenant=tenant,
                channel=channel,
                event=event,
                at=began + 9,
                not_before=began + 9,
                snapshot=None,
            ),
            status,
            error,
        )
        for number, (channel, event, status, error) in enumerate(channels, 1)
    ]
    if condition is Condition.DOWN:
        made.spans += [Span(monitor=each.monitor, kind="down", since=each.began, until=until) for each in members]


def _local(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%dT%H:%M")
