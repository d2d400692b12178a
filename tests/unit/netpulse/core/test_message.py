"""What people read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.netpulse.core import escalation
from holdfast.netpulse.core.incident import Cause, Condition, Incident, Member, State
from holdfast.netpulse.core.message import MEMBERS, Message, as_json, compose, lasting, text_of
from tests.unit.netpulse.notify.memory import NOW, incident, notice


def written(event: str, about: Incident | None = None, **changes: Any) -> Message:
    return compose(
        notice(event, about, **changes),
        about or incident(),
        acknowledge_url="https://pulse.test/ack",
        incident_url="https://pulse.test/inc_1",
    )


def fifty() -> Incident:
    members = tuple(
        Member(monitor=f"default/m{number:02}", condition=Condition.DOWN, began=NOW - number, joined=NOW)
        for number in range(50)
    )
    return incident(members=members, cause=Cause(kind="host", value="db-1"), title="50 monitors on host db-1 are down")


ACKNOWLEDGED = incident(state=State.ACKNOWLEDGED, acknowledged=NOW + 60, acknowledged_by="ann")
RESOLVED = incident(state=State.RESOLVED, resolved=NOW + 170)


@pytest.mark.parametrize(
    ("event", "about", "title", "summary"),
    [
        ("opened", incident(), "[DOWN] shop is down", "shop is down since 2023-11-14 22:12:50 UTC."),
        ("joined", fifty(), "[DOWN, MORE] 50 monitors on host db-1 are down", "50 monitors are down since"),
        ("acknowledged", ACKNOWLEDGED, "[ACKNOWLEDGED] shop is down", "ann has it: shop is down since"),
        ("resolved", RESOLVED, "[RESOLVED] shop is down", "shop is well again, after 3 min 20 s."),
        ("reopened", incident(state=State.REOPENED), "[REOPENED] shop is down", "shop is down again,"),
        ("flapping", incident(state=State.FLAPPING), "[FLAPPING] shop is down", "shop is down on and off since"),
        ("escalated", incident(), "[ESCALATED] shop is down", "shop is down for 30 s, and nobody has acknowledged it."),
        ("repeated", incident(), "[STILL DOWN] shop is down", "shop is down for 30 s, and nobody"),
    ],
)
def test_each_kind_of_message_says_what_happened_in_one_sentence(
    event: str, about: Incident, title: str, summary: str
) -> None:
    message = written(event, about)
    assert message.title == title
    assert message.summary.startswith(summary)


def test_whoever_resolved_it_by_hand_is_named() -> None:
    assert written("resolved", incident(state=State.RESOLVED, resolved=NOW, resolved_by="ann")).summary.endswith(
        "ann resolved it by hand."
    )


def test_of_fifty_members_ten_are_named_and_the_others_counted() -> None:
    message = written("opened", fifty())
    assert (len(message.members), message.others) == (MEMBERS, 40)
    assert message.members[0] == "m49 is down"
    assert "- and 40 more" in text_of(message)


def test_those_that_still_fail_are_named_first() -> None:
    well = Member(monitor="default/a", condition=Condition.DOWN, began=NOW - 90, joined=NOW, until=NOW)
    ill = Member(monitor="default/b", condition=Condition.SLOW, began=NOW, joined=NOW)
    message = written("joined", incident(members=(well, ill)))
    assert message.members == ("b is slow", "a well since 2023-11-14 22:13:20 UTC")


def test_only_what_is_open_can_be_acknowledged_from_the_message() -> None:
    assert written("opened").acknowledge_url
    assert written("escalated").acknowledge_url
    assert not written("acknowledged", ACKNOWLEDGED).acknowledge_url
    assert not written("resolved", RESOLVED).acknowledge_url
    assert written("resolved", RESOLVED).incident_url


def test_a_late_opening_of_what_is_over_says_so() -> None:
    message = written("opened", RESOLVED)
    assert (message.status, message.title) == ("resolved", "[RESOLVED] shop is down")


def test_evidence_is_told_in_words_with_its_units() -> None:
    evidence: dict[str, Any] = {
        "score_nats": 13.24567,
        "threshold_nats": 13.0,
        "delay_s": 14,
        "regions": [{"region": "eu", "failures": 3}, {"region": "us", "failures": 2}],
        "confirmed": True,
        "cap": None,
    }
    member = Member(monitor="default/shop", condition=Condition.DOWN, began=NOW, joined=NOW, evidence=evidence)
    assert written("opened", incident(members=(member,))).evidence == (
        "score: 13.25 nats",
        "threshold: 13 nats",
        "delay: 14 s",
        "regions: region: eu, failures: 3; region: us, failures: 2",
        "confirmed: yes",
        "cap: none",
    )


def test_evidence_without_bounds_becomes_a_message_with_bounds() -> None:
    evidence: dict[str, Any] = {f"figure{number}": ["x" * 1000] * 1000 for number in range(1000)}
    member = Member(monitor="default/shop", condition=Condition.DOWN, began=NOW, joined=NOW, evidence=evidence)
    message = written("opened", incident(members=(member,)))
    assert len(message.evidence) == 8
    assert max(map(len, message.evidence)) <= 300


def test_names_from_outside_cannot_break_a_line() -> None:
    about = incident(title="shop\r\nBcc: everybody@example.org\x1b[31m", acknowledged_by="ann\nbob", acknowledged=NOW)
    message = written("opened", about)
    assert message.title == "[DOWN] shop Bcc: everybody@example.org [31m"
    assert all(text.isprintable() for _, text in message.facts)


def test_what_somebody_forced_says_so() -> None:
    assert ("Simulated", "yes: somebody forced this state") in written("opened", incident(simulated=True)).facts


def test_a_test_says_that_nothing_is_wrong() -> None:
    message = compose(escalation.test_notice(tenant="default", channel="ops", id="1", now=NOW), None)
    assert message.title == "[TEST] Channel ops works"
    assert "nothing is wrong" in message.summary
    assert message.incident == message.key


def test_the_colour_is_that_of_the_state() -> None:
    colours = {
        written("opened").colour,
        written("opened", incident(severity="ticket")).colour,
        written("acknowledged", ACKNOWLEDGED).colour,
        written("resolved", RESOLVED).colour,
    }
    assert len(colours) == 4


def test_the_message_for_machines_is_json() -> None:
    body = msgspec.json.decode(msgspec.json.encode(as_json(written("resolved", RESOLVED, cause=4))))
    assert body["key"] == "inc_1/4/resolved/ops"
    assert body["incident"] == {
        "id": "inc_1",
        "tenant": "default",
        "status": "resolved",
        "severity": "page",
        "condition": "down",
        "began": "2023-11-14T22:12:50.000Z",
        "ended": "2023-11-14T22:16:10.000Z",
        "simulated": False,
        "url": "https://pulse.test/inc_1",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert lasting(seconds) == text
