"""The plan of faults: whom they strike, and how often."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.gateway.shell.mock.faults import FaultPlan, parse_fault
from holdfast.gateway.shell.mock.orders import BadOrder


def test_a_fault_is_orders_and_their_limits() -> None:
    fault = parse_fault("share=0.05, count=3, model=mock-large, 429=3s")
    assert (fault.share, fault.left, fault.model) == (0.05, 3, "mock-large")
    assert fault.orders == {"status": 429, "retry_after": 3.0}


@pytest.mark.parametrize("text", ["share=0.5", "share=2,drop", "count=-1,drop", "share=much,drop", "bogus", ""])
def test_a_fault_that_makes_no_sense_is_an_error(text: str) -> None:
    with pytest.raises(BadOrder):
        parse_fault(text)


def test_a_share_strikes_about_as_often_as_it_says_and_the_same_requests_every_time() -> None:
    def struck(seed: int) -> list[bool]:
        plan = FaultPlan(Random(seed), [parse_fault("share=0.25,drop")])
        return [bool(plan.draw("any")) for _ in range(2000)]

    assert 400 < sum(struck(1)) < 600
    assert struck(1) == struck(1)
    assert struck(1) != struck(2)


def test_a_count_is_used_up_and_served_is_counted() -> None:
    plan = FaultPlan(Random(1), [parse_fault("count=2,drop")])
    assert [len(plan.draw("any")) for _ in range(4)] == [1, 1, 0, 0]
    assert plan.faults[0].served == 2


def test_a_model_limits_a_fault_to_itself() -> None:
    plan = FaultPlan(Random(1), [parse_fault("model=mock-large,drop")])
    assert not plan.draw("mock-small")
    assert plan.draw("mock-large")


def test_faults_at_accept_are_drawn_for_connections_only() -> None:
    plan = FaultPlan(Random(1), [parse_fault("count=1,reset_at_accept")])
    assert not plan.draw("any")
    assert plan.at_accept()
    assert not plan.at_accept()
