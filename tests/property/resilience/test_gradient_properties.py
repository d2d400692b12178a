"""The adaptive limit under arbitrary answers: it keeps its bounds, and grows only when it is used."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.resilience import GradientLimit


class GradientMachine(RuleBasedStateMachine):
    """Windows of answers, each with one latency, one share of failures and one load."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    # Below 4 the tolerated queue, the root of the limit, is more than failures take away.
    @initialize(lowest=st.integers(4, 20), initial=st.integers(0, 40), headroom=st.integers(0, 200))
    def start(self, lowest: int, initial: int, headroom: int) -> None:
        self.lowest, self.highest = lowest, lowest + initial + headroom
        self.limit = GradientLimit(initial=lowest + initial, lowest=lowest, highest=self.highest)
        self.settled = self.limit.limit

    def answers(self, latency_s: float, in_flight: int, failures: int) -> None:
        for number in range(30):  # exactly what one adjustment takes, so that no window is mixed
            self.now += 0.01
            self.limit.sample(latency_s, in_flight, self.now, number >= failures)

    @rule(latency_s=st.floats(1e-4, 10.0), load=st.floats(0.0, 3.0), failures=st.integers(0, 30))
    def window(self, latency_s: float, load: float, failures: int) -> None:
        self.answers(latency_s, max(1, int(self.limit.limit * load)), failures)
        self.settled = max(self.settled, self.limit.limit)

    @rule(latency_s=st.floats(1e-4, 10.0))
    def hardly_used(self, latency_s: float) -> None:
        # A probe that was under way gives back what it had taken, and no more.
        self.answers(latency_s, 0, 0)
        assert self.limit.limit <= self.settled

    @rule()
    def nothing_but_failures(self) -> None:
        before = self.limit.limit
        self.answers(0.01, 1000, 30)
        assert self.limit.limit <= max(before, self.settled)

    @rule(seconds=st.floats(0.0, 120.0))
    def pause(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def within_bounds(self) -> None:
        if hasattr(self, "limit"):
            assert self.lowest <= self.limit.limit <= self.highest


TestGradient = GradientMachine.TestCase
