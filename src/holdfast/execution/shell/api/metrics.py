"""What the API counts, in the Prometheus text format. Labels never name a tenant: anyone may scrape."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from holdfast.execution.core.job import Verdict
from holdfast.execution.core.ports import QueueState
from holdfast.web.metrics import SECONDS, Counted

_WAITS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_GROUPS = (1, 2, 5, 10, 20, 50, 100, 200)


class Metrics:
    """One registry for one service, so that two in a process do not meet."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._depth = Gauge("holdfast_execution_queued", "Jobs that wait.", registry=registry)
        self._running = Gauge("holdfast_execution_running", "Jobs that run.", registry=registry)
        self._backlog = Gauge(
            "holdfast_execution_backlog_seconds",
            "Time that all queued work takes at the drain rate.",
            registry=registry,
        )
        self._oldest = Gauge("holdfast_execution_oldest_seconds", "Age of the oldest queued job.", registry=registry)
        self._slots = Gauge("holdfast_execution_slots", "Slots of live workers.", registry=registry)
        self._workers = Gauge("holdfast_execution_workers", "Live workers.", registry=registry)
        self._wanted = Gauge("holdfast_execution_workers_wanted", "Workers that are wanted.", registry=registry)
        self._submissions = Counter(
            "holdfast_execution_submissions", "Jobs submitted, by what became of them.", ["outcome"], registry=registry
        )
        self._finished = Counter(
            "holdfast_execution_finished", "Results of workers, by verdict.", ["verdict"], registry=registry
        )
        self._lost = Counter(
            "holdfast_execution_leases_lost", "Leases that ran out: their workers were silent.", registry=registry
        )
        self._waits = Histogram(
            "holdfast_execution_wait_seconds", "From submission to start.", buckets=_WAITS, registry=registry
        )
        self._latency = Histogram(
            "holdfast_execution_request_seconds",
            "From a request's head to the end of its answer; held ones (streams, polls) are left out.",
            ["route", "code"],
            buckets=SECONDS,
            registry=registry,
        )
        self._groups = Histogram(
            "holdfast_execution_group_size", "Submissions committed together.", buckets=_GROUPS, registry=registry
        )

    def follow_connections(self, connections: Callable[[], int], evicted: Callable[[], int]) -> None:
        """Show what the server knows of its connections."""
        registry = self._registry
        Gauge("holdfast_execution_connections", "Open connections.", registry=registry).set_function(connections)
        text = "Connections that lost their place to a newcomer."
        registry.register(Counted("holdfast_execution_connections_evicted", text, lambda: {"": evicted()}, ()))

    def follow_held(self, held: Callable[[], int]) -> None:
        """Show how many streams and long polls are open."""
        text = "Event streams and long polls that are open."
        Gauge("holdfast_execution_held", text, registry=self._registry).set_function(held)

    def follow_callbacks(self, outcomes: Callable[[], Mapping[str, int]]) -> None:
        """Show what became of callbacks."""
        text = "Callbacks tried, by what came of it."
        self._registry.register(Counted("holdfast_execution_callbacks", text, outcomes, ("outcome",)))

    def state(self, state: QueueState, backlog_s: float, wanted: int) -> None:
        """Take the queue's figures."""
        self._depth.set(state.queued)
        self._running.set(state.running)
        self._backlog.set(backlog_s)
        self._oldest.set(state.oldest_s)
        self._slots.set(state.slots)
        self._workers.set(state.workers)
        self._wanted.set(wanted)

    def submitted(self, outcome: str, count: int = 1) -> None:
        """``accepted``, ``repeated``, or the name of a problem type."""
        self._submissions.labels(outcome).inc(count)

    def finished(self, verdict: Verdict) -> None:
        """A worker's result was taken."""
        self._finished.labels(verdict.value).inc()

    def lost(self, count: int) -> None:
        """Leases ran out."""
        if count:
            self._lost.inc(count)

    def waited(self, seconds: float) -> None:
        """A job was started."""
        self._waits.observe(seconds)

    def answered(self, route: str, code: int, seconds: float) -> None:
        """A request was answered."""
        self._latency.labels(route, str(code)).observe(seconds)

    def group(self, size: int) -> None:
        """A group of submissions was sent to the queue."""
        self._groups.observe(size)

    def render(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)
