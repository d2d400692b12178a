"""The retry budget, by example; its invariant is in the property tests."""

from __future__ import annotations

import pytest

from holdfast.resilience import RetryBudget


def spend_all(budget: RetryBudget, now: float) -> int:
    spent = 0
    while budget.try_spend(now):
        spent += 1
    return spent


def test_five_requests_earn_one_retry() -> None:
    budget = RetryBudget(floor_per_s=0.0)
    for _ in range(4):
        budget.request(0.0)
    assert not budget.try_spend(0.0)
    budget.request(0.0)
    assert budget.try_spend(0.0)
    assert not budget.try_spend(0.0)


@pytest.mark.parametrize("percent", [1, 7, 10, 20, 29, 33, 57, 100, 250])
def test_a_hundred_requests_earn_exactly_the_percentage(percent: int) -> None:
    budget = RetryBudget(percent=percent, floor_per_s=0.0)
    for _ in range(100):
        budget.request(3.0)
    assert spend_all(budget, 3.0) == percent


def test_a_quiet_pool_may_retry_up_to_the_floor() -> None:
    budget = RetryBudget(floor_per_s=10.0, ttl_s=10.0)
    assert spend_all(budget, 5.0) == 100


def test_what_was_spent_comes_back_after_the_ttl() -> None:
    budget = RetryBudget(floor_per_s=1.0, ttl_s=10.0)
    assert spend_all(budget, 0.0) == 10
    assert not budget.try_spend(8.9)
    assert spend_all(budget, 10.9) == 0
    assert spend_all(budget, 11.0) == 10


def test_requests_stop_counting_after_the_ttl() -> None:
    budget = RetryBudget(floor_per_s=0.0, ttl_s=10.0)
    for _ in range(50):
        budget.request(0.0)
    assert budget.available(8.9) == pytest.approx(10.0)
    assert budget.available(11.0) == pytest.approx(0.0, abs=1e-6)


def test_a_long_pause_forgets_everything_at_once() -> None:
    budget = RetryBudget(floor_per_s=1.0, ttl_s=10.0)
    for _ in range(500):
        budget.request(1.0)
    spend_all(budget, 1.0)
    assert budget.available(1e6) == pytest.approx(10.0)


def test_the_origin_of_time_does_not_matter() -> None:
    for origin in (-1e6, 0.0, 1e9):
        budget = RetryBudget(floor_per_s=0.0)
        for step in range(50):
            budget.request(origin + step * 0.1)
        assert spend_all(budget, origin + 5.0) == 10


def test_a_pool_that_fails_completely_stays_at_1_2_attempts_per_request_plus_the_floor() -> None:
    budget = RetryBudget()
    retries = 0
    for request in range(60_000):
        now = request / 1000
        budget.request(now)
        for _ in range(2):
            retries += budget.try_spend(now)
    assert retries <= 0.2 * 60_000 + 10.0 * (60 + 10)
    assert retries >= 0.2 * 60_000


@pytest.mark.parametrize("arguments", [{"percent": -1}, {"floor_per_s": -1}, {"ttl_s": 0}, {"ttl_s": float("nan")}])
def test_impossible_budgets_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a retry budget needs"):
        RetryBudget(**arguments)
