"""A plan is fixed before the first request leaves."""

from __future__ import annotations

import itertools
import statistics

import pytest

from holdfast.drills import DrillError
from holdfast.drills.load import Plan


def test_the_same_seed_gives_the_same_arrivals_and_methods() -> None:
    plans = [Plan(rate_per_s=500, duration_s=2, seed=3, post_share=0.3) for _ in range(2)]
    assert plans[0].arrivals_s() == plans[1].arrivals_s()
    assert plans[0].posts(1000) == plans[1].posts(1000)


def test_another_seed_gives_other_arrivals() -> None:
    one, other = (Plan(rate_per_s=500, duration_s=2, seed=seed).arrivals_s() for seed in (1, 2))
    assert one != other


def test_poisson_arrivals_have_the_rate_and_the_spread_of_their_law() -> None:
    moments = Plan(rate_per_s=1000, duration_s=20, seed=5).arrivals_s()
    gaps = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert len(moments) == pytest.approx(20_000, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)
    assert all(0 <= moment < 20 for moment in moments)


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert list(Plan(rate_per_s=4, duration_s=1, seed=0, arrivals="constant").arrivals_s()) == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(("rate", "duration"), [(0, 1), (1, 0), (-1, 1)])
def test_a_plan_that_sends_nothing_is_refused(rate: float, duration: float) -> None:
    with pytest.raises(DrillError, match="rate and a duration"):
        Plan(rate_per_s=rate, duration_s=duration, seed=0).arrivals_s()
