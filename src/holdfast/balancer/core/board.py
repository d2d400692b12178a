"""Every pool's health in one place, and what each worker has been told of it.

The board is the pure half of the master: reports, checks and the wishes of operators go in,
transitions and the views that workers still need come out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.balancer.core.messages import BackendRef, View, Views
from holdfast.balancer.core.policies import Policies
from holdfast.balancer.core.pool import PoolHealth
from holdfast.balancer.errors import NotFoundError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.balancer.core.events import Transition
    from holdfast.balancer.core.explain import Explanation, PoolSnapshot
    from holdfast.balancer.core.health import ProbeResult
    from holdfast.balancer.core.messages import BackendReport, Endpoint
    from holdfast.balancer.core.settings import BalancerSettings
    from holdfast.resilience.breaker import Chance


class Board:
    """The pools by name. Not thread-safe; ``now`` is monotonic seconds and never goes back."""

    def __init__(self, settings: BalancerSettings, rng: Chance, now: float) -> None:
        """Start with every backend up. Raises ``ValueError`` when the settings contradict themselves."""
        self._rng = rng
        self._pools: dict[str, PoolHealth] = {}
        self._told: dict[int, dict[BackendRef, View]] = {}
        self._told_limits: dict[int, dict[str, int | None]] = {}
        self.reconfigure(settings, (), now)

    @staticmethod
    def check(settings: BalancerSettings) -> None:
        """Raise the ``ValueError`` that :meth:`reconfigure` would raise, before anybody acts on the settings."""
        for pool in settings.pools.values():
            Policies.of(pool)

    def reconfigure(self, settings: BalancerSettings, discovered: Iterable[Endpoint], now: float) -> list[Transition]:
        """Add, remove and change pools; what stays keeps its state. Raises ``ValueError``, see :meth:`check`."""
        self.check(settings)
        found: dict[str, list[Endpoint]] = {}
        for endpoint in discovered:
            found.setdefault(endpoint.pool, []).append(endpoint)
        previous, self._pools = self._pools, {}
        transitions: list[Transition] = []
        for name, pool in settings.pools.items():
            endpoints = found.get(name, ())
            health = previous.get(name)
            if health is None:
                health = PoolHealth(name, pool, now, self._rng, endpoints)
            else:
                transitions += health.reconfigure(pool, now, endpoints)
            self._pools[name] = health
        return transitions

    # What happens to backends

    def on_probe(self, ref: BackendRef, result: ProbeResult, now: float) -> list[Transition]:
        """Take in an active check. One of a backend that is gone is ignored."""
        pool = self._pools.get(ref.pool)
        return [] if pool is None else pool.on_probe(ref.backend, result, now)

    def on_reports(self, worker: int, reports: Sequence[BackendReport], now: float) -> list[Transition]:
        """Take in what a worker saw. Reports on pools that are gone are ignored."""
        transitions: list[Transition] = []
        told = self._told.get(worker, {})
        for report in reports:
            if report.trial and any(run.failure is not None for run in report.runs):
                # The worker sends no further trial until it hears whether it may, even if that is what it knew.
                told.pop(report.ref, None)
        for name in {report.ref.pool: None for report in reports}:
            if name in self._pools:
                mine = [report for report in reports if report.ref.pool == name]
                transitions += self._pools[name].on_reports(worker, mine, now)
        return transitions

    def tick(self, now: float) -> list[Transition]:
        """Let time work in every pool."""
        return [transition for pool in self._pools.values() for transition in pool.tick(now)]

    def set_drain(self, pool: str, backend: str, drained: bool, now: float) -> list[Transition]:
        """Take a backend out or back in by hand. Raises :class:`NotFoundError`."""
        return self._pool_of(pool, backend).set_drain(backend, drained, now)

    def set_weight(self, pool: str, backend: str, weight: float | None, now: float) -> list[Transition]:
        """Override a weight, or with ``None`` return to the configured one.

        Raises :class:`NotFoundError` and :class:`RequestError`.
        """
        health = self._pool_of(pool, backend)
        try:
            return health.set_weight(backend, weight, now)
        except ValueError as bad:
            raise RequestError(str(bad), where="weight", remedy="send another weight, or null to reset it") from bad

    # What operators are told

    def backends(self) -> list[BackendRef]:
        """Every backend, listed or discovered."""
        return [BackendRef(name, backend) for name, pool in self._pools.items() for backend in pool.backends]

    def snapshot(self, now: float) -> dict[str, PoolSnapshot]:
        """Every pool at a glance."""
        return {name: pool.snapshot(now) for name, pool in self._pools.items()}

    def explain(self, pool: str, backend: str, now: float) -> Explanation:
        """Why a backend is in or out. Raises :class:`NotFoundError`."""
        return self._pool_of(pool, backend).explain(backend, now)

    # What workers are told

    def news(self, workers: Sequence[int]) -> dict[int, Views]:
        """The views that changed since each of these workers was last told; everything the first time."""
        per_pool = [pool.views(workers) for pool in self._pools.values()]
        news: dict[int, Views] = {}
        for worker in workers:
            told = self._told.setdefault(worker, {})
            told_limits = self._told_limits.setdefault(worker, {})
            changed: list[View] = []
            limits: dict[str, int | None] = {}
            for views in per_pool:
                changed += [view for view in views[worker].views if told.get(view.ref) != view]
                limits |= {
                    name: limit
                    for name, limit in views[worker].pool_limits.items()
                    if name not in told_limits or told_limits[name] != limit
                }
            if changed or limits:
                told.update((view.ref, view) for view in changed)
                told_limits.update(limits)
                news[worker] = Views(tuple(changed), limits)
        return news

    def forget(self, worker: int) -> None:
        """The worker took a new configuration: tell it everything next time."""
        self._told.pop(worker, None)
        self._told_limits.pop(worker, None)

    def on_worker_gone(self, worker: int) -> None:
        """The worker ended, and with it what it had in flight."""
        self.forget(worker)
        for pool in self._pools.values():
            pool.on_worker_gone(worker)

    def _pool_of(self, pool: str, backend: str) -> PoolHealth:
        if pool not in self._pools:
            remedy = f"use one of: {', '.join(self._pools)}"
            raise NotFoundError(f"there is no pool {pool!r}", where="pool", remedy=remedy)
        if backend not in self._pools[pool].backends:
            remedy = f"use one of: {', '.join(self._pools[pool].backends) or 'none, the pool is empty'}"
            raise NotFoundError(f"there is no backend {backend!r} in pool {pool!r}", where="backend", remedy=remedy)
        return self._pools[pool]
