"""The evidence of an incident as rows."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.console.ledger import MOST_ROWS, Row, rows

EVIDENCE: dict[str, Any] = {
    "threshold": 13.0,
    "cap": 6.5,
    "total": 9.0,
    "domains": [{"domain": "aws", "sum": 6.5, "recovery": 0.0}, {"domain": "gcp", "sum": 2.5}],
    "regions": [
        {"region": "us", "domain": "gcp", "good": 0.9, "bad": 0.1, "stuck": 0.0, "last_at": 1_700_000_000.0},
        {"region": "eu", "domain": "aws", "failing": True},
    ],
}


def outline(found: list[Row]) -> list[tuple[int, str, str]]:
    return [(row.level, row.kind, row.name) for row in found]


def test_regions_stand_below_their_domain_and_each_domain_against_its_cap() -> None:
    found = rows([{"monitor": "shop", "condition": "down", "decided_by": EVIDENCE, "now": {}}])
    assert outline(found) == [
        (0, "monitor", "shop"),
        (1, "domain", "aws"),
        (2, "region", "eu"),
        (1, "domain", "gcp"),
        (2, "region", "us"),
    ]
    assert (found[0].figure, found[0].most, found[0].about) == (9.0, 13.0, "condition down")
    assert [row.share for row in found] == [pytest.approx(9 / 13), 1.0, None, pytest.approx(2.5 / 6.5), None]
    assert found[1].is_full
    assert found[4].about == "good path 90 %, bad path 10 %, stuck 0 %"


def test_how_it_stands_now_comes_after_what_was_decided_by() -> None:
    found = rows([{"monitor": "shop", "decided_by": EVIDENCE, "now": EVIDENCE}])
    assert [row.kind for row in found if row.level == 0] == ["monitor", "monitor, now"]


def test_figures_of_other_rules_are_shown_by_their_name() -> None:
    (slow,) = rows([{"monitor": "shop", "decided_by": {"total_ms": 812.5, "bound": "learned"}, "now": {}}])
    assert slow.about == "total ms 812.5, bound learned"
    partial = rows([{"monitor": "shop", "decided_by": {"threshold": 3.0, "domains": {"aws": 3.2}}, "now": {}}])
    assert (partial[1].name, partial[1].figure) == ("aws", 3.2)


def test_what_was_never_heard_of_neither_fails_nor_grows_without_bound() -> None:
    assert rows([{}, {"monitor": 1, "domains": 7, "regions": "x", "threshold": "high"}])
    assert len(rows([{"monitor": str(n), **EVIDENCE} for n in range(500)])) == MOST_ROWS


def test_figures_of_the_detector_are_told_in_words_and_strange_ones_as_they_are() -> None:
    region = {
        "region": "eu",
        "failing": True,
        "believed": False,
        "llr": 6.05,
        "predicted_fails": "?",
        "median_ms": None,
    }
    (row,) = rows([{"monitor": "web", "regions": [region]}])[1:]
    assert row.about == (
        "saw it fail last, not believed: stuck, or not heard, its last result said +6.05, predicted fails ?"
    )
