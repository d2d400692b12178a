"""Which backend gets the next attempt.

All that is known about a backend lives in its :class:`Target`; a :class:`Strategy` holds
only its own cursor or ring. So a strategy can be replaced between two requests and nothing
is lost. The sinkhole guard (a backend that fails fast looks idle and would attract
everything) is ``Target.success``; how much of it a strategy needs is told with each.
"""

from holdfast.resilience.selection.ring import ConsistentHash, hash_key
from holdfast.resilience.selection.strategies import (
    LeastConnections,
    PowerOfTwoChoices,
    RoundRobin,
    Strategy,
    StrategyName,
    WeightedRoundRobin,
    safest,
    strategy,
)
from holdfast.resilience.selection.target import Target

__all__ = [
    "ConsistentHash",
    "LeastConnections",
    "PowerOfTwoChoices",
    "RoundRobin",
    "Strategy",
    "StrategyName",
    "Target",
    "WeightedRoundRobin",
    "hash_key",
    "safest",
    "strategy",
]
