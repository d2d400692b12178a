"""What holds for every strategy, whatever happened to the targets before."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.resilience import Target, strategy

NAMES = ["round_robin", "weighted", "least_connections", "p2c", "consistent_hash"]

targets_of_a_pool = st.lists(
    st.builds(
        lambda weight, limit, in_flight, success, latency_s: (weight, limit, min(in_flight, limit), success, latency_s),
        weight=st.sampled_from([0.0, 0.01, 0.5, 1.0, 7.0]),
        limit=st.integers(0, 4),
        in_flight=st.integers(0, 4),
        success=st.floats(1e-4, 1.0),
        latency_s=st.sampled_from([0.0, 1e-4, 0.01, 2.0]),
    ),
    max_size=7,
)


@pytest.mark.parametrize("name", NAMES)
@given(
    figures=targets_of_a_pool, tried=st.sets(st.integers(0, 6)), seed=st.integers(0, 999), key=st.integers(0, 2**64 - 1)
)
@settings(max_examples=60, deadline=None)
def test_a_pick_is_open_and_there_is_one_if_any_target_is(
    name: str, figures: list[tuple[float, int, int, float, float]], tried: set[int], seed: int, key: int
) -> None:
    targets = []
    for index, (weight, limit, in_flight, success, latency_s) in enumerate(figures):
        target = Target(str(index), weight, limit)
        target.in_flight, target.success, target.latency_s = in_flight, success, latency_s
        targets.append(target)
    been = [targets[index] for index in tried if index < len(targets)]
    usable = [t for t in targets if t.weight > 0 and t.in_flight < t.limit and t not in been]
    chosen = strategy(name)
    for maybe_key in (key, None):
        picked = chosen.pick(targets, been, 0.0, Random(seed), maybe_key)
        assert picked in usable if usable else picked is None


class PoolMachine(RuleBasedStateMachine):
    """Traffic, faults, weights and strategy switches in any order, on one pool."""

    @initialize(count=st.integers(1, 5), seed=st.integers(0, 99))
    def build(self, count: int, seed: int) -> None:
        self.targets = tuple(Target(str(index), limit=3) for index in range(count))
        self.rng = Random(seed)
        self.chosen = strategy("p2c")
        self.now = 100.0
        self.attempts: list[tuple[Target, float]] = []

    @rule(tried=st.sets(st.integers(0, 4), max_size=2))
    def send(self, tried: set[int]) -> None:
        been = [self.targets[index] for index in tried if index < len(self.targets)]
        picked = self.chosen.pick(self.targets, been, self.now, self.rng, self.rng.getrandbits(64))
        usable = [t for t in self.targets if t.weight > 0 and t.in_flight < t.limit and t not in been]
        assert picked in usable if usable else picked is None
        if picked is not None:
            picked.began()
            self.attempts.append((picked, self.now))

    @precondition(lambda self: self.attempts)
    @rule(outcome=st.sampled_from(["succeeded", "failed", "abandoned"]), index=st.integers(0, 99))
    def end(self, outcome: str, index: int) -> None:
        target, began_at = self.attempts.pop(index % len(self.attempts))
        latency_before = target.latency_s
        success_before = target.success
        if outcome == "succeeded":
            target.succeeded(self.now, self.now - began_at + 1e-4)
            assert target.success >= success_before
        elif outcome == "failed":
            target.failed(self.now, self.now - began_at)
            assert target.success <= success_before
            assert target.latency_s >= latency_before
        else:
            target.abandoned()
            assert (target.success, target.latency_s) == (success_before, latency_before)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05, 0.5, 3.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for target in self.targets:
            ages = [self.now - began_at for other, began_at in self.attempts if other is target]
            target.tick(self.now, max(ages, default=0.0))

    @rule(name=st.sampled_from(NAMES))
    def switch(self, name: str) -> None:
        before = [(t.in_flight, t.success, t.latency_s, t.weight) for t in self.targets]
        self.chosen = strategy(name)
        assert [(t.in_flight, t.success, t.latency_s, t.weight) for t in self.targets] == before

    @rule(index=st.integers(0, 4), weight=st.sampled_from([0.0, 0.05, 1.0]))
    def weigh(self, index: int, weight: float) -> None:
        self.targets[index % len(self.targets)].weight = weight

    @invariant()
    def counts_and_estimates_stay_in_range(self) -> None:
        for target in self.targets:
            assert target.in_flight == sum(other is target for other, _ in self.attempts) <= target.limit
            assert 0.0 < target.success <= 1.0
            assert target.latency_s >= 0.0
            assert abs(target.turn) < 100.0


PoolMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestPool = PoolMachine.TestCase
