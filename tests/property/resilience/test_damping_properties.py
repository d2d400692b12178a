"""Flap damping over any schedule of flaps and waiting."""

from __future__ import annotations

import contextlib

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.resilience import DampingPolicy, FlapDamping

POLICIES = st.sampled_from(
    (
        DampingPolicy(),
        DampingPolicy(max_suppress_s=130.0),
        DampingPolicy(half_life_s=10.0, max_suppress_s=60.0, floor=0.5),
        DampingPolicy(penalty=5000.0),
    )
)


class DampingMachine(RuleBasedStateMachine):
    """Flaps raise the penalty, time lowers it, and nothing else does either."""

    @initialize(policy=POLICIES)
    def begin(self, policy: DampingPolicy) -> None:
        self.policy = policy
        self.damping = FlapDamping(policy)
        self.now = 0.0
        self.last_flap = 0.0

    @rule()
    def flap(self) -> None:
        before = self.damping.penalty(self.now)
        was_suppressed = self.damping.suppressed
        change = self.damping.flap(self.now)
        after = self.damping.penalty(self.now)
        self.last_flap = self.now
        assert after == pytest.approx(min(before + self.policy.penalty, self.policy.ceiling))
        assert (change is not None) == (self.damping.suppressed and not was_suppressed)

    @rule(wait_s=st.floats(0.001, 120.0))
    def wait(self, wait_s: float) -> None:
        before, factor = self.damping.penalty(self.now), self.damping.factor(self.now)
        self.now += wait_s
        assert self.damping.penalty(self.now) <= before
        assert self.damping.factor(self.now) >= factor
        if before > 0:
            assert self.damping.penalty(self.now) < before

    @rule()
    def tick(self) -> None:
        penalty = self.damping.penalty(self.now)
        was_suppressed = self.damping.suppressed
        change = self.damping.tick(self.now)
        assert self.damping.penalty(self.now) == penalty, "only time lowers a penalty"
        assert (change is not None) == (was_suppressed and not self.damping.suppressed)

    @rule()
    def wait_for_the_release(self) -> None:
        release = self.damping.reuse_at(self.now)
        if release is not None:
            self.now = max(self.now, release)
            assert self.damping.tick(self.now) is not None
            assert self.damping.penalty(self.now) == pytest.approx(self.policy.reuse) or release <= self.now

    @invariant()
    def stays_in_range(self) -> None:
        assert 0 <= self.damping.penalty(self.now) <= self.policy.ceiling
        assert self.policy.floor <= self.damping.factor(self.now) <= 1.0

    @invariant()
    def is_released_in_time(self) -> None:
        release = self.damping.reuse_at(self.now)
        assert (release is not None) == self.damping.suppressed
        if release is not None:
            assert release <= max(self.now, self.last_flap + self.policy.max_suppress_s) + 1e-6


TestDamping = DampingMachine.TestCase
TestDamping.settings = settings(deadline=None)


@settings(deadline=None)
@given(
    penalty=st.floats(1, 10_000),
    half_life_s=st.floats(0.1, 600),
    suppress=st.floats(1, 20_000),
    reuse=st.floats(1, 20_000),
    max_suppress_s=st.floats(1, 3_000),
)
def test_whatever_is_accepted_can_suppress_and_release(
    penalty: float, half_life_s: float, suppress: float, reuse: float, max_suppress_s: float
) -> None:
    with contextlib.suppress(ValueError):
        policy = DampingPolicy(
            penalty=penalty, half_life_s=half_life_s, suppress=suppress, reuse=reuse, max_suppress_s=max_suppress_s
        )
        damping = FlapDamping(policy)
        # The penalty converges geometrically; 40 half-lives leave no more than rounding.
        for flap in range(min(30_000, 2 + int(40 * half_life_s + suppress / penalty))):
            now = flap * policy.shortest_cycle_s
            if damping.flap(now):
                break
        converged = penalty / (1 - 2 ** (-1 / half_life_s))
        assert damping.suppressed or converged < suppress * 1.001
        release = damping.reuse_at(now)
        if release is not None:
            assert damping.tick(release) is not None
