"""What holds pages back, and what happens when it ends."""

from __future__ import annotations

from holdfast.netpulse.core.incident import Condition, State
from tests.unit.netpulse.core.incidents import START, Desk, silence, watched


def test_what_goes_down_in_maintenance_and_comes_back_in_it_is_told_to_nobody() -> None:
    desk = Desk([watched("web")])
    desk.maintain("m1", 600.0)
    desk.wait(100)
    desk.fail("web")
    assert desk.only().suppressed_by == "maintenance m1"
    desk.wait(100)
    desk.recover("web")
    desk.wait(3_600)
    assert desk.tell() == []
    assert desk.only().state is State.RESOLVED
    assert desk.lengths("web", "down") == []
    assert desk.lengths("web", "maintenance") == [(60, 660)]


def test_what_goes_down_in_maintenance_and_still_is_pages_when_it_ends() -> None:
    desk = Desk([watched("web")])
    desk.maintain("m1", 600.0)
    desk.wait(100)
    desk.fail("web")
    desk.wait(1_000)
    assert desk.only().state is State.OPEN
    assert desk.only().opened == START + 660
    assert desk.tell() == ["opened"]
    assert desk.lengths("web", "down") == [(660, None)]


def test_what_was_paged_before_maintenance_and_still_is_goes_on_without_a_second_page() -> None:
    desk = Desk([watched("web")])
    desk.maintain("m1", 600.0)
    desk.fail("web")
    desk.wait(2_000)
    assert desk.only().state is State.OPEN
    assert desk.tell() == ["opened"]
    assert desk.rules().count("maintenance") == 2
    assert desk.lengths("web", "down") == [(-5, 60), (660, None)]


def test_what_was_paged_before_maintenance_recovered_in_it_and_failed_again_pages_after_it() -> None:
    desk = Desk([watched("web")])
    desk.maintain("m1", 900.0)
    desk.fail("web")
    desk.wait(100)
    desk.recover("web")
    desk.wait(100)
    assert desk.tell() == ["opened", "resolved"]
    desk.fail("web")
    desk.wait(500)
    assert desk.tell() == ["opened", "resolved"]
    desk.wait(500)
    assert desk.tell() == ["opened", "resolved", "opened"]


def test_what_depends_on_something_in_maintenance_is_not_told_until_it_fails_alone() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.maintain("m1", 600.0, {"monitor": "db"})
    desk.wait(100)
    desk.fail("db", "web")
    assert desk.only().suppressed_by == "maintenance m1"
    desk.wait(60)
    desk.recover("db")
    desk.wait(60)
    assert desk.only().state is State.OPEN
    assert desk.only().title == "web is down"


def test_a_silence_holds_what_it_matches_and_what_still_fails_pages_when_it_ends() -> None:
    desk = Desk([watched("web", env="test"), watched("api", env="live")])
    desk.silences.append(silence("s1", ends=START + 300, env="t*", condition="down"))
    desk.configure()
    desk.fail("web", "api")
    assert {incident.title: incident.suppressed_by for incident in desk.incidents.values()} == {
        "web is down": "silence s1",
        "api is down": "",
    }
    desk.wait(300)
    assert desk.tell() == ["opened", "opened"]


def test_a_silence_of_one_tenant_holds_nothing_of_another() -> None:
    desk = Desk([watched("web", tenant="u")])
    desk.silences.append(silence("s1", ends=START + 300))
    desk.configure()
    desk.fail("u/web")
    assert desk.tell() == ["opened"]


def test_a_region_that_does_not_see_is_one_page_and_none_for_its_targets() -> None:
    desk = Desk(watched(f"m{number}") for number in range(200))
    for region in ("ap", "eu", "us"):
        desk.keep(desk.book.agents(region, "blind", desk.now, "no canary answers"))
        desk.keep(desk.book.agents(region, "lost", desk.now, "silent"))
    assert desk.tell() == ["opened"] * 3
    assert desk.incidents["inc_0001"].title == "Region ap is lost: silent"
    desk.fail(*(f"m{number}" for number in range(200)))
    assert desk.tell() == ["opened"] * 3
    assert desk.book.state_of("t/m1", desk.now).spans[-1].kind == "unknown"


def test_what_failed_out_of_sight_is_looked_at_before_it_pages() -> None:
    desk = Desk([watched("web")])
    for region in ("ap", "eu", "us"):
        desk.keep(desk.book.agents(region, "blind", desk.now))
    desk.fail("web")
    desk.wait(300)
    desk.keep(desk.book.agents("eu", "seeing", desk.now))
    assert desk.wanted == ["t/web"]
    assert [i.state for i in desk.standing() if i.cause.kind == "monitor"] == [State.DETECTED]
    desk.wait(15)
    assert [i.state for i in desk.standing() if i.cause.kind == "monitor"] == [State.OPEN]


def test_an_outage_that_was_told_is_not_told_again_as_burnt_budget() -> None:
    desk = Desk([watched("web")])
    desk.fail("web")
    desk.wait(120)
    desk.fail("web", condition=Condition.BURN_FAST)
    desk.wait(600)
    desk.recover("web")
    desk.wait(1_000)
    assert desk.tell() == ["opened", "resolved"]
    desk.wait(1_200)  # 35 minutes after the outage the short windows are clean; what burns now is something else
    assert desk.tell() == ["opened", "resolved", "opened"]


def test_children_of_what_was_resolved_by_hand_are_held_as_long_as_it_fails() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("db")
    desk.keep(desk.book.resolve("inc_0001", "ann", desk.now))
    desk.fail("web")
    desk.wait(60)
    assert desk.standing()[0].suppressed_by == "parent t/db"
    desk.recover("db")
    desk.wait(60)
    assert desk.tell() == ["opened", "resolved", "opened"]


def test_a_failure_in_a_window_that_is_found_after_it_and_a_restart_counts_from_its_end() -> None:
    desk = Desk([watched("web")])
    desk.maintain("m1", 60.0)
    desk.wait(122)
    desk.book = desk.new_book()
    desk.configure()
    desk.fail("web")  # its first failure was 5 s ago, the window ended 2 s ago
    assert desk.lengths("web", "down") == [(120, None)]
