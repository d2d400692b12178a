"""Every entry of a wait queue leaves exactly once, through the right door, in order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.resilience import WaitQueue


class QueueMachine(RuleBasedStateMachine):
    """The model is a plain list of (number, deadline) in order of arrival."""

    @initialize(bound=st.integers(0, 6))
    def build(self, bound: int) -> None:
        self.queue: WaitQueue[int] = WaitQueue(bound)
        self.bound = bound
        self.model: list[tuple[int, float]] = []
        self.passed_over: list[tuple[int, float]] = []
        self.now = 0.0
        self.number = 0

    @rule(patience=st.floats(-1, 5))
    def push(self, patience: float) -> None:
        self.number += 1
        room = len(self.model) + len(self.passed_over) < self.bound
        assert self.queue.push(self.number, self.now + patience) is room
        if room:
            self.model.append((self.number, self.now + patience))

    @rule()
    def pop(self) -> None:
        expected = None
        while self.model and expected is None:
            entry = self.model.pop(0)
            if entry[1] > self.now:
                expected = entry[0]
            else:
                self.passed_over.append(entry)
        assert self.queue.pop(self.now) == expected

    @rule()
    def collect_expired(self) -> None:
        due = [entry for entry in self.model if entry[1] <= self.now]
        self.model = [entry for entry in self.model if entry[1] > self.now]
        assert self.queue.expired(self.now) == [number for number, _ in self.passed_over + due]
        self.passed_over = []

    @precondition(lambda self: self.number)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.number))
        waiting = [entry[0] for entry in self.model + self.passed_over]
        assert self.queue.remove(number) is (number in waiting)
        self.model = [entry for entry in self.model if entry[0] != number]
        self.passed_over = [entry for entry in self.passed_over if entry[0] != number]

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def counts_what_has_not_left(self) -> None:
        assert len(self.queue) == len(self.model) + len(self.passed_over) <= self.bound


QueueMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestWaitQueue = QueueMachine.TestCase
