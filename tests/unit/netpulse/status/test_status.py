"""What the public is told of monitors and incidents."""

from __future__ import annotations

import pytest

from holdfast.netpulse.core.incident import Span
from holdfast.netpulse.core.status import (
    DAYS,
    ComponentState,
    Indicator,
    Update,
    UpdateStatus,
    Window,
    component_id,
    status_view,
)
from holdfast.netpulse.core.views import IncidentView
from tests.unit.netpulse.status.views import DAY, HOUR, NOW, incident, member, monitor, source, stamp


def test_only_public_monitors_appear_in_the_groups_that_were_stated_and_the_others_last() -> None:
    view = status_view(source(), now=NOW)
    assert [(g.title, [c.name for c in g.components]) for g in view.groups] == [
        ("Storefront", ["Shop"]),
        ("", ["Blog"]),
    ]
    assert (view.indicator, view.description) == (Indicator.NONE, "All systems operational")


@pytest.mark.parametrize(
    ("state", "shown", "indicator"),
    [
        ("up", ComponentState.OPERATIONAL, Indicator.NONE),
        ("slow", ComponentState.DEGRADED, Indicator.MINOR),
        ("partial", ComponentState.PARTIAL, Indicator.MINOR),
        ("flapping", ComponentState.PARTIAL, Indicator.MINOR),
        ("down", ComponentState.MAJOR, Indicator.MAJOR),
        ("maintenance", ComponentState.MAINTENANCE, Indicator.MAINTENANCE),
        ("unknown", ComponentState.UNKNOWN, Indicator.NONE),
        ("paused", ComponentState.UNKNOWN, Indicator.NONE),
    ],
)
def test_a_monitors_state_is_its_components(state: str, shown: ComponentState, indicator: Indicator) -> None:
    view = status_view(source(monitors=[monitor("shop", state=state), monitor("blog")]), now=NOW)
    assert (view.components[0].state, view.indicator) == (shown, indicator)


def test_when_nothing_is_known_the_banner_does_not_say_that_all_is_well() -> None:
    view = status_view(source(monitors=[monitor("shop", state="unknown"), monitor("blog", state="pending")]), now=NOW)
    assert (view.indicator, view.description) == (Indicator.NONE, "How the systems are is not known at the moment")


def test_when_all_is_down_the_banner_says_so() -> None:
    view = status_view(source(monitors=[monitor("shop", state="down")]), now=NOW)
    assert view.indicator is Indicator.CRITICAL


def test_what_is_simulated_is_not_told_to_the_public() -> None:
    monitors = [monitor("shop", state="down", simulated="down")]
    view = status_view(source(monitors=monitors, incidents=[incident(simulated=True)]), now=NOW)
    assert (view.indicator, view.incidents) == (Indicator.NONE, ())


def test_days_are_counted_from_spans_and_a_span_over_midnight_falls_into_both() -> None:
    midnight = NOW - 12 * HOUR
    spans = [
        Span(monitor="default/shop", kind="down", since=midnight - HOUR, until=midnight + HOUR),
        Span(monitor="default/shop", kind="partial", since=NOW - HOUR),
        Span(monitor="default/blog", kind="down", since=NOW - 200 * DAY, until=NOW - 199 * DAY),
    ]
    shop, blog = status_view(source(spans=spans), now=NOW).components
    assert len(shop.days) == DAYS
    assert (shop.days[-2].down_s, shop.days[-1].down_s, shop.days[-1].partial_s) == (HOUR, HOUR, HOUR)
    assert shop.days[-2].uptime == pytest.approx(23 / 24)
    assert shop.days[-1].uptime == pytest.approx(1 - 1.3 / 12)
    assert blog.uptime == 1.0


def test_time_before_a_monitor_was_watched_and_time_in_maintenance_count_for_nothing() -> None:
    spans = [
        Span(monitor="shop", kind="maintenance", since=NOW - 2 * HOUR, until=NOW - HOUR),
        Span(monitor="shop", kind="down", since=NOW - HOUR, until=NOW),
    ]
    shop = status_view(source(spans=spans, watched_since={"default/shop": NOW - 3 * HOUR}), now=NOW).components[0]
    assert shop.days[-2].uptime is None
    assert shop.days[-1].watched_s == 3 * HOUR
    assert shop.uptime == pytest.approx(0.5)


def test_an_incident_begins_with_a_plain_draft_of_what_since_when_and_from_where() -> None:
    told = incident(
        "inc_1",
        member(
            "default/shop",
            regions=[{"region": "eu", "failing": True}, {"region": "us"}, {"region": "ap", "failing": False}],
        ),
    )
    (shown,) = status_view(source(incidents=[told]), now=NOW).incidents
    assert shown.name == "Shop is not reachable"
    (update,) = shown.updates
    assert update.status is UpdateStatus.INVESTIGATING
    assert update.body == "Shop is not reachable since 11:50 UTC, seen from eu and us. We are looking into it."


def test_as_it_goes_on_so_do_the_drafts() -> None:
    told = incident(
        acknowledged=stamp(400), acknowledged_by="ada", recovering=stamp(200), resolved=stamp(100), duration_s=500.0
    )
    (shown,) = status_view(source(incidents=[told]), now=NOW).incidents
    assert [update.status for update in shown.updates] == ["resolved", "monitoring", "identified", "investigating"]
    assert shown.updates[0].body == "Shop is well again. It took 8 minutes."
    assert shown.status is UpdateStatus.RESOLVED


def test_what_a_person_writes_takes_the_place_of_the_draft() -> None:
    words = Update(id="u1", at=NOW - 500, status=UpdateStatus.INVESTIGATING, body="A cable was cut.", written=True)
    view = status_view(source(incidents=[incident()], updates={"inc_1": [words]}), now=NOW)
    assert view.incidents[0].updates == (words,)


@pytest.mark.parametrize(
    "told",
    [
        incident(opened=None, state="detected"),
        incident("inc_1", member("secret-monitor")),
        incident("inc_1", member("shop", "certificate")),
        incident("inc_1", member("shop", "burn-fast")),
        incident("inc_1", member("eu", "agent")),
        incident(opened=stamp(100 * DAY), began=stamp(100 * DAY), resolved=stamp(99 * DAY)),
    ],
)
def test_what_is_nobody_elses_business_makes_no_public_incident(told: IncidentView) -> None:
    assert status_view(source(incidents=[told]), now=NOW).incidents == ()


def test_many_components_are_counted_instead_of_named() -> None:
    names = [f"service-{n}" for n in range(9)]
    told = incident("inc_1", *(member(name) for name in names))
    view = status_view(source(monitors=[monitor(name) for name in names], incidents=[told]), now=NOW)
    assert view.incidents[0].name == "Service 0, Service 1, Service 2 and 6 more are not reachable"


def test_maintenance_is_shown_until_it_is_over_if_it_is_about_something_public() -> None:
    windows = [
        Window(id="later", title="Move", starts=NOW + HOUR, ends=NOW + 2 * HOUR, monitors=("default/shop",)),
        Window(id="now", title="", starts=NOW - HOUR, ends=NOW + HOUR, monitors=("shop", "secret-monitor")),
        Window(id="over", title="Over", starts=NOW - 3 * HOUR, ends=NOW - HOUR, monitors=("shop",)),
        Window(id="secret", title="Secret", starts=NOW, ends=NOW + HOUR, monitors=("secret-monitor",)),
    ]
    shown = status_view(source(windows=windows), now=NOW).maintenances
    assert [(it.name, it.running, it.components) for it in shown] == [
        ("Maintenance", True, (component_id("shop"),)),
        ("Move", False, (component_id("shop"),)),
    ]
