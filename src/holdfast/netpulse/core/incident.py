"""Incidents: their states, members, and the transitions between them, each with what caused it.

    detected      evidence crossed the threshold; parents and relatives are being asked; nobody was told
    open          somebody is being told
    acknowledged  somebody said that they have it; escalation stops
    recovering    every member has recovered, for less time than recovery has to last
    resolved      over; kept
    reopened      failed again within the reopen window: the same incident, open again
    flapping      changes too often: told once as flapping, and once more with its final state

    detected -> open | resolved (it was nothing: nobody is told, the record stays)
    open | reopened -> acknowledged | recovering | flapping | resolved (by hand)
    acknowledged -> recovering | flapping | resolved
    reopened | acknowledged -> open (a ticket that became a page: it is told as one, to everybody)
    recovering -> resolved | open | acknowledged (whichever it was before)
    resolved -> reopened
    flapping -> resolved | open | acknowledged

One root cause is one incident. Times are seconds since the epoch, by the engine's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Figure: TypeAlias = float | int | str | bool | None
Evidence: TypeAlias = Mapping[str, "Figure | list[Evidence] | Evidence"]
"""What a decision rested on, ready for JSON: names carry their unit."""


class Condition(StrEnum):
    """What is wrong with a monitor."""

    DOWN = "down"
    PARTIAL = "partial"
    """A part of the checks fails, for too long to be chance."""
    SLOW = "slow"
    CERTIFICATE = "certificate"
    """Expires soon."""
    BURN_FAST = "burn-fast"
    """The error budget goes so fast that somebody has to come (14.4 or 6 times)."""
    BURN_SLOW = "burn-slow"
    """It goes faster than it may (3 or 1 times): a ticket."""
    AGENT = "agent"
    """Not of a monitor: a region's agent is blind or gone."""


class State(StrEnum):
    """Of an incident."""

    DETECTED = "detected"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RECOVERING = "recovering"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    FLAPPING = "flapping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What the members of an incident have in common."""

    kind: str
    """``monitor``, ``parent``, ``host``, ``address``, ``domain``, ``tag``, ``region`` or ``agent``."""
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A monitor in an incident."""

    monitor: str
    """``TENANT/ID``; ``REGION`` of an incident about an agent."""
    condition: Condition
    began: float
    """Its first failure, as far as is known."""
    joined: float
    until: float | None = None
    """When it had recovered."""
    evidence: Evidence = field(default_factory=dict)
    """That it joined by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One root cause, as it stands."""

    id: str
    """``inc_`` and 26 characters that sort by time."""
    tenant: str
    """Empty for the platform's own (agents)."""
    state: State
    condition: Condition
    """The worst of its members."""
    severity: str
    """``page`` or ``ticket``."""
    title: str
    cause: Cause
    members: tuple[Member, ...]
    began: float
    detected: float
    opened: float | None = None
    acknowledged: float | None = None
    acknowledged_by: str = ""
    recovering: float | None = None
    resolved: float | None = None
    resolved_by: str = ""
    """Who did it by hand; empty when it went by itself."""
    reopenings: int = 0
    suppressed_by: str = ""
    """While detected: why it may not open (``maintenance ID``, ``silence ID``, ``parent MONITOR``, ``blind``)."""
    simulated: bool = False
    revision: int = 0
    """Counts the transitions."""

    @property
    def standing(self) -> bool:
        """Whether it is still something to care about."""
        return self.state is not State.RESOLVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step in an incident's life. Also steps that change no state: a member joins, somebody notes something."""

    incident: str
    number: int
    """The incident's revision after it."""
    at: float
    rule: str
    """``incident.open``, ``incident.member``, ``incident.flapping``, ``incident.note`` ..."""
    before: State | None
    after: State
    evidence: Evidence = field(default_factory=dict)
    actor: str = ""
    """Key id or name of a person; empty for the engine."""
    text: str = ""
    """A sentence for people."""
    tell: str = ""
    """What kind of message it calls for: ``opened``, ``joined``, ``acknowledged``, ``resolved``, ``reopened``,
    ``flapping``; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a monitor's life that uptime is counted from."""

    monitor: str
    kind: str
    """``down``, ``partial``, ``slow``, ``unknown``, ``maintenance`` or ``paused``."""
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message that is owed to a channel. The same key is never owed twice."""

    key: str
    """``INCIDENT/REVISION-OF-ITS-CAUSE/EVENT/CHANNEL[/STEP[/N]]``: deciding it twice gives the same."""
    incident: str
    tenant: str
    channel: str
    event: str
    """``opened``, ``joined``, ``acknowledged``, ``resolved``, ``reopened``, ``flapping``, ``escalated``, ``repeated``
    or ``test``."""
    at: float
    not_before: float
    """Later than ``at`` when quiet hours defer it."""
    snapshot: Incident | None
    """The incident when it was decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Confirmation: these regions are to probe the monitor now."""

    monitor: str
    regions: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What came of some observations, a tick or a command. Stored in one transaction, then acted on."""

    incidents: tuple[Incident, ...] = ()
    """As they stand now: those that changed."""
    transitions: tuple[Transition, ...] = ()
    notices: tuple[Notice, ...] = ()
    spans: tuple[Span, ...] = ()
    """Begun (``until`` is ``None``) or ended; ``(monitor, kind, since)`` names one."""
    wanted: tuple[Wanted, ...] = ()

    @property
    def to_store(self) -> bool:
        """Whether there is anything that has to be on disk."""
        return bool(self.incidents or self.transitions or self.notices or self.spans)
