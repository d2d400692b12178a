"""A pool of backends: who may enter, where an attempt goes, what a retry may cost.

The policies are those of :mod:`holdfast.resilience`; this class holds them together for the
requests of one process, and its counters are what is reported about them.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from holdfast.resilience import GradientLimit, RetryBudget, WaitQueue, safest, strategy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from random import Random

    from holdfast.proxy.backend import Backend
    from holdfast.proxy.exchange import Exchange
    from holdfast.proxy.policy import PoolPolicy

LATENCY_BOUNDS_S: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)

_RETIRED_KEPT: Final = 256
_TRIAL_PATIENCE_S: Final = 2.0
"""A pool that gets nothing but POST would otherwise never take a backend back."""


class Pool:
    """Interchangeable backends and the state of their policies in this process."""

    __slots__ = (
        "_by_id",
        "_rng",
        "backends",
        "budget",
        "budget_refusals",
        "codes",
        "gradients",
        "in_flight",
        "latency_counts",
        "latency_sum_s",
        "limit",
        "name",
        "policy",
        "queue",
        "retired",
        "retries",
        "shed",
        "strategy",
        "trials_open",
    )

    def __init__(self, name: str, policy: PoolPolicy, strategy_name: str, rng: Random) -> None:
        self.name = name
        self._rng = rng
        self._by_id: dict[str, Backend] = {}
        self.backends: tuple[Backend, ...] = ()
        self.retired: list[Backend] = []
        """Backends that were removed; their counters still count. The latest few hundred names are kept."""
        self.policy = policy
        self.strategy = strategy(strategy_name)
        self.budget = RetryBudget(percent=policy.budget_percent, floor_per_s=policy.budget_floor_per_s)
        self.queue: WaitQueue[Exchange] = WaitQueue(policy.queue)
        self.gradients: dict[str, GradientLimit] = {}
        self.limit = policy.max_in_flight
        self.in_flight = 0
        self.trials_open = False
        self.codes: dict[int, int] = {}
        """Answers without a backend, by status."""
        self.retries: dict[str, int] = {}
        self.shed: dict[str, int] = {}
        self.budget_refusals = 0
        self.latency_counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.latency_sum_s = 0.0

    @property
    def hashes(self) -> bool:
        """Whether the strategy follows a key of the request."""
        return self.strategy.name == "consistent_hash"

    def backend(self, name: str) -> Backend | None:
        """The backend with this id."""
        return self._by_id.get(name)

    def reconfigure(self, policy: PoolPolicy, backends: Iterable[Backend]) -> None:
        """Take a new policy and set of backends; those that are passed again keep their state."""
        if (policy.budget_percent, policy.budget_floor_per_s) != (
            self.policy.budget_percent,
            self.policy.budget_floor_per_s,
        ):
            self.budget = RetryBudget(percent=policy.budget_percent, floor_per_s=policy.budget_floor_per_s)
        if policy.queue != self.policy.queue:
            waiting, self.queue = self.queue, WaitQueue(policy.queue)
            while (exchange := waiting.pop(0.0)) is not None:
                if not self.queue.push(exchange, exchange.expires):
                    exchange.shed("queue_full")
        if self.limit == self.policy.max_in_flight:
            self.limit = policy.max_in_flight
        self.policy = policy
        members = tuple(backends)
        for name, backend in self._by_id.items():
            if backend not in members:
                self._retire(backend)
                self.gradients.pop(name, None)
        self._by_id = {backend.id: backend for backend in members}
        self.backends = members
        for backend in members:
            self._bound(backend)

    def _retire(self, backend: Backend) -> None:
        backend.retire()
        others: list[Backend] = []
        for other in self.retired:
            if other.id == backend.id and not other.in_flight:
                backend.absorb(other)
            else:
                others.append(other)
        self.retired = [*others, backend][-_RETIRED_KEPT:]

    def switch(self, strategy_name: str) -> None:
        """Use another strategy from the next attempt on; backends keep all they know."""
        if self.strategy.name != strategy_name:
            self.strategy = strategy(strategy_name)

    def set_limit(self, limit: int | None) -> None:
        """Bound requests in flight below the configured bound (``None``: back to that)."""
        most = self.policy.max_in_flight
        self.limit = most if limit is None else max(1, min(most, limit))

    def choose(
        self, tried: Collection[Backend], now: float, key: int | None, *, repeatable: bool, again: bool = False
    ) -> Backend | None:
        """The backend for the next attempt (``again``: an earlier one failed).

        A backend on trial comes first, but only for a request that can be repeated elsewhere should
        the trial fail; for any request once no such request came for a while.
        """
        if self.trials_open:
            for backend in self.backends:
                if (
                    backend.trials_in_flight < backend.trials
                    and (repeatable or now - backend.trials_since > _TRIAL_PATIENCE_S)
                    and backend not in tried
                ):
                    return backend
        # mypy cannot know that a strategy returns one of the targets that it was given.
        if again:
            return safest(self.backends, tried)  # type: ignore[return-value]
        return self.strategy.pick(self.backends, tried, now, self._rng, key)  # type: ignore[return-value]

    def has_capacity(self) -> bool:
        """Whether any backend is in rotation, even if it is full at the moment."""
        return any(backend.weight > 0 for backend in self.backends)

    def observe(self, elapsed_s: float) -> None:
        """Count a finished request into the latency histogram."""
        self.latency_counts[bisect_left(LATENCY_BOUNDS_S, elapsed_s)] += 1
        self.latency_sum_s += elapsed_s

    def left(self, now: float) -> None:
        """A request left the pool: whoever waits longest takes its place."""
        self.in_flight -= 1
        if self.queue and self.in_flight < self.limit:
            self.wake(now)

    def wake(self, now: float) -> None:
        """Start waiting requests as long as there are places."""
        # Bounded by the length at the start: a request that finds its backends full waits again.
        for _ in range(len(self.queue)):
            if self.in_flight >= self.limit or self._is_full() or (exchange := self.queue.pop(now)) is None:
                return
            if not exchange.admitted(now):
                return

    def _is_full(self) -> bool:
        """Whether the backends in rotation, if any, have no place: who is woken then only loses its own."""
        if self.trials_open:
            return False
        limits = [backend.in_flight >= backend.limit for backend in self.backends if backend.weight > 0]
        return bool(limits) and all(limits)

    def adapt(self, backend: Backend, latency_s: float, now: float, *, ok: bool) -> None:
        """Feed the adaptive limit of a backend."""
        gradient = self.gradients.get(backend.id)
        if gradient is not None:
            gradient.sample(latency_s, backend.in_flight, now, ok)
            backend.limit = gradient.limit

    def _bound(self, backend: Backend) -> None:
        most = self.policy.max_in_flight_per_backend
        if self.policy.adaptive:
            if backend.id not in self.gradients:
                self.gradients[backend.id] = GradientLimit(initial=min(20, most), lowest=min(4, most), highest=most)
            backend.limit = min(most, self.gradients[backend.id].limit)
        else:
            self.gradients.pop(backend.id, None)
            backend.limit = most
