"""The counts of a gateway, and what its parts know of themselves, in the Prometheus text format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from holdfast.gateway.shell.observing.observers import Observers
    from holdfast.gateway.shell.plane.gateway import Gateway


class Family(NamedTuple):
    """A metric as the exposition declares it."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


CATALOGUE: Final[Mapping[str, Family]] = {
    "holdfast_gateway_requests_total": Family(
        "counter",
        "Requests that are over; reason is empty where they were answered, model is other where no file names it.",
        ("kind", "protocol", "model", "status", "reason"),
    ),
    "holdfast_gateway_attempts_total": Family("counter", "Attempts at a deployment.", ("deployment", "outcome")),
    "holdfast_gateway_hedges_total": Family(
        "counter", "Of the attempts: second ones because the first token was late.", ("deployment", "outcome")
    ),
    "holdfast_gateway_tokens_total": Family(
        "counter",
        "Tokens used: input and output; cache_read is part of the input, reasoning part of the output.",
        ("deployment", "direction"),
    ),
    "holdfast_gateway_cost_nano_total": Family(
        "counter", "Cost in nano-dollars, where a price is known.", ("deployment",)
    ),
    "holdfast_gateway_unpriced_attempts_total": Family(
        "counter", "Attempts whose price nobody knows: they are in no cost.", ("deployment",)
    ),
    "holdfast_gateway_cache_total": Family("counter", "Requests that asked the cache, by what it had.", ("result",)),
    "holdfast_gateway_findings_total": Family("counter", "What guardrails saw.", ("rule", "action")),
    "holdfast_gateway_clients_left_total": Family("counter", "Requests whose client went away before the end."),
    "holdfast_gateway_client_errors_total": Family("counter", "Requests refused before they were read.", ("reason",)),
    "holdfast_gateway_budget_refusals_total": Family("counter", "Attempts that a budget did not allow."),
    "holdfast_gateway_log_dropped_total": Family("counter", "Lines of the request log that found no room."),
    "holdfast_gateway_spans_dropped_total": Family("counter", "Requests whose spans found no room, or no receiver."),
    "holdfast_gateway_deployment_flips_total": Family(
        "counter", "Times a deployment left rotation or came back.", ("deployment",)
    ),
    "holdfast_gateway_first_token_seconds": Family(
        "histogram", "From sending an attempt to its first meaningful token.", ("deployment",)
    ),
    "holdfast_gateway_duration_seconds": Family(
        "histogram", "From a request's head to the end of its answer.", ("kind", "model")
    ),
    "holdfast_gateway_in_flight": Family("gauge", "Requests under way."),
    "holdfast_gateway_waiting": Family("gauge", "Requests that wait for a place at a deployment."),
    "holdfast_gateway_connections": Family("gauge", "Connections of clients."),
    "holdfast_gateway_deployment_state": Family(
        "gauge", "1 for the state that a deployment is in.", ("deployment", "state")
    ),
    "holdfast_gateway_deployment_in_flight": Family("gauge", "Attempts under way.", ("deployment",)),
    "holdfast_gateway_deployment_tokens": Family("gauge", "Estimated tokens in flight.", ("deployment",)),
    "holdfast_gateway_deployment_token_limit": Family(
        "gauge", "Estimated tokens that may be in flight now.", ("deployment",)
    ),
    "holdfast_gateway_deployment_unpriced": Family(
        "gauge", "1 for a deployment whose price nobody knows.", ("deployment",)
    ),
    "holdfast_gateway_ledger_open_attempts": Family("gauge", "Attempts that the ledger waits for the end of."),
    "holdfast_gateway_journal_unwritten": Family(
        "gauge", "Ends of attempts that wait for the journal to be writable; 0 unless the disk is full."
    ),
    "holdfast_gateway_journal_behind_bytes": Family("gauge", "What of the journal is not in the store yet."),
}
"""Every metric; the documentation goes by it."""

_PREFIX: Final = "holdfast_gateway_"
STATES: Final = ("up", "ramping", "cooling", "half_open", "open", "suppressed")


class Exposition:
    """Renders on request; keeps nothing."""

    def __init__(self, gateway: Gateway, observers: Observers) -> None:
        self._gateway = gateway
        self._observers = observers
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)

    def render(self) -> bytes:
        """The text, bounded by the number of models and deployments."""
        registry = CollectorRegistry()
        registry.register(_Given([*self._counted(), *self._known()]))
        return generate_latest(self._process) + generate_latest(registry)

    def _counted(self) -> Iterator[Metric]:
        counters = self._observers.counters
        yield _family("requests_total", counters.requests)
        yield _family("attempts_total", counters.attempts)
        yield _family("hedges_total", counters.hedges)
        yield _family("tokens_total", counters.tokens)
        yield _family("cost_nano_total", counters.cost_nano)
        yield _family("unpriced_attempts_total", counters.unpriced)
        yield _family("cache_total", counters.cache)
        yield _family("findings_total", counters.findings)
        yield _family("clients_left_total", {(): counters.clients_left})
        yield _family("log_dropped_total", {(): self._observers.lines_dropped})
        yield _family("spans_dropped_total", {(): self._observers.spans_dropped})
        for name, histograms in (
            ("first_token_seconds", {(key,): each for key, each in counters.first_token.items()}),
            ("duration_seconds", counters.duration),
        ):
            declared = CATALOGUE[f"{_PREFIX}{name}"]
            family = HistogramMetricFamily(f"{_PREFIX}{name}", declared.help, labels=declared.labels)
            for labels, buckets in histograms.items():
                family.add_metric([*labels], buckets.cumulative(), buckets.total)
            yield family

    def _known(self) -> Iterator[Metric]:
        gateway, engine = self._gateway, self._gateway.engine
        totals = gateway.ledger.totals()
        yield _family("client_errors_total", engine.client_errors)
        yield _family("budget_refusals_total", {(): totals.refused})
        yield _family("in_flight", {(): engine.in_flight()})
        yield _family("waiting", {(): len(gateway.waiting)})
        yield _family("connections", {(): len(engine.clients)})
        yield _family("ledger_open_attempts", {(): totals.open})
        yield _family("journal_unwritten", {(): totals.unwritten})
        yield _family("journal_behind_bytes", {(): gateway.ledger.behind_bytes()})
        now = gateway.clock()
        known = {
            name: gateway.fleet.explain(name, now)
            for name, each in gateway.fleet.deployments.items()
            if not each.implied
        }
        yield _family(
            "deployment_state",
            {(name, state): int(told["state"] == state) for name, told in known.items() for state in STATES},
        )
        yield _family("deployment_flips_total", {name: told["flips"] for name, told in known.items()})
        yield _family("deployment_in_flight", {name: told["in_flight"] for name, told in known.items()})
        yield _family("deployment_tokens", {name: told["tokens_in_flight"] for name, told in known.items()})
        yield _family("deployment_token_limit", {name: told["token_limit"] for name, told in known.items()})
        yield _family("deployment_unpriced", {name: int(gateway.ledger.price(name) is None) for name in known})


def _family(name: str, values: Mapping[Any, int]) -> Metric:
    """A counter or a gauge of the catalogue; the keys of ``values`` are its labels."""
    name = f"{_PREFIX}{name}"
    declared = CATALOGUE[name]
    made = CounterMetricFamily if declared.kind == "counter" else GaugeMetricFamily
    family = made(name, declared.help, labels=declared.labels)
    for key, value in values.items():
        labels = [str(part) for part in key] if isinstance(key, tuple) else [key]
        family.add_metric(labels, value)
    return family


class _Given(Collector):
    """Families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families
