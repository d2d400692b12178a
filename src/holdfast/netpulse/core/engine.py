r"""The engine without its sockets: observations, commands and time in, decisions out.

    observation -> detector of its monitor -> signals -> book of incidents -> transitions -> notices
                                  \\-> first failure: other domains are asked at once

The shell keeps it running, replay runs it over recorded history, and the drill `noise` over simulated years: it is the
same object. Every method takes ``now``, seconds since the epoch, which never runs backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from holdfast.netpulse.core import escalation
from holdfast.netpulse.core.book import Book, MonitorState, Surroundings, Watched
from holdfast.netpulse.core.calibration import expected_delay_s, policy_for
from holdfast.netpulse.core.detector import Detector, Policy
from holdfast.netpulse.core.incident import Condition, Decisions, Evidence, Incident, Notice, Wanted
from holdfast.netpulse.core.ports import ForeignAlert, Restored
from holdfast.netpulse.core.result import Observation, Outcome
from holdfast.netpulse.core.settings import MonitorSettings, RouteSettings
from holdfast.netpulse.core.signal import Signal
from holdfast.netpulse.core.world import World, labels_of

ASK_AGAIN_S: Final = 1.0
"""While a failure is neither confirmed nor refuted, it is looked this often whether somebody else ought to be asked."""
_ALERT: Final = "alert."
"""What the names of monitors begin with that another system watches."""
_LABEL: Final = "label."
_DETECTED: Final = frozenset({Condition.DOWN, Condition.PARTIAL, Condition.SLOW, Condition.CERTIFICATE})
"""Conditions that detectors decide."""


class Engine:
    """One for all monitors."""

    def __init__(self, *, new_id: Callable[[float], str]) -> None:
        """Start with nothing to watch; :meth:`start` comes first."""
        self._book = Book(new_id=new_id)
        self._world: World | None = None
        self._detectors: dict[str, Detector] = {}
        self._regions: dict[str, Mapping[str, str]] = {}
        self._foreign: dict[str, ForeignAlert] = {}
        self._suspected: dict[str, float] = {}
        """Monitors with an unconfirmed failure, and when to look again."""
        self._told: dict[str, dict[str, float]] = {}
        self._due: dict[str, float] = {}
        """Incidents that escalate by time, and when."""

    # -- what is watched ----------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """As it was configured last."""
        assert self._world is not None  # noqa: S101 - a use before start() is a mistake of ours
        return self._world

    def start(self, world: World, now: float, *, restored: Restored | None = None) -> Decisions:
        """Begin, or go on from where another process stopped."""
        if restored is not None:
            self._book.restore(restored.incidents, now, spans=restored.spans)
            for incident in restored.incidents:
                self._told[incident.id] = dict(restored.told.get(incident.id, {}))
                self._due[incident.id] = now
                self._foreign.update(_foreign_alerts(incident, world))
        decisions = self.configure(world, now)
        for key, state in (restored.states if restored is not None else {}).items():
            if key in self._detectors:
                self._detectors[key].restore(state)
        return decisions

    def configure(self, world: World, now: float) -> Decisions:
        """Follow a changed world; what is known of monitors that stay is kept."""
        self._world = world
        for key in self._detectors.keys() - world.entries.keys():
            del self._detectors[key]
            self._suspected.pop(key, None)
        for key, entry in world.entries.items():
            regions = self._regions[key] = world.regions_of(entry)
            if not regions:  # one of the API's, whose regions the file has no more: nobody watches it, as if paused
                self._detectors.pop(key, None)
                self._suspected.pop(key, None)
                continue
            policy = policy_for(entry.spec, default_rate=world.settings.false_pages_per_year, domains=regions)
            detector = self._detectors.get(key)
            if detector is None:
                self._detectors[key] = Detector(key, policy, regions)
            else:
                detector.reconfigure(policy, regions)
        return self._told_of(self._book.configure(self._surroundings(), now), now)

    def fold(self, seen: Sequence[Observation]) -> None:
        """Take in evidence that was stored but not in a checkpoint, without deciding anything."""
        for observation in seen:
            detector = self._detectors.get(observation.monitor)
            if detector is not None and not observation.late:
                detector.observe(observation)

    def reconcile(self, now: float) -> Decisions:
        """After :meth:`start` and :meth:`fold`: what the evidence says and the incidents do not, or the reverse."""
        signals = []
        for key, detector in self._detectors.items():
            standing = frozenset(self._book.state_of(key, now).conditions) & _DETECTED
            signals += [self._reconciled(key, each, now, active=True) for each in detector.active - standing]
            signals += [self._reconciled(key, each, now, active=False) for each in standing - detector.active]
        return self._told_of(self._book.signals(signals, now), now) if signals else Decisions()

    def snapshots(self) -> Mapping[str, bytes]:
        """The state of every detector, for :meth:`start`."""
        return {key: detector.snapshot() for key, detector in self._detectors.items()}

    # -- what happens -------------------------------------------------------------------------------

    def observe(self, seen: Sequence[Observation], now: float) -> Decisions:
        """Take in results, in the order in which they were stored."""
        signals: list[Signal] = []
        wanted: list[Wanted] = []
        for observation in seen:
            key = observation.monitor
            detector = self._detectors.get(key)
            if detector is None or observation.late:
                continue
            found = detector.observe(observation)
            if found:
                signals.extend(found)
            self._book.observed(observation)
            if observation.outcome is Outcome.DOWN or key in self._suspected:
                self._suspect(key, detector, now, wanted)
        if not signals and not wanted:
            return Decisions()
        decisions = self._told_of(self._book.signals(signals, now), now) if signals else Decisions()
        return replace(decisions, wanted=(*decisions.wanted, *wanted)) if wanted else decisions

    def region(self, region: str, state: str, reason: str, now: float) -> Decisions:
        """A region began to see, went blind or was lost."""
        if state == "waiting":
            return Decisions()
        return self._told_of(self._book.agents(region, state, now, reason), now)

    def signals(self, signals: Sequence[Signal], now: float) -> Decisions:
        """What others found out: objectives."""
        return self._told_of(self._book.signals(signals, now), now)

    def alerts(self, tenant: str, alerts: Sequence[ForeignAlert], now: float) -> Decisions:
        """What another system decided. Each is watched by that system, and by nobody here."""
        signals = []
        for alert in alerts:
            key = f"{tenant}/{_ALERT}{alert.fingerprint}"
            if alert.active:
                self._foreign[key] = alert
            elif key not in self._foreign:
                continue
            evidence: Evidence = {
                "title": alert.title,
                **{f"{_LABEL}{name}": value for name, value in alert.labels.items()},
            }
            signals.append(
                Signal(
                    monitor=key,
                    condition=Condition.DOWN,
                    active=alert.active,
                    at=now,
                    began=min(now, alert.starts),
                    rule="alertmanager",
                    evidence=evidence,
                )
            )
        configured = self._book.configure(self._surroundings(), now)
        decisions = self._told_of(joined([configured, self._book.signals(signals, now)]), now)
        for alert in alerts:
            if not alert.active:
                self._foreign.pop(f"{tenant}/{_ALERT}{alert.fingerprint}", None)
        return decisions

    def foreign(self, tenant: str) -> int:
        """How many alerts of other systems fire for a tenant."""
        return sum(key.startswith(f"{tenant}/") for key in self._foreign)

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
        """Let time work: settling, recovery, suppression, escalation, questions that are still open."""
        decisions = self._told_of(self._book.tick(now), now)
        wanted: list[Wanted] = []
        for key in [key for key, at in self._suspected.items() if at <= now]:
            self._suspect(key, self._detectors[key], now, wanted)
        notices: list[Notice] = []
        for id_ in [id_ for id_, at in self._due.items() if at <= now]:
            incident = self._book.incident(id_)
            if incident is None:
                self._forget(id_)
            else:
                notices += self._escalate(incident, now)
        if not notices and not wanted:
            return decisions
        return replace(decisions, notices=(*decisions.notices, *notices), wanted=(*decisions.wanted, *wanted))

    def due(self, now: float) -> float | None:
        """When :meth:`tick` has something to do, as far as that is known now."""
        moments = [*self._due.values(), *self._suspected.values()]
        book = self._book.due()
        if book is not None:
            moments.append(book)
        return min(moments, default=None)

    # -- what can be asked --------------------------------------------------------------------------

    @property
    def book(self) -> Book:
        """The incidents."""
        return self._book

    def state_of(self, monitor: str, now: float) -> MonitorState:
        """How a monitor stands."""
        return self._book.state_of(monitor, now)

    def detector(self, monitor: str) -> Detector | None:
        """The evidence about a monitor."""
        return self._detectors.get(monitor)

    def evidence(self, monitor: str) -> Evidence:
        """The ledger of a monitor as it stands."""
        detector = self._detectors.get(monitor)
        return detector.evidence() if detector is not None else {}

    def delay_s(self, monitor: str) -> float:
        """Expected time from an outage to its detection."""
        entry = self.world.entries[monitor]
        return expected_delay(entry.spec, self.world.settings.false_pages_per_year, self._regions[monitor])

    # -- inside -------------------------------------------------------------------------------------

    def _suspect(self, key: str, detector: Detector, now: float, wanted: list[Wanted]) -> None:
        if not detector.suspicious:
            self._suspected.pop(key, None)
            return
        self._suspected[key] = now + ASK_AGAIN_S
        regions = detector.confirmations(now)
        if regions:
            wanted.append(Wanted(monitor=key, regions=regions, reason="a failure is neither confirmed nor refuted"))

    def _surroundings(self) -> Surroundings:
        world = self.world
        watched = {
            key: Watched(
                monitor=key,
                tenant=entry.tenant,
                name=entry.name,
                severity=entry.spec.severity,
                depends_on=entry.parents,
                labels=labels_of(entry),
                regions=() if entry.spec.heartbeat is not None else tuple(self._regions[key]),
                interval_s=entry.spec.interval,
                timeout_s=entry.spec.timeout,
                paused=entry.spec.paused or not self._regions[key],
            )
            for key, entry in world.entries.items()
        }
        for key, alert in self._foreign.items():
            tenant = key.partition("/")[0]
            severity = "ticket" if alert.labels.get("severity") in {"info", "ticket", "warning"} else "page"
            labels = {**alert.labels, "monitor": key.partition("/")[2], "severity": severity}
            watched[key] = Watched(monitor=key, tenant=tenant, name=alert.title, severity=severity, labels=labels)
        return Surroundings(
            watched=watched,
            settings=world.settings.incidents,
            maintenance=world.maintenance,
            silences=world.silences,
        )

    def _told_of(self, decisions: Decisions, now: float) -> Decisions:
        """Add the notices that transitions call for."""
        if not decisions.transitions:
            return decisions
        notices: list[Notice] = []
        for incident in decisions.incidents:
            transitions = [each for each in decisions.transitions if each.incident == incident.id]
            told = self._told.setdefault(incident.id, {})
            routes, labels = self._routes(incident), self._labels(incident)
            for notice in escalation.notices(incident, transitions, routes, labels, told, now):
                told[notice.key] = now
                notices.append(notice)
            notices += self._escalate(incident, now)
        for id_ in [id_ for id_ in self._told if id_ not in self._book]:
            self._forget(id_)
        return replace(decisions, notices=(*decisions.notices, *notices))

    def _forget(self, incident: str) -> None:
        self._told.pop(incident, None)
        self._due.pop(incident, None)

    def _escalate(self, incident: Incident, now: float) -> Sequence[Notice]:
        told = self._told.setdefault(incident.id, {})
        notices, due = escalation.due(incident, self._routes(incident), self._labels(incident), told, now)
        for notice in notices:
            told[notice.key] = now
        if due is None:
            self._due.pop(incident.id, None)
        else:
            self._due[incident.id] = due
        return notices

    def _routes(self, incident: Incident) -> Sequence[RouteSettings]:
        """Channels are those of the file's tenant: nobody else's incidents go there."""
        settings = self.world.settings
        return settings.routes if incident.tenant in {"", settings.tenant} else ()

    def _labels(self, incident: Incident) -> Mapping[str, str]:
        for member in incident.members:
            entry = self.world.entries.get(member.monitor)
            if entry is not None:
                return labels_of(entry)
            alert = self._foreign.get(member.monitor)
            if alert is not None:
                return alert.labels
        return {}

    def _reconciled(self, key: str, condition: Condition, now: float, *, active: bool) -> Signal:
        return Signal(
            monitor=key,
            condition=condition,
            active=active,
            at=now,
            began=now,
            rule="restart.reconcile",
            evidence=self.evidence(key),
        )


def _foreign_alerts(incident: Incident, world: World) -> Iterator[tuple[str, ForeignAlert]]:
    """Of an incident of the records, the members that another system watches. It says them again, after hours."""
    if not incident.standing:
        return
    for member in incident.members:
        name = member.monitor.partition("/")[2]
        if member.until is not None or not name.startswith(_ALERT) or member.monitor in world.entries:
            continue
        labels = {
            key.removeprefix(_LABEL): str(value) for key, value in member.evidence.items() if key.startswith(_LABEL)
        }
        yield (
            member.monitor,
            ForeignAlert(
                fingerprint=name.removeprefix(_ALERT),
                title=str(member.evidence.get("title", name)),
                labels=labels,
                starts=member.began,
                active=True,
            ),
        )


def joined(parts: Iterable[Decisions]) -> Decisions:
    """Several decisions as one; of an incident the last version stays."""
    parts = tuple(parts)
    incidents = {incident.id: incident for part in parts for incident in part.incidents}
    return Decisions(
        incidents=tuple(incidents.values()),
        transitions=tuple(each for part in parts for each in part.transitions),
        notices=tuple(each for part in parts for each in part.notices),
        spans=tuple(each for part in parts for each in part.spans),
        wanted=tuple(each for part in parts for each in part.wanted),
    )


def expected_delay(spec: MonitorSettings, rate: float, regions: Mapping[str, str]) -> float:
    """Seconds from an outage to its detection, by playing it; ``rate``: of the section."""
    if spec.heartbeat is not None:
        return float(spec.heartbeat.grace + spec.heartbeat.period / 2)
    if not regions:
        return 0.0
    return _delay(policy_for(spec, default_rate=rate, domains=regions), float(spec.timeout), _items(regions))


def _items(regions: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(regions.items()))


@lru_cache(maxsize=1_000)
def _delay(policy: Policy, timeout_s: float, regions: tuple[tuple[str, str], ...]) -> float:
    """A playing takes milliseconds, and a thousand monitors have a handful of policies."""
    return expected_delay_s(policy, timeout_s=timeout_s, domains=dict(regions), confirmations=True)
