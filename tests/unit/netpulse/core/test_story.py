"""The story of an incident."""

from __future__ import annotations

from holdfast.netpulse.core.incident import Evidence, Notice
from holdfast.netpulse.core.story import sentences, weighed
from tests.unit.netpulse.core.incidents import Desk, watched


def test_a_story_says_what_was_seen_what_was_waited_for_and_who_was_told() -> None:
    desk = Desk([watched("db"), watched("web", "db")])
    desk.fail("web")
    desk.wait(20)
    incident = desk.only()
    notice = Notice(
        key="k",
        incident=incident.id,
        tenant="t",
        channel="phone",
        event="opened",
        at=desk.now,
        not_before=desk.now,
        snapshot=incident,
    )
    desk.keep(desk.book.note(incident.id, "disk is full", "ann", desk.now))
    assert sentences(desk.only(), desk.transitions, [(notice, "failed", "429")]) == [
        "web is down: open (page); it still fails.",
        "08:00:00 web: down. 1 others are asked first.",
        "         detector.alarm: sum 13.2, threshold 13.",
        "08:00:15 web is down.",
        "         Waited 15.0 s for the answers of others, so that one page names the cause.",
        "08:00:20 ann noted: disk is full",
        "08:00:20 phone: opened, failed (429).",
        "Nobody has acknowledged it.",
    ]


def test_a_story_says_why_nobody_was_told() -> None:
    desk = Desk([watched("web")])
    desk.maintain("m1", 600.0)
    desk.wait(100)
    desk.fail("web")
    lines = sentences(desk.only(), desk.transitions)
    assert lines[-1] == "It may not page: maintenance m1. If it still fails after that, it will."
    assert "No message was sent." in lines


def test_a_long_story_is_told_from_both_ends() -> None:
    desk = Desk([watched("web")])
    for _ in range(100):
        desk.fail("web")
        desk.recover("web")
    lines = sentences(desk.only(), desk.transitions)
    assert len(lines) < 140
    assert any("left out" in line for line in lines)


def test_the_ledger_of_a_detector_is_told_in_words() -> None:
    ledger: Evidence = {
        "threshold": 14.45,
        "cap": 7.22,
        "total": 12.1,
        "lone": False,
        "domains": [{"domain": "a", "sum": 6.05}, {"domain": "b", "sum": 6.05}],
        "regions": [
            {"region": "eu", "failing": True, "believed": True},
            {"region": "us", "failing": True, "believed": True},
            {"region": "ap", "failing": False, "believed": False},
        ],
    }
    assert weighed(ledger) == (
        "eu, us saw it fail. Evidence 12.1, needed 14.45; of one failure domain at most 7.22 counts (a 6.05, b 6.05)."
        " ap is not believed: stuck, or not heard."
    )
    assert "decides alone" in weighed({**ledger, "lone": True})
    assert weighed({"title": "of another system"}) == ""
