from __future__ import annotations

import pytest

from holdfast.resilience import RateLimit


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    limit = RateLimit(10.0, 3)
    assert [limit.take(5.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.1]
    assert limit.take(5.1) == 0.0
    assert limit.take(5.1) > 0


def test_a_batch_larger_than_the_bucket_is_granted_from_a_full_one_and_paid_afterwards() -> None:
    limit = RateLimit(10.0, 5)
    assert limit.take(0.0, 25) == 0.0
    assert limit.take(0.0, 25) == 2.5
    assert limit.take(2.5, 25) == 0.0


def test_a_rate_of_nothing_is_no_limit() -> None:
    limit = RateLimit(0.0, 1)
    assert all(limit.take(0.0) == 0.0 for _ in range(1000))


def test_a_full_bucket_may_be_forgotten() -> None:
    limit = RateLimit(1.0, 2)
    assert limit.full(0.0)
    limit.take(0.0)
    assert not limit.full(0.9)
    assert limit.full(1.0)


@pytest.mark.parametrize(("per_s", "burst"), [(-1.0, 1), (float("nan"), 1), (1.0, 0), (1.0, 0.5)])
def test_a_bucket_that_makes_no_sense_is_refused(per_s: float, burst: float) -> None:
    with pytest.raises(ValueError, match="a rate limit needs"):
        RateLimit(per_s, burst)


def test_a_clock_that_stands_still_gives_nothing() -> None:
    limit = RateLimit(10.0, 1)
    limit.take(5.0)
    assert limit.take(4.0) == pytest.approx(0.1)
