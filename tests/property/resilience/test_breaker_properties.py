"""The breaker over any interleaving of trips, trials, lost trials and waiting."""

from __future__ import annotations

import random

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.resilience import Breaker, BreakerPolicy, Change

TABLE = {
    ("closed", "breaker.trip"): "open",
    ("open", "breaker.half_open"): "half_open",
    ("open", "breaker.pardon"): "closed",
    ("half_open", "breaker.close"): "closed",
    ("half_open", "breaker.trial_failed"): "open",
}


class BreakerMachine(RuleBasedStateMachine):
    """Holds permits like workers would, and loses some."""

    @initialize(
        trials=st.integers(1, 4), needed=st.integers(1, 4), ramp_s=st.sampled_from((0.0, 10.0)), seed=st.integers(0, 9)
    )
    def begin(self, trials: int, needed: int, ramp_s: float, seed: int) -> None:
        self.policy = BreakerPolicy(trials=trials, trial_successes=needed, ramp_s=ramp_s)
        self.breaker = Breaker(self.policy)
        self.rng = random.Random(seed)
        self.now = 0.0
        self.held: dict[int, float] = {}
        self.successes = 0
        self.state = "closed"

    def took(self, change: Change | None) -> None:
        if change is None:
            assert self.breaker.state == self.state
            return
        assert change.before == self.state
        assert TABLE[change.before, change.rule] == change.after == self.breaker.state
        self.state = change.after
        self.successes = 0
        self.held.clear()

    @rule()
    def trip(self) -> None:
        self.took(self.breaker.trip(self.now, self.rng))

    @rule(wait_s=st.sampled_from((0.01, 1.0, 3.0, 10.0, 70.0, 400.0)))
    def wait(self, wait_s: float) -> None:
        self.now += wait_s
        opening = self.breaker.opening
        self.took(self.breaker.tick(self.now))
        assert self.breaker.opening in (opening, 0)
        self.held = {permit: at for permit, at in self.held.items() if self.now - at < self.policy.trial_timeout_s}

    @rule()
    def wait_for_the_timer(self) -> None:
        if self.breaker.until is not None:
            self.now = max(self.now, self.breaker.until)
            self.took(self.breaker.tick(self.now))
            assert self.breaker.state == "half_open"

    @rule()
    def admit(self) -> None:
        permit = self.breaker.admit(self.now)
        assert (permit is not None) == (self.state == "half_open" and len(self.held) < self.policy.trials)
        if permit is not None:
            self.held[permit] = self.now

    @precondition(lambda self: self.held)
    @rule(succeeded=st.booleans(), data=st.data())
    def report(self, succeeded: bool, data: st.DataObject) -> None:
        permit = data.draw(st.sampled_from(sorted(self.held)))
        del self.held[permit]
        self.successes += succeeded
        expected = "half_open" if succeeded else "open"
        if succeeded and self.successes == self.policy.trial_successes:
            expected = "closed"
        self.took(self.breaker.report(permit, succeeded=succeeded, now=self.now, rng=self.rng))
        assert self.breaker.state == expected

    @rule(permit=st.integers(0, 1000), succeeded=st.booleans())
    def report_a_permit_that_is_not_out(self, permit: int, succeeded: bool) -> None:
        if permit not in self.held:
            self.took(self.breaker.report(permit, succeeded=succeeded, now=self.now, rng=self.rng))

    @rule(open_s=st.sampled_from((0.0, 1.0, 30.0)))
    def hasten(self, open_s: float) -> None:
        before = self.breaker.until
        self.breaker.hasten(open_s)
        assert before is None or (self.breaker.until is not None and self.breaker.until <= before)

    @rule()
    def pardon(self) -> None:
        self.took(self.breaker.pardon(self.now))

    @invariant()
    def permits_are_bounded_and_only_out_while_half_open(self) -> None:
        assert len(self.breaker.permits) <= self.policy.trials
        assert self.state == "half_open" or not self.breaker.permits

    @invariant()
    def the_timer_fits_the_opening(self) -> None:
        assert (self.breaker.until is not None) == (self.state == "open")
        if self.breaker.until is not None:
            assert self.breaker.opening >= 1
            assert self.breaker.until <= self.now + self.policy.nominal_open_s(self.breaker.opening)

    @invariant()
    def the_ramp_stays_in_range(self) -> None:
        assert 0.1 <= self.breaker.ramp_factor(self.now) <= 1.0


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(deadline=None)
