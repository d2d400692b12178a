"""Policies that decide without over-reacting: values in, decisions out, time and chance passed in."""

from holdfast.resilience.admission import GradientLimit, WaitQueue, capacity_limit, retry_after_s
from holdfast.resilience.backoff import equal_jitter, full_jitter
from holdfast.resilience.breaker import Breaker, BreakerPolicy, BreakerState
from holdfast.resilience.budget import RetryBudget
from holdfast.resilience.change import Change
from holdfast.resilience.correlation import Correlation, CorrelationPolicy, Judgement
from holdfast.resilience.damping import DampingPolicy, FlapDamping
from holdfast.resilience.hysteresis import Hysteresis, HysteresisPolicy
from holdfast.resilience.outlier import Evidence, OutlierPolicy, OutlierWindow
from holdfast.resilience.rate import RateLimit
from holdfast.resilience.selection import Strategy, StrategyName, Target, hash_key, safest, strategy

__all__ = [
    "Breaker",
    "BreakerPolicy",
    "BreakerState",
    "Change",
    "Correlation",
    "CorrelationPolicy",
    "DampingPolicy",
    "Evidence",
    "FlapDamping",
    "GradientLimit",
    "Hysteresis",
    "HysteresisPolicy",
    "Judgement",
    "OutlierPolicy",
    "OutlierWindow",
    "RateLimit",
    "RetryBudget",
    "Strategy",
    "StrategyName",
    "Target",
    "WaitQueue",
    "capacity_limit",
    "equal_jitter",
    "full_jitter",
    "hash_key",
    "retry_after_s",
    "safest",
    "strategy",
]
