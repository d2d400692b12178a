"""The ``netpulse:`` section of ``holdfast.yaml``.

One frozen struct per section, defaults on the field. What a decoder cannot see (ranges,
references, combinations) is in :mod:`.validate`.

Units: :class:`~holdfast.kernel.Duration` is seconds, :class:`~holdfast.kernel.Size` bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Section


def _texts() -> dict[str, str]:
    return {}


# ---------------------------------------------------------------- what is checked


class HttpCheck(Section, frozen=True):
    """A request, and what its answer has to be like."""

    url: str
    """``http://`` or ``https://``."""
    method: str = "GET"
    headers: dict[str, str] = msgspec.field(default_factory=_texts)
    body: str = ""
    username: str = ""
    """Basic authentication, with ``password``."""
    password: str = ""
    bearer_token: str = ""
    redirects: int = 5
    """Redirects that are followed; 0: a redirect is the answer. Credentials stay with their origin."""
    status: tuple[str, ...] = ("2xx",)
    """Codes, classes (``2xx``) and ranges (``200-204``) that are well."""
    contains: str = ""
    """Text that the body has to have."""
    regex: str = ""
    """Regular expression that has to match somewhere in the body."""
    jsonpath: str = ""
    """RFC 9535 query that has to find something in the body, read as JSON."""
    equals: str = ""
    """What the first value found by ``jsonpath`` has to be, as text."""
    body_limit: Size = Size(2**20)
    """Bytes of the answer's body that are read; the rest is not, and what is looked for has to be before it."""
    verify: bool = True
    """Whether a certificate has to be valid for the name, at this time, and lead to a known authority."""
    ca_file: str = ""
    """Authorities to trust instead of the system's."""
    max_time: Duration = Duration(0.0)
    """An answer that takes longer is slow (a condition of its own); 0: learned from the monitor's past."""
    cert_days: int = 14
    """A certificate that expires within so many days is a condition of its own; 0 switches it off."""


class TcpCheck(Section, frozen=True):
    """A connection, and if wanted a line each way."""

    address: str
    """``HOST:PORT``."""
    send: str = ""
    expect: str = ""
    """Text that has to come within the timeout."""


class TlsCheck(Section, frozen=True):
    """A TLS handshake: chain, name, expiry."""

    address: str
    server_name: str = ""
    """Name in the certificate; the host of ``address`` when empty."""
    ca_file: str = ""
    cert_days: int = 14


class DnsCheck(Section, frozen=True):
    """A question to a resolver."""

    name: str
    type: Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"] = "A"
    resolver: str = ""
    """``IP`` or ``IP:PORT``; the system's when empty."""
    expect: tuple[str, ...] = ()
    """Each has to be among the answers; without any, one answer is enough."""


class IcmpCheck(Section, frozen=True):
    """Echo requests."""

    host: str
    count: int = 3
    """Sent in a row; one answer is enough."""


class WebSocketCheck(Section, frozen=True):
    """An opening handshake, and if wanted a message each way."""

    url: str
    """``ws://`` or ``wss://``."""
    send: str = ""
    expect: str = ""
    verify: bool = True
    ca_file: str = ""


class GrpcCheck(Section, frozen=True):
    """The gRPC health protocol: ``SERVING`` is up."""

    address: str
    service: str = ""
    tls: bool = False
    verify: bool = True
    ca_file: str = ""


class HeartbeatCheck(Section, frozen=True):
    """Nothing is asked: the job reports itself, by a request to ``/v1/heartbeats/TOKEN``."""

    period: Duration
    grace: Duration = Duration(60.0)
    """Late by more than this is down."""
    token: str = ""
    """At least 16 characters; made by the API when empty. In a file: ``${NAME}``."""


class CommandCheck(Section, frozen=True):
    """A program on the agent; exit code 0 is up. Only agents that allow commands run it."""

    argv: tuple[str, ...]


class SimpleRule(Section, frozen=True):
    """Instead of the detector: so many regions, each so many times in a row."""

    regions: int = 2
    """k: regions that have to agree."""
    in_a_row: int = 2
    """n: failures (for recovery: successes) in a row in each of them."""


class ObjectiveSettings(Section, frozen=True):
    """What is promised of a monitor."""

    target: float = 0.999
    """Part of the checks that have to be good, over ``window``."""
    window: Duration = Duration(30 * 86_400.0)


class MonitorSettings(Section, frozen=True):
    """One thing to watch. Exactly one kind of check."""

    name: str = ""
    """What people call it; the id when empty."""
    group: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=_texts)
    """Matched by routes, silences and maintenance; ``host``, ``address`` and ``domain`` also tie causes together."""
    interval: Duration = Duration(30.0)
    timeout: Duration = Duration(10.0)
    regions: tuple[str, ...] = ()
    """Who watches; all regions when empty."""
    depends_on: tuple[str, ...] = ()
    """Ids of monitors without which this one cannot work."""
    false_pages_per_year: float = 0.0
    """How many are acceptable; 0: the figure of the section."""
    rule: SimpleRule | None = None
    severity: Literal["page", "ticket"] = "page"
    objective: ObjectiveSettings | None = None
    paused: bool = False
    public: bool = False
    """Whether the status page shows it."""
    allow_private: bool = False
    """Whether targets on private, loopback and link-local addresses may be asked (needs the agent's leave, too)."""
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    tls: TlsCheck | None = None
    dns: DnsCheck | None = None
    icmp: IcmpCheck | None = None
    websocket: WebSocketCheck | None = None
    grpc: GrpcCheck | None = None
    heartbeat: HeartbeatCheck | None = None
    command: CommandCheck | None = None


# ---------------------------------------------------------------- who watches


class RegionSettings(Section, frozen=True):
    """A place that targets are watched from."""

    domain: str = ""
    """What it shares its failures with: the provider or network. The region itself when empty."""
    embedded: bool = False
    """Whether an agent for it is started beside the engine."""


class CanarySettings(Section, frozen=True):
    """Something that an agent can reach unless the agent itself is cut off: exactly one of the two."""

    tcp: str = ""
    """``HOST:PORT``."""
    http: str = ""
    """A URL; any answer will do."""


class AgentSettings(Section, frozen=True):
    """What agents do, and how they reach the engine."""

    listen: str = "127.0.0.1:8094"
    """Where the engine waits for them, by mutual TLS."""
    engine: str = ""
    """Where agents find the engine, ``https://HOST:PORT``; ``listen`` when empty."""
    certificates: str = "netpulse-certificates"
    """Directory of the authority and of what it signed (``holdfast netpulse certs``)."""
    spool: str = "netpulse-spool"
    """Directory for results that could not be delivered yet."""
    spool_size: Size = Size(256 * 2**20)
    """Most that one agent keeps; beyond it the oldest results go, counted."""
    concurrency: int = 4096
    """Checks of one agent at a time. What hangs has its place until its timeout: 100 a second for 10 s are 1,000."""
    canaries: tuple[CanarySettings, ...] = ()
    """An agent that reaches none of them is blind. Without any it believes itself."""
    heartbeat: Duration = Duration(5.0)
    """How often an agent shows that it lives; silent for two of them, its region counts as lost."""
    clock_tolerance: Duration = Duration(2.0)
    """A clock that is off by more is corrected for, and said."""
    allow_private: bool = False
    """Whether agents may ask private, loopback and link-local addresses for monitors that say so."""
    allow_commands: bool = False
    """Whether agents may run the programs of command checks."""
    drain_timeout: Duration = Duration(5.0)


# ---------------------------------------------------------------- who is told


class WebhookChannel(Section, frozen=True):
    """POST of JSON, signed with HMAC-SHA256."""

    url: str
    secret: str = ""
    """Key of the signature in ``Holdfast-Signature``; not signed when empty."""
    headers: dict[str, str] = msgspec.field(default_factory=_texts)


class SlackChannel(Section, frozen=True):
    """An incoming webhook of Slack."""

    webhook_url: str


class EmailChannel(Section, frozen=True):
    """Mail by SMTP."""

    server: str
    """``HOST:PORT``."""
    sender: str
    to: tuple[str, ...]
    username: str = ""
    password: str = ""
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: str = ""


class PagerDutyChannel(Section, frozen=True):
    """Events API version 2."""

    routing_key: str
    url: str = "https://events.pagerduty.com/v2/enqueue"


class DiscordChannel(Section, frozen=True):
    """A webhook of Discord."""

    webhook_url: str


class TelegramChannel(Section, frozen=True):
    """A bot of Telegram."""

    bot_token: str
    chat_id: str
    url: str = "https://api.telegram.org"


class TeamsChannel(Section, frozen=True):
    """A workflow webhook of Microsoft Teams (adaptive card)."""

    webhook_url: str


class NtfyChannel(Section, frozen=True):
    """A topic of ntfy."""

    topic: str
    url: str = "https://ntfy.sh"
    token: str = ""


class AlertmanagerChannel(Section, frozen=True):
    """``/api/v2/alerts`` of a Prometheus Alertmanager."""

    url: str
    username: str = ""
    password: str = ""


class ChannelSettings(Section, frozen=True):
    """One way to tell somebody: exactly one of the kinds."""

    timeout: Duration = Duration(10.0)
    attempts: int = 12
    """Then the notice is given up and said to be."""
    backoff_min: Duration = Duration(1.0)
    backoff_max: Duration = Duration(600.0)
    allow_private: bool = False
    """Whether the address may be private, loopback or link-local."""
    webhook: WebhookChannel | None = None
    slack: SlackChannel | None = None
    email: EmailChannel | None = None
    pagerduty: PagerDutyChannel | None = None
    discord: DiscordChannel | None = None
    telegram: TelegramChannel | None = None
    teams: TeamsChannel | None = None
    ntfy: NtfyChannel | None = None
    alertmanager: AlertmanagerChannel | None = None


class StepSettings(Section, frozen=True):
    """One step of an escalation."""

    channels: tuple[str, ...]
    after: Duration = Duration(0.0)
    """From the opening of the incident; not taken once somebody has acknowledged it."""


class QuietSettings(Section, frozen=True):
    """Hours in which what is not urgent waits."""

    start: str
    """``22:00``."""
    end: str
    """``07:00``; the next day when it is earlier."""
    timezone: str = "UTC"
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()
    """Days that such a night begins on; all when empty."""


class RouteSettings(Section, frozen=True):
    """Who is told of what. The first route that matches an incident takes it."""

    match: dict[str, str] = msgspec.field(default_factory=_texts)
    """``monitor``, ``group``, ``severity``, ``condition`` or a tag, to a value or a ``*`` pattern; all have to fit."""
    steps: tuple[StepSettings, ...] = ()
    repeat: Duration = Duration(0.0)
    """Tell the last step again while nobody has acknowledged; 0: once."""
    quiet: QuietSettings | None = None
    """What falls into it waits for its end, if it still stands then."""


# ---------------------------------------------------------------- when nobody is told


class MaintenanceSettings(Section, frozen=True):
    """A window in which what goes down opens nothing."""

    start: str
    """Local time of ``timezone``: ``2026-11-22T02:00``."""
    duration: Duration
    title: str = ""
    match: dict[str, str] = msgspec.field(default_factory=_texts)
    timezone: str = "UTC"
    rrule: str = ""
    """RFC 5545: ``FREQ=WEEKLY;BYDAY=SU``. Once when empty."""
    public: bool = True


class StatusGroup(Section, frozen=True):
    """Components of the status page that stand together."""

    title: str
    monitors: tuple[str, ...] = ()


class StatusSettings(Section, frozen=True):
    """The public status page, as files."""

    directory: str = "netpulse-status"
    listen: str = "127.0.0.1:8087"
    """Where `holdfast run status` serves them; any other file server will do."""
    title: str = "Status"
    url: str = ""
    """Where the public finds it; links and feeds start there."""
    groups: tuple[StatusGroup, ...] = ()
    """Monitors that are ``public`` and in no group come last."""
    subscribe_channel: str = ""
    """E-mail channel that subscribers are written by; without one only webhooks and feeds are offered."""


class RetentionSettings(Section, frozen=True):
    """How long things are kept."""

    raw: Duration = Duration(7 * 86_400.0)
    """Single results."""
    minutes: Duration = Duration(30 * 86_400.0)
    hours: Duration = Duration(180 * 86_400.0)
    days: Duration = Duration(1_100 * 86_400.0)
    incidents: Duration = Duration(730 * 86_400.0)
    audit: Duration = Duration(400 * 86_400.0)


class IncidentSettings(Section, frozen=True):
    """How failures become incidents."""

    correlate: Duration = Duration(90.0)
    """Failures of things that share a cause, at most so far apart, are one incident."""
    settle: Duration = Duration(0.0)
    """Wait before an incident is told of, for the others of its cause; 0: as long as parents need to be asked again."""
    reopen: Duration = Duration(600.0)
    """What fails again so soon after its recovery reopens its incident."""
    flap_half_life: Duration = Duration(1_800.0)
    """Memory of flap damping; see docs/netpulse.md."""
    flap_suppress: float = 3000.0
    flap_reuse: float = 750.0
    flap_max: Duration = Duration(6 * 3_600.0)
    """Longest a monitor is called flapping after its last change."""


class NetpulseSettings(Section, frozen=True):
    """Uptime and incidents."""

    listen: str = "127.0.0.1:8084"
    """API and pages' data."""
    public_url: str = ""
    """Where people reach this service; links to acknowledge start there."""
    console_url: str = ""
    """Where people reach the console; links to incidents start there."""
    tenant: str = "default"
    """Whose monitors those of this file are."""
    demo_readonly: bool = False
    """Whether reading needs no key: a public demonstration."""
    false_pages_per_year: float = 1.0
    """Acceptable for one monitor."""
    regions: dict[str, RegionSettings] = msgspec.field(default_factory=dict)
    agents: AgentSettings = AgentSettings()
    monitors: dict[str, MonitorSettings] = msgspec.field(default_factory=dict)
    channels: dict[str, ChannelSettings] = msgspec.field(default_factory=dict)
    routes: tuple[RouteSettings, ...] = ()
    maintenance: dict[str, MaintenanceSettings] = msgspec.field(default_factory=dict)
    incidents: IncidentSettings = IncidentSettings()
    status: StatusSettings | None = None
    retention: RetentionSettings = RetentionSettings()
    drain_timeout: Duration = Duration(10.0)
