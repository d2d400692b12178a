from __future__ import annotations

import random

import pytest

from holdfast.resilience import Breaker, BreakerPolicy


class Fixed:
    """Chance that always falls the same way."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


LOW = Fixed(0.0)


def half_open(breaker: Breaker, now: float) -> float:
    """Let the timer of an open breaker run out; the time when that was."""
    until = breaker.until
    assert until is not None
    assert until > now
    assert breaker.tick(until - 0.001) is None
    change = breaker.tick(until)
    assert change is not None
    assert breaker.state == "half_open"
    return until


def closed_after(breaker: Breaker, now: float) -> float:
    """Trip, wait, and pass all trials; the time of closing."""
    breaker.trip(now, LOW)
    now = half_open(breaker, now)
    while breaker.state == "half_open":
        permit = breaker.admit(now)
        assert permit is not None
        breaker.report(permit, succeeded=True, now=now, rng=LOW)
    return now


@pytest.mark.parametrize(("chance", "open_s"), [(0.0, 2.5), (0.5, 3.75), (0.999999, 5.0)])
def test_half_of_the_open_time_is_fixed_and_half_is_chance(chance: float, open_s: float) -> None:
    breaker = Breaker(BreakerPolicy())
    change = breaker.trip(10.0, Fixed(chance))
    assert change is not None
    assert (change.before, change.after, change.figures["nominal_s"]) == ("closed", "open", 5.0)
    assert breaker.until == pytest.approx(10.0 + open_s, abs=0.001)


def test_each_failed_trial_doubles_the_open_time_up_to_the_bound() -> None:
    breaker = Breaker(BreakerPolicy())
    breaker.trip(0.0, LOW)
    now = 0.0
    nominal = []
    for _ in range(8):
        now = half_open(breaker, now)
        permit = breaker.admit(now)
        assert permit is not None
        change = breaker.report(permit, succeeded=False, now=now, rng=LOW)
        assert change is not None
        nominal.append(change.figures["nominal_s"])
    assert nominal == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]


def test_half_open_admits_only_so_many_trials_at_once() -> None:
    breaker = Breaker(BreakerPolicy(trials=2))
    assert breaker.admit(0.0) is None, "closed breakers need no permits"
    breaker.trip(0.0, LOW)
    assert breaker.admit(0.0) is None, "open breakers give none"
    now = half_open(breaker, 0.0)
    first, second, third = breaker.admit(now), breaker.admit(now), breaker.admit(now)
    assert first is not None
    assert second is not None
    assert third is None
    breaker.report(first, succeeded=True, now=now, rng=LOW)
    assert breaker.admit(now) is not None


def test_enough_successes_close() -> None:
    breaker = Breaker(BreakerPolicy(trial_successes=3))
    breaker.trip(0.0, LOW)
    now = half_open(breaker, 0.0)
    changes = []
    for _ in range(3):
        permit = breaker.admit(now)
        assert permit is not None
        changes.append(breaker.report(permit, succeeded=True, now=now, rng=LOW))
    assert changes[:2] == [None, None]
    assert changes[2] is not None
    assert changes[2].rule == "breaker.close"
    assert breaker.permits == ()


def test_any_failed_trial_reopens_whatever_succeeded_before() -> None:
    breaker = Breaker(BreakerPolicy())
    breaker.trip(0.0, LOW)
    now = half_open(breaker, 0.0)
    permits = [breaker.admit(now) for _ in range(3)]
    assert None not in permits
    for permit, succeeded in zip(permits, (True, True, False), strict=True):
        assert permit is not None
        change = breaker.report(permit, succeeded=succeeded, now=now, rng=LOW)
    assert change is not None
    assert change.rule == "breaker.trial_failed"
    assert breaker.opening == 2


def test_a_permit_that_never_reports_expires_and_its_report_is_ignored() -> None:
    breaker = Breaker(BreakerPolicy(trials=1, trial_timeout_s=15.0))
    breaker.trip(0.0, LOW)
    now = half_open(breaker, 0.0)
    lost = breaker.admit(now)
    assert lost is not None
    breaker.tick(now + 14.9)
    assert breaker.admit(now + 14.9) is None
    breaker.tick(now + 15.0)
    assert breaker.admit(now + 15.0) is not None
    assert breaker.report(lost, succeeded=False, now=now + 15.0, rng=LOW) is None
    assert breaker.state == "half_open"


def test_a_trial_of_an_earlier_opening_is_ignored() -> None:
    breaker = Breaker(BreakerPolicy())
    breaker.trip(0.0, LOW)
    now = half_open(breaker, 0.0)
    early, failing = breaker.admit(now), breaker.admit(now)
    assert early is not None
    assert failing is not None
    breaker.report(failing, succeeded=False, now=now, rng=LOW)
    half_open(breaker, now)
    assert breaker.report(early, succeeded=False, now=now, rng=LOW) is None
    assert breaker.state == "half_open"


def test_a_released_permit_proves_nothing_and_is_free() -> None:
    breaker = Breaker(BreakerPolicy(trials=1, trial_successes=1))
    breaker.trip(0.0, LOW)
    now = half_open(breaker, 0.0)
    permit = breaker.admit(now)
    assert permit is not None
    breaker.release(permit)
    assert breaker.state == "half_open"
    assert breaker.admit(now) is not None


def test_growth_is_forgotten_only_after_a_sustained_closed_period() -> None:
    breaker = Breaker(BreakerPolicy(reset_after_s=60.0))
    now = closed_after(breaker, 0.0)
    breaker.tick(now + 59.0)
    assert breaker.opening == 1
    now = closed_after(breaker, now + 59.0)
    assert breaker.opening == 2
    breaker.tick(now + 60.0)
    assert breaker.opening == 0


def test_the_closed_period_must_last_as_long_as_the_last_opening_was_meant_to() -> None:
    breaker = Breaker(BreakerPolicy(open_min_s=100.0, reset_after_s=0.0))
    now = closed_after(breaker, 0.0)
    breaker.tick(now + 99.0)
    assert breaker.opening == 1
    breaker.tick(now + 100.0)
    assert breaker.opening == 0


def test_after_closing_the_weight_ramps_up_linearly() -> None:
    breaker = Breaker(BreakerPolicy(ramp_s=10.0))
    assert breaker.ramp_factor(0.0) == 1.0, "a new breaker does not ramp"
    now = closed_after(breaker, 0.0)
    assert [breaker.ramp_factor(now + s) for s in (0, 5, 10, 20)] == pytest.approx([0.1, 0.55, 1.0, 1.0])
    assert breaker.ramp_until(now) == now + 10.0
    assert breaker.ramp_until(now + 10.0) is None


def test_an_exponential_ramp_multiplies_by_the_same_ratio_each_second() -> None:
    breaker = Breaker(BreakerPolicy(ramp_s=2.0, ramp_shape="exponential"))
    now = closed_after(breaker, 0.0)
    assert [breaker.ramp_factor(now + s) for s in (0, 1, 2)] == pytest.approx([0.1, 0.1**0.5, 1.0])


def test_without_a_ramp_full_weight_returns_at_once() -> None:
    breaker = Breaker(BreakerPolicy(ramp_s=0.0))
    now = closed_after(breaker, 0.0)
    assert breaker.ramp_factor(now) == 1.0


def test_a_pardon_closes_without_ramp_and_without_growth() -> None:
    breaker = Breaker(BreakerPolicy())
    breaker.trip(0.0, LOW)
    change = breaker.pardon(0.5)
    assert change is not None
    assert (breaker.state, breaker.opening, breaker.ramp_factor(0.5)) == ("closed", 0, 1.0)
    assert breaker.pardon(0.6) is None


def test_a_hastened_timer_is_cut_short_and_never_prolonged() -> None:
    breaker = Breaker(BreakerPolicy(open_min_s=100.0))
    breaker.hasten(1.0)
    assert breaker.until is None
    breaker.trip(10.0, LOW)
    breaker.hasten(70.0)
    assert breaker.until == 60.0
    breaker.hasten(30.0)
    assert breaker.until == 40.0


def test_tripping_an_open_breaker_does_not_prolong_it() -> None:
    breaker = Breaker(BreakerPolicy())
    breaker.trip(0.0, LOW)
    until = breaker.until
    assert breaker.trip(1.0, LOW) is None
    assert breaker.until == until


def test_random_seeds_spread_breakers_that_opened_together() -> None:
    rng = random.Random(7)
    timers = set()
    for _ in range(20):
        breaker = Breaker(BreakerPolicy())
        breaker.trip(0.0, rng)
        timers.add(breaker.until)
    assert len(timers) == 20


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        ({"open_min_s": 0.0}, "open_min_s"),
        ({"open_max_s": 1.0}, "raise open_max"),
        ({"trials": 0}, "trials"),
        ({"trial_successes": 0}, "trial_successes"),
        ({"ramp_s": -1.0}, "ramp_s"),
        ({"trial_timeout_s": float("inf")}, "trial_timeout_s"),
    ],
)
def test_figures_out_of_range_are_refused_by_name(figures: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        BreakerPolicy(**figures)  # type: ignore[arg-type]
