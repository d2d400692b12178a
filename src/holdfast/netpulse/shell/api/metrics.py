"""What the API counts, in the Prometheus text format.

Anyone may scrape what names no tenant. With a key, the tenant's monitors are among it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from holdfast.netpulse.core.views import MonitorView, RegionView
from holdfast.web.metrics import SECONDS, Counted

_FIGURES: Final[Mapping[str, tuple[str, str]]] = {
    "results": ("holdfast_netpulse_results", "Single results that are kept."),
    "bytes": ("holdfast_netpulse_stored_bytes", "Room that the records take."),
    "bytes_per_check": ("holdfast_netpulse_bytes_per_check", "Room that a result takes, indexes included."),
    "owed": ("holdfast_netpulse_notices_owed", "Messages that wait to be sent."),
    "oldest_owed_s": ("holdfast_netpulse_oldest_notice_seconds", "Age of the oldest message that waits."),
}
"""Of what the records say of themselves."""
REGION_STATES: Final = ("seeing", "blind", "lost", "waiting")


class Metrics:
    """One registry for one service, so that two in a process do not meet."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._latency = Histogram(
            "holdfast_netpulse_request_seconds",
            "From a request's head to the end of its answer; event streams are left out.",
            ["route", "code"],
            buckets=SECONDS,
            registry=registry,
        )
        self._beats = Counter(
            "holdfast_netpulse_heartbeats", "Heartbeats, by what they said.", ["outcome"], registry=registry
        )
        self._alerts = Counter(
            "holdfast_netpulse_alerts", "Alerts of other systems that were taken.", registry=registry
        )
        self._events = Counter("holdfast_netpulse_events", "Live events that were sent.", registry=registry)
        self._stored = {key: Gauge(name, about, registry=registry) for key, (name, about) in _FIGURES.items()}

    def follow_connections(self, connections: Callable[[], int], evicted: Callable[[], int]) -> None:
        """Show what the server knows of its connections."""
        registry = self._registry
        Gauge("holdfast_netpulse_connections", "Open connections.", registry=registry).set_function(connections)
        text = "Connections that lost their place to a newcomer."
        registry.register(Counted("holdfast_netpulse_connections_evicted", text, lambda: {"": evicted()}, ()))

    def follow_held(self, held: Callable[[], int]) -> None:
        """Show how many streams are open."""
        text = "Event streams that are open."
        Gauge("holdfast_netpulse_streams", text, registry=self._registry).set_function(held)

    def answered(self, route: str, code: int, seconds: float) -> None:
        """A request was answered."""
        self._latency.labels(route, str(code)).observe(seconds)

    def beat(self, outcome: str) -> None:
        """``up``, ``failed`` or ``unknown`` (no such token)."""
        self._beats.labels(outcome).inc()

    def alerted(self, count: int) -> None:
        """Alerts came."""
        self._alerts.inc(count)

    def event(self) -> None:
        """An event was sent."""
        self._events.inc()

    def render(
        self, figures: Mapping[str, float], regions: Iterable[RegionView], monitors: Iterable[MonitorView]
    ) -> bytes:
        """The exposition."""
        for key, gauge in self._stored.items():
            if key in figures:
                gauge.set(figures[key])
        looked_at = CollectorRegistry()
        looked_at.register(_Given(_regions(regions)))
        looked_at.register(_Given(_monitors(monitors)))
        return generate_latest(self._registry) + generate_latest(looked_at)


class _Given(Collector):
    """Families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _regions(views: Iterable[RegionView]) -> Iterable[Metric]:
    seeing = GaugeMetricFamily(
        "holdfast_netpulse_region", "1 for the state that a region is in.", labels=["region", "state"]
    )
    lag = GaugeMetricFamily(
        "holdfast_netpulse_schedule_lag_seconds", "How late an agent's checks begin, p99.", labels=["region", "agent"]
    )
    for view in views:
        for state in REGION_STATES:
            seeing.add_metric([view.region, state], float(view.state == state))
        for agent in view.agents:
            lag.add_metric([view.region, str(agent.get("agent", ""))], float(agent.get("lag_p99_ms", 0.0)) / 1000)
    return [seeing, lag]


def _monitors(views: Iterable[MonitorView]) -> Iterable[Metric]:
    names = ["monitor", "group"]
    up = GaugeMetricFamily(
        "holdfast_netpulse_monitor_up", "1 while the monitor counts as up; absent when unknown.", labels=names
    )
    doubt = GaugeMetricFamily(
        "holdfast_netpulse_monitor_doubt", "Evidence that it is down, as a part of the threshold.", labels=names
    )
    p95 = GaugeMetricFamily("holdfast_netpulse_monitor_p95_seconds", "Of the last hour.", labels=names)
    days = GaugeMetricFamily("holdfast_netpulse_monitor_cert_days", "Until its certificate expires.", labels=names)
    uptime = GaugeMetricFamily(
        "holdfast_netpulse_monitor_uptime", "Part of the time that it was up.", labels=[*names, "window"]
    )
    budget = GaugeMetricFamily(
        "holdfast_netpulse_monitor_budget_left", "Part of its error budget that is left.", labels=names
    )
    for view in views:
        labels = [view.id, view.group]
        if view.state not in {"unknown", "paused", "pending"}:
            up.add_metric(labels, float(view.state not in {"down", "maintenance"}))
        doubt.add_metric(labels, view.doubt)
        if view.p95_ms is not None:
            p95.add_metric(labels, view.p95_ms / 1000)
        if view.cert_days is not None:
            days.add_metric(labels, view.cert_days)
        for window, part in view.uptime.items():
            if part is not None:
                uptime.add_metric([*labels, window], part)
        if view.objective is not None:
            budget.add_metric(labels, view.objective["budget_left"])
    return [family for family in (up, doubt, p95, days, uptime, budget) if family.samples]
