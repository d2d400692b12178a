from __future__ import annotations

from random import Random

import pytest

from holdfast.gateway.core.hedging import HALF_LIFE_S, RATIO, Quantiles, TokenBudget


def test_a_quantile_is_within_five_percent() -> None:
    rng = Random(7)
    values = [rng.lognormvariate(-1, 0.8) for _ in range(5000)]
    quantiles = Quantiles()
    for number, value in enumerate(values):
        quantiles.observe(value, number * 0.01)
    for share in (0.5, 0.9, 0.95, 0.99):
        exact = sorted(values)[int(share * len(values))]
        assert quantiles.quantile(share, 50.0) == pytest.approx(exact, rel=RATIO - 1 + 0.06)


def test_nothing_is_known_without_observations() -> None:
    quantiles = Quantiles()
    assert quantiles.quantile(0.95, 0.0) is None
    assert quantiles.volume(0.0) == 0.0
    assert quantiles.share_above(1.0) == 0.0


def test_what_was_true_an_hour_ago_is_forgotten() -> None:
    quantiles = Quantiles()
    for number in range(1000):
        quantiles.observe(10.0, number * 0.1)
    for number in range(200):
        quantiles.observe(0.1, 3600.0 + number * 0.1)
    assert quantiles.quantile(0.95, 3630.0) == pytest.approx(0.1, rel=0.06)


def test_volume_halves_in_a_half_life() -> None:
    quantiles = Quantiles()
    for _ in range(100):
        quantiles.observe(1.0, 0.0)
    assert quantiles.volume(HALF_LIFE_S) == pytest.approx(50.0)


def test_a_week_of_observations_stays_finite() -> None:
    quantiles = Quantiles()
    for hour in range(7 * 24):
        for _ in range(10):
            quantiles.observe(0.5, hour * 3600.0)
    assert quantiles.quantile(0.5, 7 * 86400.0) == pytest.approx(0.5, rel=0.06)
    assert 9.0 < quantiles.volume(167 * 3600.0) < 11.0


def test_a_pause_of_a_year_does_not_overflow() -> None:
    quantiles = Quantiles()
    quantiles.observe(1.0, 0.0)
    quantiles.observe(2.0, 3e7)
    assert quantiles.quantile(0.5, 3e7) == pytest.approx(2.0, rel=0.06)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e9])
def test_times_out_of_range_count_at_its_ends(seconds: float) -> None:
    quantiles = Quantiles()
    quantiles.observe(seconds, 0.0)
    assert quantiles.quantile(0.95, 0.0) is not None


def test_share_above_counts_the_late_ones() -> None:
    quantiles = Quantiles()
    for number in range(100):
        quantiles.observe(2.0 if number < 8 else 0.1, 0.0)
    assert quantiles.share_above(1.0) == pytest.approx(0.08)


def test_hedges_get_a_share_of_the_tokens() -> None:
    budget = TokenBudget(5.0)
    budget.request(10_000, 0.0)
    assert budget.try_spend(500, 0.0)
    assert not budget.try_spend(1, 0.0)
    assert (budget.spent, budget.refused) == (500, 1)


def test_a_large_hedge_waits_for_enough_requests_and_a_small_one_does_not() -> None:
    budget = TokenBudget(5.0)
    budget.request(10_000, 0.0)
    assert not budget.try_spend(501, 0.0)
    assert budget.try_spend(100, 0.0)


def test_the_window_moves_on() -> None:
    budget = TokenBudget(5.0, window_s=10.0)
    budget.request(1000, 0.0)
    assert not budget.try_spend(50, 11.0)
    budget.request(1000, 11.0)
    assert budget.try_spend(50, 11.0)


def test_the_floor_is_not_added_to_the_share() -> None:
    budget = TokenBudget(20.0, floor=5.0)
    assert [budget.try_spend(1, 0.0) for _ in range(6)] == [True] * 5 + [False]
    budget.request(50, 0.0)
    assert [budget.try_spend(1, 0.0) for _ in range(6)] == [True] * 5 + [False]


def test_figures_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="percent >= 0"):
        TokenBudget(-1.0)
