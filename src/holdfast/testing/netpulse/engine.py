"""An engine that decides nothing: it shows a scene, and changes it as it is told."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from holdfast.netpulse.core.incident import Incident, State, Transition
from holdfast.netpulse.core.monitors import kind_of, validate_monitor
from holdfast.netpulse.core.ports import ForeignAlert, Silence, StoredMaintenance, StoredMonitor
from holdfast.netpulse.core.protocol import Ask, Batch, Orders, Receipt
from holdfast.netpulse.core.result import Outcome
from holdfast.netpulse.core.settings import MaintenanceSettings, MonitorSettings, NetpulseSettings
from holdfast.netpulse.core.uptime import uptime
from holdfast.netpulse.core.validate import validate_maintenance
from holdfast.netpulse.core.views import (
    Beat,
    ExplainView,
    IncidentView,
    MonitorView,
    RegionView,
    SummaryView,
    TransitionView,
)
from holdfast.netpulse.core.world import Entry, World, target_of
from holdfast.netpulse.errors import Conflict, Invalid, NotFound, ReadOnly
from holdfast.netpulse.shell.engine import views
from holdfast.testing.netpulse.records import ScriptedRecords
from holdfast.testing.netpulse.scene import DAY, Look, Scene, scene
from holdfast.web.times import timestamp

Event = tuple[str, Mapping[str, Any]]


class ScriptedSubscription:
    """See :class:`~holdfast.netpulse.core.ports.Subscription`."""

    MOST = 1000

    def __init__(self, gone: Callable[[ScriptedSubscription], None]) -> None:
        self._gone = gone
        self._events: deque[Event] = deque()
        self._more = asyncio.Event()
        self.closed = False

    def put(self, event: Event) -> None:
        """Hand over an event; one that does not keep up gets a ``reset``."""
        if len(self._events) >= self.MOST:
            self._events.clear()
            event = ("reset", {"reason": "this listener did not keep up"})
        self._events.append(event)
        self._more.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Until it is closed."""
        while not self.closed:
            await self._more.wait()
            while self._events:
                yield self._events.popleft()
            self._more.clear()

    def close(self) -> None:
        """No more of it."""
        self.closed = True
        self._more.set()
        self._gone(self)


class ScriptedNetpulse:
    """A :class:`~holdfast.netpulse.core.ports.Netpulse` over a :class:`~holdfast.testing.netpulse.scene.Scene`."""

    def __init__(self, made: Scene | None = None, *, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds since the epoch."""
        self.clock = clock
        self.scene = made or scene(clock())
        self.records = ScriptedRecords(self.scene)
        self.beats: list[tuple[str, bool, str]] = []
        """Monitor, whether it failed, and what it said: of heartbeats that came."""
        self.alerted: list[tuple[str, ForeignAlert]] = []
        self.tested: list[str] = []
        self.stored_maintenance: list[StoredMaintenance] = []
        self._listening: dict[ScriptedSubscription, str] = {}

    # -- for tests

    def emit(self, tenant: str, kind: str, body: Mapping[str, Any]) -> None:
        """Let a tenant's listeners know of something; an empty tenant is everybody."""
        for subscription, of in list(self._listening.items()):
            if tenant in {of, ""}:
                subscription.put((kind, body))

    @property
    def listeners(self) -> int:
        """Who listens."""
        return len(self._listening)

    def check(self, monitor: str, region: str) -> None:
        """Let a check of a monitor (its id) come in now."""
        at = self.clock()
        entry = next(each for each in self._world.entries.values() if each.id == monitor)
        seen = self.records.observe(entry.key, region, at)
        body = {"monitor": monitor, **msgspec.to_builtins(views.last_check(seen))}
        self.emit(entry.tenant, "check", body)

    # -- agents

    async def orders(self, ask: Ask) -> Orders:
        """Nothing to do."""
        return Orders(now=self.clock(), wait_s=1.0, schedule=ask.schedule)

    async def take(self, batch: Batch) -> Receipt:
        """Thrown away."""
        return Receipt(upto=max((each.seq for each in batch.results), default=0))

    # -- reading

    @property
    def settings(self) -> NetpulseSettings:
        """Of the scene."""
        return self.scene.settings

    @property
    def _world(self) -> World:
        return World(
            settings=self.settings, stored=tuple(self.scene.stored), stored_maintenance=tuple(self.stored_maintenance)
        )

    def _entry(self, tenant: str, monitor: str) -> Entry:
        entry = self._world.entries.get(f"{tenant}/{monitor}")
        if entry is None:
            raise NotFound(f"there is no monitor {monitor!r}")
        return entry

    async def monitors(self, tenant: str) -> list[MonitorView]:
        """In the order of their ids."""
        entries = sorted(self._world.entries.values(), key=lambda each: each.id)
        return [self._view(each) for each in entries if each.tenant == tenant]

    async def monitor(self, tenant: str, monitor: str) -> MonitorView:
        """Raises :class:`NotFound`."""
        return self._view(self._entry(tenant, monitor))

    def spec(self, tenant: str, monitor: str) -> MonitorSettings:
        """Raises :class:`NotFound`."""
        return self._entry(tenant, monitor).spec

    async def incidents(
        self, tenant: str, *, standing: bool | None, monitor: str | None, limit: int, before: str | None
    ) -> list[IncidentView]:
        """Newest first."""
        return [
            self._incident_view(each)
            for each in self.scene.incidents
            if each.tenant in {tenant, ""}
            and standing in {None, each.standing}
            and (monitor is None or f"{tenant}/{monitor}" in {member.monitor for member in each.members})
            and (before is None or each.id < before)
        ][:limit]

    def _incident(self, tenant: str, incident: str) -> tuple[int, Incident]:
        for number, each in enumerate(self.scene.incidents):
            if each.id == incident and each.tenant in {tenant, ""}:
                return number, each
        raise NotFound(f"there is no incident {incident!r}")

    async def incident(self, tenant: str, incident: str) -> IncidentView:
        """Raises :class:`NotFound`."""
        return self._incident_view(self._incident(tenant, incident)[1])

    async def timeline(self, tenant: str, incident: str) -> list[TransitionView]:
        """Oldest first."""
        _, found = self._incident(tenant, incident)
        return [views.transition_view(each) for each in self.scene.timelines[found.id]]

    async def explain(self, tenant: str, incident: str) -> ExplainView:
        """The story that the timeline tells."""
        _, found = self._incident(tenant, incident)
        timeline = self.scene.timelines[found.id]
        told = [f"{notice.channel}: {notice.event}, {state}" for notice, state, _ in self.scene.notices[found.id]]
        held = [f"Not opened: {found.suppressed_by}"] if found.suppressed_by else []
        return ExplainView(
            incident=self._incident_view(found),
            sentences=[each.text for each in timeline] + told + held,
            ledger=[{"monitor": views.id_of(each.monitor), **each.evidence} for each in found.members],
            timeline=[views.transition_view(each) for each in timeline],
            notices=views.notice_views(self.scene.notices[found.id]),
        )

    def regions(self) -> list[RegionView]:
        """One is blind, one was never seen."""
        states = {"ap": ("blind", "reaches none of its canaries"), "sa": ("waiting", "")}
        found = []
        for name, each in self.settings.regions.items():
            state, reason = states.get(name, ("seeing", ""))
            agent = {
                "agent": f"{name}-1",
                "state": state,
                "seen": timestamp(self.clock() - 2),
                "version": "0.0",
                "spooled": 0 if state == "seeing" else 118,
                "dropped": 0,
                "lag_p99_ms": 14.2,
                "clock_offset_s": 0.003,
            }
            found.append(
                RegionView(
                    region=name,
                    domain=each.domain or name,
                    state=state,
                    since=timestamp(self.scene.now - (260 if state == "blind" else 3 * DAY)),
                    reason=reason,
                    agents=[] if state == "waiting" else [agent],
                )
            )
        return found

    async def summary(self, tenant: str) -> SummaryView:
        """Counted anew each time."""
        shown = await self.monitors(tenant)
        standing = await self.incidents(tenant, standing=True, monitor=None, limit=1000, before=None)
        known = [each.uptime["24h"] for each in shown if each.uptime["24h"] is not None]
        return SummaryView(
            monitors=dict(Counter(each.state for each in shown)),
            incidents=sum(each.opened is not None for each in standing),
            regions={each.region: each.state for each in self.regions()},
            uptime_24h=sum(known) / len(known) if known else None,
            pages_24h=4,
            checks_per_s=1.9,
            now=timestamp(self.clock()),
        )

    def subscribe(self, tenant: str) -> ScriptedSubscription:
        """What :meth:`emit` is told."""
        subscription = ScriptedSubscription(self._gone)
        self._listening[subscription] = tenant
        return subscription

    def _gone(self, subscription: ScriptedSubscription) -> None:
        self._listening.pop(subscription, None)

    # -- acting

    async def put_monitor(self, tenant: str, monitor: str, spec: MonitorSettings, *, create: bool) -> MonitorView:
        """Raises :class:`Conflict`, :class:`ReadOnly`, :class:`NotFound` and :class:`Invalid`."""
        entries = self._world.entries
        entry = entries.get(f"{tenant}/{monitor}")
        if create and entry is not None:
            raise Conflict(f"there is a monitor {monitor!r} already")
        if entry is not None and entry.source == "file":
            raise ReadOnly(f"netpulse.monitors.{monitor} is written in the configuration file; change it there")
        known = [each.id for each in entries.values() if each.tenant == tenant]
        if problems := validate_monitor(monitor, spec, self.settings, known=known):
            raise Invalid("the monitor will not do", problems)
        now = self.clock()
        old = next((each for each in self.scene.stored if (each.tenant, each.id) == (tenant, monitor)), None)
        if old is not None:
            self.scene.stored.remove(old)
        self.scene.stored.append(
            StoredMonitor(tenant=tenant, id=monitor, spec=spec, created=old.created if old else now, updated=now)
        )
        self.scene.looks.setdefault(monitor, Look(state="pending", since_s=0.0))
        view = await self.monitor(tenant, monitor)
        self.emit(tenant, "monitor", msgspec.to_builtins(view))
        return view

    async def drop_monitor(self, tenant: str, monitor: str) -> None:
        """Raises :class:`NotFound`, :class:`ReadOnly`."""
        entry = self._entry(tenant, monitor)
        if entry.source == "file":
            raise ReadOnly(f"netpulse.monitors.{monitor} is written in the configuration file; remove it there")
        self.scene.stored = [each for each in self.scene.stored if (each.tenant, each.id) != (tenant, monitor)]

    async def acknowledge(self, tenant: str, incident: str, *, actor: str) -> IncidentView:
        """Raises :class:`NotFound`, :class:`Conflict`. Once more changes nothing."""
        _, found = self._incident(tenant, incident)
        if found.state is State.ACKNOWLEDGED:
            return self._incident_view(found)
        if found.state in {State.RESOLVED, State.DETECTED}:
            raise Conflict(f"the incident is {found.state}; only one that is open can be acknowledged")
        now = self.clock()
        return self._step(
            replace(found, state=State.ACKNOWLEDGED, acknowledged=now, acknowledged_by=actor),
            "incident.acknowledge",
            actor,
            f"{actor} has it: escalation stops",
        )

    async def resolve(self, tenant: str, incident: str, *, actor: str) -> IncidentView:
        """Raises :class:`NotFound`. Once more changes nothing."""
        _, found = self._incident(tenant, incident)
        if found.state is State.RESOLVED:
            return self._incident_view(found)
        now = self.clock()
        changed = replace(found, state=State.RESOLVED, resolved=now, resolved_by=actor)
        return self._step(changed, "incident.resolved", actor, f"Resolved by {actor}")

    async def note(self, tenant: str, incident: str, text: str, *, actor: str) -> IncidentView:
        """Raises :class:`NotFound`."""
        return self._step(self._incident(tenant, incident)[1], "incident.note", actor, text)

    def _step(self, changed: Incident, rule: str, actor: str, text: str) -> IncidentView:
        number, before = self._incident(changed.tenant, changed.id)
        changed = replace(changed, revision=before.revision + 1)
        self.scene.incidents[number] = changed
        self.scene.timelines[changed.id].append(
            Transition(
                incident=changed.id,
                number=changed.revision,
                at=self.clock(),
                rule=rule,
                before=before.state,
                after=changed.state,
                actor=actor,
                text=text,
            )
        )
        view = self._incident_view(changed)
        self.emit(changed.tenant, "incident", msgspec.to_builtins(view))
        return view

    async def silence(
        self, tenant: str, match: Mapping[str, str], *, starts: float, ends: float, comment: str, actor: str
    ) -> Silence:
        """One more."""
        made = Silence(
            id=f"sil_{len(self.scene.silences) + 1}",
            tenant=tenant,
            match=dict(match),
            starts=starts,
            ends=ends,
            comment=comment,
            created_by=actor,
        )
        self.scene.silences.append(made)
        return made

    async def unsilence(self, tenant: str, silence: str) -> None:
        """Raises :class:`NotFound`."""
        found = next((each for each in self.silences(tenant) if each.id == silence), None)
        if found is None:
            raise NotFound(f"there is no silence {silence!r}")
        self.scene.silences.remove(found)

    def silences(self, tenant: str) -> list[Silence]:
        """That have not ended."""
        return [each for each in self.scene.silences if each.tenant == tenant and each.ends > self.clock()]

    async def put_maintenance(self, tenant: str, id: str, spec: MaintenanceSettings) -> None:
        """Raises :class:`ReadOnly`, :class:`Invalid`."""
        if tenant == self.settings.tenant and id in self.settings.maintenance:
            raise ReadOnly(f"netpulse.maintenance.{id} is written in the configuration file; change it there")
        if problems := validate_maintenance(spec):
            raise Invalid("the maintenance will not do", problems)
        self.stored_maintenance = [each for each in self.stored_maintenance if (each.tenant, each.id) != (tenant, id)]
        self.stored_maintenance.append(StoredMaintenance(id=id, tenant=tenant, spec=spec))

    async def drop_maintenance(self, tenant: str, id: str) -> None:
        """Raises :class:`NotFound`, :class:`ReadOnly`."""
        if tenant == self.settings.tenant and id in self.settings.maintenance:
            raise ReadOnly(f"netpulse.maintenance.{id} is written in the configuration file; remove it there")
        if id not in self.maintenances(tenant):
            raise NotFound(f"there is no maintenance {id!r}")
        self.stored_maintenance = [each for each in self.stored_maintenance if (each.tenant, each.id) != (tenant, id)]

    def maintenances(self, tenant: str) -> Mapping[str, MaintenanceSettings]:
        """Those of the file and those of the API."""
        return self._world.maintenance.get(tenant, {})

    async def beat(self, token: str, *, failed: bool, detail: str) -> bool:
        """Noted in :attr:`beats`."""
        for entry in self._world.entries.values():
            heartbeat = entry.spec.heartbeat
            if heartbeat is not None and heartbeat.token == token:
                self.beats.append((entry.key, failed, detail))
                return True
        return False

    async def simulate(self, tenant: str, monitor: str, kind: str, *, seconds: float, actor: str) -> None:
        """Raises :class:`NotFound`."""
        entry = self._entry(tenant, monitor)
        look = self.scene.looks.get(monitor, Look())
        simulated, state = (kind, kind) if seconds else (None, "up")
        self.scene.looks[monitor] = Look(total_ms=look.total_ms, state=state, simulated=simulated, since_s=0.0)
        self.emit(tenant, "monitor", msgspec.to_builtins(self._view(entry)))

    async def test_channel(self, tenant: str, channel: str) -> str:
        """Raises :class:`NotFound`."""
        if tenant != self.settings.tenant or channel not in self.settings.channels:
            raise NotFound(f"there is no channel {channel!r}")
        self.tested.append(channel)
        return f"test/{len(self.tested)}/test/{channel}"

    async def alerts(self, tenant: str, alerts: Sequence[ForeignAlert]) -> None:
        """Noted in :attr:`alerted`."""
        self.alerted += [(tenant, each) for each in alerts]

    # -- how things look

    def _view(self, entry: Entry) -> MonitorView:
        now, look = self.clock(), self.scene.looks.get(entry.id, Look())
        spec, pending = entry.spec, look.state == "pending"
        regions = sorted(self._world.regions_of(entry))
        seen = [self.records.observe(entry.key, region, now - 10 - 5 * n) for n, region in enumerate(regions)]
        standing = next(
            (e.id for e in self.scene.incidents if e.standing and entry.key in {m.monitor for m in e.members}), None
        )
        spans = [span for span in self.scene.spans if span.monitor == entry.key]
        first = None if pending else self.scene.now - 120 * DAY
        parts = {"24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "90d": 90 * DAY}
        ups = {name: uptime(spans, since=now - span, until=now, first=first) for name, span in parts.items()}
        promised = spec.objective
        left = 0.0
        if promised is not None:
            lost = 1 - (uptime(spans, since=now - promised.window, until=now, first=first) or 1.0)
            left = max(0.0, 1 - lost / (1 - promised.target))
        return MonitorView(
            id=entry.id,
            name=entry.name,
            group=spec.group,
            tags=spec.tags,
            kind=kind_of(spec),
            target=target_of(spec),
            interval_s=float(spec.interval),
            regions=regions,
            depends_on=list(spec.depends_on),
            source=entry.source,
            state=look.state,
            doubt=look.doubt,
            since=timestamp(self.scene.now - look.since_s),
            last=[] if pending or spec.paused else [views.last_check(each) for each in seen],
            beats=[] if pending or spec.paused else self._beats(entry, now),
            uptime=ups,
            p95_ms=None if pending or look.failing == 1.0 else round(look.total_ms * 1.4 + 120, 1),
            cert_days=look.cert_days,
            incident=standing,
            delay_s=round(0.9 * float(spec.interval), 1),
            simulated=look.simulated,
            public=spec.public,
            paused=spec.paused,
            objective=None
            if promised is None
            else {
                "target": promised.target,
                "window_s": float(promised.window),
                "budget_left": left,
                "burn_1h": 20.0 * look.failing,
                "burn_6h": 4.0 * look.failing,
            },
        )

    def _beats(self, entry: Entry, now: float) -> list[Beat]:
        found = []
        step = max(60.0, float(entry.spec.interval))
        for number in range(59, -1, -1):
            at = now - now % step - number * step
            seen = [self.records.observe(entry.key, region, at) for region in self._world.regions_of(entry)]
            counts = Counter(each.outcome for each in seen)
            times = sorted(each.total_ms for each in seen if each.outcome is Outcome.UP)
            found.append(
                Beat(
                    at=timestamp(at),
                    up=counts[Outcome.UP],
                    down=counts[Outcome.DOWN],
                    unknown=counts[Outcome.UNKNOWN],
                    p50_ms=times[len(times) // 2] if times else None,
                )
            )
        return found

    def _incident_view(self, incident: Incident) -> IncidentView:
        return views.incident_view(incident, self._world, now=self.clock(), url=self.settings.public_url)
