"""Which failures are one incident, and which are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.grouping import traits
from holdfast.netpulse.core.incident import Condition, Incident, State
from holdfast.netpulse.core.settings import IncidentSettings
from tests.unit.netpulse.core.incidents import Desk, watched


def members(incident: Incident) -> list[str]:
    return [member.monitor for member in incident.members]


@pytest.mark.parametrize(
    ("label", "kind", "value"),
    [
        ("host", "host", "x"),
        ("address", "address", "x"),
        ("domain", "domain", "x"),
        ("cause", "tag", "cause=x"),
        ("datacenter", "tag", "datacenter=x"),
    ],
)
def test_what_shares_a_telling_label_and_fails_together_is_one_incident(label: str, kind: str, value: str) -> None:
    desk = Desk([watched("a", **{label: "x"}), watched("b", **{label: "x"})])
    desk.fail("a")
    desk.now += 5
    desk.fail("b")
    assert (desk.only().cause.kind, desk.only().cause.value) == (kind, value)


def test_the_most_telling_label_that_all_share_names_the_cause() -> None:
    desk = Desk([watched("a", host="h", zone="z"), watched("b", host="h", zone="z"), watched("c", zone="z")])
    desk.fail("a", "b")
    assert desk.only().cause.kind == "host"
    desk.fail("c")
    assert (desk.only().cause.value, desk.only().title) == ("zone=z", "Zone z: 3 monitors are down")


def test_a_chain_of_coincidences_is_no_cause() -> None:
    desk = Desk([watched("a", host="h"), watched("b", host="h", domain="d"), watched("c", domain="d")])
    desk.fail("a", "b", "c")
    assert sorted(members(incident) for incident in desk.incidents.values()) == [["t/a", "t/b"], ["t/c"]]


@pytest.mark.parametrize(
    "labels",
    [
        ({"env": "live"}, {"env": "live"}),
        ({"host": "a"}, {"host": "b"}),
        ({"host": "127.0.0.1"}, {"host": "127.0.0.1"}),
    ],
)
def test_what_is_alike_by_chance_is_not_one_incident(labels: tuple[dict[str, str], dict[str, str]]) -> None:
    desk = Desk([watched("a", **labels[0]), watched("b", **labels[1])])
    desk.fail("a", "b")
    assert len(desk.incidents) == 2


def test_tenants_share_no_incident() -> None:
    desk = Desk([watched("a", host="h"), watched("a", tenant="u", host="h")])
    desk.fail("t/a", "u/a")
    assert [incident.tenant for incident in desk.standing()] == ["t", "u"]


def test_what_fails_much_later_is_another_incident() -> None:
    desk = Desk([watched("a", host="h"), watched("b", host="h")])
    desk.fail("a")
    desk.wait(90 + 30 + 1)  # `correlate`, and the interval in which nobody looked
    desk.fail("b")
    assert len(desk.incidents) == 2


def test_what_is_simulated_is_not_mixed_with_what_is_real() -> None:
    desk = Desk([watched("a", host="h"), watched("b", host="h")])
    desk.fail("a")
    desk.keep(desk.book.signals([replace(desk.signal("b", True), simulated=True)], desk.now))
    assert [incident.simulated for incident in desk.standing()] == [False, True]


def test_the_address_that_answered_ties_together_too() -> None:
    assert traits({"host": "web"}, "192.0.2.7") == {"host": "web", "address": "192.0.2.7"}
    assert traits({"host": "localhost"}, "::1") == {}


def test_relatives_are_asked_and_their_answers_end_the_wait() -> None:
    desk = Desk(watched(name, host="h") for name in "abc")
    desk.fail("a")
    assert desk.wanted == ["t/b", "t/c"]
    desk.now += 1
    desk.answer("b")
    assert desk.tell() == []
    desk.answer("c", up=False)
    assert desk.tell() == ["opened"]


def test_a_parent_whose_check_failed_is_waited_for_one_interval_longer() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("web")
    desk.now += 2
    desk.answer("db", up=False)
    desk.wait(42)
    assert desk.tell() == []
    desk.wait(1)  # 10 s timeout, 5 s grace, 30 s interval
    assert desk.tell() == ["opened"]


def test_a_wait_that_the_operator_states_is_the_wait() -> None:
    desk = Desk([watched("web")], IncidentSettings(settle=Duration(40.0)))
    desk.fail("web")
    desk.wait(39)
    assert desk.tell() == []
    desk.wait(1)
    assert desk.tell() == ["opened"]


def test_what_is_slow_takes_nothing_down() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("db", condition=Condition.SLOW)
    desk.wait(30)
    desk.fail("web")
    assert len(desk.standing()) == 2


def test_a_slow_child_that_goes_down_after_its_parent_moves_to_the_parents_incident() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("web", condition=Condition.SLOW)
    desk.wait(3_600)
    desk.fail("db")
    desk.wait(10)
    assert len(desk.standing()) == 2
    desk.fail("web")
    (incident,) = desk.standing()
    assert incident.title == "db is down, and 1 that depends on it"
    assert desk.tell() == ["opened", "opened", "resolved"]


def test_who_depends_on_something_in_a_circle_is_told_of_all_the_same() -> None:
    desk = Desk([watched("hen", "egg"), watched("egg", "hen")])
    desk.fail("hen", "egg")
    desk.wait(60)
    assert desk.only().state is State.OPEN
    assert desk.tell() == ["opened"]


def test_more_members_are_told_together_every_five_minutes_at_most() -> None:
    desk = Desk([watched("db"), *(watched(f"m{number}", "db") for number in range(20))])
    desk.fail("db")
    desk.wait(60)
    for number in range(20):
        desk.fail(f"m{number}")
        desk.wait(20)
    desk.wait(600)
    assert desk.tell() == ["opened", "joined", "joined"]


def test_those_who_cannot_be_probed_are_not_waited_for() -> None:
    desk = Desk(
        [replace(watched("job"), regions=()), replace(watched("old"), paused=True), watched("web", "job", "old")]
    )
    desk.fail("web")
    assert (desk.wanted, desk.tell()) == ([], ["opened"])


def test_who_is_asked_is_asked_in_all_of_its_regions() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    (wanted,) = desk.fail("web").wanted
    assert (wanted.monitor, wanted.regions) == ("t/db", ("ap", "eu", "us"))
