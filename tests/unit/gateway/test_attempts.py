from __future__ import annotations

from random import Random
from typing import Any, get_args

import pytest

from holdfast.gateway.core.attempts import AttemptBudget, ExtraAttempts, Fallback, GiveUp, Retry
from holdfast.gateway.core.outcome import Failure
from holdfast.gateway.core.settings import RetrySettings

MOVING = ("connect", "reset", "timeout", "stalled", "cut", "server_error", "protocol", "rate_limited", "overloaded")


def generous() -> ExtraAttempts:
    return ExtraAttempts(percent=20.0, floor_per_s=100.0)


def budget(shared: ExtraAttempts | None = None, *, deadline: float = 100.0, **more: Any) -> AttemptBudget:
    return AttemptBudget(RetrySettings(**more), shared or generous(), deadline=deadline, now=0.0, rng=Random(1))


def step(one: AttemptBudget, failure: Any, *, others: bool = True, fallbacks: bool = False, **more: Any) -> Any:
    return one.next_step(failure, now=more.pop("now", 0.0), others=others, fallbacks=fallbacks, **more)


@pytest.mark.parametrize("failure", MOVING)
def test_what_may_work_elsewhere_goes_elsewhere_at_once(failure: str) -> None:
    assert step(budget(), failure) == Retry(after_s=0.0, where="other")


@pytest.mark.parametrize("failure", MOVING)
def test_without_another_deployment_the_next_model_is_asked(failure: str) -> None:
    assert step(budget(), failure, others=False, fallbacks=True) == Fallback()


@pytest.mark.parametrize("failure", ["rejected", "filtered"])
def test_the_fault_of_the_request_is_its_answer(failure: str) -> None:
    assert step(budget(), failure, fallbacks=True) == GiveUp(reason="request")


def test_a_prompt_that_is_too_long_goes_to_a_model_with_more_room_once() -> None:
    one = budget(ExtraAttempts(percent=0.0, floor_per_s=0.0))
    too_long: dict[str, Any] = {"code": "context_length_exceeded", "fallbacks": True}
    assert step(one, "rejected", **too_long) == Fallback(larger_context=True)
    assert step(one, "rejected", **too_long) == GiveUp(reason="request")


def test_a_refused_key_moves_on_twice_even_without_a_budget() -> None:
    shared = ExtraAttempts(percent=0.0, floor_per_s=0.0)
    one = budget(shared)
    assert step(one, "auth") == Retry(after_s=0.0, where="other")
    assert step(one, "auth", others=False, fallbacks=True) == Fallback()
    assert step(one, "auth") == GiveUp(reason="nowhere")
    assert shared.spent == 0


def test_a_connection_that_was_closed_while_idle_is_opened_again_once() -> None:
    one = budget(ExtraAttempts(percent=0.0, floor_per_s=0.0))
    assert step(one, "reset", reused=True) == Retry(after_s=0.0, where="same")
    assert step(one, "reset", reused=True) == GiveUp(reason="budget")


@pytest.mark.parametrize("failure", get_args(Failure))
def test_nothing_is_repeated_after_the_commit_point(failure: str) -> None:
    assert step(budget(), failure, fallbacks=True, committed=True) == GiveUp(reason="committed")


def test_a_text_that_was_cut_may_be_continued_where_the_route_allows() -> None:
    assert step(budget(), "cut", committed=True, continues=True) == Retry(after_s=0.0, where="other")
    assert step(budget(), "filtered", committed=True, continues=True) == GiveUp(reason="committed")


def test_a_request_has_four_attempts_over_retries_fallbacks_and_hedges() -> None:
    one = budget()
    assert one.hedge(0.0)
    assert step(one, "timeout") == Retry(after_s=0.0, where="other")
    assert isinstance(step(one, "timeout", others=False, fallbacks=True), Fallback)
    assert one.made == 4
    assert step(one, "timeout") == GiveUp(reason="attempts")
    assert not one.hedge(0.0)


def test_from_the_second_retry_on_there_is_a_pause() -> None:
    one = budget(attempts=10)
    pauses = [step(one, "server_error").after_s for _ in range(8)]
    assert pauses[0] == 0.0
    assert all(0.0 < pause <= 1.0 for pause in pauses[1:])


def test_nothing_begins_after_the_deadline() -> None:
    one = budget(deadline=10.0)
    assert step(one, "timeout", now=10.0) == GiveUp(reason="deadline")
    assert not one.hedge(10.0)
    assert one.left_s(12.0) == 0.0


def test_a_single_deployment_is_waited_for_when_it_names_a_time_before_the_deadline() -> None:
    assert step(budget(), "rate_limited", others=False, retry_after_s=3.0) == Retry(after_s=3.0, where="same")
    assert step(budget(), "rate_limited", others=False) == GiveUp(reason="nowhere")
    late = step(budget(deadline=2.0), "rate_limited", others=False, retry_after_s=3.0)
    assert late == GiveUp(reason="deadline")


def test_what_cannot_be_afforded_is_given_up() -> None:
    shared = ExtraAttempts(percent=20.0, floor_per_s=0.0)
    steps = [step(budget(shared), "server_error") for _ in range(10)]
    assert [isinstance(one, Retry) for one in steps] == [False, False, False, False, True] * 2
    assert (shared.requests, shared.spent, shared.refused) == (10, 2, 8)


def test_a_quiet_gateway_retries_by_its_floor() -> None:
    shared = ExtraAttempts()
    steps = [step(budget(shared), "server_error") for _ in range(5)]
    assert all(isinstance(one, Retry) for one in steps)


@pytest.mark.parametrize("per_s", [1, 3, 10, 100, 1000])
def test_a_full_outage_costs_at_most_one_fifth_more_attempts(per_s: int) -> None:
    shared = ExtraAttempts()
    attempts = requests = 0
    for number in range(60 * per_s):
        now = number / per_s
        one = AttemptBudget(RetrySettings(), shared, deadline=now + 10, now=now, rng=Random(number))
        while not isinstance(one.next_step("server_error", now=now, others=True, fallbacks=False), GiveUp):
            pass
        requests += 1
        attempts += one.made
    assert attempts <= max(1.2 * requests, requests + 0.5 * 70)
    if per_s >= 3:
        assert attempts / requests <= 1.2
