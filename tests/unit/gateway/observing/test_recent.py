"""The ring of recent requests."""

from __future__ import annotations

from holdfast.gateway.core.ports import Holder
from holdfast.gateway.shell.observing.recent import Recent, told
from tests.unit.gateway.observing.seen import attempt, seen


def test_the_oldest_makes_room() -> None:
    recent = Recent(2)
    for number in range(3):
        recent.add(seen(request=f"r{number}"))
    assert len(recent) == 2
    assert recent.find("r0", "acme") is None
    assert [each.request for each in recent.latest("acme", 10)] == ["r2", "r1"]


def test_two_tenants_with_the_same_id_see_each_their_own() -> None:
    recent = Recent()
    recent.add(seen(request="mine", status=200))
    recent.add(seen(request="mine", status=502, holder=Holder(tenant="globex", key_id="k")))
    recent.add(seen(request="mine", holder=None))
    ours, theirs = recent.find("mine", "acme"), recent.find("mine", "globex")
    assert ours is not None
    assert theirs is not None
    assert (ours.status, theirs.status) == (200, 502)


def test_a_request_is_told_in_words() -> None:
    failed = attempt(deployment="a", outcome="rate_limited", cost_nano=None)
    found = told(seen(attempts=[failed, attempt(deployment="b", hedge=True)]))
    assert found["summary"] == "a rate_limited, then b (hedge) answered."
    assert (found["cost_nano"], found["cost"], found["unpriced"]) == (50_000, "$0.00005", 1)
    assert told(seen(attempts=[], cache="hit"))["summary"] == "It was answered from the cache (hit)."
    refused = told(seen(attempts=[], status=402, reason="budget_exhausted"))
    assert refused["summary"] == "It reached no deployment: budget_exhausted."
