"""The engine without its sockets: observations, commands and time in, decisions out.

    observation -> detector of its monitor -> signals -> book of incidents -> transitions -> notices
                                  \\-> first failure: other domains are asked at once

The shell keeps it running, replay runs it over recorded history, and the drill `noise` over simulated years: it is the
same object. Every method takes ``now``, seconds since the epoch, which never runs backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from holdfast.netpulse.core import escalation
from holdfast.netpulse.core.book import Book, Surroundings, Watched
from holdfast.netpulse.core.calibration import policy_for
from holdfast.netpulse.core.detector import Detector, Policy
from holdfast.netpulse.core.incident import Condition, Decisions, Evidence, Incident, Wanted
from holdfast.netpulse.core.result import Observation, Outcome
from holdfast.netpulse.core.settings import MonitorSettings
from holdfast.netpulse.core.signal import Signal
from holdfast.netpulse.core.world import World, labels_of

CONFIRM_AGAIN_S: Final = 5.0
"""Other domains are asked for the same monitor at most this often."""


class Engine:
    """One for all monitors."""

    def __init__(self, *, new_id: Callable[[float], str]) -> None:
        """Start with nothing to watch; :meth:`configure` comes first."""
        self._book = Book(new_id=new_id)
        self._world: World | None = None
        self._detectors: dict[str, Detector] = {}
        self._regions: dict[str, Mapping[str, str]] = {}
        self._unseeing: dict[str, str] = {}
        self._told: dict[str, dict[str, float]] = {}
        self._asked: dict[str, float] = {}
        self._due: dict[str, float | None] = {}

    # -- what is watched ----------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """As it was configured last."""
        assert self._world is not None  # noqa: S101 - a use before configure() is a mistake of ours
        return self._world

    def configure(self, world: World, now: float) -> Decisions:
        """Follow a changed world; what is known of monitors that stay is kept."""
        self._world = world
        for key in self._detectors.keys() - world.entries.keys():
            del self._detectors[key]
            self._asked.pop(key, None)
        for key in world.entries:
            self._arrange(key)
        return self._told_of(self._book.configure(self._surroundings(), now), now)

    def restore(
        self,
        states: Mapping[str, bytes],
        incidents: Iterable[Incident],
        told: Mapping[str, Mapping[str, float]],
        now: float,
    ) -> None:
        """Go on from where another process stopped; after :meth:`configure`."""
        for key, state in states.items():
            if key in self._detectors:
                self._detectors[key].restore(state)
        incidents = tuple(incidents)
        self._book.restore(incidents, now)
        for incident in incidents:
            self._told[incident.id] = dict(told.get(incident.id, {}))
            self._due[incident.id] = now
        self._told = {key: value for key, value in self._told.items() if value or key in self._due}

    def fold(self, seen: Sequence[Observation]) -> None:
        """Take in evidence that was stored but not in a checkpoint, without deciding anything."""
        for observation in seen:
            detector = self._detectors.get(observation.monitor)
            if detector is not None and not observation.late:
                detector.observe(observation)

    def reconcile(self, now: float) -> Decisions:
        """After :meth:`restore` and :meth:`fold`: what the evidence says and the incidents do not, or the reverse."""
        signals = []
        for key, detector in self._detectors.items():
            standing = {
                member.condition
                for incident in self._book.standing()
                for member in incident.members
                if member.monitor == key and member.until is None
            }
            for condition in detector.active - standing:
                signals.append(self._reconciled(key, condition, detector, now, active=True))
            for condition in standing & _DETECTED - detector.active:
                signals.append(self._reconciled(key, condition, detector, now, active=False))
        return self._told_of(self._book.signals(signals, now), now) if signals else Decisions()

    def snapshots(self) -> Mapping[str, bytes]:
        """The state of every detector, for :meth:`restore`."""
        return {key: detector.snapshot() for key, detector in self._detectors.items()}

    # -- what happens -------------------------------------------------------------------------------

    def observe(self, seen: Sequence[Observation], now: float) -> Decisions:
        """Take in results, in the order in which they were stored."""
        signals: list[Signal] = []
        wanted: list[Wanted] = []
        for observation in seen:
            detector = self._detectors.get(observation.monitor)
            if detector is None or observation.late or observation.region in self._unseeing:
                continue
            signals.extend(detector.observe(observation))
            if observation.outcome is Outcome.DOWN and detector.suspicious and not observation.confirm:
                self._confirm(observation, now, wanted)
        self._book.seen(seen, now)
        if not signals and not wanted:
            return Decisions()
        decisions = self._told_of(self._book.signals(signals, now), now) if signals else Decisions()
        return replace(decisions, wanted=(*decisions.wanted, *wanted)) if wanted else decisions

    def region(self, region: str, state: str, reason: str, now: float) -> Decisions:
        """A region began to see, went blind or was lost."""
        if state in {"blind", "lost"}:
            self._unseeing[region] = reason
        else:
            self._unseeing.pop(region, None)
        for key, regions in self._regions.items():
            if region in regions:
                self._arrange(key)
        self._book.configure(self._surroundings(), now)
        if state == "waiting":
            return Decisions()
        return self._told_of(self._book.agents(region, state, now, reason), now)

    def signals(self, signals: Sequence[Signal], now: float) -> Decisions:
        """What others found out: objectives, other systems' alerts."""
        return self._told_of(self._book.signals(signals, now), now)

    def acknowledge(self, incident: str, actor: str, now: float) -> Decisions:
        """Somebody has it."""
        return self._told_of(self._book.acknowledge(incident, actor, now), now)

    def resolve(self, incident: str, actor: str, now: float) -> Decisions:
        """Somebody says that it is over."""
        return self._told_of(self._book.resolve(incident, actor, now), now)

    def note(self, incident: str, text: str, actor: str, now: float) -> Decisions:
        """Somebody adds a line to the timeline."""
        return self._told_of(self._book.note(incident, text, actor, now), now)

    def tick(self, now: float) -> Decisions:
        """Let time work: settling, recovery, suppression, escalation."""
        signals = [signal for detector in self._detectors.values() for signal in detector.tick(now)]
        parts = [self._book.tick(now)]
        if signals:
            parts.append(self._book.signals(signals, now))
        decisions = self._told_of(joined(parts), now)
        notices = []
        for incident in self._book.standing():
            due = self._due.get(incident.id)
            if due is not None and due <= now:
                notices += self._escalate(incident, now)
        return replace(decisions, notices=(*decisions.notices, *notices)) if notices else decisions

    def due(self) -> float | None:
        """When :meth:`tick` has something to do, as far as that is known now."""
        moments = [moment for moment in (self._book.due(), *self._due.values()) if moment is not None]
        return min(moments, default=None)

    # -- what can be asked --------------------------------------------------------------------------

    @property
    def book(self) -> Book:
        """The incidents."""
        return self._book

    def detector(self, monitor: str) -> Detector | None:
        """The evidence about a monitor."""
        return self._detectors.get(monitor)

    def evidence(self, monitor: str) -> Evidence:
        """The ledger of a monitor as it stands."""
        detector = self._detectors.get(monitor)
        return detector.evidence() if detector is not None else {}

    def told(self, incident: str) -> Mapping[str, float]:
        """Keys of the notices that were decided for an incident, and when."""
        return self._told.get(incident, {})

    # -- inside -------------------------------------------------------------------------------------

    def _arrange(self, key: str) -> None:
        """Give a monitor the detector that fits who can see it now."""
        entry = self.world.entries[key]
        regions = self.world.regions_of(entry)
        self._regions[key] = regions
        seeing = {region: domain for region, domain in regions.items() if region not in self._unseeing} or regions
        policy = _policy(entry.spec, self.world.settings.false_pages_per_year, tuple(sorted(seeing.items())))
        detector = self._detectors.get(key)
        if detector is None:
            self._detectors[key] = Detector(key, policy, seeing)
        else:
            detector.reconfigure(policy, seeing)

    def _surroundings(self) -> Surroundings:
        world = self.world
        return Surroundings(
            watched={
                key: Watched(
                    monitor=key,
                    tenant=entry.tenant,
                    name=entry.name,
                    severity=entry.spec.severity,
                    depends_on=entry.parents,
                    labels=labels_of(entry),
                    interval_s=entry.spec.interval,
                    timeout_s=entry.spec.timeout,
                    paused=entry.spec.paused,
                )
                for key, entry in world.entries.items()
            },
            settings=world.settings.incidents,
            maintenance=world.maintenance,
            silences=world.silences,
            unseeing=dict(self._unseeing),
            regions=tuple(world.settings.regions),
        )

    def _confirm(self, observation: Observation, now: float, wanted: list[Wanted]) -> None:
        if now - self._asked.get(observation.monitor, -CONFIRM_AGAIN_S) < CONFIRM_AGAIN_S:
            return
        regions = self._regions.get(observation.monitor, {})
        others = tuple(
            region
            for region, domain in regions.items()
            if domain != observation.domain and region not in self._unseeing
        )
        if others:
            self._asked[observation.monitor] = now
            wanted.append(Wanted(monitor=observation.monitor, regions=others, reason=f"{observation.region} failed"))

    def _told_of(self, decisions: Decisions, now: float) -> Decisions:
        """Add the notices that transitions call for."""
        if not decisions.transitions:
            return decisions
        notices = []
        by_incident: dict[str, list[int]] = {}
        for index, transition in enumerate(decisions.transitions):
            by_incident.setdefault(transition.incident, []).append(index)
        for incident in decisions.incidents:
            transitions = [decisions.transitions[index] for index in by_incident.get(incident.id, ())]
            told = self._told.setdefault(incident.id, {})
            for notice in escalation.notices(
                incident, transitions, self._routes(incident), self._labels(incident), told, now
            ):
                told[notice.key] = now
                notices.append(notice)
            notices += self._escalate(incident, now)
            if not incident.standing and self._book.incident(incident.id) is None:
                self._told.pop(incident.id, None)
        return replace(decisions, notices=(*decisions.notices, *notices))

    def _escalate(self, incident: Incident, now: float) -> list[escalation.Notice]:
        told = self._told.setdefault(incident.id, {})
        notices, due = escalation.due(incident, self._routes(incident), self._labels(incident), told, now)
        for notice in notices:
            told[notice.key] = now
        if due is None or not incident.standing:
            self._due.pop(incident.id, None)
        else:
            self._due[incident.id] = due
        return list(notices)

    def _routes(self, incident: Incident) -> Sequence[escalation.RouteSettings]:
        """Channels are the tenant's of the file: nobody else's incidents go there."""
        settings = self.world.settings
        return settings.routes if incident.tenant in {"", settings.tenant} else ()

    def _labels(self, incident: Incident) -> Mapping[str, str]:
        entry = next(
            (self.world.entries[member.monitor] for member in incident.members if member.monitor in self.world.entries),
            None,
        )
        labels = dict(labels_of(entry)) if entry is not None else {}
        return {**labels, "severity": incident.severity, "condition": incident.condition.value}

    @staticmethod
    def _reconciled(key: str, condition: Condition, detector: Detector, now: float, *, active: bool) -> Signal:
        return Signal(
            monitor=key,
            condition=condition,
            active=active,
            at=now,
            began=now,
            rule="restart.reconcile",
            evidence=detector.evidence(),
        )


_DETECTED: Final = frozenset({Condition.DOWN, Condition.PARTIAL, Condition.SLOW, Condition.CERTIFICATE})
"""Conditions that detectors decide."""


def joined(parts: Iterable[Decisions]) -> Decisions:
    """Several decisions as one; of an incident the last version stays."""
    incidents: dict[str, Incident] = {}
    transitions, notices, spans, wanted = [], [], [], []
    for part in parts:
        incidents.update({incident.id: incident for incident in part.incidents})
        transitions += part.transitions
        notices += part.notices
        spans += part.spans
        wanted += part.wanted
    return Decisions(
        incidents=tuple(incidents.values()),
        transitions=tuple(transitions),
        notices=tuple(notices),
        spans=tuple(spans),
        wanted=tuple(wanted),
    )


@lru_cache(maxsize=4096)
def _policy(spec: MonitorSettings, rate: float, regions: tuple[tuple[str, str], ...]) -> Policy:
    return policy_for(spec, default_rate=rate, domains=dict(regions))
