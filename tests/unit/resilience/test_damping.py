from __future__ import annotations

import pytest

from holdfast.resilience import DampingPolicy, FlapDamping


def test_the_penalty_halves_every_half_life() -> None:
    damping = FlapDamping(DampingPolicy())
    damping.flap(100.0)
    assert damping.penalty(100.0) == 1000.0
    assert damping.penalty(160.0) == pytest.approx(500.0)
    assert damping.penalty(220.0) == pytest.approx(250.0)


def test_the_fourth_flap_in_short_order_suppresses() -> None:
    damping = FlapDamping(DampingPolicy())
    assert [damping.flap(at) for at in (0.0, 10.0, 20.0)] == [None, None, None]
    change = damping.flap(30.0)
    assert change is not None
    assert (change.rule, change.after) == ("damping.suppress", "suppressed")
    assert float(change.figures["penalty"]) >= 3000


def test_flaps_further_apart_than_35_seconds_never_suppress() -> None:
    damping = FlapDamping(DampingPolicy())
    assert all(damping.flap(at * 36.0) is None for at in range(1000))


def test_it_is_released_exactly_when_it_said() -> None:
    damping = FlapDamping(DampingPolicy())
    for at in range(5):
        damping.flap(float(at))
    release = damping.reuse_at(10.0)
    assert release is not None
    assert damping.tick(release - 0.01) is None
    change = damping.tick(release)
    assert change is not None
    assert change.rule == "damping.reuse"
    assert damping.reuse_at(release) is None


def test_however_often_it_flapped_it_is_released_after_the_longest_suppression() -> None:
    policy = DampingPolicy()
    damping = FlapDamping(policy)
    for at in range(1000):
        damping.flap(at * 0.1)
    assert damping.penalty(99.9) == policy.ceiling == 24000.0
    assert damping.reuse_at(99.9) == pytest.approx(99.9 + 300.0)


def test_the_weight_falls_before_it_is_removed_and_each_flap_cuts_by_the_same_ratio() -> None:
    damping = FlapDamping(DampingPolicy())
    factors = [damping.factor(0.0)]
    for _ in range(4):
        damping.flap(0.0)
        factors.append(damping.factor(0.0))
    assert factors == pytest.approx([1.0, 0.774, 0.278, 0.1, 0.1], abs=0.001)


def test_reconfiguring_keeps_the_penalty_below_the_new_ceiling() -> None:
    damping = FlapDamping(DampingPolicy())
    for _ in range(30):
        damping.flap(0.0)
    damping.reconfigure(DampingPolicy(max_suppress_s=180.0), 60.0)
    assert damping.penalty(60.0) == 6000.0
    assert damping.suppressed


@pytest.mark.parametrize(
    ("figures", "advice"),
    [
        ({"max_suppress_s": 120.0}, "raise max_suppress above 120s or lower suppress"),
        ({"suppress": 24000.0}, "raise max_suppress"),
        ({"reuse": 3000.0}, "lower reuse"),
        ({"half_life_s": 0.1}, "raise half_life or penalty"),
        ({"penalty": 10.0}, "raise half_life or penalty"),
        ({"penalty": 0.0}, "penalty is 0"),
        ({"half_life_s": float("inf")}, "half_life_s is inf"),
        ({"floor": 0.0}, "floor is 0"),
    ],
)
def test_figures_that_can_never_suppress_are_refused_with_the_figure_to_change(
    figures: dict[str, float], advice: str
) -> None:
    with pytest.raises(ValueError, match=advice):
        DampingPolicy(**figures)
