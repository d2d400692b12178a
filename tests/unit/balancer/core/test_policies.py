from __future__ import annotations

import pytest

from holdfast.balancer.core.policies import Policies
from holdfast.balancer.core.settings import (
    BreakerSettings,
    DampingSettings,
    HealthSettings,
    OutlierSettings,
    PoolSettings,
    RetrySettings,
)
from holdfast.kernel import Duration
from holdfast.resilience import BreakerPolicy, DampingPolicy, HysteresisPolicy, OutlierPolicy


def test_the_defaults_of_settings_and_policies_agree() -> None:
    policies = Policies.of(PoolSettings())
    assert policies.hysteresis == HysteresisPolicy()
    assert policies.breaker == BreakerPolicy()
    assert policies.damping == DampingPolicy()
    assert policies.outlier == OutlierPolicy()


def test_what_is_switched_off_is_absent() -> None:
    policies = Policies.of(
        PoolSettings(
            breaker=BreakerSettings(enabled=False),
            damping=DampingSettings(enabled=False, suppress=1e9),
            outlier=OutlierSettings(enabled=False),
        )
    )
    assert policies.breaker is None
    assert policies.damping is None
    assert not policies.heed_traffic


def test_without_retries_there_is_nothing_to_wait_for() -> None:
    policies = Policies.of(PoolSettings(retry=RetrySettings(attempts=1)))
    assert (policies.correlation.settle_s, policies.correlation.settle_timeout_s) == (0.0, 0.0)


def test_a_timeout_is_held_longer_than_its_retry_may_take() -> None:
    policies = Policies.of(PoolSettings(retry=RetrySettings(per_try_timeout=Duration(7.0))))
    assert policies.correlation.settle_timeout_s > 7.0


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        (PoolSettings(damping=DampingSettings(max_suppress=Duration(60.0))), "raise max_suppress"),
        (PoolSettings(breaker=BreakerSettings(open_max=Duration(1.0))), "raise open_max"),
        (PoolSettings(health=HealthSettings(rise=0)), "rise"),
        (PoolSettings(outlier=OutlierSettings(buckets=0)), "buckets"),
    ],
)
def test_settings_that_contradict_themselves_are_refused_with_the_remedy(settings: PoolSettings, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        Policies.of(settings)
