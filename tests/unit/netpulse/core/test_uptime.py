"""Uptime is counted from what was decided, and leaves out what nobody watched."""

from __future__ import annotations

import pytest

from holdfast.netpulse.core.incident import Span
from holdfast.netpulse.core.uptime import downtime_by_day, uptime


def span(kind: str, since: float, until: float | None = None) -> Span:
    return Span(monitor="t/m", kind=kind, since=since, until=until)


def of(*spans: Span, first: float | None = 0.0) -> float | None:
    return uptime(spans, since=0.0, until=1000.0, first=first)


def test_without_a_check_there_is_no_uptime() -> None:
    assert of(first=None) is None
    assert of(first=1000.0) is None


def test_nothing_down_is_all_up() -> None:
    assert of() == 1.0


def test_downtime_counts_from_the_first_check_on() -> None:
    assert of(span("down", 500, 600), first=0.0) == pytest.approx(0.9)
    assert of(span("down", 500, 600), first=500.0) == pytest.approx(0.8)


def test_overlapping_spans_count_once() -> None:
    assert of(span("down", 100, 200), span("down", 150, 250)) == pytest.approx(0.85)


def test_what_still_stands_counts_until_now() -> None:
    assert of(span("down", 900)) == pytest.approx(0.9)


def test_maintenance_and_blindness_count_on_neither_side() -> None:
    assert of(span("down", 100, 300), span("maintenance", 100, 200)) == pytest.approx(1 - 100 / 900)
    assert of(span("down", 100, 200), span("unknown", 0, 1000)) is None


def test_slow_and_partial_are_not_down() -> None:
    assert of(span("slow", 0, 1000), span("partial", 0, 1000)) == 1.0


def test_days_have_their_part_of_an_outage_over_midnight() -> None:
    day = 86_400.0
    days = downtime_by_day([span("down", day - 100, day + 50)], days=2, now=2 * day - 1)
    assert days == [(0.0, 100.0), (day, 50.0)]
