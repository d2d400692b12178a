"""What the gateway counts: plain numbers in dictionaries, made into metrics when somebody scrapes.

A request costs a handful of additions. Labels are bounded: models and deployments that no configuration names are
``other``, protocols, reasons and outcomes are words of the code.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from holdfast.gateway.core.seen import Seen, SeenAttempt

FIRST_TOKEN_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""From a cached answer to the longest that ``timeouts.first_token`` waits by default."""
DURATION_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""To the end of ``timeouts.request``."""
OTHER: Final = "other"


class Buckets:
    """One histogram: counts between bounds, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus has them: how many were at most so much."""
        found, so_far = [], 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            so_far += count
            found.append((str(bound), float(so_far)))
        return found


class Counters:
    """All counts of this process since it started."""

    def __init__(self, models: Collection[str], deployments: Collection[str]) -> None:
        """``models`` and ``deployments``: those that the configuration names."""
        self.requests: dict[tuple[str, str, str, int, str], int] = defaultdict(int)
        """Kind, protocol, model, status, reason."""
        self.attempts: dict[tuple[str, str], int] = defaultdict(int)
        """Deployment, outcome."""
        self.tokens: dict[tuple[str, str], int] = defaultdict(int)
        """Deployment, direction."""
        self.cost_nano: dict[str, int] = defaultdict(int)
        self.unpriced: dict[str, int] = defaultdict(int)
        self.hedges: dict[tuple[str, str], int] = defaultdict(int)
        self.cache: dict[str, int] = defaultdict(int)
        self.findings: dict[tuple[str, str], int] = defaultdict(int)
        self.clients_left = 0
        self.first_token: dict[str, Buckets] = {}
        """By deployment, from sending an attempt."""
        self.duration: dict[tuple[str, str], Buckets] = {}
        """By kind and model."""
        self.know(models, deployments)

    def know(self, models: Collection[str], deployments: Collection[str]) -> None:
        """Another configuration is in force; what was counted stays."""
        self._models = frozenset(models)
        self._deployments = frozenset(deployments)

    def request(self, seen: Seen) -> None:
        """Count a request that is over, and its attempts."""
        model = seen.model if seen.model in self._models else OTHER if seen.model else ""
        self.requests[seen.kind, seen.protocol, model, seen.status, seen.reason] += 1
        place = (seen.kind, model)
        duration = self.duration.get(place)
        if duration is None:
            duration = self.duration[place] = Buckets(DURATION_S)
        duration.observe(seen.duration_s)
        if seen.client_left:
            self.clients_left += 1
        if seen.cache:
            self.cache[seen.cache] += 1
        for finding in seen.findings:
            self.findings[finding.rule, finding.action] += finding.count
        for attempt in seen.attempts:
            self._attempt(attempt)

    def _attempt(self, attempt: SeenAttempt) -> None:
        name = attempt.deployment if attempt.deployment in self._deployments else OTHER
        self.attempts[name, attempt.outcome] += 1
        usage = attempt.usage
        if usage.input_tokens:
            self.tokens[name, "input"] += usage.input_tokens
        if usage.output_tokens:
            self.tokens[name, "output"] += usage.output_tokens
        if usage.cache_read_tokens:
            self.tokens[name, "cache_read"] += usage.cache_read_tokens
        if usage.reasoning_tokens:
            self.tokens[name, "reasoning"] += usage.reasoning_tokens
        if attempt.cost_nano is None:
            self.unpriced[name] += 1
        else:
            self.cost_nano[name] += attempt.cost_nano
        if attempt.hedge:
            self.hedges[name, attempt.outcome] += 1
        if attempt.first_token_s is not None:
            first = self.first_token.get(name)
            if first is None:
                first = self.first_token[name] = Buckets(FIRST_TOKEN_S)
            first.observe(attempt.first_token_s)
