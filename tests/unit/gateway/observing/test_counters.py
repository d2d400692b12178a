"""Counts of requests: what is counted, and that clients cannot make up labels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.core.ports import Finding
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.shell.observing.counters import DURATION_S, FIRST_TOKEN_S, Buckets, Counters
from tests.unit.gateway.observing.seen import attempt, seen


def counters() -> Counters:
    return Counters({"demo"}, {"mock/small"})


def test_a_request_and_its_attempts_are_counted_once() -> None:
    found = counters()
    found.request(seen(attempts=[attempt(outcome="server_error", usage=Usage(), cost_nano=0), attempt()]))
    assert found.requests == {("chat", "openai", "demo", 200, ""): 1}
    assert found.attempts == {("mock/small", "server_error"): 1, ("mock/small", "ok"): 1}
    assert found.tokens == {
        ("mock/small", "input"): 10,
        ("mock/small", "output"): 20,
        ("mock/small", "cache_read"): 4,
    }
    assert found.cost_nano == {"mock/small": 50_000}


def test_what_nobody_named_is_other() -> None:
    found = counters()
    for number in range(100):
        found.request(seen(model=f"made-up-{number}", attempts=[attempt(deployment=f"mock/made-up-{number}")]))
    assert list(found.requests) == [("chat", "openai", "other", 200, "")]
    assert list(found.attempts) == [("other", "ok")]


def test_an_unknown_price_is_counted_and_costs_nothing() -> None:
    found = counters()
    found.request(seen(attempts=[attempt(cost_nano=None)]))
    assert found.unpriced == {"mock/small": 1}
    assert found.cost_nano == {}


def test_hedges_caches_findings_and_clients_that_left_are_counted() -> None:
    found = counters()
    finding = Finding(rule="cards", action="redact", where="messages.0", count=2)
    found.request(
        seen(cache="hit", client_left=True, findings=[finding], attempts=[attempt(hedge=True, outcome="cancelled")])
    )
    assert found.hedges == {("mock/small", "cancelled"): 1}
    assert found.cache == {"hit": 1}
    assert found.findings == {("cards", "redact"): 2}
    assert found.clients_left == 1


def test_names_become_labels_when_a_configuration_names_them() -> None:
    found = counters()
    found.know({"new"}, {"mock/new"})
    found.request(seen(model="new", attempts=[attempt(deployment="mock/new")]))
    assert list(found.requests) == [("chat", "openai", "new", 200, "")]


@given(st.lists(st.floats(0, 1000), max_size=50), st.sampled_from((FIRST_TOKEN_S, DURATION_S)))
def test_buckets_count_everything_once_and_up_to_their_bound(values: list[float], bounds: tuple[float, ...]) -> None:
    buckets = Buckets(bounds)
    for value in values:
        buckets.observe(value)
    found = buckets.cumulative()
    assert found[-1] == ("+Inf", float(len(values)))
    for bound, count in found[:-1]:
        assert count == sum(value <= float(bound) for value in values)
    assert abs(buckets.total - sum(values)) < 1e-6
