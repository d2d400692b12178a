"""What the detector says to a scripted sequence of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from holdfast.netpulse.core.detector import Detector, Policy
from holdfast.netpulse.core.incident import Condition
from holdfast.netpulse.core.result import Failure, Observation, Outcome
from holdfast.netpulse.core.settings import SimpleRule
from holdfast.netpulse.core.signal import Signal

THREE = {"eu": "eu", "us": "us", "ap": "ap"}


def policy(**changes: Any) -> Policy:
    figures: dict[str, Any] = {
        "threshold": 16.0,
        "cap": 8.0,
        "lone_threshold": 14.0,
        "partial_threshold": 16.0,
        "slow_threshold": 16.0,
        "interval_s": 30.0,
    }
    return Policy(**(figures | changes))


class Watch:
    """A detector and a clock: each probe is five seconds after the one before."""

    def __init__(self, regions: Mapping[str, str] = THREE, **changes: Any) -> None:
        self.domains = regions
        self.detector = Detector("t/m", policy(**changes), regions)
        self.now = 1000.0
        self.signals: list[Signal] = []

    def see(
        self, region: str, outcome: Outcome = Outcome.DOWN, *, after_s: float = 5.0, **more: object
    ) -> list[Signal]:
        self.now += after_s
        fields: dict[str, Any] = {
            "monitor": "t/m",
            "region": region,
            "domain": self.domains[region],
            "agent": region,
            "at": self.now,
            "received": self.now,
            "outcome": outcome,
            "failure": Failure.REFUSED if outcome is Outcome.DOWN else Failure.NONE,
            "total_ms": 40.0,
        }
        signals = list(self.detector.observe(Observation(**(fields | more))))
        self.signals += signals
        return signals

    def up(self, rounds: int = 1, **more: Any) -> None:
        for _ in range(rounds):
            for region in self.domains:
                self.see(region, Outcome.UP, **more)

    @property
    def down(self) -> bool:
        return Condition.DOWN in self.detector.active


def test_an_outage_did_not_begin_when_a_region_got_stuck() -> None:
    watch = Watch()
    watch.up(3)
    for _ in range(200):
        watch.see("eu", Outcome.DOWN)
        watch.see("us", Outcome.UP)
        watch.see("ap", Outcome.UP)
    assert not watch.signals
    watch.see("us")
    began = watch.now
    while not watch.down:
        watch.see("eu")
        watch.see("ap")
        watch.see("us")
    assert watch.signals[0].began == began


def test_three_domains_that_fail_once_each_are_an_alarm() -> None:
    watch = Watch()
    watch.up(3)
    assert not watch.see("eu")
    assert not watch.see("us")
    (signal,) = watch.see("ap")
    assert (signal.condition, signal.active, signal.rule) == (Condition.DOWN, True, "detector.alarm")
    assert signal.began == watch.now - 10


def test_one_domain_alone_is_never_an_alarm() -> None:
    watch = Watch({"eu-1": "eu", "eu-2": "eu", "us": "us", "ap": "ap"})
    watch.up(3)
    for _ in range(40):
        watch.see("eu-1")
        watch.see("eu-2")
        watch.see("us", Outcome.UP)
        watch.see("ap", Outcome.UP)
    assert not watch.signals


def test_two_domains_that_go_on_failing_are_down_though_a_third_sees_it() -> None:
    watch = Watch()
    watch.up(3)
    while not watch.down and watch.now < 3000:
        watch.see("eu", after_s=10)
        watch.see("us", after_s=10)
        watch.see("ap", Outcome.UP, after_s=10)
    assert watch.down


def test_a_later_success_elsewhere_counts_against() -> None:
    watch = Watch()
    watch.up(3)
    watch.see("eu")
    watch.see("ap", Outcome.UP)
    watch.see("us")
    watch.see("eu", after_s=20)
    assert not watch.see("us", after_s=20)


def test_a_success_in_each_of_three_domains_ends_it() -> None:
    watch = Watch()
    watch.up(3)
    for region in THREE:
        watch.see(region)
    assert watch.down
    assert not watch.see("eu", Outcome.UP)
    assert not watch.see("us", Outcome.UP)
    (signal,) = watch.see("ap", Outcome.UP)
    assert (signal.condition, signal.active, signal.rule) == (Condition.DOWN, False, "detector.recovered")
    assert signal.began == watch.now - 10


def test_a_failure_starts_the_recovery_of_its_domain_again() -> None:
    watch = Watch()
    watch.up(3)
    for region in THREE:
        watch.see(region)
    watch.see("eu", Outcome.UP)
    watch.see("eu")
    assert not watch.see("us", Outcome.UP)
    assert not watch.see("ap", Outcome.UP)
    assert watch.see("eu", Outcome.UP)


@pytest.mark.parametrize("more", [{"outcome": Outcome.UNKNOWN}, {"late": True}, {"at": 5.0}])
def test_what_is_in_doubt_late_or_out_of_order_changes_nothing(more: dict[str, Any]) -> None:
    watch = Watch()
    watch.up(3)
    before = watch.detector.snapshot()
    outcome = more.pop("outcome", Outcome.DOWN)
    assert not watch.see("eu", outcome, **more)
    assert watch.detector.snapshot() == before


def test_one_region_decides_when_it_is_the_only_one() -> None:
    watch = Watch({"eu": "eu"})
    watch.up(3)
    while not watch.down and watch.now < 3000:
        watch.see("eu", after_s=30)
    assert watch.down
    watch.see("eu", Outcome.UP, after_s=30)
    watch.see("eu", Outcome.UP, after_s=30)
    assert watch.see("eu", Outcome.UP, after_s=30)[0].active is False


def test_one_missing_heartbeat_decides() -> None:
    watch = Watch({"engine": "engine"}, kind="heartbeat")
    watch.see("engine", Outcome.UP)
    (signal,) = watch.see("engine", failure=Failure.MISSING)
    assert signal.rule == "heartbeat.missing"
    (signal,) = watch.see("engine", Outcome.UP)
    assert (signal.active, signal.rule) == (False, "heartbeat.came")


def test_a_simple_rule_takes_the_place_of_the_evidence() -> None:
    watch = Watch(rule=SimpleRule(regions=2, in_a_row=2))
    for region in ("eu", "us", "ap", "eu"):
        assert not watch.see(region, Outcome.DOWN if region != "ap" else Outcome.UP)
    (signal,) = watch.see("us")
    assert signal.rule == "rule.k_of_n"
    watch.up()
    assert watch.down
    watch.see("eu", Outcome.UP)
    assert not watch.down


def test_signals_of_a_simulated_outage_say_so() -> None:
    watch = Watch()
    watch.up(3)
    for region in THREE:
        watch.see(region, simulated=True)
    assert watch.signals[-1].simulated


def test_a_suspicion_asks_the_other_domains_and_not_twice_at_once() -> None:
    watch = Watch()
    watch.up(3)
    assert watch.detector.confirmations(watch.now) == ()
    watch.see("eu")
    assert watch.detector.suspicious
    assert set(watch.detector.confirmations(watch.now)) == {"us", "ap"}
    assert watch.detector.confirmations(watch.now + 1) == ()


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    watch = Watch()
    watch.up(30)
    watch.see("eu")
    watch.see("us")
    other = Watch()
    other.now = watch.now
    other.detector.restore(watch.detector.snapshot())
    assert other.detector.snapshot() == watch.detector.snapshot()
    assert other.see("ap")


@pytest.mark.parametrize("data", [b"", b"\x00", b"[]", b"\x93\x01\x02\x03", b"\x97\x63"])
def test_a_foreign_snapshot_is_a_start_from_nothing(data: bytes) -> None:
    watch = Watch()
    watch.detector.restore(data)
    assert not watch.detector.active


def test_one_answer_of_a_target_that_is_down_does_not_resolve() -> None:
    watch = Watch()
    watch.up(3)
    for region in THREE:
        watch.see(region)
    for number in range(300):
        watch.see(tuple(THREE)[number % 3], Outcome.UP if number % 20 == 0 else Outcome.DOWN)
    assert len(watch.signals) == 1


def test_the_last_region_that_can_be_believed_decides_alone() -> None:
    watch = Watch({"eu": "eu", "us": "us"})
    watch.up(5)
    for _ in range(80):
        watch.see("eu", after_s=15)
        watch.see("us", Outcome.UP, after_s=15)
    assert not watch.signals
    while not watch.down and watch.now < 10_000:
        watch.see("eu", after_s=15)
        watch.see("us", after_s=15)
    assert watch.signals[-1].rule == "detector.alarm.lone"
    for _ in range(3):
        watch.see("us", Outcome.UP, after_s=30)
    assert not watch.down


def test_a_region_that_fell_silent_leaves_the_decision_to_the_others() -> None:
    watch = Watch({"eu": "eu", "us": "us"})
    watch.up(5)
    for _ in range(10):
        watch.see("us", Outcome.UP, after_s=30)
    while not watch.down and watch.now < 10_000:
        watch.see("us", after_s=30)
    assert watch.down


def test_a_region_that_sees_it_up_for_five_minutes_ends_an_outage_that_another_still_sees() -> None:
    watch = Watch({"eu": "eu", "us": "us"})
    watch.up(5)
    while not watch.down and watch.now < 10_000:
        watch.see("eu", after_s=15)
        watch.see("us", after_s=15)
    began = watch.now
    while watch.down and watch.now < 10_000:
        watch.see("eu", after_s=15)
        watch.see("us", Outcome.UP, after_s=15)
    assert watch.signals[-1].rule == "detector.recovered.lone"
    assert watch.now - began < 400


def test_regions_of_one_domain_that_lose_probes_together_are_one_witness() -> None:
    regions = {"a": "x", "b": "x", "c": "x"}
    watch = Watch(regions, threshold=16.0, cap=16.0, lone_threshold=16.0)
    watch.up(3)
    for _ in range(3):
        for region in regions:
            watch.see(region, after_s=10)
    assert not watch.down
    assert 0.3 < watch.detector.doubt < 0.7
