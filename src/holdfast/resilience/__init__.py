"""Policies of failure: values in, decisions out; time and chance are passed in."""

from holdfast.resilience.admission import GradientLimit, WaitQueue, capacity_limit, retry_after_s
from holdfast.resilience.backoff import equal_jitter, full_jitter
from holdfast.resilience.budget import RetryBudget
from holdfast.resilience.selection import Strategy, StrategyName, Target, hash_key, strategy

__all__ = [
    "GradientLimit",
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
    "strategy",
]
