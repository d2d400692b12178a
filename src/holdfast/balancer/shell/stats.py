"""The counters of one worker, in the form that the master merges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.balancer.core.messages import Stats
from holdfast.proxy import LATENCY_BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.proxy import Engine, Pool

_SEPARATOR = "\x1f"


def worker_stats(number: int, engine: Engine, gone: Iterable[Pool] = ()) -> Stats:
    """The answer to ``Ask`` with that number. ``gone``: pools that a reload removed."""
    counters: dict[str, dict[str, float]] = {}
    gauges: dict[str, dict[str, float]] = {}
    now = engine.clock()

    def count(name: str, value: float, *labels: str) -> None:
        series = counters.setdefault(name, {})
        key = _SEPARATOR.join(labels)
        series[key] = series.get(key, 0.0) + value

    for pool in (*gone, *engine.pools.values()):
        for status, answers in pool.codes.items():
            count("holdfast_requests_total", answers, pool.name, "", str(status))
        for reason, retries in pool.retries.items():
            count("holdfast_retries_total", retries, pool.name, reason)
        for reason, refused in pool.shed.items():
            count("holdfast_shed_total", refused, pool.name, reason)
        if pool.budget_refusals:
            count("holdfast_retries_refused_total", pool.budget_refusals, pool.name)
        total = 0
        for bound, number_within in zip((*map(str, LATENCY_BOUNDS_S), "+Inf"), pool.latency_counts, strict=True):
            total += number_within
            count("holdfast_request_duration_seconds_bucket", total, pool.name, bound)
        count("holdfast_request_duration_seconds_sum", pool.latency_sum_s, pool.name)
        count("holdfast_request_duration_seconds_count", total, pool.name)
        for backend in (*pool.retired, *pool.backends):
            succeeded = 0
            for status, answers in backend.codes.items():
                count("holdfast_requests_total", answers, pool.name, backend.id, str(status))
                succeeded += answers if status < 500 else 0
            # An answer that was cut has its status counted above and its failure below.
            count("holdfast_attempts_total", succeeded - backend.cut, pool.name, backend.id, "success")
            for failure, attempts in backend.failures.items():
                count("holdfast_attempts_total", attempts, pool.name, backend.id, failure)
    for pool in engine.pools.values():
        gauges.setdefault("holdfast_retry_budget_available", {})[pool.name] = pool.budget.available(now)
        gauges.setdefault("holdfast_queue_length", {})[pool.name] = float(len(pool.queue))
        for backend in pool.backends:
            key = pool.name + _SEPARATOR + backend.id
            gauges.setdefault("holdfast_in_flight", {})[key] = float(backend.in_flight)
    for reason, errors in engine.client_errors.items():
        count("holdfast_client_errors_total", errors, reason)
    tunnels = engine.tunnels()
    busy = len(engine.active) - tunnels
    gauges["holdfast_connections"] = {
        "active": float(busy),
        "tunnel": float(tunnels),
        "idle": float(max(0, len(engine.clients) - busy - tunnels)),
    }
    dropped = engine.log_lines_dropped + (engine.access_log.dropped if engine.access_log is not None else 0)
    count("holdfast_access_log_dropped_total", dropped)
    return Stats(number=number, counters=counters, gauges=gauges)
