"""Every pool's decisions in one place, and what each worker has been told of them.

The board is the pure half of the master: reports and probe results go in, transitions
and the views that workers still need come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final

from holdfast.balancer.core.decisions import BackendStatus, PoolDecisions, PoolFactory, ProbeResult, Transition
from holdfast.balancer.core.messages import BackendRef, BackendReport, Endpoint, View, Views
from holdfast.balancer.core.settings import BackendSettings, BalancerSettings
from holdfast.balancer.errors import NotFoundError, RequestError

_WEIGHT_STEP: Final = 0.01
"""Ramps and decaying penalties move weights a little on every tick. Moves below 1 % of the
last weight sent would cost a message per backend, worker and tick and change no choice."""

_OUT: Final = frozenset({"down", "open", "half_open", "suppressed"})
"""States in which a backend gets no ordinary traffic, by decision of a policy."""


def is_ejection(transition: Transition) -> bool:
    """Whether a policy took a backend out of ordinary traffic."""
    return transition.after in _OUT and transition.before not in _OUT


def is_flip(transition: Transition) -> bool:
    """Whether a backend went in or out by a policy. What an operator drains does not flap."""
    if "drained" in (transition.before, transition.after):
        return False
    return (transition.before in _OUT) != (transition.after in _OUT)


class Board:
    """The pools by name. Not thread-safe; ``now`` is monotonic seconds."""

    def __init__(self, settings: BalancerSettings, factory: PoolFactory, rng: Random, now: float) -> None:
        """Build the decisions of every pool of ``settings``."""
        self._factory = factory
        self._rng = rng
        self._pools: dict[str, PoolDecisions] = {}
        self._backends: dict[str, tuple[BackendSettings, ...]] = {}
        self._told: dict[int, dict[BackendRef, View]] = {}
        self._told_limits: dict[int, dict[str, int | None]] = {}
        self.reconfigure(settings, (), now)

    # What happens to backends

    def reconfigure(self, settings: BalancerSettings, discovered: Iterable[Endpoint], now: float) -> list[Transition]:
        """Add, remove and change pools; what stays keeps its state."""
        found: dict[str, list[BackendSettings]] = {}
        for endpoint in discovered:
            found.setdefault(endpoint.pool, []).append(
                BackendSettings(id=endpoint.backend, url=endpoint.url, weight=endpoint.weight)
            )
        for gone in self._pools.keys() - settings.pools.keys():
            del self._pools[gone], self._backends[gone]
        transitions: list[Transition] = []
        for name, pool in settings.pools.items():
            if name not in self._pools:
                self._pools[name] = self._factory(name, pool, self._rng, now)
            self._backends[name] = (*pool.backends, *found.get(name, ()))
            transitions.extend(self._pools[name].reconfigure(pool, self._backends[name], now))
        return transitions

    def on_probe(self, ref: BackendRef, result: ProbeResult, now: float) -> Sequence[Transition]:
        """Take the result of an active check."""
        pool = self._pools.get(ref.pool)
        return () if pool is None else pool.on_probe(ref.backend, result, now)

    def on_reports(self, worker: int, reports: Sequence[BackendReport], now: float) -> list[Transition]:
        """Take what a worker saw. Reports on pools that a reload removed are dropped."""
        by_pool: dict[str, list[BackendReport]] = {}
        for report in reports:
            by_pool.setdefault(report.ref.pool, []).append(report)
        return [
            transition
            for name, group in by_pool.items()
            if name in self._pools
            for transition in self._pools[name].on_reports(worker, group, now)
        ]

    def tick(self, now: float) -> list[Transition]:
        """Let time pass in every pool."""
        return [transition for pool in self._pools.values() for transition in pool.tick(now)]

    def set_drain(self, pool: str, backend: str, on: bool, now: float) -> Sequence[Transition]:
        """An operator drains or undrains a backend. Raises :class:`NotFoundError`."""
        return self._find(pool, backend).set_drain(backend, on, now)

    def set_weight(self, pool: str, backend: str, weight: float, now: float) -> Sequence[Transition]:
        """An operator sets a weight. Raises :class:`NotFoundError`, :class:`RequestError`."""
        if not 0 <= weight <= 1_000_000:
            raise RequestError(f"{weight!r} is not a weight", where="weight", remedy="give a number from 0 to 1000000")
        return self._find(pool, backend).set_weight(backend, weight, now)

    # What operators and workers are told

    def backends(self) -> dict[BackendRef, BackendSettings]:
        """Every backend of every pool, listed and discovered."""
        return {BackendRef(pool, b.id): b for pool, backends in self._backends.items() for b in backends}

    def snapshot(self, now: float) -> dict[str, tuple[BackendStatus, ...]]:
        """The status of every backend, by pool."""
        return {name: tuple(pool.snapshot(now)) for name, pool in self._pools.items()}

    def explain(self, pool: str, backend: str, now: float) -> Any:
        """Why a backend is in or out. Raises :class:`NotFoundError`."""
        return self._find(pool, backend).explain(backend, now)

    def news(self, workers: Sequence[int]) -> dict[int, Views]:
        """The views that changed since each of these workers was last told; all of them the first time."""
        per_pool = [pool.views(workers) for pool in self._pools.values()]
        limits: Mapping[str, int | None] = {name: pool.pool_limit() for name, pool in self._pools.items()}
        news: dict[int, Views] = {}
        for worker in workers:
            told = self._told.setdefault(worker, {})
            changed = tuple(
                view for views in per_pool for view in views.get(worker, ()) if _is_news(told.get(view.ref), view)
            )
            told_limits = self._told_limits.setdefault(worker, {})
            changed_limits = {
                name: limit for name, limit in limits.items() if name not in told_limits or told_limits[name] != limit
            }
            if changed or changed_limits:
                told.update((view.ref, view) for view in changed)
                told_limits.update(changed_limits)
                news[worker] = Views(changed, changed_limits)
        return news

    def forget(self, worker: int) -> None:
        """The worker is new, or took a new configuration: tell it everything next time."""
        self._told.pop(worker, None)
        self._told_limits.pop(worker, None)

    def _find(self, pool: str, backend: str) -> PoolDecisions:
        if pool not in self._pools:
            raise NotFoundError(
                f"there is no pool {pool!r}",
                where="pool",
                remedy=f"use one of: {', '.join(self._pools)}",
            )
        names = [b.id for b in self._backends[pool]]
        if backend not in names:
            raise NotFoundError(
                f"there is no backend {backend!r} in pool {pool!r}",
                where="backend",
                remedy=f"use one of: {', '.join(names) or 'none, the pool is empty'}",
            )
        return self._pools[pool]


def _is_news(told: View | None, view: View) -> bool:
    if told is None or (told.trials, told.state) != (view.trials, view.state):
        return True
    if (told.weight > 0) != (view.weight > 0):
        return True
    return abs(view.weight - told.weight) > _WEIGHT_STEP * told.weight
