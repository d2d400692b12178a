"""Who goes next: shares, caps, order and what is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from holdfast.execution.core.job import Priority
from holdfast.execution.core.scheduler import (
    Candidate,
    Pick,
    Schedule,
    TenantQueue,
    heavy_cap,
    order,
    schedule,
    settle,
    share_us,
)
from holdfast.execution.core.settings import FairnessSettings
from holdfast.kernel import Duration

FAIR = FairnessSettings(reserve_share=0.0)
RESERVED = FairnessSettings(reserve_share=0.25)
MS = 1000


def jobs(name: str, count: int, cost_us: int = 5 * MS, first: float = 0.0) -> list[Candidate]:
    return [Candidate(id=f"{name}{index}", cost_us=cost_us, order=first + index) for index in range(count)]


def tenant(name: str, *, light: int = 0, heavy: int = 0, cost_us: int = 5 * MS, **fields: Any) -> TenantQueue:
    defaults: dict[str, Any] = {"weight": 1.0, "deficit_us": 0, "turn": 0, "fresh": False, "running": 0}
    lanes = {"light": jobs(f"{name}-", light, cost_us), "heavy": jobs(f"{name}+", heavy, 3_000 * MS)}
    return TenantQueue(tenant=name, **{**defaults, **lanes, **fields})


def decide(*tenants: TenantQueue, free: int = 4, slots: int = 4, running_heavy: int = 0, turn: int = 1) -> Schedule:
    return schedule(tenants, free=free, slots=slots, running=0, running_heavy=running_heavy, turn=turn, settings=FAIR)


def names(outcome: Schedule) -> list[str]:
    return [pick.tenant for pick in outcome.picks]


def test_nothing_queued_picks_nothing() -> None:
    assert decide() == Schedule(picks=(), tenants=(), turn=1)


def test_no_free_slot_picks_nothing() -> None:
    assert decide(tenant("a", light=3), free=0).picks == ()


def test_a_pick_is_charged_its_estimate_from_the_share_of_the_round() -> None:
    outcome = decide(tenant("a", light=1))
    assert outcome.picks == (Pick(id="a-0", tenant="a", heavy=False, cost_us=5 * MS, why="turn"),)
    assert [(state.deficit_us, state.turn) for state in outcome.tenants] == [(245 * MS, 1)]


def test_tenants_take_turns_by_what_is_left_of_their_share() -> None:
    assert names(decide(tenant("b", light=9), tenant("a", light=9))) == ["a", "b", "a", "b"]


def test_a_tenant_of_twice_the_weight_is_served_twice_as_often() -> None:
    outcome = decide(tenant("a", light=9, weight=2.0), tenant("b", light=9), free=6, slots=12)
    assert sorted(names(outcome)) == ["a"] * 4 + ["b"] * 2


def test_a_tenant_in_debt_waits_while_others_have_credit() -> None:
    assert names(decide(tenant("a", light=9, deficit_us=-1, turn=1), tenant("b", light=2))) == ["b", "b", "a", "a"]


def test_a_debt_of_a_million_rounds_is_skipped_by_arithmetic() -> None:
    outcome = decide(tenant("a", light=1, deficit_us=-250 * MS * 1_000_000, turn=1))
    assert outcome.turn == 1_000_002
    assert outcome.tenants[0].deficit_us == 245 * MS


def test_the_round_that_is_skipped_to_serves_the_smallest_debt_first() -> None:
    a = tenant("a", light=1, deficit_us=-2_000 * MS, turn=1)
    b = tenant("b", light=1, deficit_us=-1_000 * MS, turn=1)
    outcome = decide(a, b, free=1)
    assert names(outcome) == ["b"]
    assert outcome.turn == 6


def test_a_tenant_that_was_idle_goes_next_once() -> None:
    busy = tenant("busy", light=9, deficit_us=249 * MS, turn=7)
    back = tenant("late", light=9, deficit_us=10 * MS, turn=7, fresh=True)
    outcome = decide(busy, back, turn=7, free=3)
    assert [(pick.tenant, pick.why) for pick in outcome.picks] == [
        ("late", "fresh"),
        ("busy", "turn"),
        ("busy", "turn"),
    ]


def test_coming_back_in_debt_is_no_reason_to_go_first() -> None:
    busy = tenant("busy", light=9, deficit_us=1, turn=7)
    back = tenant("late", light=9, deficit_us=-1, turn=7, fresh=True)
    assert names(decide(busy, back, turn=7, free=1)) == ["busy"]


def test_debt_is_forgiven_by_the_time_that_a_tenant_was_idle() -> None:
    busy = tenant("busy", light=9, deficit_us=1, turn=7)
    back = tenant("late", light=9, deficit_us=-300 * MS, turn=6, fresh=True)
    assert names(decide(busy, back, turn=7, free=1)) == ["busy"]
    rested = tenant("late", light=9, deficit_us=-300 * MS, turn=6, fresh=True, idle_s=0.1)
    assert names(decide(busy, rested, turn=7, free=1)) == ["late"]


def test_nobody_saves_up_while_idle() -> None:
    outcome = decide(tenant("a", light=1, deficit_us=200 * MS, turn=3, fresh=True), turn=1_000)
    assert outcome.tenants[0].deficit_us == 245 * MS


def test_who_waited_all_along_is_owed_a_few_shares_at_most() -> None:
    outcome = decide(tenant("a", light=1, deficit_us=200 * MS, turn=3), turn=1_000)
    assert outcome.tenants[0].deficit_us == 1_995 * MS


def test_a_tenant_holds_half_of_the_slots_while_others_wait() -> None:
    outcome = decide(tenant("a", light=9), tenant("b", light=1, running=1, deficit_us=-1, turn=1))
    assert names(outcome) == ["a", "a", "b", "a"]
    assert [pick.why for pick in outcome.picks] == ["turn", "turn", "turn", "spare"]


def test_a_tenant_that_is_alone_takes_every_slot() -> None:
    assert names(decide(tenant("a", light=9))) == ["a"] * 4


def test_a_tenant_whose_jobs_may_not_start_holds_nobody_back() -> None:
    waiting = tenant("b", heavy=9)
    assert names(decide(tenant("a", light=9, running=2), waiting, running_heavy=3, free=1)) == ["a"]


def test_tenants_over_their_cap_share_what_is_spare_by_turns() -> None:
    a, b = tenant("a", light=9, running=2), tenant("b", light=9, running=2)
    outcome = decide(a, b, free=2, slots=4)
    assert [(pick.tenant, pick.why) for pick in outcome.picks] == [("a", "spare"), ("b", "spare")]


def test_heavy_jobs_leave_the_last_slot_to_light_ones() -> None:
    outcome = decide(tenant("a", heavy=9), tenant("b", heavy=9))
    assert len(outcome.picks) == 3


def test_a_heavy_head_does_not_block_light_jobs_of_its_tenant() -> None:
    queue = replace(tenant("a", heavy=2), light=jobs("light", 2, first=100.0))
    assert [pick.id for pick in decide(queue, running_heavy=2).picks] == ["a+0", "light0", "light1"]


def test_with_a_single_slot_heavy_jobs_have_their_turn() -> None:
    assert names(decide(tenant("a", heavy=1), slots=1, free=1)) == ["a"]
    overdrawn = tenant("light", light=9, deficit_us=-1, turn=1)
    assert names(decide(tenant("heavy", heavy=1), overdrawn, slots=1, free=1)) == ["heavy"]


@pytest.mark.parametrize(("slots", "cap"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (40, 30)])
def test_the_heavy_cap_is_three_quarters_and_never_all(slots: int, cap: int) -> None:
    assert heavy_cap(slots, FAIR) == cap


def test_a_heavy_share_of_one_still_leaves_a_slot() -> None:
    assert heavy_cap(4, FairnessSettings(heavy_share=1.0)) == 3
    assert heavy_cap(4, FairnessSettings(heavy_share=0.0)) == 1


def test_within_a_tenant_both_lanes_go_in_order() -> None:
    queue = replace(
        tenant("a"),
        light=[Candidate(id="l1", cost_us=1, order=1.0), Candidate(id="l3", cost_us=1, order=3.0)],
        heavy=[Candidate(id="h2", cost_us=1, order=2.0), Candidate(id="h4", cost_us=1, order=4.0)],
    )
    assert [pick.id for pick in decide(queue).picks] == ["l1", "h2", "l3", "h4"]


def test_the_books_are_corrected_when_a_job_has_ended() -> None:
    assert settle(-750 * MS, 1_000 * MS, 5 * MS) == 245 * MS
    assert settle(245 * MS, 5 * MS, 1_000 * MS) == -750 * MS


def test_the_share_is_never_nothing() -> None:
    assert share_us(1e-9, FairnessSettings(quantum=Duration(0.001))) == 1


def test_one_class_of_priority_is_worth_one_ageing_time() -> None:
    high, normal, low = (order(100.0, priority, 30.0) for priority in (Priority.HIGH, Priority.NORMAL, Priority.LOW))
    assert (high, normal, low) == (70.0, 100.0, 130.0)
    assert order(39.0, Priority.LOW, 30.0) < high


@pytest.mark.parametrize(("slots", "taken"), [(1, 1), (3, 3), (4, 3), (7, 6), (8, 6)])
def test_of_every_four_slots_one_is_left_to_tenants_that_hold_none(slots: int, taken: int) -> None:
    flood = tenant("a", light=20)
    outcome = schedule([flood], free=slots, slots=slots, running=0, running_heavy=0, turn=1, settings=RESERVED)
    assert len(outcome.picks) == taken


def test_the_slot_that_is_left_goes_to_a_tenant_that_holds_none() -> None:
    tenants = [tenant("a", light=9, running=3), tenant("b", light=9)]
    outcome = schedule(tenants, free=1, slots=4, running=3, running_heavy=0, turn=1, settings=RESERVED)
    assert names(outcome) == ["b"]
    tenants = [tenant("a", light=9, running=2), tenant("b", light=9, running=1)]
    assert names(schedule(tenants, free=1, slots=4, running=3, running_heavy=0, turn=1, settings=RESERVED)) == []


def test_first_in_first_out_knows_no_tenants() -> None:
    fifo = FairnessSettings(scheduling="fifo")
    tenants = [tenant("late", light=1), tenant("early", light=3, heavy=3)]
    tenants[0] = replace(tenants[0], light=jobs("late-", 1, first=9.0))
    outcome = schedule(tenants, free=6, slots=4, running=4, running_heavy=4, turn=7, settings=fifo)
    assert [pick.id for pick in outcome.picks] == ["early+0", "early-0", "early+1", "early-1", "early+2", "early-2"]
    assert (outcome.tenants, outcome.turn) == ((), 7)
