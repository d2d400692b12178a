"""The retry budget never grants more than its window has earned, and forgets in time."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.resilience import RetryBudget


class BudgetMachine(RuleBasedStateMachine):
    """Compares the budget with a full record of what happened."""

    @initialize(
        percent=st.floats(0, 200),
        floor=st.floats(0, 20),
        ttl=st.floats(0.5, 30),
        origin=st.floats(-1e4, 1e4),
    )
    def build(self, percent: float, floor: float, ttl: float, origin: float) -> None:
        self.percent, self.floor, self.ttl, self.now = percent, floor, ttl, origin
        self.budget = RetryBudget(percent=percent, floor_per_s=floor, ttl_s=ttl)
        self.requests: list[float] = []
        self.spent: list[float] = []

    @rule(seconds=st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 100)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 40))
    def requests_arrive(self, count: int) -> None:
        for _ in range(count):
            self.budget.request(self.now)
            self.requests.append(self.now)

    @rule(count=st.integers(1, 40))
    def attempts_fail(self, count: int) -> None:
        for _ in range(count):
            expected = self.budget.available(self.now) >= 1.0
            assert self.budget.try_spend(self.now) is expected
            if expected:
                self.spent.append(self.now)
                assert any(self._within(self.spent, window) <= self._earned(window) for window in self._windows())
        if self._within(self.spent, self._longest) + 1 <= self._earned(self._shortest):
            assert self.budget.available(self.now) >= 1.0 - 1e-6, "refused although the window has earned it"

    @invariant()
    def is_never_negative(self) -> None:
        assert self.budget.available(self.now) >= 0.0

    # The window moves in steps of a tenth, so what counts is between ten and eleven of them old.
    @property
    def _longest(self) -> float:
        return self.ttl * 1.1 + 1e-6

    @property
    def _shortest(self) -> float:
        return self.ttl - 1e-6

    def _windows(self) -> list[float]:
        """Every window that the budget may have looked at and that differs in what it holds."""
        ages = {self.now - time for time in self.requests + self.spent}
        return [self._shortest, self._longest, *(age for age in ages if self._shortest < age < self._longest)]

    def _within(self, times: list[float], window_s: float) -> int:
        return sum(time > self.now - window_s for time in times)

    def _earned(self, window_s: float) -> float:
        return self.floor * self.ttl + self.percent / 100 * self._within(self.requests, window_s) + 1e-6


BudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBudget = BudgetMachine.TestCase
