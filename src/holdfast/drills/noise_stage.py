"""Many targets and the whole engine, in virtual time.

As :mod:`.noise_world`, but every probe is played and what decides is the engine: detectors, incidents, escalation. The
rules that it is compared with see the same scheduled probes, a watcher for each target, and page by themselves.

A region's path is good or in a spell of loss for all of its targets alike: a spell is the provider's, not the target's.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from holdfast.drills.noise_world import PathModel, Spells, Watcher
from holdfast.netpulse.core.engine import Engine
from holdfast.netpulse.core.ids import new_id
from holdfast.netpulse.core.incident import Condition, Decisions
from holdfast.netpulse.core.replay import Told, told_of
from holdfast.netpulse.core.result import Failure, Observation, Outcome

if TYPE_CHECKING:
    from random import Random

    from holdfast.netpulse.core.incident import Incident, Transition, Wanted
    from holdfast.netpulse.core.world import World

UP_TOOK_S: Final = 0.1
ASKED_AFTER_S: Final = 0.2
"""From the engine's question to the agent's probe."""
TIMEOUT_S: Final = 10.0
_USUAL: Final = PathModel()
_BREATH: Final = 2_000
"""Probes between two chances to interrupt."""

Answer = Failure | None
"""``None``: well."""
Targets = Callable[[str, float], Answer]
"""What a target answers at a time, when the path is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionChange:
    """What the engine is told of a region, and from when on."""

    at: float
    region: str
    state: str
    reason: str = ""


@dataclass(slots=True)
class Stage:
    """A world of targets and what its engine decided."""

    world: World
    targets: Targets
    rng: Random
    start: float
    path: PathModel = _USUAL
    changes: Sequence[RegionChange] = ()
    """In order of time. A region that does not see delivers unknown results."""
    rules: Mapping[str, Callable[[Mapping[str, str]], Watcher]] = field(default_factory=dict)
    """By contender: what watches one target."""
    incidents: dict[str, Incident] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    rule_pages: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    """By contender: target and time."""
    probes: int = 0
    _wanted: list[Wanted] = field(default_factory=list)

    def told(self) -> list[Told]:
        """Incidents that somebody was told of."""
        return told_of(self.incidents.values(), self.transitions)

    def play(self, until: float) -> Iterator[None]:
        """Everything up to ``until``; yields now and then."""
        engine = Engine(new_id=lambda now: new_id(now, self.rng))
        now = self.start
        self._keep(engine.start(self.world, now))
        blind: set[str] = set()
        changes = list(self.changes)
        spells = {
            region: Spells(self.path.bad_share, self.rng, start=self.start) for region in self.world.settings.regions
        }
        watchers = {
            name: {key: make(self.world.regions_of(entry)) for key, entry in self.world.entries.items()}
            for name, make in self.rules.items()
        }
        self.rule_pages = {name: [] for name in self.rules}
        # (time, number, monitor, region, confirmation, result or None when it is still to be sent)
        agenda: list[tuple[float, int, str, str, bool, Observation | None]] = []
        number = 0
        for key, entry in self.world.entries.items():
            interval_s, regions = float(entry.spec.interval), self.world.regions_of(entry)
            phase = self.rng.random() * interval_s
            for place, region in enumerate(regions):
                number += 1
                first = self.start + (phase + place * interval_s / len(regions)) % interval_s
                heapq.heappush(agenda, (first, number, key, region, False, None))
        while agenda and agenda[0][0] < until:
            at, _, key, region, confirm, result = heapq.heappop(agenda)
            now = self._advance(engine, now, at)
            while changes and changes[0].at <= now:
                change = changes.pop(0)
                blind = blind - {change.region} if change.state == "seeing" else blind | {change.region}
                self._keep(engine.region(change.region, change.state, change.reason, now))
            number += 1
            if result is None:
                if not confirm:
                    again = at + float(self.world.entries[key].spec.interval)
                    heapq.heappush(agenda, (again, number, key, region, False, None))
                    number += 1
                sent = self._probe(key, region, at, spells[region], confirm=confirm, blind=region in blind)
                heapq.heappush(agenda, (sent.received, number, key, region, confirm, sent))
                continue
            self.probes += 1
            self._keep(engine.observe((result,), now))
            if not confirm:
                self._watch(watchers, result)
            for wanted in self._wanted:
                for where in wanted.regions:
                    number += 1
                    heapq.heappush(agenda, (now + ASKED_AFTER_S, number, wanted.monitor, where, True, None))
            self._wanted.clear()
            if self.probes % _BREATH == 0:
                yield

    def _probe(self, key: str, region: str, at: float, spells: Spells, *, confirm: bool, blind: bool) -> Observation:
        lossy = self.path.bad_fails if spells.at(at) else self.path.good_fails
        lost = self.rng.random() < lossy
        answer = Failure.BLIND if blind else Failure.TIMEOUT if lost else self.targets(key, at)
        took_s = TIMEOUT_S if answer is Failure.TIMEOUT else UP_TOOK_S
        outcome = Outcome.UP if answer is None else Outcome.UNKNOWN if blind else Outcome.DOWN
        return Observation(
            monitor=key,
            region=region,
            domain=self.world.domain(region),
            agent=region,
            at=at,
            received=at + took_s,
            outcome=outcome,
            failure=answer or Failure.NONE,
            total_ms=took_s * 1e3,
            status=503 if answer is Failure.STATUS else 200 if answer is None else 0,
            confirm=confirm,
        )

    def _watch(self, watchers: Mapping[str, Mapping[str, Watcher]], seen: Observation) -> None:
        # A simple rule knows no blind agents: what could not be asked has failed.
        if seen.outcome is Outcome.UNKNOWN:
            seen = replace(seen, outcome=Outcome.DOWN)
        for name, by_target in watchers.items():
            for signal in by_target[seen.monitor].observe(seen):
                if signal.active and signal.condition is Condition.DOWN:
                    self.rule_pages[name].append((seen.monitor, signal.at))

    def _advance(self, engine: Engine, now: float, to: float) -> float:
        while now < to:
            due = engine.due(now)
            now = to if due is None else min(to, max(due, now + 0.01))
            self._keep(engine.tick(now))
        return now

    def _keep(self, decisions: Decisions) -> None:
        for incident in decisions.incidents:
            self.incidents[incident.id] = incident
        self.transitions += decisions.transitions
        self._wanted += decisions.wanted
