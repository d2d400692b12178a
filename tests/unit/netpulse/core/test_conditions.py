"""Partial, slow and certificate, each for itself and in the detector."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.netpulse.core.conditions import Certificate, Latency, Shift
from holdfast.netpulse.core.incident import Condition
from holdfast.netpulse.core.result import Outcome
from tests.unit.netpulse.core.test_detector import THREE, Watch


def conditions(watch: Watch) -> list[tuple[Condition, bool]]:
    return [(signal.condition, signal.active) for signal in watch.signals]


def test_a_third_of_the_checks_failing_is_partial_and_well_again_ends_it() -> None:
    watch = Watch()
    watch.up(20)
    rng = Random(4)
    for _ in range(60):
        for region in THREE:
            watch.see(region, Outcome.DOWN if rng.random() < 0.3 else Outcome.UP, after_s=10.0)
    assert (Condition.PARTIAL, True) in conditions(watch)
    for _ in range(15):
        watch.up()
    assert not watch.detector.active


def test_a_stuck_region_alone_is_neither_down_nor_partial() -> None:
    watch = Watch()
    watch.up(20)
    for _ in range(400):
        watch.see("eu", after_s=10.0)
        watch.see("us", Outcome.UP, after_s=10.0)
        watch.see("ap", Outcome.UP, after_s=10.0)
    assert not watch.signals
    assert not watch.detector.suspicious


def test_down_takes_the_place_of_partial() -> None:
    watch = Watch()
    watch.up(20)
    for number in range(200):
        watch.see(tuple(THREE)[number % 3], Outcome.DOWN if number % 7 in (0, 1) else Outcome.UP, after_s=10.0)
        if Condition.PARTIAL in watch.detector.active:
            break
    while not watch.down and watch.now < 10_000:
        for region in THREE:
            watch.see(region, after_s=10.0)
    assert watch.detector.active == {Condition.DOWN}
    assert conditions(watch)[0] == (Condition.PARTIAL, True)
    assert conditions(watch)[-2:] == [(Condition.DOWN, True), (Condition.PARTIAL, False)]


def test_an_outage_of_a_partly_failing_target_does_not_teach_its_paths_to_fail() -> None:
    watch = Watch()
    watch.up(20)
    rng = Random(5)
    for _ in range(400):
        for region in THREE:
            watch.see(region, Outcome.DOWN if rng.random() < 0.3 else Outcome.UP, after_s=10.0)
    regions = watch.detector.evidence()["regions"]
    assert isinstance(regions, list)
    assert all(float(str(region["learned_fails"])) < 0.02 for region in regions)
    assert Condition.DOWN in watch.detector.active or Condition.PARTIAL in watch.detector.active


def test_answers_beyond_a_stated_bound_are_slow_not_down() -> None:
    watch = Watch(slow_bound_ms=500.0)
    watch.up(5)
    watch.up(4, total_ms=900.0)
    assert conditions(watch) == [(Condition.SLOW, True)]
    assert watch.signals[0].rule == "slow.bound"
    watch.up(10)
    assert conditions(watch)[-1] == (Condition.SLOW, False)


def test_answers_much_slower_than_usual_are_slow_without_a_bound() -> None:
    watch = Watch()
    rng = Random(1)
    for _ in range(120):
        watch.up(total_ms=40.0 * rng.lognormvariate(0.0, 0.3))
    assert not watch.signals
    watch.up(6, total_ms=400.0)
    assert conditions(watch) == [(Condition.SLOW, True)]
    assert watch.signals[0].rule == "slow.learned"


def test_one_slow_domain_alone_is_not_slow() -> None:
    watch = Watch(slow_bound_ms=500.0)
    for _ in range(50):
        watch.see("eu", Outcome.UP, total_ms=900.0)
        watch.see("us", Outcome.UP)
        watch.see("ap", Outcome.UP)
    assert not watch.signals


def test_a_baseline_follows_a_drift_but_not_an_outlier() -> None:
    latency = Latency(None)
    for number in range(5_000):
        latency.learn(40.0 + 0.004 * number)
    assert latency.median_ms == pytest.approx(60.0, rel=0.1)
    before = latency.median_ms
    latency.learn(60_000.0)
    assert latency.median_ms == pytest.approx(before, rel=0.01)


def test_a_certificate_begins_at_its_bound_and_ends_a_day_above() -> None:
    watch = Watch(cert_days=14)
    for days in (15.0, 13.9, 13.8):
        watch.see("eu", Outcome.UP, cert_days=days)
    assert conditions(watch) == [(Condition.CERTIFICATE, True)]
    for days in (14.5, 14.6, 89.0):
        watch.see("us", Outcome.UP, cert_days=days)
    assert len(watch.signals) == 1
    watch.see("us", Outcome.UP, cert_days=89.0)
    assert conditions(watch)[-1] == (Condition.CERTIFICATE, False)


def test_old_and_new_certificates_in_turn_change_nothing() -> None:
    certificate = Certificate()
    assert not any(certificate.add(days, 14) for days in (3.0, 89.0) * 20)


def test_a_shift_is_not_for_one_domain_to_find() -> None:
    shift = Shift(10.0, ("a", "b"))
    assert not any(shift.add("a", 4.0, 0.0, well=False) for _ in range(20))
    assert not shift.add("b", 4.0, 0.0, well=False)
    assert shift.add("b", 4.0, 0.0, well=False)
