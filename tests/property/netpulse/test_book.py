"""The incident book under everything at once: failures, recoveries, people, maintenance, restarts and time."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from holdfast.kernel import Duration
from holdfast.netpulse.core.grouping import FACETS
from holdfast.netpulse.core.incident import Condition, Incident, State
from holdfast.netpulse.core.settings import IncidentSettings
from tests.unit.netpulse.core.incidents import START, Desk, silence, watched

MONITORS = {
    monitor.monitor: monitor
    for monitor in (
        watched("db", host="h1"),
        watched("app", "db", host="h2"),
        watched("web", "app", host="h3"),
        watched("one", host="h4"),
        watched("two", host="h4", domain="d"),
        watched("tri", host="h5", domain="d"),
        watched("low", severity="ticket", host="h1"),
        watched("egg", "hen"),
        watched("hen", "egg"),
        watched("own", tenant="u", host="h4"),
    )
}
STEPS = {
    None: {State.DETECTED},
    State.DETECTED: {State.OPEN, State.RESOLVED},
    State.OPEN: {State.ACKNOWLEDGED, State.RECOVERING, State.FLAPPING, State.RESOLVED},
    State.REOPENED: {State.ACKNOWLEDGED, State.RECOVERING, State.FLAPPING, State.RESOLVED, State.OPEN},
    State.ACKNOWLEDGED: {State.RECOVERING, State.FLAPPING, State.RESOLVED, State.OPEN},
    State.RECOVERING: {State.RESOLVED, State.OPEN, State.ACKNOWLEDGED},
    State.RESOLVED: {State.REOPENED},
    State.FLAPPING: {State.RESOLVED, State.OPEN, State.ACKNOWLEDGED},
}
"""The table of :mod:`holdfast.netpulse.core.incident`."""
names = st.sampled_from(sorted(MONITORS))
conditions = st.sampled_from([Condition.DOWN, Condition.DOWN, Condition.PARTIAL, Condition.SLOW, Condition.BURN_FAST])


class BookMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(MONITORS.values(), IncidentSettings(flap_half_life=Duration(600.0)))
        self.active: set[tuple[str, Condition]] = set()
        self.revisions: Counter[str] = Counter()
        self.states: dict[str, State] = {}
        self.opened: dict[str, bool] = {}
        self.seen = 0
        self.silences = 0

    # -- what happens

    @rule(name=names, condition=conditions)
    def fails(self, name: str, condition: Condition) -> None:
        if name not in self.desk.monitors:
            return
        self.active.add((name, condition))
        self.twice(self.desk.signal(name, True, condition))

    @rule(data=st.data())
    def recovers(self, data: st.DataObject) -> None:
        if self.active:
            name, condition = data.draw(st.sampled_from(sorted(self.active)))
            self.active.discard((name, condition))
            self.twice(self.desk.signal(name, False, condition, began=self.desk.now))

    @rule(name=names)
    def goes_up_and_down_until_it_is_damped(self, name: str) -> None:
        for _ in range(5):
            for condition in [condition for monitor, condition in self.active if monitor == name]:
                self.active.discard((name, condition))
                self.twice(self.desk.signal(name, False, condition, began=self.desk.now))
            self.pass_time(10)
            self.fails(name, Condition.DOWN)
            self.pass_time(10)

    def twice(self, signal: Any) -> None:
        self.desk.keep(self.desk.book.signals([signal], self.desk.now))
        again = self.desk.book.signals([signal], self.desk.now)
        assert not again.to_store

    @rule(names=st.lists(names, max_size=4), up=st.booleans())
    def is_checked(self, names: list[str], up: bool) -> None:
        self.desk.answer(*(name.partition("/")[2] for name in names if name.startswith("t/")), up=up)

    @rule(seconds=st.sampled_from([0.0, 1.0, 20.0, 70.0, 400.0, 4_000.0]))
    def pass_time(self, seconds: float) -> None:
        self.desk.wait(seconds)
        self.check()

    @rule(data=st.data(), what=st.sampled_from(["acknowledge", "resolve", "note"]))
    def somebody_acts(self, data: st.DataObject, what: str) -> None:
        standing = sorted(incident.id for incident in self.desk.book.standing() if incident.state is not State.DETECTED)
        if not standing:
            return
        incident = data.draw(st.sampled_from(standing))
        book, now = self.desk.book, self.desk.now
        if what == "acknowledge":
            self.desk.keep(book.acknowledge(incident, "ann", now))
            assert not book.acknowledge(incident, "ann", now).to_store
        elif what == "resolve":
            self.desk.keep(book.resolve(incident, "ann", now))
        else:
            self.desk.keep(book.note(incident, "looking", "ann", now))

    @rule(region=st.sampled_from(["ap", "eu", "us"]), state=st.sampled_from(["seeing", "blind", "lost"]))
    def agents(self, region: str, state: str) -> None:
        self.desk.keep(self.desk.book.agents(region, state, self.desk.now, "canaries"))
        assert not self.desk.book.agents(region, state, self.desk.now, "canaries").to_store

    @rule(name=names, seconds=st.sampled_from([30, 600]))
    def somebody_silences(self, name: str, seconds: int) -> None:
        self.silences += 1
        tenant, _, id = name.partition("/")
        self.desk.silences = [s for s in self.desk.silences if s.ends > self.desk.now]
        self.desk.silences.append(
            silence(f"s{self.silences}", ends=self.desk.now + seconds, tenant=tenant, monitor=id[0] + "*")
        )
        self.desk.configure()

    @precondition(lambda self: self.desk.now < START + 50 and not self.desk.windows)
    @rule(seconds=st.sampled_from([60.0, 600.0]))
    def maintenance_is_planned(self, seconds: float) -> None:
        self.desk.maintain("m1", seconds, {"host": "h*"})

    @rule(name=names)
    def goes_or_comes_back(self, name: str) -> None:
        if self.desk.monitors.pop(name, None) is None:
            self.desk.monitors[name] = MONITORS[name]
        self.active = {(monitor, condition) for monitor, condition in self.active if monitor != name}
        self.desk.configure()

    @rule()
    def the_engine_starts_again(self) -> None:
        """From what is stored. Detectors keep their state, so nothing is signalled twice that was signalled before."""
        desk = self.desk
        regions = dict(desk.book._situation.regions)
        recent = [
            incident
            for incident in desk.incidents.values()
            if incident.state is not State.RESOLVED or (incident.resolved or 0) > desk.now - desk.settings.reopen
        ]
        desk.book = desk.new_book()
        desk.book.restore(recent, desk.now, spans=[span for span in desk.spans.values() if span.until is None])
        desk.configure()
        for region, (state, reason) in regions.items():
            desk.keep(desk.book.agents(region, state, desk.now, reason))
        self.active &= {(name, c) for name, found in desk.book._situation.active.items() for c in found}

    # -- what holds

    @invariant()
    def check(self) -> None:
        for transition in self.desk.transitions[self.seen :]:
            id = transition.incident
            self.revisions[id] += 1
            assert transition.number == self.revisions[id], "a revision counts by one"
            assert transition.before is self.states.get(id)
            if transition.before is not transition.after:
                assert transition.after in STEPS[transition.before], (transition.before, transition.after)
            elif transition.before is State.RESOLVED:
                assert transition.rule == "incident.note", transition
            self.states[id] = transition.after
            self.follow_what_was_told(id, transition.rule, transition.after, transition.tell)
        self.seen = len(self.desk.transitions)
        for incident in self.desk.incidents.values():
            assert incident.revision == self.revisions[incident.id]
            assert incident.state is self.states[incident.id]
            self.check_incident(incident)
        self.check_spans()

    def follow_what_was_told(self, id: str, rule: str, after: State, tell: str) -> None:
        told = self.opened.get(id, False)
        if tell in ("opened", "flapping", "reopened"):
            self.opened[id] = True
        elif tell == "resolved":
            assert told, "what nobody was told of is not told as resolved"
            self.opened[id] = False
        if after is State.RESOLVED:
            assert not self.opened.get(id, False), f"{rule}: the end of what was told is told"

    def check_incident(self, incident: Incident) -> None:
        failing = [member for member in incident.members if member.until is None]
        if incident.state is State.RESOLVED:
            assert not failing, "every member ends"
            assert incident.resolved is not None
        elif not failing:
            assert incident.state in (State.RECOVERING, State.DETECTED, State.FLAPPING)
        else:
            assert incident.state is not State.RECOVERING
        if incident.state is not State.DETECTED:
            assert not incident.suppressed_by
        assert incident.title
        assert {monitor.partition("/")[0] for monitor in (m.monitor for m in incident.members)} <= {
            incident.tenant or member.monitor for member in incident.members
        }

    @invariant()
    def no_monitor_fails_in_two_incidents_for_one_thing(self) -> None:
        failing = Counter(
            (member.monitor, FACETS[incident.condition])
            for incident in self.desk.book.standing()
            for member in incident.members
            if member.until is None
        )
        assert all(count == 1 for count in failing.values()), failing

    @invariant()
    def what_fails_is_in_an_incident_or_was_dismissed(self) -> None:
        situation = self.desk.book._situation
        for name, condition in self.active:
            facet = FACETS[condition]
            assert situation.failing(name, facet) or (name, facet) in situation.dismissed, (name, condition)

    @invariant()
    def the_book_knows_what_was_stored(self) -> None:
        for incident in self.desk.book.standing():
            assert incident == self.desk.incidents[incident.id]

    def check_spans(self) -> None:
        for span in self.desk.spans.values():
            assert span.until is None or span.until >= span.since
        for name in MONITORS:
            windows = [s for s in self.desk.spans.values() if s.monitor == name and s.kind == "maintenance"]
            for down in (s for s in self.desk.spans.values() if s.monitor == name and s.kind == "down"):
                for window in windows:
                    end, over = down.until or self.desk.now, window.until or self.desk.now
                    assert min(end, over) <= max(down.since, window.since), "time in maintenance is not down"

    @invariant()
    def memory_is_bounded(self) -> None:
        book, situation = self.desk.book, self.desk.book._situation
        assert len(situation.of) <= 4 * len(MONITORS) + 3
        assert len(situation.dampers) <= 4 * len(MONITORS) + 3
        assert len(book._last) <= len(Condition) * (len(MONITORS) + 3)
        old = self.desk.now - self.desk.settings.reopen - 1
        waiting = [case for case in situation.cases.values() if case.resolved is not None and case.resolved < old]
        assert len(waiting) <= len(self.desk.incidents)

    def teardown(self) -> None:
        """Everything recovers: everything ends, whoever was told of something is told of its end, nothing is kept."""
        self.desk.windows.clear()
        self.desk.configure()
        for name, condition in sorted(self.active):
            self.twice(self.desk.signal(name, False, condition, began=self.desk.now))
        for region in ("ap", "eu", "us"):
            self.desk.keep(self.desk.book.agents(region, "seeing", self.desk.now))
        self.active.clear()
        self.pass_time(7 * 86_400.0)
        self.desk.keep(self.desk.book.tick(self.desk.now))
        assert not self.desk.book.standing()
        assert not any(self.opened.values())
        situation = self.desk.book._situation
        left = (situation.cases, situation.of, situation.past, situation.active, situation.dismissed, situation.ended)
        assert not any(left), left
        assert len(situation.dampers) == 0
        assert not situation._incidents_by_trait
        assert self.desk.book.due() is None
        open_spans = [span for span in self.desk.spans.values() if span.until is None]
        assert not open_spans


TestBook = BookMachine.TestCase
TestBook.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
