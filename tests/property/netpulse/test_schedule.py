"""The timetable over any interleaving of slots, probes that take long, confirmations, changes and pauses."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.netpulse.core.schedule import GRACE_S, Slots, Timetable, assigned, offset, slot_after

names = st.text("abcdefgh/-0123456789", min_size=1, max_size=8)
agents = st.lists(names, min_size=1, max_size=5, unique=True)
monitors = st.lists(names, max_size=30, unique=True)


@given(monitors, agents, names)
def test_a_new_agent_takes_over_some_and_nothing_else_moves(watched: list[str], there: list[str], new: str) -> None:
    before, after = assigned(watched, there), assigned(watched, [*there, new])
    assert before.keys() == after.keys() == set(watched)
    assert all(after[each] in (before[each], new) for each in watched)


@given(names, st.lists(names, min_size=1, max_size=6, unique=True), st.floats(0.5, 86_400.0))
def test_regions_share_the_interval_evenly(monitor: str, regions: list[str], interval_s: float) -> None:
    found = sorted(offset(monitor, region, regions, interval_s) for region in regions)
    assert all(0 <= each < interval_s for each in found)
    gaps = [b - a for a, b in zip(found, [*found[1:], found[0] + interval_s], strict=True)]
    assert all(abs(gap - interval_s / len(regions)) < interval_s * 1e-9 for gap in gaps)


@given(st.floats(0, 1e5), st.floats(0.05, 1e5), st.floats(0, 4e9))
def test_the_next_slot_is_later_and_at_most_an_interval_away(offset_s: float, interval_s: float, now: float) -> None:
    at = slot_after(offset_s, interval_s, now)
    assert now < at <= now + interval_s * (1 + 1e-9) + 1e-6


class TimetableMachine(RuleBasedStateMachine):
    """Plays the agent."""

    @initialize()
    def begin(self) -> None:
        self.timetable = Timetable()
        self.now = 1_790_000_000.0
        self.slots: dict[str, Slots] = {}
        self.out: dict[str, tuple[float | None, float]] = {}
        self.began: dict[str, float] = {}

    @rule(monitor=st.sampled_from("abcd"), interval_s=st.sampled_from((2.0, 10.0)), part=st.floats(0, 0.99))
    def add(self, monitor: str, interval_s: float, part: float) -> None:
        self.slots[monitor] = Slots(part * interval_s, interval_s)
        self.timetable.add(monitor, self.slots[monitor], self.now)

    @rule(monitor=st.sampled_from("abcd"))
    def remove(self, monitor: str) -> None:
        self.slots.pop(monitor, None)
        self.out.pop(monitor, None)
        self.began.pop(monitor, None)
        self.timetable.remove(monitor)

    @rule()
    def replace_with_the_same(self) -> None:
        before = self.timetable.next_at()
        self.timetable.replace(self.slots, self.now)
        assert self.timetable.next_at() == before

    @rule(seconds=st.sampled_from((0.01, 0.5, 1.5, 9.0, 3600.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wait_for_the_next(self) -> None:
        if (at := self.timetable.next_at()) is not None:
            self.now = max(self.now, at)

    @rule()
    def probe(self) -> None:
        for at, monitor in self.timetable.due(self.now):
            assert monitor not in self.out, "never twice at once"
            assert self.now - GRACE_S <= at <= self.now
            slots = self.slots[monitor]
            if monitor in self.began:
                assert self.now - self.began[monitor] > slots.interval_s / 2 - 1e-3, "never bunched"
            self.out[monitor] = at, self.now

    @rule(monitor=st.sampled_from("abcd"))
    def confirm(self, monitor: str) -> None:
        if self.timetable.take(monitor):
            assert monitor not in self.out
            self.out[monitor] = None, self.now

    @rule(monitor=st.sampled_from("abcd"))
    def end(self, monitor: str) -> None:
        if monitor in self.out:
            slot, began = self.out.pop(monitor)
            if slot is None:
                self.timetable.back(monitor, self.now)
            else:
                self.timetable.back(monitor, self.now, slot=slot, began=began)
                self.began[monitor] = began

    @invariant()
    def everything_is_out_or_planned_soon(self) -> None:
        if not hasattr(self, "timetable"):
            return
        idle = {monitor for monitor in self.slots if monitor not in self.out}
        for monitor in idle:
            at = self.timetable._entries[monitor].at
            assert at is not None
            assert at <= self.now + 1.5 * self.slots[monitor].interval_s + 1e-3
        assert set(self.timetable._entries) == set(self.slots)


TestTimetable = TimetableMachine.TestCase
