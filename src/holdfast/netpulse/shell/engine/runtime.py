"""The engine as it runs: everything that has to happen in one place, and in order.

    take      agent's batch -> corrected, judged -> records (committed) -> receipt -> detectors, incidents -> scribe
    ticks     time works on regions, heartbeats, incidents, objectives -> scribe
    scribe    decisions -> records (one transaction each, in order) -> listeners, agents, notifier

Results are on disk before they are acknowledged and before anything is decided by them; decisions are on disk before
anybody hears of them. After a crash detectors start from their last checkpoint and what was stored after it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Final

import msgspec

from holdfast.netpulse.core.definitions import sound
from holdfast.netpulse.core.engine import Engine
from holdfast.netpulse.core.escalation import test_notice
from holdfast.netpulse.core.ids import new_id
from holdfast.netpulse.core.incident import Decisions, Incident
from holdfast.netpulse.core.ports import (
    ForeignAlert,
    Records,
    Silence,
    StoredMaintenance,
)
from holdfast.netpulse.core.presence import Presence
from holdfast.netpulse.core.protocol import (
    Ask,
    Batch,
    Orders,
    Receipt,
    unsound_ask,
    unsound_batch,
)
from holdfast.netpulse.core.result import Failure, Observation, Outcome, Result, one_line
from holdfast.netpulse.core.settings import MaintenanceSettings, MonitorSettings, NetpulseSettings
from holdfast.netpulse.core.validate import validate_maintenance
from holdfast.netpulse.core.views import (
    ExplainView,
    IncidentView,
    MonitorView,
    RegionView,
    SummaryView,
    TransitionView,
)
from holdfast.netpulse.core.world import PUSH, Entry, World
from holdfast.netpulse.errors import Conflict, Invalid, NotFound, ReadOnly
from holdfast.netpulse.shell.engine import views
from holdfast.netpulse.shell.engine.board import Board
from holdfast.netpulse.shell.engine.gate import Gate
from holdfast.netpulse.shell.engine.heartbeats import Heartbeats
from holdfast.netpulse.shell.engine.hub import Hub, Listener
from holdfast.netpulse.shell.engine.orders import Dispatch
from holdfast.netpulse.shell.engine.scribe import Scribe
from holdfast.netpulse.shell.engine.simulation import KINDS as SIMULATIONS
from holdfast.netpulse.shell.engine.simulation import LONGEST_S, Simulation
from holdfast.store import StoreUnavailable

log = logging.getLogger(__name__)
_STALLED: Final = {"action": "stalled"}

ALERTS: Final = 5_000
"""Of other systems, that fire at once for one tenant."""
_CHECKPOINT_S: Final = 30.0
_UPKEEP_S: Final = 5.0
_LONGEST_TICK_S: Final = 1.0
"""Time is looked at this often even when nothing is known to be due."""
_LATE_MIN_S: Final = 30.0
_AT_ONCE: Final = 50
"""Views that are made without a pause."""
_SETTLED_S: Final = 10.0
"""As long as the store may take to say that it cannot."""
_DEFINED_S: Final = 20.0
"""Longest wait for others who change what is watched."""
_STALL_S: Final = 4.0
"""Time is looked at every second; after a longer gap nobody was here to hear who was not heard."""
_CAME: Final = "heartbeat"
"""Kind of the documents that say when each heartbeat came last."""
_ALIVE: Final = ("engine", "alive")
"""The document that says when an engine ran last."""
_ENGINE: Final = "engine"
"""The agent of results that the engine makes itself: heartbeats, and that they did not come."""


def _token() -> str:
    """Of a heartbeat."""
    return secrets.token_urlsafe(24)


class Runtime:
    """Implements :class:`~holdfast.netpulse.core.ports.Netpulse`. :meth:`open` it, :meth:`run` it in a task."""

    def __init__(
        self,
        settings: NetpulseSettings,
        records: Records,
        *,
        clock: Callable[[], float] = time.time,
        rng: Random,
    ) -> None:
        self._settings = settings
        self._records = records
        self._clock = clock
        self._rng = rng
        self.hub = Hub()
        self.owed: Callable[[], None] = lambda: None
        """Called when there is a notice to send."""
        self.engine = Engine(new_id=lambda now: new_id(now, rng))
        self.presence = Presence(
            heartbeat_s=settings.agents.heartbeat, tolerance_s=settings.agents.clock_tolerance, started=clock()
        )
        self._dispatch = Dispatch(self.presence)
        self._scribe = Scribe(records, act=self._act, rng=rng)
        self.board = Board(records, self.engine, self._clock)
        self._heartbeats = Heartbeats()
        self._simulated: dict[str, Simulation] = {}
        self._world = World(settings)
        self._gate = Gate()
        self._defining = asyncio.Lock()
        """Held by who changes what is watched: each begins with what the one before left."""
        self._own_seq = 0
        self._own_spool = secrets.token_hex(8)
        self._own_lock = asyncio.Lock()
        self._ticking = asyncio.Event()
        self._taken = 0
        self._looked = clock()
        self._unwatched: set[str] = set()
        self._rate: list[tuple[float, int]] = []

    # -- life ---------------------------------------------------------------------------------------

    @property
    def settings(self) -> NetpulseSettings:
        """In force."""
        return self._settings

    def now(self) -> float:
        """Seconds since the epoch, by the engine's clock."""
        return self._clock()

    @property
    def world(self) -> World:
        """Everything that is watched."""
        return self._world

    async def open(self) -> None:
        """Take up where the last process stopped."""
        now = self._clock()
        await self._records.open(now)
        self._world = World(
            self._settings,
            stored=tuple(await self._records.monitors()),
            silences=tuple(await self._records.silences(now)),
            stored_maintenance=_sound_windows(await self._records.maintenances()),
        )
        alive = await self._records.document(*_ALIVE)
        away_s = max(0.0, now - msgspec.json.decode(alive, type=float)) if alive else 0.0
        self._heartbeats.restore(await self._records.documents(_CAME), away_s=away_s)
        restored = await self._records.restore(now, reopen_since=now - self._settings.incidents.reopen)
        decisions = self.engine.start(self._world, now, restored=restored)
        self._arrange(now)
        folded = 0
        async for seen in self._records.since_checkpoint():
            self.engine.fold(seen)
            folded += len(seen)
        await self.board.fill(self._world, now)
        self._scribe.put(decisions)
        self._scribe.put(self.engine.reconcile(now))
        log.info(
            "records are read",
            extra={
                "action": "restore",
                "monitors": len(self._world.entries),
                "incidents": len(restored.incidents),
                "folded": folded,
            },
        )

    async def run(self) -> None:
        """Until cancelled. Raises when deciding has to end: the records are somebody else's now, or broken."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._scribe.run(), name="scribe")
            group.create_task(self._tick(), name="ticks")
            group.create_task(self._missing(), name="heartbeats")
            group.create_task(self._checkpoints(), name="checkpoints")
            group.create_task(self._upkeep(), name="upkeep")
            group.create_task(self.board.run(), name="figures")

    def stop(self) -> None:
        """Answer who waits; new questions are answered at once."""
        self._dispatch.close()
        self.hub.close()

    async def close(self) -> None:
        """Store what was decided, and where the detectors stand."""
        async with asyncio.timeout(self._settings.drain_timeout or 1.0):
            await self._scribe.flushed()
            await self.checkpoint()

    def reconfigure(self, settings: NetpulseSettings) -> None:
        """Take up another configuration; what is known stays. Raises ``ValueError`` and keeps the old one."""
        before = self._settings, self._world
        self._settings = settings
        try:
            self._change(replace(self._world, settings=settings))
        except ValueError:
            self._settings = before[0]
            self._change(before[1])
            raise

    async def settled(self) -> None:
        """Return when all that was decided so far is stored. Raises ``StoreUnavailable`` when that takes too long."""
        try:
            async with asyncio.timeout(_SETTLED_S):
                await self._scribe.flushed()
        except TimeoutError:
            raise StoreUnavailable(
                f"what was decided is not stored after {_SETTLED_S:g} s; it will be, ask again"
            ) from None

    async def checkpoint(self) -> None:
        """Store the state of the detectors. Batches wait meanwhile, so that it covers exactly what is stored."""
        async with self._gate.closed():
            await self._records.checkpoint(self.engine.snapshots())
        await self._records.put_document(*_ALIVE, msgspec.json.encode(self._clock()))

    # -- agents -------------------------------------------------------------------------------------

    async def orders(self, ask: Ask) -> Orders:
        """What an agent is to do. Raises ``Invalid`` for what cannot be."""
        if wrong := unsound_ask(ask):
            raise Invalid(wrong)
        self._look()  # before it is heard: what it says after a standstill is news
        self.presence.heard(ask, self._clock())
        self._look()
        orders = await self._dispatch.answer(ask, now=self._clock(), heartbeat_s=self._settings.agents.heartbeat)
        return msgspec.structs.replace(orders, now=self._clock())

    async def take(self, batch: Batch) -> Receipt:
        """Store results, then decide by them. Raises ``StoreUnavailable``: the agent keeps them; and ``Invalid``."""
        if wrong := unsound_batch(batch):
            raise Invalid(wrong)
        if self._scribe.full:
            raise StoreUnavailable("too many decisions wait for the store; keep the results and send them again")
        now = self._clock()
        offset = self.presence.offset(now, batch.now)
        oldest = now - self._settings.retention.raw
        seen, numbers = [], []
        for result in batch.results:
            entry = self._world.entries.get(result.monitor)
            if entry is None or batch.region not in self._world.regions_of(entry) or result.at + offset < oldest:
                continue
            seen.append(self._observation(result, entry, batch, offset, now))
            numbers.append(result.seq)
        first, upto = batch.results[0].seq, batch.results[-1].seq
        taken = await self._store(seen, numbers, agent=batch.agent, spool=batch.spool, first=first, upto=upto)
        return Receipt(upto=taken, refused=len(batch.results) - len(seen), clock_offset_s=offset)

    def _observation(self, result: Result, entry: Entry, batch: Batch, offset: float, now: float) -> Observation:
        # A result from the future is taken as of now: its agent's clock jumped between the probe and the sending.
        at = min(result.at + offset, now)
        patience_s = max(_LATE_MIN_S, 2 * entry.spec.interval + entry.spec.timeout)
        seen = Observation(
            monitor=result.monitor,
            region=batch.region,
            domain=self._world.domain(batch.region),
            agent=batch.agent,
            at=at,
            received=now,
            outcome=result.outcome,
            failure=result.failure,
            total_ms=result.total_ms,
            phases=result.phases,
            status=result.status,
            detail=one_line(result.detail, 200),
            address=one_line(result.address, 100),
            cert_days=result.cert_days,
            confirm=result.confirm,
            late=now - at > patience_s,
        )
        simulation = self._simulated.get(result.monitor)
        return seen if simulation is None or now >= simulation.until else simulation.bent(seen)

    async def _store(
        self, seen: Sequence[Observation], numbers: Sequence[int], *, agent: str, spool: str, first: int, upto: int
    ) -> int:
        async with self._gate.open():
            taken = await self._records.take(seen, numbers=numbers, agent=agent, spool=spool, first=first, upto=upto)
            now = self._clock()
            if taken.fresh:
                self._taken += len(taken.fresh)
                self._scribe.put(self.engine.observe(taken.fresh, now))
                self.board.seen(taken.fresh)
                self._publish_checks(taken.fresh)
                self._ticking.set()
            return taken.upto

    def _publish_checks(self, fresh: Sequence[Observation]) -> None:
        if not len(self.hub):
            return
        for seen in fresh:
            self.hub.publish(
                views.tenant_of(seen.monitor),
                "check",
                {"monitor": views.id_of(seen.monitor), **msgspec.to_builtins(views.last_check(seen))}
                | self.board.pulse(seen.monitor),
            )

    # -- time ---------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        next_at = 0.0
        while True:
            now = self._clock()
            due = self.engine.due(now)
            if (due is not None and due <= now) or loop.time() >= next_at:
                next_at = loop.time() + _LONGEST_TICK_S
                self.tick()
            else:
                self._look()
            moments = [moment for moment in (self.engine.due(now), self.presence.due()) if moment is not None]
            wait_s = min([_LONGEST_TICK_S, *(max(0.01, moment - self._clock()) for moment in moments)])
            self._ticking.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._ticking.wait()
            except TimeoutError:
                pass

    def tick(self) -> None:
        """Let time work, as of now."""
        now = self._clock()
        self._look()
        for key, simulation in list(self._simulated.items()):
            if now >= simulation.until:
                del self._simulated[key]
                self._publish_monitor(key)
        self._scribe.put(self.engine.tick(now))

    def _look(self) -> None:
        """Judge the regions."""
        now = self._clock()
        gap_s, self._looked = now - self._looked, now
        if gap_s > _STALL_S:
            log.warning("nothing was done for %.1f s: stopped, overloaded, or the clock was set", gap_s, extra=_STALLED)
            self.presence.excused(gap_s)
            self._heartbeats.excused(gap_s)
        changed = self.presence.look(now)
        self._dispatch.regrouped()
        for region in changed:
            log.log(
                logging.INFO if region.state == "seeing" else logging.WARNING,
                "region %s: %s%s",
                region.region,
                region.state,
                f": {region.reason}" if region.reason else "",
                extra={"action": "region", "region": region.region, "state": region.state},
            )
            self._scribe.put(self.engine.region(region.region, region.state, region.reason, now))
            self.hub.publish("", "region", {"region": region.region, "state": region.state, "reason": region.reason})

    async def missed(self) -> None:
        """Store that heartbeats did not come. Raises ``StoreUnavailable``: say it again."""
        now = self._clock()
        for key, detail in self._heartbeats.missed(now):
            await self._own(key, Outcome.DOWN, Failure.MISSING, detail, now)
            self._heartbeats.said(key, now)

    async def _missing(self) -> None:
        """Beside the ticks, which do not wait for the store."""
        while True:
            await asyncio.sleep(_LONGEST_TICK_S)
            try:
                await self.missed()
            except StoreUnavailable as error:
                log.warning("that a heartbeat is missing waits: %s", error, extra={"action": "heartbeat"})

    async def _checkpoints(self) -> None:
        while True:
            await asyncio.sleep(_CHECKPOINT_S)
            try:
                await self.checkpoint()
            except StoreUnavailable as error:
                log.warning("no checkpoint: %s", error, extra={"action": "checkpoint"})

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(_UPKEEP_S)
            now = self._clock()
            self._rate = [*self._rate[-12:], (now, self._taken)]
            try:
                await self._records.upkeep(now)
                # Of those here: what is read may be older than what was made meanwhile.
                silences = tuple(each for each in self._world.silences if each.ends > now)
                if silences != self._world.silences:
                    self._change(replace(self._world, silences=silences))
                await self._objectives(now)
            except StoreUnavailable as error:
                log.warning("upkeep waits: %s", error, extra={"action": "upkeep"})

    async def _objectives(self, now: float) -> None:
        signals = await self.board.objectives(self._world, now)
        if signals:
            self._scribe.put(self.engine.signals(signals, now))

    # -- acting on what is stored -------------------------------------------------------------------

    def _act(self, decisions: Decisions) -> None:
        if decisions.wanted:
            self._dispatch.want(decisions.wanted)
        if decisions.notices:
            self.owed()
        tenants = {incident.id: incident.tenant for incident in decisions.incidents}
        for transition in decisions.transitions:
            if transition.tell in {"opened", "reopened"}:
                self.board.opened(tenants.get(transition.incident, ""), transition.at)
            log.info(
                "incident %s: %s",
                transition.incident,
                transition.text or transition.rule,
                extra={
                    "action": transition.rule,
                    "incident": transition.incident,
                    "state": transition.after.value,
                    "actor": transition.actor or None,
                },
            )
        now = self._clock()
        for incident in decisions.incidents:
            self.board.changed(incident)
            view = self._incident_view(incident, now)
            self.hub.publish(incident.tenant, "incident", msgspec.to_builtins(view))
            for member in incident.members:
                self._publish_monitor(member.monitor)

    def _publish_monitor(self, key: str) -> None:
        entry = self._world.entries.get(key)
        if entry is not None and len(self.hub):
            view = self.board.view(entry, self._simulated.get(key), self._clock())
            body = msgspec.to_builtins(view)
            for heavy in ("beats", "last"):
                del body[heavy]
            self.hub.publish(entry.tenant, "monitor", body)

    # -- the world ----------------------------------------------------------------------------------

    def _change(self, world: World) -> None:
        self._world = world
        now = self._clock()
        self._arrange(now)
        self._scribe.put(self.engine.configure(world, now))

    def _arrange(self, now: float) -> None:
        unwatched = {key for key, entry in self._world.entries.items() if not self._world.regions_of(entry)}
        for key in sorted(unwatched - self._unwatched):
            log.warning("nobody watches %s: its regions are gone", key, extra={"action": "unwatched", "monitor": key})
        self._unwatched = unwatched
        agents = self._settings.agents
        self.presence.configure(
            self._settings.regions, heartbeat_s=agents.heartbeat, tolerance_s=agents.clock_tolerance, now=now
        )
        self._heartbeats.configure(self._world, now)
        self._dispatch.configure(self._world)
        self.board.configure(self._world)
        self._simulated = {key: value for key, value in self._simulated.items() if key in self._world.entries}

    def _entry(self, tenant: str, monitor: str) -> Entry:
        entry = self._world.entries.get(f"{tenant}/{monitor}")
        if entry is None:
            raise NotFound(f"no monitor {monitor}")
        return entry

    # -- reading ------------------------------------------------------------------------------------

    async def monitors(self, tenant: str) -> list[MonitorView]:
        """All of a tenant's."""
        now = self._clock()
        found = []
        for entry in [entry for entry in self._world.entries.values() if entry.tenant == tenant]:
            found.append(self.board.view(entry, self._simulated.get(entry.key), now))
            if len(found) % _AT_ONCE == 0:
                await asyncio.sleep(0)  # agents and pages come in between
        return found

    async def monitor(self, tenant: str, monitor: str) -> MonitorView:
        """One, with figures of now."""
        entry = self._entry(tenant, monitor)
        await self.board.refresh(entry, self._clock())
        return self.board.view(entry, self._simulated.get(entry.key), self._clock())

    def spec(self, tenant: str, monitor: str) -> MonitorSettings:
        """As it was written, secrets included."""
        return self._entry(tenant, monitor).spec

    def page(self, incident: str) -> str:
        """Where people see an incident; empty when nobody said where they reach us."""
        url = self._settings.console_url
        return f"{url}/incidents/{incident}" if url else ""

    def _incident_view(self, incident: Incident, now: float) -> IncidentView:
        return views.incident_view(incident, self._world, now=now, url=self.page(incident.id))

    async def incidents(
        self, tenant: str, *, standing: bool | None, monitor: str | None, limit: int, before: str | None
    ) -> list[IncidentView]:
        """Newest first."""
        key = None if monitor is None else f"{tenant}/{monitor}"
        found = await self._records.incidents(tenant, standing=standing, monitor=key, limit=limit, before=before)
        now = self._clock()
        return [self._incident_view(incident, now) for incident in found]

    async def _incident(self, tenant: str, incident: str) -> Incident:
        await self.settled()
        found = await self._records.incident(tenant, incident)
        if found is None:
            raise NotFound(f"no incident {incident}")
        return found

    async def incident(self, tenant: str, incident: str) -> IncidentView:
        """One."""
        return self._incident_view(await self._incident(tenant, incident), self._clock())

    async def timeline(self, tenant: str, incident: str) -> list[TransitionView]:
        """What happened, oldest first."""
        await self._incident(tenant, incident)
        return [views.transition_view(each) for each in await self._records.timeline(incident)]

    async def explain(self, tenant: str, incident: str) -> ExplainView:
        """Why it did, or did not, page."""
        found = await self._incident(tenant, incident)
        timeline = await self._records.timeline(incident)
        notices = await self._records.notices(incident)
        return self.board.explain(found, timeline, notices, self._incident_view(found, self._clock()))

    def regions(self) -> list[RegionView]:
        """And their agents."""
        return views.region_views(self.presence, self._world)

    async def summary(self, tenant: str) -> SummaryView:
        """The whole in a few figures."""
        now = self._clock()
        counts: dict[str, int] = {}
        uptimes = []
        for key, entry in self._world.entries.items():
            if entry.tenant != tenant:
                continue
            state = self.board.state(entry, now)
            counts[state] = counts.get(state, 0) + 1
            day = self.board.figures(key).uptime.get("24h")
            if day is not None:
                uptimes.append(day)
        standing = [each for each in self.engine.book.standing() if each.tenant in {"", tenant}]
        first, last = (self._rate[0], self._rate[-1]) if len(self._rate) > 1 else ((0.0, 0), (0.0, 0))
        return SummaryView(
            monitors=counts,
            incidents=sum(incident.opened is not None for incident in standing),
            regions={region.region: region.state for region in self.presence.regions().values()},
            uptime_24h=sum(uptimes) / len(uptimes) if uptimes else None,
            pages_24h=self.board.pages(tenant, now - 86_400.0),
            checks_per_s=round((last[1] - first[1]) / (last[0] - first[0]), 1) if last[0] > first[0] else 0.0,
            now=views.moment(now),
        )

    def subscribe(self, tenant: str) -> Listener:
        """Live events."""
        return self.hub.subscribe(tenant)

    # -- acting -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Have what is watched to oneself. Raises ``StoreUnavailable`` when others take too long."""
        try:
            async with asyncio.timeout(_DEFINED_S):
                await self._defining.acquire()
        except TimeoutError:
            raise StoreUnavailable("others change what is watched, and the store keeps them waiting") from None
        try:
            yield
        finally:
            self._defining.release()

    async def put_monitor(self, tenant: str, monitor: str, spec: MonitorSettings, *, create: bool) -> MonitorView:
        """Make or change one of the API's."""
        key = f"{tenant}/{monitor}"
        async with self._changing():
            stored = sound(self._world, tenant, monitor, spec, create=create, now=self._clock(), made=_token)
            await self._records.put_monitor(stored)
            others = (each for each in self._world.stored if (each.tenant, each.id) != (tenant, monitor))
            self._change(replace(self._world, stored=(*others, stored)))
        self._publish_monitor(key)
        return self.board.view(self._entry(tenant, monitor), self._simulated.get(key), stored.updated)

    async def drop_monitor(self, tenant: str, monitor: str) -> None:
        """With everything about it. When the store fails it stays, and can be dropped again."""
        async with self._changing():
            entry = self._entry(tenant, monitor)
            if entry.source == "file":
                raise ReadOnly(f"monitor {monitor} is written in the configuration file; take it out there")
            children = [each.id for each in self._world.entries.values() if entry.key in each.parents]
            if children:
                raise Conflict(f"monitor {monitor}: {', '.join(children[:5])} depends on it; change that first")
            (stored,) = (each for each in self._world.stored if (each.tenant, each.id) == (tenant, monitor))
            self._change(replace(self._world, stored=tuple(each for each in self._world.stored if each != stored)))
            try:
                await self.settled()  # what it leaves behind is stored before it is removed
                await self._records.drop_monitor(tenant, monitor)
                await self._records.put_document(_CAME, entry.key, None)
                await self.board.forget(entry.key)
            except BaseException:
                self._change(replace(self._world, stored=(*self._world.stored, stored)))
                raise

    async def acknowledge(self, tenant: str, incident: str, *, actor: str) -> IncidentView:
        """Somebody has it: escalation stops."""
        return await self._command(tenant, incident, lambda now: self.engine.acknowledge(incident, actor, now))

    async def resolve(self, tenant: str, incident: str, *, actor: str) -> IncidentView:
        """Somebody says that it is over."""
        return await self._command(tenant, incident, lambda now: self.engine.resolve(incident, actor, now))

    async def note(self, tenant: str, incident: str, text: str, *, actor: str) -> IncidentView:
        """A line in its timeline."""
        return await self._command(tenant, incident, lambda now: self.engine.note(incident, text, actor, now))

    async def _command(self, tenant: str, incident: str, act: Callable[[float], Decisions]) -> IncidentView:
        found = await self._incident(tenant, incident)
        if tenant not in {found.tenant, self._settings.tenant}:
            raise ReadOnly(f"incident {incident} is about the platform; who runs it has it")
        if self.engine.book.incident(incident) is None:
            raise Conflict(f"incident {incident} is over; a new failure makes a new one")
        self._scribe.put(act(self._clock()))
        self._ticking.set()
        return await self.incident(tenant, incident)

    async def silence(
        self, tenant: str, match: Mapping[str, str], *, starts: float, ends: float, comment: str, actor: str
    ) -> Silence:
        """Nobody is told of what matches."""
        silence = Silence(
            id=new_id(self._clock(), self._rng, prefix="sil"),
            tenant=tenant,
            match=dict(match),
            starts=starts,
            ends=ends,
            comment=comment,
            created_by=actor,
        )
        async with self._changing():
            await self._records.put_silence(silence)
            self._change(replace(self._world, silences=(*self._world.silences, silence)))
        return silence

    async def unsilence(self, tenant: str, silence: str) -> None:
        """End one now."""
        async with self._changing():
            found = next((each for each in self._world.silences if (each.tenant, each.id) == (tenant, silence)), None)
            if found is None:
                raise NotFound(f"no silence {silence}")
            await self._records.put_silence(replace(found, ends=self._clock()))
            self._change(replace(self._world, silences=tuple(each for each in self._world.silences if each != found)))

    def silences(self, tenant: str) -> list[Silence]:
        """That have not ended."""
        now = self._clock()
        return [each for each in self._world.silences if each.tenant == tenant and each.ends > now]

    async def put_maintenance(self, tenant: str, id: str, spec: MaintenanceSettings) -> None:
        """Make or change one of the API's."""
        if tenant == self._settings.tenant and id in self._settings.maintenance:
            raise ReadOnly(f"maintenance {id} is written in the configuration file; change it there")
        if problems := validate_maintenance(spec):
            raise Invalid(f"maintenance {id}: not sound", problems)
        stored = StoredMaintenance(id=id, tenant=tenant, spec=spec)
        async with self._changing():
            await self._records.put_maintenance(stored)
            others = tuple(each for each in self._world.stored_maintenance if (each.tenant, each.id) != (tenant, id))
            self._change(replace(self._world, stored_maintenance=(*others, stored)))

    async def drop_maintenance(self, tenant: str, id: str) -> None:
        """Take one of the API's out."""
        if tenant == self._settings.tenant and id in self._settings.maintenance:
            raise ReadOnly(f"maintenance {id} is written in the configuration file; take it out there")
        async with self._changing():
            others = tuple(each for each in self._world.stored_maintenance if (each.tenant, each.id) != (tenant, id))
            if len(others) == len(self._world.stored_maintenance):
                raise NotFound(f"no maintenance {id}")
            await self._records.drop_maintenance(tenant, id)
            self._change(replace(self._world, stored_maintenance=others))

    def maintenances(self, tenant: str) -> Mapping[str, MaintenanceSettings]:
        """Of the file and of the API."""
        return self._world.maintenance.get(tenant, {})

    async def beat(self, token: str, *, failed: bool, detail: str) -> bool:
        """A heartbeat came."""
        key = self._heartbeats.key(hashlib.sha256(token.encode()).digest())
        if key is None:
            return False
        now = self._clock()
        self._heartbeats.came(key, now)
        await self._own(
            key, Outcome.DOWN if failed else Outcome.UP, Failure.EXIT if failed else Failure.NONE, detail, now
        )
        await self._records.put_document(_CAME, key, msgspec.json.encode(now))
        return True

    async def _own(self, key: str, outcome: Outcome, failure: Failure, detail: str, now: float) -> None:
        """Store a result of the engine's own making, as those of agents are."""
        seen = Observation(
            monitor=key,
            region=PUSH,
            domain=PUSH,
            agent=_ENGINE,
            at=now,
            received=now,
            outcome=outcome,
            failure=failure,
            total_ms=0.0,
            detail=one_line(detail, 200),
        )
        async with self._own_lock:
            seq = self._own_seq + 1
            await self._store([seen], [seq], agent=_ENGINE, spool=self._own_spool, first=seq, upto=seq)
            self._own_seq = seq

    async def simulate(self, tenant: str, monitor: str, kind: str, *, seconds: float, actor: str) -> None:
        """Pretend, for a time."""
        entry = self._entry(tenant, monitor)
        if kind not in SIMULATIONS:
            raise Invalid(f"simulate: kind {kind!r}; write one of {', '.join(SIMULATIONS)}")
        if not 0 <= seconds <= LONGEST_S:
            raise Invalid(f"simulate: {seconds:g} seconds; write 0 to {LONGEST_S:g}")
        now = self._clock()
        if seconds == 0:
            self._simulated.pop(entry.key, None)
        else:
            self._simulated[entry.key] = Simulation(kind=kind, began=now, until=now + seconds, actor=actor)
        log.info(
            "simulating",
            extra={"action": "simulate", "monitor": entry.key, "kind": kind, "for_s": seconds, "actor": actor},
        )
        self._publish_monitor(entry.key)

    async def test_channel(self, tenant: str, channel: str) -> str:
        """A test, through the outbox as everything else."""
        if tenant != self._settings.tenant or channel not in self._settings.channels:
            raise NotFound(f"no channel {channel}")
        now = self._clock()
        notice = test_notice(tenant=tenant, channel=channel, id=new_id(now, self._rng, prefix="tst"), now=now)
        await self._records.owe(notice)
        self.owed()
        return notice.key

    async def alerts(self, tenant: str, alerts: Sequence[ForeignAlert]) -> None:
        """What another system decided. Each is a monitor of its own, watched by that system."""
        if self.engine.foreign(tenant) + sum(alert.active for alert in alerts) > ALERTS:
            raise Conflict(f"{ALERTS} alerts fire at once: group them by more, or resolve some")
        self._scribe.put(self.engine.alerts(tenant, alerts, self._clock()))
        await self.settled()


def _sound_windows(stored: Sequence[StoredMaintenance]) -> tuple[StoredMaintenance, ...]:
    """Without those that an earlier version took and this one does not: they cover nothing, and stop nobody."""
    sound = []
    for each in stored:
        if problems := validate_maintenance(each.spec):
            log.error(
                "maintenance %s is left out: %s",
                each.id,
                problems[0].message,
                extra={"action": "restore", "tenant": each.tenant, "maintenance": each.id},
            )
        else:
            sound.append(each)
    return tuple(sound)
