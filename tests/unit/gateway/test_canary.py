from __future__ import annotations

from random import Random
from typing import Any

import pytest

from holdfast.gateway.core.canary import Canary, Going, Passed, RolledBack, sampled, wilson
from holdfast.gateway.core.settings import CanarySettings, DeploymentSettings


def canary(**more: Any) -> Canary:
    return Canary(CanarySettings(deployment=DeploymentSettings(provider="a", model="new"), **more), "m")


def run(
    one: Canary,
    requests: int,
    *,
    errors: tuple[float, float] = (0.01, 0.01),
    first_token: tuple[float, float] = (0.3, 0.3),
    cost: tuple[float, float] = (1000.0, 1000.0),
    score: float | None = None,
    seed: int = 1,
) -> Any:
    """As many requests at the candidate, ten times as many at the others; pairs are (candidate, others)."""
    rng = Random(seed)
    for number in range(requests * 11):
        mine = number % 11 == 0
        at = 0 if mine else 1
        one.observe(
            "candidate" if mine else "baseline",
            failed=rng.random() < errors[at],
            now=number * 0.1,
            first_token_s=rng.lognormvariate(0, 0.5) * first_token[at],
            cost_nano=int(rng.lognormvariate(0, 0.7) * cost[at]),
            score=None if score is None or not mine else min(1.0, max(0.0, rng.gauss(score, 0.2))),
        )
    return one.verdict


def test_nothing_is_decided_before_the_minimum() -> None:
    assert run(canary(), 99, errors=(1.0, 0.0)) == Going(requests=0)


def test_a_candidate_that_fails_is_rolled_back_with_figures() -> None:
    verdict = run(canary(), 200, errors=(0.2, 0.01))
    assert isinstance(verdict, RolledBack)
    assert verdict.reason == "errors"
    assert verdict.figures["error_rate_at_least"] > 1.5 * verdict.figures["baseline_at_most"]


def test_a_candidate_that_is_slow_is_rolled_back() -> None:
    verdict = run(canary(), 300, first_token=(0.9, 0.3))
    assert isinstance(verdict, RolledBack)
    assert verdict.reason == "latency"


def test_a_candidate_that_costs_more_is_rolled_back() -> None:
    verdict = run(canary(), 300, cost=(2500.0, 1000.0))
    assert isinstance(verdict, RolledBack)
    assert verdict.reason == "cost"


def test_a_candidate_that_answers_badly_is_rolled_back() -> None:
    verdict = run(canary(min_score=0.8), 300, score=0.5)
    assert isinstance(verdict, RolledBack)
    assert verdict.reason == "score"


def test_a_candidate_like_the_others_passes() -> None:
    assert isinstance(run(canary(min_score=0.5), 1000, score=0.8), Passed)


@pytest.mark.usefixtures("at_full_speed")
def test_looking_often_convicts_few_who_are_at_their_limit() -> None:
    """The candidate is exactly as bad as it may be, the worst case of the null hypothesis, for a long time."""
    convicted = sum(
        isinstance(run(canary(), 1500, errors=(0.06, 0.04), first_token=(0.3, 0.3), seed=seed), RolledBack)
        for seed in range(20)
    )
    assert convicted <= 1


def test_both_failing_alike_is_no_reason() -> None:
    assert not isinstance(run(canary(), 500, errors=(0.5, 0.5)), RolledBack)


def test_passed_is_still_watched() -> None:
    one = canary()
    assert isinstance(run(one, 1000), Passed)
    assert isinstance(run(one, 2000, errors=(0.4, 0.01), seed=2), RolledBack)


def test_rolled_back_is_final_and_gets_no_request() -> None:
    one = canary()
    before = run(one, 200, errors=(0.5, 0.01))
    assert isinstance(before, RolledBack)
    assert run(one, 2000, errors=(0.0, 0.5)) == before
    assert {one.side(b"user-%d" % user, 0.0) for user in range(500)} == {"baseline"}


def test_a_verdict_of_an_earlier_life_holds() -> None:
    settings = CanarySettings(deployment=DeploymentSettings(provider="a", model="new"), percent=100.0)
    one = Canary(settings, "m", rolled_back=RolledBack(reason="errors"))
    assert one.side(b"somebody", 0.0) == "baseline"


def test_a_user_stays_on_one_side_and_the_share_is_kept() -> None:
    one = canary(percent=5.0)
    sides = {user: one.side(b"user-%d" % user, 0.5) for user in range(10_000)}
    assert all(one.side(b"user-%d" % user, 0.0) == side for user, side in sides.items())
    assert list(sides.values()).count("candidate") / 10_000 == pytest.approx(0.05, abs=0.008)


def test_who_has_no_name_is_drawn() -> None:
    one = canary(percent=5.0)
    assert one.side(b"", 0.049) == "candidate"
    assert one.side(b"", 0.05) == "baseline"


def test_other_models_choose_other_users() -> None:
    settings = CanarySettings(deployment=DeploymentSettings(provider="a", model="new"), percent=50.0)
    one, other = Canary(settings, "one"), Canary(settings, "other")
    same = sum(one.side(b"%d" % user, 0.0) == other.side(b"%d" % user, 0.0) for user in range(2000))
    assert same / 2000 == pytest.approx(0.5, abs=0.05)


def test_the_shadow_gets_its_share() -> None:
    assert sum(sampled(1.0, b"%d" % request) for request in range(20_000)) / 20_000 == pytest.approx(0.01, abs=0.003)


def test_wilson_bounds_are_those_of_the_textbook() -> None:
    low, high = wilson(10, 100, 1.96)
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)
    assert wilson(0, 0, 1.96) == (0.0, 1.0)
