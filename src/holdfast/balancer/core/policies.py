"""From the settings of a pool to the policies that act on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.resilience import BreakerPolicy, CorrelationPolicy, DampingPolicy, HysteresisPolicy, OutlierPolicy

if TYPE_CHECKING:
    from holdfast.balancer.core.settings import PoolSettings

SETTLE_MARGIN_S = 0.5
"""What a retry may take beyond its own timeout: backoff, queueing, the report to the master."""
TRIAL_MARGIN_S = 5.0
"""What a trial may take beyond the timeout of its request before its permit is given to another worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What judges the backends of one pool. An absent policy is switched off."""

    hysteresis: HysteresisPolicy
    breaker: BreakerPolicy | None
    damping: DampingPolicy | None
    outlier: OutlierPolicy
    correlation: CorrelationPolicy
    heed_traffic: bool
    """Whether failed attempts count at all."""

    @classmethod
    def of(cls, settings: PoolSettings) -> Policies:
        """The policies of a pool. Raises ``ValueError`` that names the figure to change.

        Durations become plain floats here: they end in figures, which have to be encoded.
        """
        health, outlier, breaker, damping = settings.health, settings.outlier, settings.breaker, settings.damping
        retried = settings.retry.attempts > 1
        return cls(
            hysteresis=HysteresisPolicy(rise=health.rise, fall=health.fall),
            breaker=BreakerPolicy(
                open_min_s=float(breaker.open_min),
                open_max_s=float(breaker.open_max),
                trials=breaker.trials,
                trial_successes=breaker.trial_successes,
                trial_timeout_s=settings.timeout + TRIAL_MARGIN_S,
                ramp_s=float(breaker.ramp),
                ramp_shape=breaker.ramp_shape,
            )
            if breaker.enabled
            else None,
            damping=DampingPolicy(
                penalty=damping.penalty,
                half_life_s=float(damping.half_life),
                suppress=damping.suppress,
                reuse=damping.reuse,
                max_suppress_s=float(damping.max_suppress),
            )
            if damping.enabled
            else None,
            outlier=OutlierPolicy(
                consecutive=outlier.consecutive,
                sustained_s=outlier.sustained,
                success_ratio=outlier.success_ratio,
                bucket_s=float(outlier.bucket),
                buckets=outlier.buckets,
                minimum_volume=outlier.minimum_volume,
            ),
            correlation=CorrelationPolicy(
                # Without retries no request is ever seen on two backends, so there is nothing to wait for.
                settle_s=SETTLE_MARGIN_S if retried else 0.0,
                settle_timeout_s=settings.retry.per_try_timeout + SETTLE_MARGIN_S if retried else 0.0,
                remember_s=outlier.bucket * outlier.buckets,
            ),
            heed_traffic=outlier.enabled,
        )
