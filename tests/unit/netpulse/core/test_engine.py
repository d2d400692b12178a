"""Observations in, decisions out: the parts together, on a clock that the test holds."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import msgspec
import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.engine import Engine, expected_delay, joined
from holdfast.netpulse.core.ids import new_id
from holdfast.netpulse.core.incident import Condition, Decisions, State
from holdfast.netpulse.core.ports import ForeignAlert, Restored
from holdfast.netpulse.core.result import Failure, Observation, Outcome
from holdfast.netpulse.core.settings import (
    ChannelSettings,
    HeartbeatCheck,
    HttpCheck,
    MonitorSettings,
    NetpulseSettings,
    RegionSettings,
    RouteSettings,
    StepSettings,
    WebhookChannel,
)
from holdfast.netpulse.core.world import World

WEB = MonitorSettings(http=HttpCheck(url="https://web.example.com/"))
SETTINGS = NetpulseSettings(
    regions={name: RegionSettings(domain=f"provider-{name}") for name in ("eu", "us", "ap")},
    monitors={"web": WEB, "db": MonitorSettings(http=HttpCheck(url="https://db.example.org/"))},
    channels={"hook": ChannelSettings(webhook=WebhookChannel(url="https://example.com/"))},
    routes=(RouteSettings(steps=(StepSettings(channels=("hook",)),)),),
)
T0 = 1_800_000_000.0


def seen(
    region: str, at: float, *, up: bool = False, monitor: str = "default/web", confirm: bool = False
) -> Observation:
    return Observation(
        monitor=monitor,
        region=region,
        domain=f"provider-{region}",
        agent=region,
        at=at,
        received=at,
        outcome=Outcome.UP if up else Outcome.DOWN,
        failure=Failure.NONE if up else Failure.REFUSED,
        total_ms=5.0,
        confirm=confirm,
    )


class Desk:
    """An engine and everything that it decided."""

    def __init__(
        self, settings: NetpulseSettings = SETTINGS, *, restored: Restored | None = None, at: float = T0
    ) -> None:
        rng = Random(1)
        self.engine = Engine(new_id=lambda now: new_id(now, rng))
        self.all: list[Decisions] = [self.engine.start(World(settings), at, restored=restored)]
        self.now = at

    def see(self, *observations: Observation) -> Decisions:
        self.now = max(self.now, *(each.received for each in observations))
        return self.keep(self.engine.observe(observations, self.now))

    def keep(self, decisions: Decisions) -> Decisions:
        self.all.append(decisions)
        return decisions

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            due = self.engine.due(self.now)
            self.now = min(end, max(self.now + 0.01, due if due is not None else end))
            self.keep(self.engine.tick(self.now))

    def told(self) -> list[str]:
        return [notice.event for decisions in self.all for notice in decisions.notices]

    def healthy(self, rounds: int = 5) -> None:
        for _ in range(rounds):
            for offset, region in enumerate(("eu", "us", "ap")):
                self.see(
                    seen(region, self.now + offset, up=True),
                    seen(region, self.now + offset, up=True, monitor="default/db"),
                )
            self.now += 30


def test_a_first_failure_asks_the_other_domains_and_pages_nobody() -> None:
    desk = Desk()
    desk.healthy()
    decisions = desk.see(seen("eu", desk.now))
    (wanted,) = decisions.wanted
    assert wanted.monitor == "default/web"
    assert {"us", "ap"} <= set(wanted.regions) | {"eu"}
    assert "eu" not in wanted.regions
    assert not decisions.incidents


def test_a_failure_that_the_others_do_not_see_pages_nobody() -> None:
    desk = Desk()
    desk.healthy()
    desk.see(seen("eu", desk.now))
    desk.see(seen("us", desk.now + 0.1, up=True, confirm=True), seen("ap", desk.now + 0.1, up=True, confirm=True))
    desk.wait(120)
    assert desk.told() == []


def test_a_confirmed_failure_is_one_page_and_its_end_one_message() -> None:
    desk = Desk()
    desk.healthy()
    for region in ("eu", "us", "ap"):
        desk.see(seen(region, desk.now + 0.1, confirm=region != "eu"))
    desk.wait(30)
    assert desk.told() == ["opened"]
    for _ in range(4):
        for region in ("eu", "us", "ap"):
            desk.see(seen(region, desk.now + 1, up=True))
        desk.wait(30)
    assert desk.told() == ["opened", "resolved"]


def test_late_results_and_those_of_strangers_decide_nothing() -> None:
    desk = Desk()
    desk.healthy()
    for region in ("eu", "us", "ap"):
        observation = seen(region, desk.now + 0.1)
        desk.see(replace(observation, late=True))
        desk.see(seen(region, desk.now + 0.1, monitor="default/unknown"))
    desk.wait(60)
    assert desk.told() == []


def test_after_a_restart_what_was_told_is_not_told_again_and_what_recovered_meanwhile_is() -> None:
    first = Desk()
    first.healthy()
    for region in ("eu", "us", "ap"):
        first.see(seen(region, first.now + 0.1))
    first.wait(20)
    (incident,) = first.engine.book.standing()
    told = {notice.key: notice.at for decisions in first.all for notice in decisions.notices}
    spans = tuple(span for decisions in first.all for span in decisions.spans if span.until is None)
    restored = Restored(states=first.engine.snapshots(), incidents=(incident,), told={incident.id: told}, spans=spans)

    same = Desk(restored=restored, at=first.now + 5)
    same.keep(same.engine.reconcile(same.now))
    same.wait(30)
    assert same.told() == []

    other = Desk(restored=restored, at=first.now + 5)
    for _ in range(4):
        other.engine.fold([seen(region, other.now, up=True) for region in ("eu", "us", "ap")])
        other.now += 30
    other.keep(other.engine.reconcile(other.now))
    other.wait(120)
    assert other.told() == ["resolved"]


def test_evidence_that_was_stored_but_not_decided_opens_after_a_restart() -> None:
    desk = Desk()
    desk.engine.fold([seen(region, T0 + offset, up=True) for offset in (0, 30) for region in ("eu", "us", "ap")])
    desk.engine.fold([seen(region, T0 + 60 + offset) for offset in (0, 30) for region in ("eu", "us", "ap")])
    desk.now = T0 + 95
    desk.keep(desk.engine.reconcile(desk.now))
    desk.wait(60)
    assert desk.told() == ["opened"]


def test_a_lost_region_is_told_of_once() -> None:
    desk = Desk()
    desk.keep(desk.engine.region("eu", "waiting", "", T0))
    desk.keep(desk.engine.region("eu", "seeing", "", T0))
    desk.keep(desk.engine.region("eu", "lost", "no sign of life", T0 + 20))
    desk.wait(60)
    desk.keep(desk.engine.region("eu", "seeing", "", desk.now))
    desk.wait(200)
    assert desk.told() == ["opened", "resolved"]


def test_another_systems_alert_becomes_an_incident_and_ends_with_it() -> None:
    desk = Desk()
    alert = ForeignAlert(fingerprint="f1", title="Disk full", labels={"severity": "critical"}, starts=T0, active=True)
    desk.keep(desk.engine.alerts("default", [alert], T0))
    desk.wait(30)
    (incident,) = desk.engine.book.standing()
    assert incident.title.startswith("Disk full")
    assert desk.told() == ["opened"]
    over = ForeignAlert(fingerprint="f1", title="Disk full", labels={}, starts=T0, active=False)
    desk.keep(desk.engine.alerts("default", [over], desk.now))
    desk.wait(200)
    assert [each.state for each in desk.engine.book.standing()] == []


def test_another_tenants_incident_goes_to_nobodys_channel() -> None:
    desk = Desk()
    alert = ForeignAlert(fingerprint="f1", title="x", labels={}, starts=T0, active=True)
    desk.keep(desk.engine.alerts("other", [alert], T0))
    desk.wait(30)
    assert [each.state for each in desk.engine.book.standing()] == [State.OPEN]
    assert desk.told() == []


def test_a_monitor_that_is_gone_ends_its_incident() -> None:
    desk = Desk()
    desk.healthy()
    for region in ("eu", "us", "ap"):
        desk.see(seen(region, desk.now + 0.1))
    desk.wait(20)
    without = msgspec.structs.replace(SETTINGS, monitors={"db": SETTINGS.monitors["db"]})
    desk.keep(desk.engine.configure(World(without), desk.now))
    desk.wait(120)
    assert desk.engine.book.standing() == ()
    assert desk.engine.detector("default/web") is None


def test_a_heartbeat_needs_one_voice() -> None:
    spec = MonitorSettings(heartbeat=HeartbeatCheck(period=Duration(60.0), token="t" * 20))
    desk = Desk(msgspec.structs.replace(SETTINGS, monitors={"job": spec}))
    missing = Observation(
        monitor="default/job",
        region="push",
        domain="push",
        agent="engine",
        at=T0 + 130,
        received=T0 + 130,
        outcome=Outcome.DOWN,
        failure=Failure.MISSING,
        total_ms=0.0,
    )
    desk.see(missing)
    desk.wait(30)
    assert desk.told() == ["opened"]
    assert desk.engine.state_of("default/job", desk.now).conditions == (Condition.DOWN,)


def test_expected_delays_follow_the_layout() -> None:
    three = {"eu": "a", "us": "b", "ap": "c"}
    quick = msgspec.structs.replace(WEB, interval=Duration(10.0), timeout=Duration(1.0))
    assert expected_delay(quick, 1.0, three) < expected_delay(WEB, 1.0, three)
    assert expected_delay(WEB, 1.0, three) < expected_delay(WEB, 1.0, {"eu": "a"})
    assert expected_delay(WEB, 1.0, {}) == 0.0


def test_of_an_incident_the_last_version_stays() -> None:
    desk = Desk()
    desk.healthy()
    found = [desk.see(seen(region, desk.now + 0.1)) for region in ("eu", "us", "ap")]
    whole = joined(found)
    assert len({incident.id for incident in whole.incidents}) == len(whole.incidents)


def test_ids_sort_by_time() -> None:
    rng = Random(3)
    ids = [new_id(T0 + n / 100, rng) for n in range(50)]
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {30}


def test_an_engine_without_a_world_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        _ = Engine(new_id=str).world
