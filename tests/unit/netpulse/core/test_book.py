"""Incidents, from the first signal to the last message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.netpulse.core import lifecycle
from holdfast.netpulse.core.case import Case
from holdfast.netpulse.core.incident import Condition, State
from holdfast.netpulse.core.situation import Situation
from holdfast.netpulse.errors import Conflict, NotFound
from tests.unit.netpulse.core.incidents import START, Desk, watched


def test_a_failure_of_something_that_stands_alone_is_told_at_once_and_its_end_once() -> None:
    desk = Desk([watched("web")])
    desk.fail("web")
    assert desk.only().state is State.OPEN
    assert desk.only().title == "web is down"
    desk.wait(300)
    desk.recover("web")
    assert desk.only().state is State.RECOVERING
    desk.wait(59)
    assert desk.tell() == ["opened"]
    desk.wait(1)
    assert desk.tell() == ["opened", "resolved"]
    assert desk.lengths("web", "down") == [(-5, 295)]


def test_a_signal_that_is_known_changes_nothing() -> None:
    desk = Desk([watched("web")])
    signal = desk.signal("web", True)
    assert desk.book.signals([signal], desk.now).to_store
    assert not desk.book.signals([signal, signal], desk.now + 1).to_store


def test_a_child_waits_until_its_parents_have_answered() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("web")
    assert desk.wanted == ["t/db"]
    assert desk.only().state is State.DETECTED
    desk.now += 1
    desk.answer("db")
    assert desk.only().state is State.OPEN


def test_a_child_whose_parents_say_nothing_waits_for_their_timeout_and_no_longer() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("web")
    desk.wait(14)
    assert desk.tell() == []
    desk.wait(1)
    assert desk.tell() == ["opened"]


def test_a_child_whose_parent_goes_down_meanwhile_is_a_member_of_its_incident() -> None:
    desk = Desk([watched("db"), watched("app", "db"), watched("web", "app")])
    desk.fail("web")
    desk.now += 3
    desk.fail("db")
    desk.wait(200)
    (incident,) = desk.standing()
    assert incident.title == "db is down, and 1 that depends on it"
    assert (incident.cause.kind, incident.cause.value) == ("parent", "t/db")
    assert desk.tell() == ["opened"]


def test_a_parent_that_goes_down_after_its_children_paged_joins_them_and_nobody_is_paged_again() -> None:
    desk = Desk([watched("db"), watched("a", "db"), watched("b", "db")])
    desk.fail("a", "b")
    desk.answer("db")
    assert desk.tell() == ["opened", "opened"]
    desk.now += 10
    desk.fail("db")
    desk.wait(200)
    assert desk.tell() == ["opened", "opened", "resolved"]
    (incident,) = desk.standing()
    assert [member.monitor for member in incident.members] == ["t/a", "t/db", "t/b"]


def test_fifty_monitors_of_one_host_are_one_incident_with_fifty_members() -> None:
    names = [f"m{number:02}" for number in range(50)]
    desk = Desk(watched(name, host="h1") for name in names)
    for name in names:
        desk.fail(name)
        desk.wait(0.5)
    (incident,) = desk.incidents.values()
    assert (incident.cause.kind, incident.cause.value, len(incident.members)) == ("host", "h1", 50)
    assert desk.tell() == ["opened"]
    assert incident.title == "Host h1: 50 monitors are down"


def test_acknowledging_what_is_over_or_unknown_is_refused() -> None:
    desk = Desk([watched("web")])
    with pytest.raises(NotFound):
        desk.book.acknowledge("inc_0001", "ann", START)
    desk.fail("web")
    desk.keep(desk.book.resolve("inc_0001", "ann", desk.now))
    with pytest.raises(Conflict):
        desk.book.acknowledge("inc_0001", "ann", desk.now)


def test_what_was_resolved_by_hand_and_goes_on_is_told_again_only_when_it_fails_anew() -> None:
    desk = Desk([watched("web")])
    desk.fail("web")
    desk.keep(desk.book.resolve("inc_0001", "ann", desk.now))
    desk.wait(3600)
    assert desk.tell() == ["opened", "resolved"]
    desk.recover("web")
    desk.wait(60)
    desk.fail("web")
    assert desk.tell() == ["opened", "resolved", "opened"]


def test_a_ticket_that_becomes_a_page_is_told_as_one() -> None:
    desk = Desk([watched("web")])
    desk.fail("web", condition=Condition.SLOW)
    assert desk.only().severity == "ticket"
    desk.wait(60)
    desk.fail("web")
    assert (desk.only().severity, desk.only().condition) == ("page", Condition.DOWN)
    assert desk.tell() == ["opened", "opened"]


def test_what_fails_again_before_it_was_over_is_told_to_nobody() -> None:
    desk = Desk([watched("web")])
    desk.fail("web")
    desk.recover("web")
    desk.wait(30)
    desk.fail("web")
    assert (desk.only().state, desk.tell()) == (State.OPEN, ["opened"])


def test_what_fails_again_soon_after_is_the_same_incident() -> None:
    desk = Desk([watched("web")])
    desk.fail("web")
    desk.keep(desk.book.acknowledge("inc_0001", "ann", desk.now))
    desk.recover("web")
    desk.wait(60 + 600)
    desk.fail("web")
    incident = desk.only()
    assert (incident.state, incident.reopenings, incident.acknowledged) == (State.REOPENED, 1, None)
    assert desk.tell() == ["opened", "acknowledged", "resolved", "reopened"]


def test_incidents_that_only_a_signal_can_change_are_not_looked_at_when_time_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"m{number}" for number in range(50)]
    desk = Desk([watched(name) for name in names])
    desk.fail(*names)
    desk.wait(600)
    assert len(desk.book.standing()) == len(names)
    looked: list[str] = []
    due = lifecycle.due

    def look(situation: Situation, case: Case, now: float) -> float | None:
        looked.append(case.id)
        return due(situation, case, now)

    monkeypatch.setattr(lifecycle, "due", look)
    desk.book.tick(desk.now + 1)
    desk.book.due()
    assert looked == []
    desk.recover("m7")
    desk.book.due()
    assert len(set(looked)) == 1


def test_what_fails_again_later_is_another_incident() -> None:
    desk = Desk([watched("web")])
    desk.fail("web")
    desk.recover("web")
    desk.wait(60 + 601)
    desk.fail("web")
    assert len(desk.incidents) == 2


def test_what_has_parents_to_ask_is_reopened_when_they_have_answered() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("web")
    desk.wait(20)
    desk.recover("web")
    desk.wait(100)
    desk.fail("web")
    assert desk.tell() == ["opened", "resolved"]
    desk.wait(20)
    assert desk.tell() == ["opened", "resolved", "reopened"]
    assert [incident.id for incident in desk.standing()] == ["inc_0001"]


def test_what_is_over_before_it_is_told_leaves_a_record_and_no_message() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("web")
    desk.recover("web")
    desk.wait(100)
    assert (desk.only().state, desk.only().opened, desk.tell()) == (State.RESOLVED, None, [])


def test_a_monitor_that_is_removed_or_paused_ends_its_part() -> None:
    desk = Desk([watched("web"), watched("api")])
    desk.fail("web", "api")
    del desk.monitors["t/web"]
    desk.monitors["t/api"] = replace(desk.monitors["t/api"], paused=True)
    desk.configure()
    desk.wait(60)
    assert desk.standing() == []
    assert desk.lengths("api", "paused") == [(0, None)]
    assert desk.lengths("api", "down") == [(-5, 0)]
    desk.fail("web", "api")
    assert desk.standing() == []


def test_a_reload_keeps_what_stands() -> None:
    desk = Desk([watched("web")])
    desk.fail("web")
    desk.monitors["t/new"] = watched("new")
    assert not desk.configure().to_store
    assert desk.only().state is State.OPEN


def restart(desk: Desk) -> None:
    incidents = [incident for incident in desk.incidents.values() if incident.standing]
    desk.book = desk.new_book()
    desk.book.restore(incidents, desk.now, spans=[span for span in desk.spans.values() if span.until is None])
    assert not desk.configure().to_store


def test_a_restart_changes_nothing_and_what_was_signalled_before_it_is_known() -> None:
    desk = Desk([watched("web"), watched("api")])
    desk.fail("web", "api")
    signal = desk.signal("web", True)
    desk.now += 10
    desk.recover("api")
    desk.wait(20)
    restart(desk)
    assert not desk.book.signals([signal], desk.now).to_store
    desk.recover("web")
    desk.wait(60)
    assert desk.standing() == []
    assert sorted(desk.tell()) == ["opened", "opened", "resolved", "resolved"]


def test_what_was_dismissed_stays_so_over_a_restart() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("db")
    desk.keep(desk.book.resolve("inc_0001", "ann", desk.now))
    desk.wait(60)
    restart(desk)
    desk.fail("web")
    desk.wait(60)
    assert desk.standing()[0].suppressed_by == "parent t/db"
    desk.recover("db")
    assert desk.lengths("db", "down") == [(-5, 115)]


def test_a_wait_that_a_restart_interrupts_does_not_swallow_the_page() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("web")
    desk.book, incidents = desk.new_book(), list(desk.incidents.values())
    desk.book.restore(incidents, desk.now)
    desk.configure()
    desk.wait(15)
    assert desk.tell() == ["opened"]


def test_the_same_happens_for_the_same_input() -> None:
    first, second = (Desk(watched(f"m{number}", host=f"h{number % 3}") for number in range(9)) for _ in range(2))
    for desk in (first, second):
        desk.fail(*(f"m{number}" for number in range(9)))
        desk.wait(100)
    assert first.transitions == second.transitions


def test_a_monitor_was_not_down_before_it_was_watched() -> None:
    desk = Desk([watched("web")])
    desk.now += 60
    desk.monitors["t/new"] = watched("new")
    desk.configure()
    desk.fail("new")
    assert desk.lengths("new", "down") == [(60, None)]
