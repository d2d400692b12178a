"""Counters of all workers as one Prometheus exposition.

Rules:

- A merged counter never goes back: what a worker had counted when it died is kept.
  (What it counted after its last answer is lost; it is asked every few seconds.)
- A gauge is the sum over the workers that live.
- A worker that does not answer in time contributes its last answer and is named by
  ``holdfast_worker_stale``; it never fails the scrape.
- A name or a label set that :data:`CATALOGUE` does not know is left out, so that a
  worker cannot make the exposition invalid for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from holdfast.balancer.core.events import Transition
from holdfast.balancer.core.explain import PoolSnapshot
from holdfast.balancer.core.messages import Stats

SEPARATOR: Final = "\x1f"
"""Between label values in a :class:`~holdfast.balancer.core.messages.Stats`."""

Series = dict[str, dict[str, float]]
"""Metric name -> label values joined by :data:`SEPARATOR` -> value."""


class Family(NamedTuple):
    """A metric as the exposition declares it."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


CATALOGUE: Final[Mapping[str, Family]] = {
    # Counted by workers.
    "holdfast_requests_total": Family(
        "counter", "Requests answered, by the backend that answered (empty if none did).", ("pool", "backend", "code")
    ),
    "holdfast_request_duration_seconds": Family(
        "histogram", "From the complete head of the request to the last byte of the answer.", ("pool",)
    ),
    "holdfast_attempts_total": Family("counter", "Attempts at a backend.", ("pool", "backend", "outcome")),
    "holdfast_retries_total": Family("counter", "Attempts after the first, by what failed before.", ("pool", "reason")),
    "holdfast_retries_refused_total": Family("counter", "Retries that the budget did not allow.", ("pool",)),
    "holdfast_access_log_dropped_total": Family("counter", "Access-log lines dropped: their reader was too slow."),
    "holdfast_retry_budget_available": Family("gauge", "Retries that the budget would allow now.", ("pool",)),
    "holdfast_in_flight": Family("gauge", "Requests at a backend now.", ("pool", "backend")),
    "holdfast_queue_length": Family("gauge", "Requests that wait for a free place.", ("pool",)),
    "holdfast_shed_total": Family("counter", "Requests refused by admission.", ("pool", "reason")),
    "holdfast_connections": Family("gauge", "Client connections.", ("state",)),
    "holdfast_client_errors_total": Family("counter", "Requests refused for what their client did.", ("reason",)),
    # Counted or known by the master.
    "holdfast_breaker_state": Family("gauge", "0 closed, 1 half-open, 2 open.", ("pool", "backend")),
    "holdfast_ejections_total": Family("counter", "Times a policy took a backend out.", ("pool", "backend", "rule")),
    "holdfast_flips_total": Family("counter", "Times a backend entered or left rotation.", ("pool", "backend")),
    "holdfast_backend_weight": Family("gauge", "Effective weight; 0 is out.", ("pool", "backend")),
    "holdfast_backend_penalty": Family("gauge", "Flap penalty.", ("pool", "backend")),
    "holdfast_worker_restarts_total": Family("counter", "Workers that ended unasked."),
    "holdfast_worker_stale": Family("gauge", "1 if the worker did not answer this scrape.", ("worker",)),
    "holdfast_master_lag_seconds": Family("gauge", "How late the last tick of the master was."),
    "holdfast_config_generation": Family("gauge", "Generation of the configuration in force."),
}

_IN: Final = frozenset({"up", "ramping"})
_EJECTED: Final = frozenset({"down", "open", "half_open", "suppressed"})
_BREAKER: Final = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


class MergedStats:
    """The sums over all workers, dead ones included where they count."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._live: dict[int, Stats] = {}
        self._retired: Series = {}

    def take(self, worker: int, stats: Stats) -> None:
        """Replace what the worker said before: its counters run from its own start."""
        self._live[worker] = stats

    def retire(self, worker: int) -> None:
        """The process ended; its counters stay, its gauges go."""
        gone = self._live.pop(worker, None)
        if gone is not None:
            _add(self._retired, gone.counters)

    def counters(self) -> Series:
        """Sums over living and dead workers."""
        total: Series = {}
        _add(total, self._retired)
        for stats in self._live.values():
            _add(total, stats.counters)
        return total

    def gauges(self) -> Series:
        """Sums over living workers."""
        total: Series = {}
        for stats in self._live.values():
            _add(total, stats.gauges)
        return total


class Tally:
    """What the master itself counts."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._series: Series = {"holdfast_worker_restarts_total": {"": 0.0}}

    def transition(self, transition: Transition) -> None:
        """Count it if a policy took a backend out of rotation; draining is no ejection."""
        if transition.before in _IN and transition.after in _EJECTED:
            self._count("holdfast_ejections_total", transition.pool, transition.backend, transition.rule)

    def restart(self) -> None:
        """Count a worker that ended unasked."""
        self._count("holdfast_worker_restarts_total")

    def counters(self) -> Series:
        """Everything so far."""
        return self._series

    def _count(self, name: str, *labels: str) -> None:
        series = self._series.setdefault(name, {})
        key = SEPARATOR.join(labels)
        series[key] = series.get(key, 0.0) + 1.0


def of_backends(pools: Iterable[PoolSnapshot]) -> Series:
    """What the policies know of each backend."""
    series: Series = {}
    for pool in pools:
        for backend in pool.backends:
            key = SEPARATOR.join((pool.pool, backend.id))
            for name, value in (
                ("holdfast_backend_weight", backend.weight),
                ("holdfast_backend_penalty", backend.penalty),
                ("holdfast_breaker_state", _BREAKER.get(backend.breaker, 0.0)),
                ("holdfast_flips_total", float(backend.flips)),
            ):
                series.setdefault(name, {})[key] = value
    return series


def exposition(parts: Iterable[Series]) -> bytes:
    """The Prometheus text of these series and of this process."""
    merged: Series = {}
    for part in parts:
        _add(merged, part)
    registry = CollectorRegistry()
    registry.register(_Snapshot(merged))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, merged: Series) -> None:
        self._merged = merged

    def collect(self) -> Iterator[Metric]:
        for name, family in CATALOGUE.items():
            if family.kind == "histogram":
                yield self._histogram(name, family)
            elif family.kind == "counter":
                counter = CounterMetricFamily(name, family.help, labels=family.labels)
                for labels, value in self._samples(name, len(family.labels)):
                    counter.add_metric(labels, value)
                yield counter
            else:
                gauge = GaugeMetricFamily(name, family.help, labels=family.labels)
                for labels, value in self._samples(name, len(family.labels)):
                    gauge.add_metric(labels, value)
                yield gauge

    def _histogram(self, name: str, family: Family) -> HistogramMetricFamily:
        histogram = HistogramMetricFamily(name, family.help, labels=family.labels)
        sums = self._merged.get(f"{name}_sum", {})
        counts = self._merged.get(f"{name}_count", {})
        buckets: dict[str, list[tuple[float, float]]] = {}
        for labels, value in self._samples(f"{name}_bucket", len(family.labels) + 1):
            bound = _bound(labels[-1])
            if bound is not None:
                buckets.setdefault(SEPARATOR.join(labels[:-1]), []).append((bound, value))
        for key, count in counts.items():
            labels = _split(key)
            if len(labels) != len(family.labels):
                continue
            # The last bucket is the count by definition, whether or not it was sent.
            finite = [(bound, value) for bound, value in sorted(buckets.get(key, ())) if bound != float("inf")]
            texts = [(repr(bound), value) for bound, value in finite]
            histogram.add_metric(labels, [*texts, ("+Inf", count)], sums.get(key, 0.0))
        return histogram

    def _samples(self, name: str, arity: int) -> Iterator[tuple[list[str], float]]:
        for key, value in sorted(self._merged.get(name, {}).items()):
            labels = _split(key)
            if len(labels) == arity:
                yield labels, value


def _split(key: str) -> list[str]:
    return key.split(SEPARATOR) if key else []


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _add(total: Series, part: Mapping[str, Mapping[str, float]]) -> None:
    for name, series in part.items():
        into = total.setdefault(name, {})
        for key, value in series.items():
            into[key] = into.get(key, 0.0) + value
