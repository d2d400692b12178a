"""What the engine needs of its records, and what its interfaces need of the engine.

Everything here takes and gives values; nothing blocks. Times are seconds since the epoch unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from holdfast.netpulse.core.incident import Decisions, Incident, Notice, Span, Transition
from holdfast.netpulse.core.protocol import Ask, Batch, Orders, Receipt
from holdfast.netpulse.core.result import Observation
from holdfast.netpulse.core.settings import MaintenanceSettings, MonitorSettings, NetpulseSettings
from holdfast.netpulse.core.views import (
    ExplainView,
    IncidentView,
    MonitorView,
    RegionView,
    SummaryView,
    TransitionView,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMonitor:
    """A monitor that was made by the API (those of the file are not stored)."""

    tenant: str
    id: str
    spec: MonitorSettings
    created: float
    updated: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nobody is told of what matches, until it ends."""

    id: str
    tenant: str
    match: Mapping[str, str]
    starts: float
    ends: float
    comment: str
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMaintenance:
    """A maintenance that was made by the API."""

    id: str
    tenant: str
    spec: MaintenanceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Results of one monitor in one region over one step of time."""

    region: str
    at: float
    """Its beginning."""
    up: int
    down: int
    unknown: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    """Of the checks that found it up. From a histogram of which each bucket is 5 % wide, so within 2.5 %."""
    phases_ms: Mapping[str, float] = field(default_factory=dict)
    """Mean of each phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a batch."""

    fresh: Sequence[Observation]
    """Those that had not been taken before, in order. Each is handed out once, also when it was stored by a call that
    failed because its commit was not confirmed."""
    upto: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What the engine starts with."""

    states: Mapping[str, bytes]
    """Of each monitor's detector, as of the last checkpoint."""
    incidents: Sequence[Incident]
    """Standing ones, and those resolved since ``reopen_since``."""
    told: Mapping[str, Mapping[str, float]]
    """Of each of those incidents, the keys of its notices and when each was decided."""
    spans: Sequence[Span]
    """Not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A notice that is due, leased to whoever sends it."""

    notice: Notice
    attempt: int
    """1 for the first."""
    lease: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignAlert:
    """An alert that another system decided."""

    fingerprint: str
    title: str
    labels: Mapping[str, str]
    starts: float
    active: bool


class Records(Protocol):
    """The store of NetPulse: one implementation, two dialects."""

    async def open(self, now: float) -> None:
        """Bring the tables up to date, and take over as the one engine that decides (a fencing epoch)."""
        ...

    # -- results ------------------------------------------------------------------------------------

    async def take(
        self,
        batch: Sequence[Observation],
        *,
        agent: str,
        spool: str,
        first: int,
        upto: int,
        numbers: Sequence[int] | None = None,
    ) -> Taken:
        """Store what is new of a batch whose results have the numbers ``first`` to ``upto``.

        ``numbers``: of each, rising, where the batch leaves some out (results of monitors that are gone). They do not
        come any more. A batch that begins beyond the next number leaves a gap, which may be filled later.
        Answered after the commit; a repetition stores nothing twice.
        """
        ...

    async def restore(self, now: float, *, reopen_since: float) -> Restored: ...

    def since_checkpoint(self) -> AsyncIterator[Sequence[Observation]]:
        """Results stored after the last checkpoint, in the order in which they were stored."""
        ...

    async def checkpoint(self, states: Mapping[str, bytes]) -> None:
        """Everything stored until the call began is in ``states``."""
        ...

    async def decide(self, decisions: Decisions) -> None:
        """Store in one transaction. Idempotent. Raises when another engine has taken over."""
        ...

    # -- reading ------------------------------------------------------------------------------------

    async def checks(
        self, monitor: str, *, since: float, until: float, limit: int, before: str | None = None
    ) -> tuple[Sequence[Observation], str | None]:
        """Single results, newest first, and a cursor for the next page."""
        ...

    async def series(self, monitor: str, *, since: float, until: float, step_s: float) -> Sequence[Bucket]:
        """From the finest rollup that still has all of the time asked for."""
        ...

    async def counts(self, monitors: Sequence[str], *, since: float, until: float) -> Mapping[str, tuple[int, int]]:
        """Good and all decided checks (unknown ones left out) of each."""
        ...

    async def spans(self, monitors: Sequence[str], *, since: float, until: float) -> Sequence[Span]: ...

    async def incidents(
        self,
        tenant: str,
        *,
        standing: bool | None = None,
        monitor: str | None = None,
        limit: int,
        before: str | None = None,
    ) -> Sequence[Incident]:
        """Newest first; the tenant's and the platform's."""
        ...

    async def incident(self, tenant: str, incident: str) -> Incident | None: ...

    async def timeline(self, incident: str) -> Sequence[Transition]: ...

    async def notices(self, incident: str) -> Sequence[tuple[Notice, str, str]]:
        """With the state of each (``waiting``, ``sent``, ``failed``) and the last error."""
        ...

    # -- the outbox ---------------------------------------------------------------------------------

    async def owed(self, now: float, *, limit: int, lease_s: float) -> Sequence[Delivery]:
        """Notices that are due, leased: nobody else gets them before the lease is over."""
        ...

    async def delivered(self, delivery: Delivery, now: float, *, reference: str = "") -> None:
        """Sent; ``reference`` is what the other side calls it."""
        ...

    async def undelivered(self, delivery: Delivery, *, error: str, again_at: float | None) -> None:
        """Try again then; ``None``: given up."""
        ...

    async def owe(self, notice: Notice) -> None:
        """One more, outside of any incident (a test)."""
        ...

    # -- what the API makes -------------------------------------------------------------------------

    async def monitors(self) -> Sequence[StoredMonitor]: ...

    async def put_monitor(self, monitor: StoredMonitor) -> None: ...

    async def drop_monitor(self, tenant: str, id: str) -> None:
        """With everything about it."""
        ...

    async def silences(self, now: float) -> Sequence[Silence]:
        """That have not ended."""
        ...

    async def put_silence(self, silence: Silence) -> None: ...

    async def maintenances(self) -> Sequence[StoredMaintenance]: ...

    async def put_maintenance(self, maintenance: StoredMaintenance) -> None: ...

    async def drop_maintenance(self, tenant: str, id: str) -> None: ...

    async def document(self, kind: str, key: str) -> bytes | None:
        """Small things with a name: status updates, subscribers, learned path parameters."""
        ...

    async def documents(self, kind: str) -> Mapping[str, bytes]: ...

    async def put_document(self, kind: str, key: str, data: bytes | None) -> None: ...

    # -- upkeep -------------------------------------------------------------------------------------

    async def upkeep(self, now: float) -> None:
        """Roll up what is complete, forget what is over its time. In bounded steps; call it every few seconds."""
        ...

    async def figures(self) -> Mapping[str, float]:
        """``results``, ``bytes``, ``bytes_per_check``, ``owed``, ``oldest_owed_s`` ..."""
        ...

    async def close(self) -> None: ...


class Subscription(Protocol):
    """Live events for one listener; bounded: one that does not keep up gets a ``reset`` and looks anew."""

    def __aiter__(self) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """``("monitor" | "check" | "incident" | "region" | "reset", body)``."""
        ...

    def close(self) -> None: ...


class Netpulse(Protocol):
    """The running engine, as its interfaces see it. A tenant sees its own monitors and the platform's incidents.

    Raises what :mod:`..errors` has: ``NotFound``, ``Invalid`` (with problems), ``Conflict`` and ``ReadOnly``.
    """

    @property
    def settings(self) -> NetpulseSettings: ...

    # -- agents: the caller has checked the certificate against ``agent`` and ``region``

    async def orders(self, ask: Ask) -> Orders: ...

    async def take(self, batch: Batch) -> Receipt: ...

    # -- reading

    async def monitors(self, tenant: str) -> list[MonitorView]: ...

    async def monitor(self, tenant: str, monitor: str) -> MonitorView: ...

    def spec(self, tenant: str, monitor: str) -> MonitorSettings: ...

    async def incidents(
        self, tenant: str, *, standing: bool | None, monitor: str | None, limit: int, before: str | None
    ) -> list[IncidentView]: ...

    async def incident(self, tenant: str, incident: str) -> IncidentView: ...

    async def timeline(self, tenant: str, incident: str) -> list[TransitionView]: ...

    async def explain(self, tenant: str, incident: str) -> ExplainView: ...

    def regions(self) -> list[RegionView]: ...

    async def summary(self, tenant: str) -> SummaryView: ...

    def subscribe(self, tenant: str) -> Subscription: ...

    # -- acting

    async def put_monitor(self, tenant: str, monitor: str, spec: MonitorSettings, *, create: bool) -> MonitorView: ...

    async def drop_monitor(self, tenant: str, monitor: str) -> None: ...

    async def acknowledge(self, tenant: str, incident: str, *, actor: str) -> IncidentView: ...

    async def resolve(self, tenant: str, incident: str, *, actor: str) -> IncidentView: ...

    async def note(self, tenant: str, incident: str, text: str, *, actor: str) -> IncidentView: ...

    async def silence(
        self, tenant: str, match: Mapping[str, str], *, starts: float, ends: float, comment: str, actor: str
    ) -> Silence: ...

    async def unsilence(self, tenant: str, silence: str) -> None: ...

    def silences(self, tenant: str) -> list[Silence]: ...

    async def put_maintenance(self, tenant: str, id: str, spec: MaintenanceSettings) -> None: ...

    async def drop_maintenance(self, tenant: str, id: str) -> None: ...

    def maintenances(self, tenant: str) -> Mapping[str, MaintenanceSettings]:
        """Those of the file and those of the API."""
        ...

    async def beat(self, token: str, *, failed: bool, detail: str) -> bool:
        """A heartbeat came; whether the token is known. ``failed``: the job says that it went wrong."""
        ...

    async def simulate(self, tenant: str, monitor: str, kind: str, *, seconds: float, actor: str) -> None:
        """``down``, ``slow`` or ``flapping``; 0 seconds ends it."""
        ...

    async def test_channel(self, tenant: str, channel: str) -> str:
        """Send a test through the outbox; its key, to look up what became of it."""
        ...

    async def alerts(self, tenant: str, alerts: Sequence[ForeignAlert]) -> None:
        """Alerts of a Prometheus Alertmanager (its webhook receiver): each fingerprint is an incident's member."""
        ...
