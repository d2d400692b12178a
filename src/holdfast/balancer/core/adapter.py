"""PoolHealth as the master sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.balancer.core.decisions import BackendStatus, ProbeResult, Transition
from holdfast.balancer.core.health import ProbeResult as CoreProbe
from holdfast.balancer.core.pool import PoolHealth
from holdfast.balancer.core.messages import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

    from holdfast.balancer.core.events import Transition as CoreTransition
    from holdfast.balancer.core.messages import BackendReport, View
    from holdfast.balancer.core.settings import BackendSettings, PoolSettings


class Adapter:
    def __init__(self, name: str, settings: PoolSettings, rng: Random, now: float) -> None:
        self._name = name
        self._pool = PoolHealth(name, settings, now, rng)

    def _out(self, transitions: Iterable[CoreTransition]) -> list[Transition]:
        return [
            Transition(
                pool=t.pool, backend=t.backend, before=t.before, after=t.after, rule=t.rule,
                why=", ".join(f"{k}={v}" for k, v in t.figures.items()),
            )
            for t in transitions
        ]

    def on_probe(self, backend: str, result: ProbeResult, now: float) -> Sequence[Transition]:
        core = CoreProbe(passed=result.ok, kind=result.failure or "pass", latency_s=result.latency_s, status=result.status)
        return self._out(self._pool.on_probe(backend, core, now))

    def on_reports(self, worker: int, reports: Sequence[BackendReport], now: float) -> Sequence[Transition]:
        return self._out(self._pool.on_reports(worker, reports, now))

    def tick(self, now: float) -> Sequence[Transition]:
        return self._out(self._pool.tick(now))

    def views(self, workers: Sequence[int]) -> dict[int, tuple[View, ...]]:
        return {worker: views.views for worker, views in self._pool.views(workers).items()}

    def pool_limit(self) -> int | None:
        return self._pool.in_flight_limit

    def explain(self, backend: str, now: float) -> Any:
        return self._pool.explain(backend, now)

    def snapshot(self, now: float) -> Sequence[BackendStatus]:
        return [
            BackendStatus(
                pool=self._name, backend=b.id, url=b.url, state=b.state, weight=b.configured_weight,
                effective_weight=b.weight, penalty=b.penalty, breaker=b.breaker, success_ratio=b.success_ratio,
                in_flight=b.in_flight, latency_s=b.latency_s, why=self._pool.explain(b.id, now).summary,
            )
            for b in self._pool.snapshot(now).backends
        ]

    def set_drain(self, backend: str, on: bool, now: float) -> Sequence[Transition]:
        return self._out(self._pool.set_drain(backend, on, now))

    def set_weight(self, backend: str, weight: float, now: float) -> Sequence[Transition]:
        return self._out(self._pool.set_weight(backend, weight, now))

    def reconfigure(self, settings: PoolSettings, backends: Sequence[BackendSettings], now: float) -> Sequence[Transition]:
        listed = {b.id for b in settings.backends}
        found = [Endpoint(self._name, b.id, b.url, b.weight) for b in backends if b.id not in listed]
        return self._out(self._pool.reconfigure(settings, now, found))
