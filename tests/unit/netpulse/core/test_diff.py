"""What a change would do is said in consequences, and secrets are not."""

from __future__ import annotations

import msgspec

from holdfast.kernel import Duration
from holdfast.netpulse.core.diff import differences
from holdfast.netpulse.core.expectations import expectations
from holdfast.netpulse.core.settings import (
    ChannelSettings,
    HttpCheck,
    MonitorSettings,
    NetpulseSettings,
    RegionSettings,
    RouteSettings,
    SimpleRule,
    SlackChannel,
    StepSettings,
)

OLD = NetpulseSettings(
    regions={name: RegionSettings(domain=name) for name in ("eu", "us", "ap")},
    monitors={
        "web": MonitorSettings(http=HttpCheck(url="https://example.com/", bearer_token="hunter2"), group="shop"),
        "db": MonitorSettings(http=HttpCheck(url="https://example.org/")),
    },
    channels={"ops": ChannelSettings(slack=SlackChannel(webhook_url="https://hooks.example.com/hunter2"))},
    routes=(RouteSettings(steps=(StepSettings(channels=("ops",)),)),),
)


def changed(**changes: object) -> list[str]:
    web = msgspec.structs.replace(OLD.monitors["web"], **changes)
    new = msgspec.structs.replace(OLD, monitors={**OLD.monitors, "web": web})
    return [f"{each.path}: {each.before} -> {each.after}" for each in differences(OLD, new)]


def test_no_change_is_no_difference() -> None:
    assert differences(OLD, OLD) == []


def test_a_longer_interval_says_what_it_does_to_detection() -> None:
    found = changed(interval=Duration(120.0))
    assert "monitors.web.interval: 30s -> 2m" in found
    assert any("noticed in" in line for line in found)


def test_a_new_monitor_says_how_soon_it_is_noticed_and_a_lost_one_what_ends() -> None:
    new = msgspec.structs.replace(OLD, monitors={"db": OLD.monitors["db"], "api": OLD.monitors["db"]})
    found = {each.path: each for each in differences(OLD, new)}
    assert "expected to be noticed in" in found["monitors.api"].consequence
    assert "ends" in found["monitors.web"].consequence


def test_another_route_says_who_is_told() -> None:
    route = RouteSettings(match={"group": "shop"}, steps=(StepSettings(channels=("ops",), after=Duration(300.0)),))
    new = msgspec.structs.replace(OLD, routes=(route,))
    found = {each.path: each for each in differences(OLD, new) if each.consequence.startswith("who")}
    assert found["monitors.web"].after == "tells ops after 5m"
    assert found["monitors.db"].after == "tells nobody"


def test_secrets_are_not_shown() -> None:
    web = OLD.monitors["web"]
    assert web.http is not None
    other = msgspec.structs.replace(web, http=msgspec.structs.replace(web.http, bearer_token="hunter3"))
    new = msgspec.structs.replace(
        OLD,
        monitors={**OLD.monitors, "web": other},
        channels={"ops": ChannelSettings(slack=SlackChannel(webhook_url="https://hooks.example.com/hunter3"))},
    )
    found = differences(OLD, new)
    assert len(found) == 2
    assert "hunter" not in repr(found)


def test_expectations_name_the_layout_and_the_bound() -> None:
    web, db = expectations(OLD)
    assert web.regions == web.domains == 3
    assert web.bound_s is not None
    assert "false page" in web.sentence()
    lone = msgspec.structs.replace(OLD, regions={"eu": RegionSettings()}, monitors={"db": OLD.monitors["db"]})
    (alone,) = expectations(lone)
    assert "one domain only" in alone.sentence()
    assert alone.delay_s > db.delay_s
    ruled = msgspec.structs.replace(OLD.monitors["db"], rule=SimpleRule())
    (simple,) = expectations(msgspec.structs.replace(OLD, monitors={"db": ruled}))
    assert simple.bound_s is None
    assert simple.record()["false_pages_per_year"] is None
