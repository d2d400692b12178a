"""The incident book: signals, commands and time in; incidents, their transitions and spans out. Pure.

Theory of operation. A signal says that a condition of a monitor began or ended. What fails is put where it belongs
(:mod:`.placement`), parents and relatives are asked for, and every incident that this touches is taken through the
steps that are due (:mod:`.lifecycle`). :meth:`Book.due` says when time alone will change something.

Held at all times:

- a monitor fails in at most one standing incident for each facet (:data:`.grouping.FACETS`)
- a revision grows by one with each transition, and no transition changes a resolved incident but a reopening or a note
- an incident is resolved only when every member recovered, moved or went away, or by hand
- what was decided once is not decided again: a signal that says what is known changes nothing

**Resolved by hand while it goes on**: it stays resolved. Nobody is told again until it has recovered and failed anew,
or fails worse (a ticket's monitor goes down). Those who depend on it are not told either, as long as it lasts. A page
that comes back at once is one that people learn to ignore; the monitor still shows as down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.netpulse.core import lifecycle, placement
from holdfast.netpulse.core.case import TOLD, Case, Draft, Settle, names
from holdfast.netpulse.core.grouping import FACETS, as_bad, worst
from holdfast.netpulse.core.incident import Condition, Decisions, Evidence, Incident, Member, Span, State
from holdfast.netpulse.core.result import Observation, Outcome
from holdfast.netpulse.core.signal import Signal
from holdfast.netpulse.core.situation import BURN_TAIL_S, Situation
from holdfast.netpulse.core.spans import KINDS, Spans
from holdfast.netpulse.core.surroundings import Surroundings, Watched
from holdfast.netpulse.errors import Conflict, NotFound

NOTE_LIMIT: Final = 2000
"""Characters of a note that are kept."""
RESTART_S: Final = 15.0
"""How long an incident that nobody was told of before a restart waits after it: a timeout of 10 s and some more, as
without the restart."""
_FACET_OF: Final = {
    facet: tuple(c for c in Condition if FACETS[c] == facet) for facet in dict.fromkeys(FACETS.values())
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorState:
    """How a monitor stands in the book."""

    conditions: tuple[Condition, ...]
    """What is wrong with it, the worst first."""
    incident: str | None
    """Standing one that it fails in (of several, that about its availability)."""
    spans: tuple[Span, ...]
    """Of it, not ended."""
    maintenance: str
    """Id of the one that it is in."""
    flapping: bool


class Book:
    """All incidents that stand, and those that may be reopened.

    Args:
        new_id: Makes the id of an incident from the time.
    """

    def __init__(self, *, new_id: Callable[[float], str]) -> None:
        self._new_id = new_id
        self._situation = Situation()
        self._last: dict[tuple[str, Condition], tuple[float, bool]] = {}
        self._spans = Spans()
        self._boundary = math.inf
        self._restless: dict[str, None] = {}
        """Incidents that time may change, all others wait for a signal: a thousand that stand cost a tick nothing."""
        self._awaited: frozenset[str] = frozenset()
        self._answered: float | None = None
        self._now = 0.0

    # -- surroundings

    def configure(self, surroundings: Surroundings, now: float) -> Decisions:
        """Start with, or go on by, other surroundings. Also how silences and maintenance begin and end.

        State is kept. What is wrong with a monitor that is gone or paused is over.

        Raises:
            ValueError: Figures of the settings, or a maintenance, are impossible.
        """
        draft = Draft(now)
        situation = self._situation
        before = situation.surroundings.watched
        situation.surround(surroundings, now)
        for monitor in sorted(self._known() - situation.regions.keys()):
            watched = surroundings.watched.get(monitor)
            if watched is None or watched.paused:
                self._drop(draft, monitor, "was removed" if watched is None else "was paused")
        for monitor, watched in surroundings.watched.items():
            if before and monitor not in before:
                self._spans.born(monitor, now)
            if watched.paused:
                self._spans.begin(draft, monitor, "paused", now)
            else:
                self._spans.end(draft, monitor, "paused", now)
        self._maintain(draft, reloaded=True)
        self._spans.mark_unknown(draft, situation)
        return self._finish(draft, situation.cases.values())

    def restore(self, incidents: Sequence[Incident], now: float, *, spans: Sequence[Span] = ()) -> None:
        """Take in incidents of the records, before the first :meth:`configure`, and spans that have not ended.

        An incident that is in the book already stays as it is. What somebody dismissed is known by its span: something
        is down, and in no incident. Of several conditions of a monitor, those that no span tells of are forgotten but
        for the worst.
        """
        situation = self._situation
        # Those that stand come last: what fails in them fails, whatever became of it elsewhere.
        for incident in sorted(incidents, key=lambda incident: (incident.standing, incident.detected)):
            if incident.id in situation.cases:
                continue
            case = situation.cases[incident.id] = Case.of(incident, now)
            for member in incident.members:
                self._restore(case, member, now)
            if case.state is State.DETECTED:  # whom it had asked is not recorded, and what they said may be on its way
                until = now + RESTART_S
                case.settle = Settle(since=now, until=until, doubt_until=until)
            if not case.standing:
                situation.close(case)
        for span in spans:
            self._spans.restore(span)
            for condition in (condition for condition, kind in KINDS.items() if kind == span.kind):
                key = (span.monitor, FACETS[condition])
                if condition not in situation.active.get(span.monitor, {}):
                    self._hold_active(span.monitor, condition, span.since, span.since)
                if situation.failing(*key) is None:
                    known = situation.dismissed.get(key)
                    situation.dismissed[key] = ("", worst((known[1], condition)) if known else condition)

    def _restore(self, case: Case, member: Member, now: float) -> None:
        situation = self._situation
        key = (member.monitor, case.facet)
        failing = member.until is None and case.standing
        at = max(member.joined, member.until or 0.0)
        if case.facet == "agent":
            situation.regions.setdefault(member.monitor, ("blind" if failing else "seeing", ""))
        for condition in _FACET_OF[case.facet]:
            if at >= self._last.get((member.monitor, condition), (0.0, False))[0]:
                self._last[member.monitor, condition] = (at, False)
        if case.standing:
            situation.of[key] = case.id
        if failing:
            self._hold_active(member.monitor, member.condition, at, member.began, simulated=case.simulated)
        if case.state is State.FLAPPING:
            situation.dampers.suppress(key, now)

    def _hold_active(
        self, monitor: str, condition: Condition, at: float, began: float, *, simulated: bool = False
    ) -> None:
        self._last[monitor, condition] = (max(at, self._last.get((monitor, condition), (at, True))[0]), True)
        self._situation.active.setdefault(monitor, {})[condition] = Signal(
            monitor=monitor, condition=condition, active=True, at=at, began=began, rule="restored", simulated=simulated
        )

    # -- what is seen

    def observed(self, observation: Observation) -> None:
        """Take note of a check: the address that answered, and whether one that was waited for has come.

        Decides nothing; when it matters, :meth:`due` is in the past after it.
        """
        if observation.outcome is Outcome.UNKNOWN or observation.late:
            return
        self._situation.saw(
            observation.monitor,
            at=observation.at,
            up=observation.outcome is Outcome.UP,
            address=observation.address,
        )
        if observation.monitor in self._awaited:
            self._answered = observation.received

    def signals(self, signals: Sequence[Signal], now: float) -> Decisions:
        """Take in what the detectors found. A signal that is known, or older than what is known, changes nothing."""
        draft = Draft(now)
        touched = self._time(draft)
        for signal in signals:
            touched |= self._take(draft, signal)
        return self._finish(draft, self._cases(touched))

    def agents(self, region: str, state: str, now: float, reason: str = "") -> Decisions:
        """A region's agents see again (``seeing``), are ``blind``, or are ``lost``: one incident for a region."""
        draft = Draft(now)
        situation = self._situation
        touched = self._time(draft)
        if situation.regions.get(region) != (state, reason):
            if state == "seeing" and region not in situation.regions:
                return self._finish(draft, self._cases(touched))
            situation.regions[region] = (state, reason)
            signal = Signal(
                monitor=region,
                condition=Condition.AGENT,
                active=state != "seeing",
                at=now,
                began=now,
                rule=f"agent.{state}",
                evidence={"state": state, "reason": reason},
            )
            touched |= self._take(draft, signal)
            self._spans.mark_unknown(draft, situation)
            touched |= {case.id for case in situation.cases.values() if case.state is State.DETECTED}
        return self._finish(draft, self._cases(touched))

    def tick(self, now: float) -> Decisions:
        """Let time work."""
        draft = Draft(now)
        return self._finish(draft, self._cases(self._time(draft)))

    def due(self) -> float | None:
        """When :meth:`tick` has to be called next, unless something else is before; ``None``: not at all."""
        cases = self._cases(self._restless)
        times = [at for case in cases if (at := lifecycle.due(self._situation, case, self._now)) is not None]
        times += [at for at in (self._boundary, self._answered) if at is not None and at < math.inf]
        return min(times, default=None)

    # -- commands

    def acknowledge(self, incident: str, actor: str, now: float) -> Decisions:
        """Somebody has it. Once more changes nothing.

        Raises:
            NotFound: There is no such incident in the book.
            Conflict: Nobody was told of it yet, or it is over.
        """
        draft = Draft(now)
        touched = self._time(draft)
        case = self._case(incident)
        if case.state not in TOLD:
            raise Conflict(f"{incident} is {case.state}; only what is open can be acknowledged")
        if case.acknowledged is None:
            case.acknowledged, case.acknowledged_by = now, actor
            steady = case.state in (State.RECOVERING, State.FLAPPING)  # they go to acknowledged when they fail again
            draft.step(
                case,
                "incident.acknowledged",
                f"{actor or 'Somebody'} has it.",
                after=None if steady else State.ACKNOWLEDGED,
                actor=actor,
                tell="acknowledged",
            )
        return self._finish(draft, self._cases(touched))

    def resolve(self, incident: str, actor: str, now: float) -> Decisions:
        """End it by hand. Members that still fail are dismissed until they have recovered.

        Raises:
            NotFound: There is no such incident in the book.
            Conflict: It is over.
        """
        draft = Draft(now)
        touched = self._time(draft)
        case = self._case(incident)
        if not case.standing:
            raise Conflict(f"{incident} is resolved already")
        failing = case.failing
        for member in failing:
            self._situation.dismissed[member.monitor, case.facet] = (case.id, member.condition)
            case.leave(member.monitor, now, now)
        still = f" {names((m.monitor for m in failing), self._situation.called)} still failed." if failing else ""
        lifecycle.close(
            self._situation, draft, case, "incident.resolved", f"{actor or 'Somebody'} resolved it.{still}", actor=actor
        )
        return self._finish(draft, self._cases(touched))

    def note(self, incident: str, text: str, actor: str, now: float) -> Decisions:
        """Write something down about it. Of an older one, :meth:`restore` it first.

        Raises:
            NotFound: There is no such incident in the book.
        """
        draft = Draft(now)
        touched = self._time(draft)
        draft.step(self._case(incident), "incident.note", text[:NOTE_LIMIT], actor=actor)
        return self._finish(draft, self._cases(touched))

    # -- reading

    def incident(self, id: str) -> Incident | None:
        """One that stands or may be reopened."""
        case = self._situation.cases.get(id)
        return case.frozen() if case else None

    def __contains__(self, incident: str) -> bool:
        """Whether it stands or may be reopened."""
        return incident in self._situation.cases

    def standing(self) -> tuple[Incident, ...]:
        """All that are not over."""
        return tuple(case.frozen() for case in self._situation.cases.values() if case.standing)

    def state_of(self, monitor: str, now: float) -> MonitorState:
        """How a monitor stands."""
        situation = self._situation
        active = situation.active.get(monitor, {})
        found = [
            f for facet in ("availability", "objective", "certificate") if (f := situation.failing(monitor, facet))
        ]
        return MonitorState(
            conditions=tuple(condition for condition in Condition if condition in active),
            incident=found[0][0].id if found else None,
            spans=self._spans.of(monitor),
            maintenance=self._spans.maintenance(monitor),
            flapping=situation.dampers.flapping((monitor, "availability"), now),
        )

    # -- within

    def _take(self, draft: Draft, signal: Signal) -> set[str]:
        situation = self._situation
        watched = situation.watched(signal.monitor)
        known = self._last.get((signal.monitor, signal.condition), (-math.inf, False))
        if watched is None or watched.paused or signal.at < known[0]:
            return set()
        # An agent that was blind and is lost now is news about the same thing; nothing else is active twice.
        if signal.active == known[1] and not (signal.active and signal.condition is Condition.AGENT):
            return set()
        self._last[signal.monitor, signal.condition] = (signal.at, signal.active)
        return self._failed(draft, watched, signal) if signal.active else self._recovered(draft, signal)

    def _failed(self, draft: Draft, watched: Watched, signal: Signal) -> set[str]:
        situation, now = self._situation, draft.now
        monitor, facet = signal.monitor, FACETS[signal.condition]
        was_well = situation.condition(monitor, _FACET_OF[facet]) is None
        situation.active.setdefault(monitor, {})[signal.condition] = signal
        if signal.condition in KINDS and not signal.simulated:  # pretending costs no uptime
            self._spans.begin(draft, monitor, KINDS[signal.condition], signal.began)
        if was_well and not self._spans.maintained(monitor):
            situation.dampers.failed((monitor, facet), now)
        member = Member(
            monitor=monitor,
            condition=situation.condition(monitor, _FACET_OF[facet]) or signal.condition,
            began=signal.began,
            joined=signal.at,
            evidence=signal.evidence,
        )
        dismissed = situation.dismissed.get((monitor, facet))
        if dismissed is not None:
            if as_bad(dismissed[1], signal.condition):
                return set()
            del situation.dismissed[monitor, facet]
        case = self._place(draft, watched, member, facet, signal)
        placement.gather(situation, draft, monitor, facet)
        touched = {case.id}
        now_in = situation.case(monitor, facet)
        return touched | {now_in.id} if now_in else touched

    def _place(self, draft: Draft, watched: Watched, member: Member, facet: str, signal: Signal) -> Case:
        situation, now = self._situation, draft.now
        said = f"{situation.called(member.monitor)}: {signal.condition}"
        own = situation.case(member.monitor, facet)
        if own is not None and self._continues(own, member, now):
            worse = own.members[member.monitor].until is None
            case = own
            rule = "incident.condition" if worse else "incident.member"
            text = f"{said}, too." if worse else f"{said} again."
        else:
            joined = placement.home(situation, watched, member, facet, signal.simulated)
            rule, text = "incident.member", f"{said}. It has the same cause."
            if joined is None:
                return self._open(draft, watched, member, facet, signal)
            case = joined
        before, is_new = case.condition, member.monitor not in case.members
        situation.enter(case, member)
        if situation.graph.descendants(member.monitor):
            case.common = None  # what depends on it counted so far, and does not any more
        if case.state in TOLD and is_new:
            case.unsaid[member.monitor] = None
        if case.settle is None and case.severity == "ticket" and before is not case.condition and case.state in TOLD:
            case.settle = placement.ask(situation, draft, watched, member, facet)
        draft.step(case, rule, text, evidence=_seen(signal))
        return case

    def _continues(self, case: Case, member: Member, now: float) -> bool:
        until = case.members[member.monitor].until
        return until is None or not case.fails or now - until <= self._situation.surroundings.settings.reopen

    def _open(self, draft: Draft, watched: Watched, member: Member, facet: str, signal: Signal) -> Case:
        situation, now = self._situation, draft.now
        old = placement.past(situation, member.monitor, facet, now)
        if old is not None and old.simulated != signal.simulated:
            old = None
        settle = placement.ask(situation, draft, watched, member, facet)
        case = Case(
            id=self._new_id(now),
            tenant=watched.tenant,
            facet=facet,
            simulated=signal.simulated,
            began=member.began,
            detected=now,
            condition=member.condition,
            severity=situation.severity(member.monitor, member.condition),
            settle=settle,
            reopens=old.id if old is not None else "",
            turned=now,
            said=now,
        )
        if old is not None and settle is None and not situation.why_not(old, member, now):
            situation.enter(old, member)
            lifecycle.reopen(situation, draft, old, f"{situation.called(member.monitor)} failed again soon after.")
            return old
        situation.cases[case.id] = case
        situation.enter(case, member)
        asked = len(settle.parents | settle.relatives) if settle else 0
        wait = f" {asked} others are asked first." if asked else ""
        draft.step(
            case,
            "incident.detected",
            f"{situation.called(member.monitor)}: {member.condition}.{wait}",
            after=State.DETECTED,
            evidence={**_seen(signal), "asked": asked},
        )
        return case

    def _recovered(self, draft: Draft, signal: Signal) -> set[str]:
        situation = self._situation
        monitor, facet = signal.monitor, FACETS[signal.condition]
        if situation.active.get(monitor, {}).pop(signal.condition, None) is None:
            return set()
        if not situation.active[monitor]:
            del situation.active[monitor]
        if signal.condition in KINDS:
            self._spans.end(draft, monitor, KINDS[signal.condition], signal.began)
        touched: set[str] = set()
        left = situation.condition(monitor, _FACET_OF[facet])
        found = situation.failing(monitor, facet)
        if left is not None and found is not None:
            found[0].relent(monitor, left)
            text = f"{situation.called(monitor)}: {signal.condition} no more, {left} still."
            draft.step(found[0], "incident.condition", text, evidence=_seen(signal))
        if left is None:
            if situation.dismissed.pop((monitor, facet), None) is not None:
                touched |= self._held("parent ")
            if found is not None:
                case = found[0]
                case.leave(monitor, signal.began, draft.now)
                draft.step(
                    case, "incident.recovered", f"{situation.called(monitor)} recovered.", evidence=_seen(signal)
                )
                touched.add(case.id)
        return touched

    def _drop(self, draft: Draft, monitor: str, why: str) -> None:
        situation = self._situation
        situation.active.pop(monitor, None)
        for facet, conditions in _FACET_OF.items():
            situation.dismissed.pop((monitor, facet), None)
            for condition in conditions:
                self._last.pop((monitor, condition), None)
            found = situation.failing(monitor, facet)
            if found is not None:
                found[0].leave(monitor, draft.now, draft.now)
                draft.step(found[0], "incident.gone", f"{monitor} {why}.", evidence={"monitor": monitor})
        self._spans.drop(draft, monitor)

    def _known(self) -> set[str]:
        """Monitors that there is something to remember of."""
        return (
            self._spans.monitors()
            | {monitor for monitor, _ in self._last}
            | self._situation.active.keys()
            | {monitor for monitor, _ in self._situation.of}
        )

    # -- time

    def _time(self, draft: Draft) -> set[str]:
        """What the time that has passed makes due: ids of incidents to look at."""
        situation, now = self._situation, draft.now
        touched: set[str] = set()
        if now >= self._boundary:
            self._maintain(draft)
            touched |= {case.id for case in situation.cases.values() if case.standing}
        self._answered = None
        for case in self._cases(self._restless):
            if case.standing:
                at = lifecycle.due(situation, case, now)
                waits = case.settle is not None or case.suppressed_by.startswith("incident ")
                if waits or (at is not None and at <= now):
                    touched.add(case.id)
            elif case.resolved is not None and now - case.resolved > situation.surroundings.settings.reopen:
                situation.forget(case)
                del self._restless[case.id]
        situation.dampers.forget(now)
        tail = max(BURN_TAIL_S.values())
        for monitor in [monitor for monitor, end in situation.ended.items() if now - end[0] > tail]:
            del situation.ended[monitor]
        return touched

    def _maintain(self, draft: Draft, *, reloaded: bool = False) -> None:
        shift = self._spans.maintain(draft, self._situation, reloaded=reloaded)
        self._say(draft, shift.begun, "began. It is told to nobody anew, and goes on if it still stands after it")
        self._say(draft, shift.over, "is over, and it still stands: it goes on, nobody is told again")
        self._boundary = self._situation.suppression.next_change(draft.now) or math.inf

    def _say(self, draft: Draft, maintained: dict[str, list[str]], what: str) -> None:
        for id, monitors in maintained.items():
            open_now = {
                found[0].id: found[0]
                for monitor in monitors
                if (found := self._situation.failing(monitor, "availability")) and found[0].state in TOLD
            }
            for case in open_now.values():
                draft.step(case, "incident.maintenance", f"Maintenance {id} {what}.", evidence={"maintenance": id})

    # -- the end of every call

    def _cases(self, ids: Iterable[str]) -> list[Case]:
        return [case for id in sorted(ids) if (case := self._situation.cases.get(id)) is not None]

    def _case(self, incident: str) -> Case:
        case = self._situation.cases.get(incident)
        if case is None:
            raise NotFound(f"there is no standing incident {incident}")
        return case

    def _held(self, prefix: str) -> set[str]:
        return {case.id for case in self._situation.cases.values() if case.suppressed_by.startswith(prefix)}

    def _finish(self, draft: Draft, touched: Iterable[Case]) -> Decisions:
        reviewed = list(touched)
        for case in reviewed:
            lifecycle.review(self._situation, draft, case)
        self._now = draft.now
        for case in (*reviewed, *draft.cases):
            if lifecycle.restless(case):
                self._restless[case.id] = None
            else:
                self._restless.pop(case.id, None)
        waiting = [case.settle for case in self._cases(self._restless) if case.settle is not None]
        self._awaited = frozenset().union(*(settle.parents | settle.relatives for settle in waiting))
        return draft.decisions(lambda case: lifecycle.describe(self._situation, case))


def _seen(signal: Signal) -> Evidence:
    return {"monitor": signal.monitor, "rule": signal.rule, "evidence": signal.evidence}


__all__ = ["Book", "MonitorState", "Surroundings", "Watched"]
