from __future__ import annotations

from typing import Any

import pytest

from holdfast.gateway.core.admission import LEAST_UNITS, UNIT, Queue, Tiers, TokenLimit
from holdfast.gateway.core.ports import Need
from holdfast.gateway.core.settings import AdmissionSettings, DeploymentSettings
from tests.unit.gateway.fleet_scene import Scene, need

A: Tiers = (("a/x",),)
B: Tiers = (("b/x",),)
BOTH: Tiers = (("a/x",), ("b/x",))
BATCH = need(priority="batch")
LEAST = LEAST_UNITS * UNIT


def names(woken: list[tuple[str, Need]]) -> list[str]:
    return [item for item, _ in woken]


def queue(bound: int = 100) -> Queue[str]:
    return Queue(bound)


def push(one: Queue[str], item: str, asked: Need | None = None, *, tiers: Tiers = A, now: float = 0.0) -> bool:
    return one.push(item, asked or need(), now + 10.0, tiers=tiers, now=now)


def anything(tiers: Tiers, asked: Need) -> bool:
    return True


def places(count: int) -> Any:
    left = [count]

    def fits(tiers: Tiers, asked: Need) -> bool:
        left[0] -= 1
        return left[0] >= 0

    return fits


def test_first_come_first_served() -> None:
    one = queue()
    for item in "abc":
        push(one, item)
    assert names(one.wake(1.0, places(2))) == ["a", "b"]
    assert names(one.wake(1.0, anything)) == ["c"]
    assert len(one) == 0


def test_interactive_goes_before_batch() -> None:
    one = queue()
    push(one, "batch", BATCH)
    push(one, "interactive", now=1.0)
    assert names(one.wake(2.0, places(1))) == ["interactive"]
    assert names(one.wake(2.0, anything)) == ["batch"]


def test_batch_does_not_slip_by_an_interactive_request_that_is_too_large() -> None:
    one = queue()
    push(one, "batch", need(10, priority="batch"))
    push(one, "large", need(1000))
    assert one.wake(1.0, lambda tiers, asked: asked.tokens < 100) == []


def test_a_small_request_does_not_starve_a_large_one() -> None:
    one = queue()
    push(one, "large", need(1000))
    push(one, "small", need(10))
    assert one.wake(1.0, lambda tiers, asked: asked.tokens < 100) == []


def test_who_waits_for_one_model_does_not_block_another() -> None:
    one = queue()
    push(one, "a")
    push(one, "b", tiers=B)
    push(one, "batch", BATCH, tiers=B)
    assert names(one.wake(1.0, lambda tiers, asked: tiers == B)) == ["b", "batch"]


def test_batch_that_waited_long_enough_is_interactive_from_then_on() -> None:
    one = queue()
    push(one, "old", BATCH)
    push(one, "between", now=4.0)
    assert one.expired(5.0) == []
    push(one, "young", now=5.0)
    woken = one.wake(5.0, anything)
    assert names(woken) == ["between", "old", "young"]
    assert {asked.priority for _, asked in woken} == {"interactive"}


def test_a_full_queue_refuses() -> None:
    one = queue(1)
    assert push(one, "a")
    assert not push(one, "b")
    assert not push(queue(0), "a")


def test_who_runs_out_of_time_is_handed_out_and_not_woken() -> None:
    one = queue()
    push(one, "a")
    push(one, "b", now=5.0)
    assert names(one.wake(10.0, anything)) == ["b"]
    assert one.expired(10.0) == ["a"]
    assert one.expired(10.0) == []


def test_who_left_is_not_woken() -> None:
    one = queue()
    push(one, "a")
    push(one, "b", BATCH)
    assert one.remove("a")
    assert not one.remove("a")
    assert one.remove("b")
    assert one.wake(1.0, anything) == []


def test_who_lost_the_place_again_stands_where_it_stood() -> None:
    one = queue()
    push(one, "a")
    push(one, "b")
    one.wake(1.0, places(1))
    assert one.push("a", need(), 10.0, tiers=A, now=1.0, since=0.0)
    assert names(one.wake(1.0, anything)) == ["a", "b"]


def test_the_same_item_cannot_wait_twice() -> None:
    one = queue()
    push(one, "a")
    with pytest.raises(ValueError, match="waits already"):
        push(one, "a")


def test_a_new_request_stands_behind_its_equals() -> None:
    one = queue()
    push(one, "a", tiers=BOTH)
    assert one.ahead(BOTH, "interactive")
    assert not one.ahead(A, "interactive")
    assert one.ahead(A, "batch"), "an interactive request of another model waits for the same deployment"
    assert not one.ahead((("c/x",),), "batch")
    one.remove("a")
    push(one, "b", BATCH)
    assert not one.ahead(A, "interactive")
    assert one.ahead(A, "batch")


def test_one_place_wakes_one() -> None:
    scene = Scene(
        DeploymentSettings(provider="a", model="x", tokens_in_flight=250), admission=AdmissionSettings(adaptive=False)
    )
    one = queue()
    for item in "abc":
        push(one, item, need(100), tiers=scene.tiers)
    assert names(one.wake(0.0, scene.fleet.room(0.0))) == ["a", "b"]


def test_who_waits_for_what_is_out_is_woken_to_hear_it() -> None:
    scene = Scene("a")
    one = queue()
    push(one, "a", tiers=scene.tiers)
    scene.attempt("a/x", "rate_limited", retry_after_s=60.0)
    assert names(one.wake(0.0, scene.fleet.room(0.0))) == ["a"]


# ------------------------------------------------------------ the limit of tokens


def test_a_limit_that_is_not_adaptive_stays() -> None:
    limit = TokenLimit(1000, adaptive=False)
    assert not limit.refused(0.0, 900, 1.0)
    limit.first_token(100.0, 10, 900, 1.0)
    assert limit.limit == 1000


def test_a_refusal_takes_away_a_third_of_what_was_in_flight() -> None:
    limit = TokenLimit(2_000_000, adaptive=True)
    assert limit.refused(0.0, 400_000, 1.0)
    assert limit.limit == 280_000


def test_refusals_of_what_was_sent_before_are_the_same_event() -> None:
    limit = TokenLimit(2_000_000, adaptive=True)
    limit.refused(0.0, 400_000, 1.0)
    assert not limit.refused(0.5, 400_000, 1.1)
    assert limit.refused(1.05, 280_000, 1.2)
    assert limit.limit == 196_000


def test_the_limit_never_falls_below_some_requests() -> None:
    limit = TokenLimit(2_000_000, adaptive=True)
    for second in range(1, 60):
        limit.refused(second - 0.5, 10, float(second))
    assert limit.limit == LEAST


def test_the_limit_grows_back_while_it_is_used() -> None:
    limit = TokenLimit(200_000, adaptive=True)
    limit.refused(0.0, 200_000, 1.0)
    for _ in range(100):
        limit.answered(1000, 10)
    assert limit.limit == 140_000
    for _ in range(2000):
        limit.answered(1000, 140_000)
    assert limit.limit == 200_000


def test_a_provider_that_queues_gets_no_more_than_it_can_do_at_once() -> None:
    """Above 100,000 tokens in flight the time to the first token grows with their number."""
    limit = TokenLimit(400_000, adaptive=True)
    now = 0.0
    limits = []
    for number in range(6000):
        now += 0.02
        in_flight = 50_000 if number < 500 else min(390_000, limit.limit)
        limit.first_token(0.3 * max(1.0, in_flight / 100_000), 500, in_flight, now)
        limits.append(limit.limit)
    assert max(limits[:500]) == 400_000
    assert 80_000 < sum(limits[-2000:]) / 2000 < 200_000


def test_longer_prompts_alone_do_not_lower_the_limit() -> None:
    limit = TokenLimit(400_000, adaptive=True)
    now = 0.0
    for number in range(3000):
        now += 0.02
        tokens = 500 if number < 1500 else 30_000
        limit.first_token(0.3 * (1 + tokens / 3000), tokens, 390_000, now)
    assert limit.limit == 400_000
