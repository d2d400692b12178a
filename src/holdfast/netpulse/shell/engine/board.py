"""What pages look at again and again, kept in memory: last checks, bars, states, figures."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from holdfast.netpulse.core.beats import STEPS, Beats
from holdfast.netpulse.core.book import MonitorState
from holdfast.netpulse.core.engine import Engine
from holdfast.netpulse.core.incident import Condition, Incident, Notice, Transition
from holdfast.netpulse.core.objectives import WINDOWS_S, Counts, Objective, budget_left, burn_rate
from holdfast.netpulse.core.ports import Bucket, Records
from holdfast.netpulse.core.result import Observation, Outcome
from holdfast.netpulse.core.signal import Signal
from holdfast.netpulse.core.story import sentences
from holdfast.netpulse.core.uptime import uptime
from holdfast.netpulse.core.views import ExplainView, IncidentView, MonitorView
from holdfast.netpulse.core.world import Entry, World, target_of
from holdfast.netpulse.shell.engine import views
from holdfast.netpulse.shell.engine.simulation import Simulation
from holdfast.store import StoreUnavailable

log = logging.getLogger(__name__)

_WINDOWS: Final = {"24h": 86_400.0, "7d": 7 * 86_400.0, "30d": 30 * 86_400.0, "90d": 90 * 86_400.0}
_FRESH_S: Final = 60.0
"""Figures are read again after this long."""
_AT_ONCE: Final = 20
"""Monitors whose figures are read each second: a thousand take a minute."""
_WORST: Final = (Condition.DOWN, Condition.PARTIAL, Condition.SLOW)
_BURNS: Final = frozenset({Condition.BURN_FAST, Condition.BURN_SLOW})
_FIRST: Final = "first"
"""Kind of the document that says when a monitor was checked first."""


class Board:
    """Of all monitors."""

    def __init__(self, records: Records, engine: Engine, clock: Callable[[], float]) -> None:
        self._records = records
        self._engine = engine
        self._clock = clock
        self._world: World | None = None
        self._last: dict[str, dict[str, Observation]] = {}
        self._beats: dict[str, Beats] = {}
        self._figures: dict[str, views.Figures] = {}
        self._since: dict[str, tuple[str, float]] = {}
        self._first: dict[str, float] = {}
        self._alive: set[str] = set()
        """Monitors that were seen up, here or in what the bars began with: of the others nothing is known yet."""
        self._new_first: set[str] = set()
        self._opened: deque[tuple[str, float]] = deque(maxlen=10_000)
        self._objectives: dict[str, Objective] = {}

    def configure(self, world: World) -> None:
        """Follow a changed world."""
        self._world = world
        kept: tuple[dict[str, Any], ...] = (self._last, self._beats, self._figures, self._since, self._objectives)
        for each in kept:
            for key in each.keys() - world.entries.keys():
                del each[key]
        self._alive &= world.entries.keys()

    async def fill(self, world: World, now: float) -> None:
        """Begin with what the records have."""
        for key, data in (await self._records.documents(_FIRST)).items():
            self._first[key] = float(data)
        for key, entry in world.entries.items():
            beats = self._beats[key] = Beats(entry.spec.interval)
            span_s = STEPS * beats.step_s
            buckets = await self._records.series(key, since=now - span_s, until=now, step_s=beats.step_s)
            beats.fill(buckets)
            if any(bucket.up for bucket in buckets):
                self._alive.add(key)

    def seen(self, fresh: Sequence[Observation]) -> None:
        """Take in results."""
        world = self._world
        assert world is not None  # noqa: S101 - configured before anything is taken
        for seen in fresh:
            key = seen.monitor
            entry = world.entries.get(key)
            if entry is None:
                continue
            last = self._last.setdefault(key, {})
            before = last.get(seen.region)
            if before is None or before.at <= seen.at:
                last[seen.region] = seen
            beats = self._beats.get(key)
            if beats is None:
                beats = self._beats[key] = Beats(entry.spec.interval)
            beats.add(seen)
            if seen.outcome is Outcome.UP:
                self._alive.add(key)
            if key not in self._first:
                self._first[key] = seen.at
                self._new_first.add(key)

    async def forget(self, key: str) -> None:
        """It was removed for good; one of the same name begins anew. Raises ``StoreUnavailable``."""
        self._first.pop(key, None)
        self._new_first.discard(key)
        await self._records.put_document(_FIRST, key, None)

    def changed(self, incident: Incident) -> None:
        """An incident is as it is now."""
        for member in incident.members:
            if member.monitor in self._figures:
                self._figures[member.monitor].fresh = 0.0

    def opened(self, tenant: str, at: float) -> None:
        """Somebody is being told of an incident."""
        self._opened.append((tenant, at))

    def pages(self, tenant: str, since: float) -> int:
        """Incidents that were opened."""
        return sum(at >= since and whose in {"", tenant} for whose, at in self._opened)

    def first(self, key: str) -> float | None:
        """When a monitor was checked first."""
        return self._first.get(key)

    # -- views --------------------------------------------------------------------------------------

    def figures(self, key: str) -> views.Figures:
        """As they were read last."""
        return self._figures.setdefault(key, views.Figures())

    def state(self, entry: Entry, now: float) -> str:
        """In one word."""
        stands = self._engine.state_of(entry.key, now)
        state = self._word(entry, stands)
        before = self._since.get(entry.key)
        if before is None or before[0] != state:
            began = max((span.since for span in stands.spans if span.kind == state), default=now)
            self._since[entry.key] = (state, began)
        return state

    def _word(self, entry: Entry, stands: MonitorState) -> str:
        kinds = {span.kind for span in stands.spans}
        if entry.spec.paused or "paused" in kinds:
            return "paused"
        if stands.maintenance:
            return "maintenance"
        if stands.flapping:
            return "flapping"
        for condition in _WORST:
            if condition in stands.conditions:
                return condition.value
        if entry.key not in self._alive:
            return "pending"
        return "unknown" if "unknown" in kinds else "up"

    def view(self, entry: Entry, simulation: Simulation | None, now: float) -> MonitorView:
        """All that is known of a monitor."""
        key, spec = entry.key, entry.spec
        figures = self.figures(key)
        detector = self._engine.detector(key)
        last = sorted(self._last.get(key, {}).values(), key=lambda seen: seen.region)
        state = self.state(entry, now)
        since = self._since.get(key)
        days = [seen.cert_days for seen in last if seen.cert_days is not None]
        incident = self._engine.state_of(key, now).incident
        beats = self._beats.get(key)
        regions = self._world.regions_of(entry) if self._world is not None else {}
        return MonitorView(
            id=entry.id,
            name=entry.name,
            group=spec.group,
            tags=spec.tags,
            kind=entry.kind,
            target=target_of(spec),
            interval_s=float(spec.heartbeat.period if spec.heartbeat is not None else spec.interval),
            regions=list(regions),
            depends_on=list(spec.depends_on),
            source=entry.source,
            state=state,
            doubt=round(min(1.0, detector.doubt), 3) if detector is not None else 0.0,
            since=None if since is None or state == "pending" else views.moment(since[1]),
            last=[views.last_check(seen) for seen in last],
            beats=[] if beats is None else [views.bar(beat) for beat in beats.bars()],
            uptime=dict(figures.uptime),
            p95_ms=figures.p95_ms,
            cert_days=round(min(days), 1) if days else None,
            incident=incident,
            delay_s=round(self._engine.delay_s(key), 1),
            simulated=simulation.kind if simulation is not None and now < simulation.until else None,
            public=spec.public,
            paused=spec.paused,
            objective=figures.objective,
        )

    def pulse(self, key: str) -> dict[str, Any]:
        """What moves with each check: the bar of now, and the doubt."""
        beats = self._beats.get(key)
        bars = beats.bars() if beats is not None else ()
        detector = self._engine.detector(key)
        return {
            "beat": None if not bars else msgspec.to_builtins(views.bar(bars[-1])),
            "doubt": 0.0 if detector is None else round(min(1.0, detector.doubt), 3),
        }

    def explain(
        self,
        incident: Incident,
        timeline: Sequence[Transition],
        notices: Sequence[tuple[Notice, str, str]],
        view: IncidentView,
    ) -> ExplainView:
        """Why it did, or did not, page."""
        ledger: list[dict[str, Any]] = []
        for member in incident.members:
            evidence = self._engine.evidence(member.monitor) if member.until is None else {}
            ledger.append(
                {
                    "monitor": views.id_of(member.monitor),
                    "condition": member.condition.value,
                    "decided_by": dict(member.evidence),
                    "now": dict(evidence),
                }
            )
        return ExplainView(
            incident=view,
            sentences=sentences(incident, timeline, notices),
            ledger=ledger,
            timeline=[views.transition_view(each) for each in timeline],
            notices=views.notice_views(notices),
        )

    # -- figures ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read figures that are old, a few each second, and keep what is new about first checks."""
        while True:
            await asyncio.sleep(1.0)
            try:
                await self._some(self._clock())
            except StoreUnavailable as error:
                log.warning("figures are old: %s", error, extra={"action": "figures"})

    async def _some(self, now: float) -> None:
        for key in list(self._new_first)[:200]:
            await self._records.put_document(_FIRST, key, repr(self._first[key]).encode())
            self._new_first.discard(key)
        if self._world is None:
            return
        old = [
            entry
            for key, entry in self._world.entries.items()
            if now - self.figures(key).fresh > _FRESH_S and key in self._first
        ]
        for entry in old[:_AT_ONCE]:
            await self.refresh(entry, now)

    async def refresh(self, entry: Entry, now: float) -> None:
        """Read a monitor's figures, unless they are of this very second."""
        figures = self.figures(entry.key)
        if now - figures.fresh < 1.0:
            return
        key = entry.key
        spans = await self._records.spans([key], since=now - _WINDOWS["90d"], until=now)
        first = self._first.get(key)
        figures.uptime = {
            name: uptime(spans, since=now - span_s, until=now, first=first) for name, span_s in _WINDOWS.items()
        }
        hour = await self._records.series(key, since=now - 3600.0, until=now, step_s=3600.0)
        figures.p95_ms = _slowest(hour)
        figures.fresh = now

    async def objectives(self, world: World, now: float) -> list[Signal]:
        """What the burning of error budgets calls for."""
        promised = {key: entry.spec.objective for key, entry in world.entries.items() if entry.spec.objective}
        for key in self._objectives.keys() - promised.keys():
            del self._objectives[key]
        if not promised:
            return []
        windows: dict[str, dict[float, Counts]] = {key: {} for key in promised}
        for span_s in sorted({*WINDOWS_S, *(float(objective.window) for objective in promised.values())}):
            counts = await self._records.counts(list(promised), since=now - span_s, until=now)
            for key in promised:
                windows[key][span_s] = counts.get(key, (0, 0))
        signals: list[Signal] = []
        for key, objective in promised.items():
            known = self._objectives.get(key)
            if known is None or known.target != objective.target:
                known = self._objectives[key] = Objective(key, objective.target)
                known.resume(frozenset(self._engine.state_of(key, now).conditions) & _BURNS)
            counts_of = windows[key]
            signals += known.judge(counts_of, now)
            self.figures(key).objective = {
                "target": objective.target,
                "window_s": float(objective.window),
                "budget_left": round(budget_left(counts_of[float(objective.window)], objective.target), 4),
                "burn_1h": round(burn_rate(counts_of[3600.0], objective.target), 2),
                "burn_6h": round(burn_rate(counts_of[21_600.0], objective.target), 2),
            }
        return signals


def _slowest(buckets: Iterable[Bucket]) -> float | None:
    """The p95 of the slowest region."""
    found = [bucket.p95_ms for bucket in buckets if bucket.p95_ms is not None]
    return round(max(found), 2) if found else None
