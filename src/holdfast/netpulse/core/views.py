"""What the API answers with, and the pages are made of. JSON: the names of the fields are the interface.

Times are RFC 3339 in UTC (``2026-11-22T10:00:00.000Z``); durations carry their unit in the name.
"""

from __future__ import annotations

from typing import Any

import msgspec


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all views."""


class LastCheck(View, frozen=True):
    """What a region saw last."""

    region: str
    at: str
    outcome: str
    """``up``, ``down`` or ``unknown``."""
    failure: str
    total_ms: float
    status: int
    detail: str


class Beat(View, frozen=True):
    """One bar of the heartbeat: all regions over a step of time."""

    at: str
    up: int
    down: int
    unknown: int
    p50_ms: float | None


class MonitorView(View, frozen=True):
    """A monitor as it stands."""

    id: str
    name: str
    group: str
    tags: dict[str, str]
    kind: str
    """``http``, ``tcp`` ..."""
    target: str
    """What is asked, without anything secret."""
    interval_s: float
    regions: list[str]
    depends_on: list[str]
    source: str
    """``file`` or ``api``; the file's are changed there."""
    state: str
    """``up``, ``down``, ``partial``, ``slow``, ``flapping``, ``unknown``, ``paused``, ``maintenance``, ``pending``
    (no result yet)."""
    doubt: float
    """0 to 1: the evidence that it is down, as a part of the threshold."""
    since: str | None
    last: list[LastCheck]
    beats: list[Beat]
    """The last 60 intervals (at least a minute each), oldest first."""
    uptime: dict[str, float | None]
    """``24h``, ``7d``, ``30d``, ``90d``: parts of one; ``None`` without any check."""
    p95_ms: float | None
    """Of the last hour."""
    cert_days: float | None
    incident: str | None
    """Id of the one that stands."""
    delay_s: float
    """Expected time from an outage to its detection."""
    simulated: str | None
    """``down``, ``slow`` or ``flapping`` while forced to be."""
    public: bool
    paused: bool
    objective: dict[str, float] | None
    """``target``, ``window_s``, ``budget_left`` (part of it), ``burn_1h``, ``burn_6h``."""


class MemberView(View, frozen=True):
    """A monitor in an incident."""

    monitor: str
    name: str
    condition: str
    began: str
    joined: str
    until: str | None
    evidence: dict[str, Any]


class IncidentView(View, frozen=True):
    """An incident as it stands."""

    id: str
    state: str
    condition: str
    severity: str
    title: str
    cause: dict[str, str]
    members: list[MemberView]
    began: str
    detected: str
    opened: str | None
    acknowledged: str | None
    acknowledged_by: str
    recovering: str | None
    resolved: str | None
    resolved_by: str
    reopenings: int
    suppressed_by: str
    simulated: bool
    duration_s: float
    url: str


class TransitionView(View, frozen=True):
    """One line of a timeline."""

    number: int
    at: str
    rule: str
    before: str | None
    after: str
    text: str
    actor: str
    evidence: dict[str, Any]


class NoticeView(View, frozen=True):
    """A message and what became of it."""

    key: str
    channel: str
    event: str
    at: str
    not_before: str
    state: str
    error: str


class ExplainView(View, frozen=True):
    """Why an incident did, or did not, page."""

    incident: IncidentView
    sentences: list[str]
    """The story, a line each: what was seen where, what the threshold was, who was told, what held back."""
    ledger: list[dict[str, Any]]
    """Evidence by monitor: each domain's sum and cap, each region's filter, the threshold."""
    timeline: list[TransitionView]
    notices: list[NoticeView]


class RegionView(View, frozen=True):
    """A region and its agents."""

    region: str
    domain: str
    state: str
    """``seeing``, ``blind``, ``lost`` or ``waiting`` (never seen)."""
    since: str
    reason: str
    agents: list[dict[str, Any]]
    """``agent``, ``state``, ``seen``, ``version``, ``spooled``, ``dropped``, ``lag_p99_ms``, ``clock_offset_s``."""


class SummaryView(View, frozen=True):
    """The whole in a few figures."""

    monitors: dict[str, int]
    """How many in each state."""
    incidents: int
    """That stand and are open."""
    regions: dict[str, str]
    uptime_24h: float | None
    pages_24h: int
    """Messages of kind ``opened`` in the last day."""
    checks_per_s: float
    now: str
