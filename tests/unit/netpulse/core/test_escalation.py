"""Who is told, when, and who is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core import escalation
from holdfast.netpulse.core.escalation import Key, due, notices, obsolete, sequence
from holdfast.netpulse.core.incident import Incident, Notice, State, Transition
from holdfast.netpulse.core.settings import QuietSettings, RouteSettings, StepSettings
from tests.unit.netpulse.notify.memory import NOW, incident, notice

LABELS = {"monitor": "shop", "group": "web", "team": "payments"}
NIGHT = QuietSettings(start="22:00", end="07:00")
"""NOW is 22:13:20 UTC."""
MORNING = NOW + (7 + 24) * 3600 - (22 * 3600 + 13 * 60 + 20)


def step(*channels: str, after: float = 0.0) -> StepSettings:
    return StepSettings(channels=channels, after=Duration(after))


def route(*steps: StepSettings, repeat: float = 0.0, **changes: Any) -> RouteSettings:
    return RouteSettings(steps=steps, repeat=Duration(repeat), **changes)


def transition(tell: str, number: int = 2, after: State = State.OPEN) -> Transition:
    return Transition(
        incident="inc_1", number=number, at=NOW, rule=f"incident.{tell}", before=None, after=after, tell=tell
    )


class Told:
    """Decides as the engine does: what was decided is remembered, and asked of the next decision."""

    def __init__(self, *routes: RouteSettings, labels: dict[str, str] | None = None) -> None:
        self.routes = routes
        self.labels = labels or LABELS
        self.told: dict[str, float] = {}

    def tell(self, about: Incident, *tells: str, at: float = NOW, number: int = 2) -> list[Notice]:
        steps = [transition(tell, number + index, about.state) for index, tell in enumerate(tells)]
        return self._note(notices(about, steps, self.routes, self.labels, self.told, at), at)

    def wait(self, about: Incident, at: float) -> tuple[list[Notice], float | None]:
        decided, upcoming = due(about, self.routes, self.labels, self.told, at)
        return self._note(decided, at), upcoming

    def _note(self, decided: Sequence[Notice], at: float) -> list[Notice]:
        self.told |= {each.key: at for each in decided}
        return list(decided)


def said(decided: Sequence[Notice]) -> list[tuple[str, str]]:
    return [(each.event, each.channel) for each in decided]


ACKNOWLEDGED = incident(state=State.ACKNOWLEDGED, acknowledged=NOW + 60, acknowledged_by="ann", revision=3)
RESOLVED = incident(state=State.RESOLVED, resolved=NOW + 900, revision=4)


def test_the_first_route_that_fits_takes_an_incident() -> None:
    told = Told(
        route(step("db"), match={"group": "db*"}),
        route(step("pay"), match={"team": "pay*", "group": "web"}),
        route(step("all")),
    )
    assert said(told.tell(incident(), "opened")) == [("opened", "pay")]


def test_a_label_that_is_not_there_fits_no_pattern_and_only_the_star_is_one() -> None:
    told = Told(
        route(step("a"), match={"region": "*"}),
        route(step("b"), match={"group": "we?"}),
        route(step("c"), match={"group": "[w]eb"}),
        route(step("d"), match={"group": "w*b"}),
    )
    assert said(told.tell(incident(), "opened")) == [("opened", "d")]


def test_severity_and_condition_are_matched_as_the_incident_has_them() -> None:
    told = Told(route(step("tickets"), match={"severity": "ticket"}), route(step("pages"), match={"condition": "down"}))
    assert said(told.tell(incident(), "opened")) == [("opened", "pages")]


def test_without_a_route_nobody_is_told() -> None:
    told = Told(route(step("db"), match={"group": "db"}))
    assert told.tell(incident(), "opened") == []
    assert told.wait(incident(), NOW + 3600) == ([], None)


def test_a_route_without_steps_keeps_an_incident_from_the_routes_after_it() -> None:
    told = Told(route(match={"team": "payments"}), route(step("all")))
    assert told.tell(incident(), "opened") == []


def test_deciding_twice_gives_the_same_notices() -> None:
    told = Told(route(step("a", "b")))
    first = notices(incident(), [transition("opened")], told.routes, LABELS, {}, NOW)
    assert notices(incident(), [transition("opened")], told.routes, LABELS, {}, NOW) == first
    told.tell(incident(), "opened")
    assert told.tell(incident(), "opened", at=NOW + 5) == []
    assert [each.key for each in first] == ["inc_1/2/opened/a", "inc_1/2/opened/b"]


def test_a_channel_in_two_immediate_steps_is_told_once() -> None:
    assert said(Told(route(step("a"), step("a", "b"))).tell(incident(), "opened")) == [("opened", "a"), ("opened", "b")]


def test_later_steps_are_taken_when_their_time_comes() -> None:
    told = Told(route(step("chat"), step("phone", after=300), step("boss", after=900)))
    told.tell(incident(), "opened")
    assert told.wait(incident(), NOW) == ([], NOW + 300)
    assert told.wait(incident(), NOW + 299.9) == ([], NOW + 300)
    decided, upcoming = told.wait(incident(), NOW + 300)
    assert (said(decided), upcoming) == ([("escalated", "phone")], NOW + 900)
    assert decided[0].key == "inc_1/0/escalated/phone/1"
    assert said(told.wait(incident(), NOW + 900)[0]) == [("escalated", "boss")]
    assert told.wait(incident(), NOW + 9000) == ([], None)


@pytest.mark.parametrize(
    "state", [State.ACKNOWLEDGED, State.RECOVERING, State.FLAPPING, State.RESOLVED, State.DETECTED]
)
def test_only_an_open_incident_escalates(state: State) -> None:
    told = Told(route(step("chat"), step("phone", after=300), repeat=60))
    told.tell(incident(), "opened")
    assert told.wait(incident(state=state), NOW + 3000) == ([], None)


def test_the_last_step_is_repeated_until_somebody_has_it() -> None:
    told = Told(route(step("chat"), step("phone", after=300), repeat=600))
    told.tell(incident(), "opened")
    told.wait(incident(), NOW + 300)
    assert told.wait(incident(), NOW + 899) == ([], NOW + 900)
    decided, upcoming = told.wait(incident(), NOW + 900)
    assert ([each.key for each in decided], upcoming) == (["inc_1/0/repeated/phone/1/1"], NOW + 1500)
    assert told.wait(incident(), NOW + 900) == ([], NOW + 1500)
    assert told.wait(ACKNOWLEDGED, NOW + 1500) == ([], None)


def test_of_missed_repetitions_only_the_latest_is_told() -> None:
    told = Told(route(step("chat"), repeat=600))
    told.tell(incident(), "opened")
    decided, upcoming = told.wait(incident(), NOW + 6500)
    assert ([each.key for each in decided], upcoming) == (["inc_1/0/repeated/chat/0/10"], NOW + 6600)


def test_a_look_at_the_very_time_of_a_repetition_finds_it_in_spite_of_binary_fractions() -> None:
    told = Told(route(step("chat"), repeat=60.1))
    told.tell(incident(), "opened")
    _, at = told.wait(incident(), NOW)
    for _ in range(500):
        assert at is not None
        decided, later = told.wait(incident(), at)
        assert len(decided) == 1
        assert later is not None
        assert later > at
        at = later


def test_only_channels_that_were_told_hear_of_the_end() -> None:
    told = Told(route(step("chat"), step("phone", after=300), step("boss", after=900)))
    told.tell(incident(), "opened")
    told.wait(incident(), NOW + 300)
    assert said(told.tell(ACKNOWLEDGED, "acknowledged", number=3)) == [
        ("acknowledged", "chat"),
        ("acknowledged", "phone"),
    ]
    assert said(told.tell(RESOLVED, "resolved", number=4)) == [("resolved", "chat"), ("resolved", "phone")]


def test_the_end_is_told_even_where_the_routes_lead_elsewhere_by_now() -> None:
    told = Told(route(step("chat")))
    told.tell(incident(), "opened")
    told.routes = (route(step("other")),)
    assert said(told.tell(RESOLVED, "resolved", number=4)) == [("resolved", "chat")]


def test_what_nobody_was_told_of_ends_in_silence() -> None:
    assert Told(route(step("chat"))).tell(RESOLVED, "resolved", number=3) == []


def test_opened_and_resolved_in_one_decision_are_both_told_in_order() -> None:
    decided = Told(route(step("chat"))).tell(RESOLVED, "opened", "resolved")
    assert said(decided) == [("opened", "chat"), ("resolved", "chat")]
    assert max(decided, key=sequence).event == "resolved"


def test_a_reopened_incident_is_told_anew_and_escalates_anew() -> None:
    told = Told(route(step("chat"), step("phone", after=300)))
    told.tell(incident(), "opened")
    told.wait(incident(), NOW + 300)
    told.tell(RESOLVED, "resolved", number=4, at=NOW + 900)
    again = incident(state=State.REOPENED, reopenings=1, revision=5)
    assert said(told.tell(again, "reopened", number=5, at=NOW + 1000)) == [("reopened", "chat")]
    assert told.wait(again, NOW + 1299) == ([], NOW + 1300)
    decided, _ = told.wait(again, NOW + 1300)
    assert [each.key for each in decided] == ["inc_1/1/escalated/phone/1"]


def test_flapping_is_told_once_until_it_is_opened_again() -> None:
    told = Told(route(step("chat")))
    flapping = incident(state=State.FLAPPING)
    told.tell(incident(), "opened")
    assert said(told.tell(flapping, "flapping", number=3)) == [("flapping", "chat")]
    assert told.tell(flapping, "flapping", number=4) == []
    assert said(told.tell(RESOLVED, "resolved", number=5)) == [("resolved", "chat")]


def test_what_is_told_first_as_flapping_gets_its_end() -> None:
    told = Told(route(step("chat")))
    assert said(told.tell(incident(state=State.FLAPPING), "flapping")) == [("flapping", "chat")]
    assert said(told.tell(RESOLVED, "resolved", number=3)) == [("resolved", "chat")]


def test_new_members_are_an_update_for_channels_that_were_told() -> None:
    told = Told(route(step("chat"), step("phone", after=300)))
    told.tell(incident(), "opened")
    (update,) = told.tell(incident(), "joined", at=NOW + 100, number=3)
    assert (update.event, update.channel, update.not_before) == ("joined", "chat", NOW + 100)


def test_an_open_incident_that_grew_into_another_route_is_opened_there() -> None:
    told = Told(route(step("tickets"), match={"severity": "ticket"}), route(step("phone")))
    told.tell(incident(severity="ticket"), "opened")
    decided = told.tell(incident(severity="page"), "joined", at=NOW + 400, number=3)
    assert said(decided) == [("joined", "tickets"), ("opened", "phone")]


def test_an_acknowledged_incident_that_grew_pages_nobody_else() -> None:
    told = Told(route(step("tickets"), match={"severity": "ticket"}), route(step("phone")))
    told.tell(incident(severity="ticket"), "opened")
    grown = replace(ACKNOWLEDGED, severity="page")
    assert said(told.tell(grown, "joined", at=NOW + 400, number=4)) == [("joined", "tickets")]


def test_steps_that_tell_nothing_are_passed_over() -> None:
    assert Told(route(step("chat"))).tell(incident(), "", "opened")[0].key == "inc_1/3/opened/chat"


# ---------------------------------------------------------------- quiet hours


def test_a_ticket_waits_for_the_end_of_the_quiet_hours() -> None:
    (held,) = Told(route(step("chat"), quiet=NIGHT)).tell(incident(severity="ticket"), "opened")
    assert (held.at, held.not_before) == (NOW, MORNING)


def test_a_page_does_not_wait() -> None:
    (page,) = Told(route(step("chat"), quiet=NIGHT)).tell(incident(), "opened")
    assert page.not_before == NOW


def test_a_page_waits_where_the_route_says_that_its_pages_do() -> None:
    told = Told(route(step("chat"), quiet=NIGHT, match={"severity": "page"}))
    (held,) = told.tell(incident(), "opened")
    assert held.not_before == MORNING


def test_escalation_counts_from_the_end_of_the_quiet_hours() -> None:
    ticket = incident(severity="ticket")
    told = Told(route(step("chat"), step("phone", after=300), quiet=NIGHT))
    told.tell(ticket, "opened")
    assert told.wait(ticket, NOW + 3600)[0] == []
    assert told.wait(ticket, MORNING) == ([], MORNING + 300)
    assert said(told.wait(ticket, MORNING + 300)[0]) == [("escalated", "phone")]


def test_a_night_of_repetitions_is_one_in_the_morning() -> None:
    ticket = incident(severity="ticket", opened=NOW - 3600)
    told = Told(route(step("chat"), repeat=600, quiet=NIGHT))
    told.tell(ticket, "opened", at=NOW - 3600)
    for minutes in range(0, 500, 10):
        decided, upcoming = told.wait(ticket, NOW + 60 * minutes)
        assert decided == []
        assert upcoming == MORNING
    assert said(told.wait(ticket, MORNING)[0]) == [("repeated", "chat")]


def test_members_that_join_at_night_are_in_the_message_of_the_morning() -> None:
    ticket = incident(severity="ticket")
    told = Told(route(step("chat"), quiet=NIGHT))
    told.tell(ticket, "opened")
    assert told.tell(ticket, "joined", at=NOW + 3600, number=3) == []


def test_a_ticket_of_the_night_that_becomes_a_page_wakes_somebody() -> None:
    told = Told(route(step("phone"), quiet=NIGHT))
    (held,) = told.tell(incident(severity="ticket"), "opened")
    (page,) = told.tell(incident(severity="page"), "joined", at=NOW + 600, number=3)
    assert (page.event, page.channel, page.not_before) == ("opened", "phone", NOW + 600)
    assert obsolete(held, incident(), reached(page)) == "the channel was told in the meantime"


# ---------------------------------------------------------------- what need not be sent any more


def reached(*sent: Notice) -> dict[str, float]:
    return {each.key: each.at for each in sent}


def test_an_opening_held_back_over_night_is_dropped_with_its_end_when_it_is_over() -> None:
    ticket = incident(severity="ticket")
    told = Told(route(step("chat"), quiet=NIGHT))
    (opened,) = told.tell(ticket, "opened")
    over = replace(RESOLVED, severity="ticket")
    (resolved,) = told.tell(over, "resolved", at=NOW + 900, number=4)
    assert resolved.not_before == MORNING
    assert obsolete(opened, over, {}) == "the incident was resolved while quiet hours held this back"
    assert obsolete(resolved, over, {}) == "the channel was not told of the incident"
    assert obsolete(opened, ticket, {}) is None


def test_an_opening_that_a_dead_channel_held_up_is_sent_late_and_its_end_after_it() -> None:
    opened, resolved = notice(), notice("resolved", cause=4)
    assert obsolete(opened, RESOLVED, {}) is None
    assert obsolete(resolved, RESOLVED, reached(opened)) is None


def test_an_escalation_that_somebody_forestalled_is_dropped() -> None:
    escalated = notice("escalated", cause=0)
    assert obsolete(escalated, ACKNOWLEDGED, {}) == "the incident is acknowledged"
    assert obsolete(escalated, incident(), {}) is None


def test_an_update_about_what_is_over_is_dropped() -> None:
    opened = notice()
    assert obsolete(notice("joined", cause=3), RESOLVED, reached(opened)) == "the incident is resolved"


def test_the_end_of_a_reopening_that_was_dropped_is_dropped_too() -> None:
    first = [notice(at=NOW), notice("resolved", cause=4, at=NOW + 10)]
    last = notice("resolved", cause=6, at=NOW + 30)
    assert obsolete(last, RESOLVED, reached(*first)) == "the channel was not told of the incident"


def test_a_test_is_never_obsolete() -> None:
    pressed = escalation.test_notice(tenant="default", channel="ops", id="1", now=NOW)
    assert obsolete(pressed, None, {}) is None
    assert pressed.key == "test/0/test/ops/1"
    assert sequence(pressed) < sequence(replace(pressed, at=NOW + 1))


def test_a_key_is_read_as_it_was_written() -> None:
    key = Key(incident="inc_1", cause=3, event="repeated", channel="a/b %", step=2, number=7)
    assert Key.parse(str(key)) == key
    with pytest.raises(ValueError, match="not the key of a notice"):
        Key.parse("inc_1/x/opened/ops")
