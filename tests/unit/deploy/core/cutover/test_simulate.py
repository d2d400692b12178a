"""The model: what holds in it by construction, and that the strategies differ where they should."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import msgspec
import pytest

from holdfast.deploy.core.cutover.settings import CutoverRequest, Thresholds
from holdfast.deploy.core.cutover.simulate import (
    CAREFUL,
    ONE_SHOT,
    SPAN_S,
    STAGED,
    STRATEGIES,
    Strategy,
    play,
    simulate,
)
from holdfast.deploy.core.cutover.summary import summarize
from holdfast.deploy.core.cutover.verdict import Seen, judge, least_errors
from holdfast.deploy.core.cutover.world import FAULTS, Fault, World, draw, some_of
from tests.unit.deploy.core.cutover.requests import CNAME

LIMITS = Thresholds()


def world(fault: Fault, seed: int = 5, **fields: object) -> World:
    return replace(draw(Random(seed), fault), hidden=True, **fields)  # type: ignore[arg-type]


def seen(requests: int, errors: int, p99_s: float = 0.1) -> Seen:
    return Seen(requests=requests, errors=errors, p99_s=p99_s)


OLD = seen(100_000, 100)


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (seen(0, 0), "wait"),
        (seen(1, 1), "wait"),
        (seen(3, 3), "errors"),
        (seen(100, 2), "wait"),
        (seen(100, 10), "errors"),
        (seen(499, 0, p99_s=9.0), "wait"),
        (seen(500, 5), "go"),
        (seen(500, 6), "errors"),
        (seen(500, 0, p99_s=0.14), "go"),
        (seen(500, 0, p99_s=0.16), "slow"),
    ],
)
def test_few_requests_are_no_verdict_unless_their_errors_cannot_be_chance(new: Seen, says: str) -> None:
    assert judge(OLD, new, LIMITS) == says


@pytest.mark.parametrize("requests", [3, 10, 100, 499, 500, 2_000])
def test_the_fewest_errors_that_the_plan_names_are_those_that_the_rule_judges_by(requests: int) -> None:
    least = least_errors(requests, LIMITS)
    old = seen(1_000, 0)
    assert judge(old, seen(requests, least), LIMITS) == "errors"
    assert judge(old, seen(requests, least - 1), LIMITS) != "errors"


def test_the_new_target_is_held_against_the_old_and_not_against_perfection() -> None:
    assert judge(seen(10_000, 500), seen(1_000, 55), LIMITS) == "go"
    assert judge(seen(10_000, 10), seen(1_000, 55), LIMITS) == "errors"


def test_without_traffic_on_the_old_target_its_p99_says_nothing() -> None:
    assert judge(seen(3, 0, p99_s=0.01), seen(1_000, 0), LIMITS) == "go"


@pytest.mark.parametrize(("number", "share"), [(20, 0.3), (500, 0.004), (5_000, 0.3), (40, 0.9)])
def test_counts_have_the_mean_and_variance_of_a_binomial(number: int, share: float) -> None:
    rng = Random(3)
    drawn = [some_of(rng, number, share) for _ in range(4_000)]
    mean = sum(drawn) / len(drawn)
    variance = sum((one - mean) ** 2 for one in drawn) / len(drawn)
    assert mean == pytest.approx(number * share, rel=0.05)
    assert variance == pytest.approx(number * share * (1 - share), rel=0.12)
    assert min(drawn) >= 0
    assert max(drawn) <= number


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0])
def test_a_certain_chance_is_certain(share: float) -> None:
    assert some_of(Random(1), 7, share) == (7 if share >= 1.0 else 0)


def test_the_same_seed_gives_the_same_runs_and_another_seed_others() -> None:
    first = list(simulate(Random(7), runs=12, new_random=Random))
    assert list(simulate(Random(7), runs=12, new_random=Random)) == first
    assert list(simulate(Random(8), runs=12, new_random=Random)) != first


def test_a_request_brings_its_own_rate_stages_and_thresholds() -> None:
    def exposed(request: CutoverRequest) -> float:
        runs = list(simulate(Random(3), runs=12, new_random=Random, request=request))
        return next(row.exposed for row in summarize(runs) if (row.fault, row.strategy) == ("errors", "staged"))

    usual = exposed(CNAME)
    assert exposed(msgspec.structs.replace(CNAME, rate=100.0)) > 2 * usual
    assert exposed(msgspec.structs.replace(CNAME, stages=(25, 100))) > 2 * usual
    assert exposed(msgspec.structs.replace(CNAME, thresholds=Thresholds(errors=0.5))) > 2 * usual


def test_a_summary_has_a_row_for_each_fault_and_strategy_that_was_played() -> None:
    rows = summarize(list(simulate(Random(1), runs=8, new_random=Random)))
    assert [(row.fault, row.strategy) for row in rows] == [(f, s.name) for f in FAULTS for s in STRATEGIES]
    assert [row.runs for row in rows if row.strategy == "staged"] == [2, 2, 1, 1, 1, 1]
    assert rows[0].back_s is None
    assert {row.fault for row in summarize(list(simulate(Random(1), runs=1, new_random=Random)))} == {"sound"}


def test_faults_come_in_turn() -> None:
    assert [run.fault for run in simulate(Random(1), runs=7, new_random=Random)] == [*FAULTS, FAULTS[0]]


@pytest.mark.parametrize("strategy", [STAGED, CAREFUL])
def test_a_sound_target_costs_nobody_a_request_while_the_old_one_stays(strategy: Strategy) -> None:
    for seed in range(8):
        outcome = play(strategy, world("sound", seed), Random(seed))
        assert (outcome.failed, outcome.broken, outcome.rolled_back) == (0, 0, False)


def test_a_one_shot_switch_to_a_sound_target_fails_whoever_still_looks_for_the_old_one() -> None:
    outcome = play(ONE_SHOT, world("sound", ttl=3_600, delete_s=120.0), Random(1))
    assert outcome.failed > 0
    assert outcome.broken > 0


def test_the_trial_spares_everybody_a_target_that_answers_nothing() -> None:
    outcome = play(STAGED, replace(world("dead"), hidden=False), Random(1))
    assert (outcome.rolled_back, outcome.percent, outcome.exposed) == (True, 0, 0)


@pytest.mark.parametrize("fault", ["errors", "dead", "slow"])
def test_a_fault_that_a_trial_does_not_meet_is_taken_back_at_the_first_stage(fault: Fault) -> None:
    outcome = play(STAGED, world(fault), Random(1))
    assert (outcome.rolled_back, outcome.percent) == (True, 1)
    assert outcome.back_s is not None
    assert outcome.back_s <= SPAN_S


def test_a_fault_under_load_is_met_at_the_stage_that_brings_the_load() -> None:
    assert play(STAGED, world("load", limit=0.6), Random(1)).percent == 100


def test_stages_expose_fewer_requests_than_a_watched_switch() -> None:
    one = world("errors", rate=100.0)
    assert play(STAGED, one, Random(1)).exposed < play(CAREFUL, one, Random(1)).exposed / 10


def test_streams_that_break_are_in_no_metric_so_only_complaints_bring_the_traffic_back() -> None:
    outcome = play(STAGED, world("streams", rate=100.0), Random(1))
    assert outcome.failed == 0
    assert outcome.broken > 50
    assert outcome.detect_s is not None
    assert outcome.detect_s > 300


def test_without_the_old_target_going_back_takes_as_long_as_making_it_again() -> None:
    one = world("dead", delete_s=60.0, start_s=900.0, alarm_s=600.0)
    outcome = play(ONE_SHOT, one, Random(1))
    assert outcome.back_s is not None
    assert outcome.back_s >= 900


def test_going_back_takes_as_long_as_the_ttl_that_was_found() -> None:
    def back_s(ttl: int) -> float:
        floors = (0,) * 60
        one = world("dead", ttl=ttl, floors=floors, delete_s=7_200.0, alarm_s=300.0, stuck=0.0)
        return play(ONE_SHOT, one, Random(1)).back_s or 0.0

    assert back_s(3_600) > back_s(60) + 1_000
