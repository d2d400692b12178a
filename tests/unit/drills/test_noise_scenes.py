"""What the engine makes of scenes of the drill `noise`, beside simpler rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from holdfast.drills import noise_scenes
from holdfast.drills.findings import Findings
from holdfast.drills.noise_virtual import partial_bound_s
from holdfast.netpulse.core.calibration import bound_s

pytestmark = pytest.mark.usefixtures("at_full_speed")

Scene = Callable[[Findings, Random], Iterator[None]]


def played(scene: Scene, *, seed: int = 5) -> dict[str, float | None]:
    found = Findings()
    for _ in scene(found, Random(seed)):
        pass
    return {name: metric.value for name, metric in found.metrics.items()}


def test_a_cascade_is_one_page_with_all_of_its_members_and_fifty_pages_by_simple_rules() -> None:
    value = played(noise_scenes._cascade)
    assert value["holdfast.cascade_pages"] == 1
    assert value["holdfast.cascade_members"] == noise_scenes.CASCADE
    assert (value["any_twice.cascade_pages"] or 0) >= noise_scenes.CASCADE


def test_a_cause_that_seemed_to_fail_in_part_for_minutes_gathers_its_cascade_all_the_same() -> None:
    # With this seed a region's path was bad before, so that "partial" is said of the cause just before "down".
    value = played(noise_scenes._cascade, seed=2)
    assert (value["holdfast.cascade_pages"], value["holdfast.cascade_members"]) == (1, noise_scenes.CASCADE)


def test_a_region_that_is_cut_off_is_a_page_about_its_agent_and_about_nothing_else() -> None:
    value = played(noise_scenes._cut)
    assert value["holdfast.cut_agent_pages"] == 1
    assert value["holdfast.cut_target_pages"] == 0
    assert value["any_twice.cut_target_pages"] == noise_scenes.TARGETS


def test_flapping_is_told_at_most_twice_and_its_end_is_told() -> None:
    value = played(lambda found, rng: noise_scenes._flapping(found, rng, hours=2.0))
    assert 1 <= (value["holdfast.flapping_pages"] or 0) <= 2
    assert value["holdfast.flapping_ended"] == 1
    assert (value["two_of_n_twice.flapping_pages"] or 0) > 10


def test_a_page_belongs_to_an_outage_while_it_lasts_and_shortly_after() -> None:
    down = noise_scenes.Down("drill/t0", 100.0, 200.0)
    assert down.explains("drill/t0", 100.0)
    assert down.explains("drill/t0", 200.0 + noise_scenes.AFTER_S)
    assert not down.explains("drill/t0", 99.0)
    assert not down.explains("drill/t1", 150.0)


def test_less_can_be_known_of_an_outage_that_only_a_part_of_the_probes_meets() -> None:
    whole = bound_s(1.0, interval_s=30.0, regions=3)
    assert partial_bound_s(1.0, interval_s=30.0, regions=3) == pytest.approx(5.1 * whole, rel=0.05)
