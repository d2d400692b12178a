"""Hysteresis over any sequence of observations, against a model that recounts the present row."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.resilience import Hysteresis, HysteresisPolicy

KINDS = ("pass", "slow", "connect", "status")


class HysteresisMachine(RuleBasedStateMachine):
    """The model keeps the row of observations against the verdict in force."""

    @initialize(
        rise=st.integers(1, 4),
        fall=st.integers(1, 4),
        weights=st.dictionaries(st.sampled_from(KINDS), st.sampled_from((0.5, 1.0, 1.5, 2.0))),
        up=st.booleans(),
    )
    def begin(self, rise: int, fall: int, weights: dict[str, float], up: bool) -> None:
        self.policy = HysteresisPolicy(rise=rise, fall=fall, weights=weights)
        self.state = Hysteresis(self.policy, up=up)
        self.up = up
        self.row: list[str] = []
        self.now = 0.0

    @rule(passed=st.booleans(), kind=st.sampled_from(KINDS))
    def observe(self, passed: bool, kind: str) -> None:
        self.now += 1.0
        change = self.state.observe(passed=passed, kind=kind, now=self.now)
        if passed == self.up:
            self.row = []
            assert change is None
            return
        self.row.append(kind)
        needed = self.policy.fall if self.up else self.policy.rise
        if sum(self.policy.weights.get(k, 1.0) for k in self.row) >= needed:
            self.up, self.row = not self.up, []
            assert change is not None
            assert (change.after == "up") == self.up
            assert float(change.figures["score"]) >= float(change.figures["needed"])
        else:
            assert change is None

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.state.up == self.up
        assert 0 <= self.state.score < self.state.needed


TestHysteresis = HysteresisMachine.TestCase
TestHysteresis.settings = settings(deadline=None)
