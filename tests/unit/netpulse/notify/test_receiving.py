"""What an Alertmanager posts is read strictly where it matters, and within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.netpulse.core.ports import ForeignAlert
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.notify.receiving import ALERTS_LIMIT, BODY_LIMIT, LABELS_LIMIT, parse


def alert(**changes: Any) -> dict[str, Any]:
    base = {
        "status": "firing",
        "labels": {"alertname": "HighLoad", "instance": "db-1:9100", "severity": "page"},
        "annotations": {"summary": "Load on db-1 is high"},
        "startsAt": "2026-11-22T10:00:00.125Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.test/graph",
        "fingerprint": "c7ef7c1d3f5b6f3e",
    }
    return {**base, **changes}


def body(*alerts: dict[str, Any], **changes: Any) -> bytes:
    whole = {
        "version": "4",
        "groupKey": '{}:{alertname="HighLoad"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "holdfast",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.test",
        "alerts": list(alerts),
    }
    return json.dumps({**whole, **changes}).encode()


def test_an_alert_is_read() -> None:
    assert parse(body(alert())) == (
        ForeignAlert(
            fingerprint="c7ef7c1d3f5b6f3e",
            title="Load on db-1 is high",
            labels={"alertname": "HighLoad", "instance": "db-1:9100", "severity": "page"},
            starts=1795341600.125,
            active=True,
        ),
    )


def test_of_two_words_about_one_alert_the_last_counts() -> None:
    first, other, last = alert(), alert(fingerprint="b"), alert(status="resolved")
    assert [(each.fingerprint, each.active) for each in parse(body(first, other, last))] == [
        ("b", True),
        ("c7ef7c1d3f5b6f3e", False),
    ]


@pytest.mark.parametrize(
    ("annotations", "labels", "title"),
    [
        ({}, {"alertname": "A", "instance": "i"}, "A on i"),
        ({}, {"alertname": "A"}, "A"),
        ({}, {"job": "x"}, "alert"),
        ({"summary": "two\nlines \x1b[31m"}, {"alertname": "A"}, "two lines [31m"),
        ({"title": "T"}, {"alertname": "A"}, "T"),
    ],
)
def test_the_title_is_the_summary_or_made_of_labels(
    annotations: dict[str, str], labels: dict[str, str], title: str
) -> None:
    assert parse(body(alert(annotations=annotations, labels=labels)))[0].title == title


def test_without_a_fingerprint_the_labels_make_one_whatever_their_order() -> None:
    ways = [{"alertname": "A", "b": "1"}, {"b": "1", "alertname": "A"}]
    first, second = (parse(body(alert(fingerprint="", labels=labels)))[0].fingerprint for labels in ways)
    assert first == second
    assert len(first) == 16


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"\xff", "malformed"),
        (body(alert(), version="3"), "version"),
        (body(alert(status="maybe")), "alerts[0].status"),
        (body(alert(labels={})), "alerts[0].labels"),
        (body(alert(labels={"a": 1})), "alerts[0].labels"),
        (body(alert(labels={"a": "x" * 2000})), "alerts[0].labels"),
        (body(alert(labels={f"l{n}": "" for n in range(LABELS_LIMIT + 1)})), "alerts[0].labels"),
        (body(alert(), alert(startsAt="yesterday")), "alerts[1].startsAt"),
        (body(alert(startsAt="2026-11-22T10:00:00")), "alerts[0].startsAt has no time zone"),
        (body(alert(fingerprint="../x")), "alerts[0].fingerprint"),
        (body(*[alert()] * (ALERTS_LIMIT + 1)), "alerts"),
        (b" " * (BODY_LIMIT + 1), "larger than"),
    ],
)
def test_what_is_wrong_is_refused_and_the_place_named(wrong: bytes, where: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(wrong)
    assert where in str(caught.value)
    assert caught.value.problems[0].remedy


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["version", "alerts", "x"]), inner),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        assert all(isinstance(each, ForeignAlert) for each in parse(data))
    except Invalid:
        pass
