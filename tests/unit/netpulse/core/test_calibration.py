"""Thresholds from stated rates: shape, edges, and the simulated world as the judge."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from holdfast.drills.noise_world import YEAR_S, World, scenario
from holdfast.kernel import Duration
from holdfast.netpulse.core.calibration import bound_s, expected_delay_s, information, policy_for, threshold
from holdfast.netpulse.core.detector import Detector, Policy
from holdfast.netpulse.core.settings import HeartbeatCheck, HttpCheck, MonitorSettings, SimpleRule, TcpCheck

THREE = {"eu": "eu", "us": "us", "ap": "ap"}


def policy(rate: float, interval_s: float = 30.0, domains: dict[str, str] | None = None) -> Policy:
    spec = MonitorSettings(http=HttpCheck(url="http://a/"), interval=Duration(interval_s))
    return policy_for(spec, default_rate=rate, domains=THREE if domains is None else domains)


@pytest.mark.parametrize("domains", [(1,), (1, 1), (3, 1, 1), (1, 1, 1, 1, 1)])
@pytest.mark.parametrize("interval_s", [1.0, 5.0, 30.0, 77.0, 3_600.0, 86_400.0])
def test_fewer_false_pages_never_cost_a_lower_threshold(domains: Sequence[int], interval_s: float) -> None:
    figures = [threshold(rate, interval_s=interval_s, domains=domains) for rate in (52.0, 12.0, 1.0, 0.1, 0.01)]
    assert figures == sorted(figures)
    assert figures[0] > 6.1


@pytest.mark.parametrize("rate", [0.0, 0.009, 52.1, -1.0, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_kept_is_refused_with_what_can(rate: float) -> None:
    with pytest.raises(ValueError, match=r"it must be from 0\.01 .* to 52"):
        threshold(rate, interval_s=30.0, domains=(1, 1))


@pytest.mark.parametrize("domains", [(), (0,), (2, 0)])
def test_somebody_has_to_watch(domains: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="at least one region"):
        threshold(1.0, interval_s=30.0, domains=domains)


def test_information_and_bound_are_those_of_the_reference() -> None:
    assert information() == pytest.approx(5.46, abs=0.02)
    assert [bound_s(1.0, interval_s=30.0, regions=n) for n in (1, 3, 5)] == pytest.approx([76, 27, 17], rel=0.03)


def test_no_domain_can_do_it_alone_unless_it_is_the_only_one() -> None:
    assert policy(1.0).cap == policy(1.0).threshold / 2
    alone = policy(1.0, domains={"eu": "eu", "eu-2": "eu"})
    assert alone.cap == alone.threshold == alone.lone_threshold


def test_confirmations_bring_detection_below_a_third_of_an_interval() -> None:
    figures = [expected_delay_s(policy(1.0), timeout_s=0.0, domains=THREE, confirmations=c) for c in (True, False)]
    assert figures[0] < 10.0
    assert 20.0 < figures[1] < 1.5 * bound_s(1.0, interval_s=30.0, regions=3)


def test_a_timeout_delays_the_alarm_by_at_least_itself() -> None:
    quick, slow = (expected_delay_s(policy(1.0), timeout_s=t, domains=THREE, confirmations=True) for t in (0.0, 10.0))
    assert slow >= quick + 10.0


@pytest.mark.parametrize("rate", [0.01, 1.0, 52.0])
@pytest.mark.parametrize("regions", [1, 2, 5])
@pytest.mark.parametrize("interval_s", [5.0, 3_600.0])
def test_every_layout_and_rate_finds_an_outage(rate: float, regions: int, interval_s: float) -> None:
    domains = {f"r{number}": f"d{number}" for number in range(regions)}
    for confirmations in (True, False):
        found = policy(rate, interval_s, domains)
        delay_s = expected_delay_s(found, timeout_s=1.0, domains=domains, confirmations=confirmations, phases=2)
        assert delay_s < max(1_200.0, 40 * interval_s)


def test_the_kind_of_check_gives_what_only_it_knows() -> None:
    http = MonitorSettings(http=HttpCheck(url="http://a/", max_time=Duration(0.5), cert_days=21))
    assert policy_for(http, default_rate=1.0, domains=THREE).slow_bound_ms == 500.0
    assert policy_for(http, default_rate=1.0, domains=THREE).cert_days == 21
    beat = MonitorSettings(heartbeat=HeartbeatCheck(period=Duration(3_600.0)))
    assert policy_for(beat, default_rate=1.0, domains={"engine": "engine"}).kind == "heartbeat"
    rule = MonitorSettings(tcp=TcpCheck(address="a:1"), rule=SimpleRule(), false_pages_per_year=4.0)
    found = policy_for(rule, default_rate=1.0, domains=THREE)
    assert (found.kind, found.rule) == ("tcp", SimpleRule())
    assert found.threshold == policy(4.0).threshold


@pytest.mark.usefixtures("at_full_speed")
@pytest.mark.parametrize(
    ("domains", "interval_s", "rate", "years"),
    [((1,), 30.0, 25.0, 0.4), ((1, 1), 30.0, 4.0, 0.75), ((1,), 3_600.0, 4.0, 4.0)],
)
def test_the_simulated_world_keeps_the_stated_rate(
    domains: Sequence[int], interval_s: float, rate: float, years: float
) -> None:
    of = scenario("plain", domains, interval_s=interval_s)
    detector = Detector("t/m", policy(rate, interval_s, dict(of.domains)), of.domains)
    seen = World(of, Random(7), confirm=True).play(detector, iter(()), until=years * YEAR_S)
    assert len(seen.begun()) / years <= 1.5 * rate
