"""Shapes from figures."""

from __future__ import annotations

import pytest

from holdfast.console.charts import beats, days, latency_chart, phase_stacks, strip
from holdfast.console.netpulse import Beat, Bucket, Day


def bucket(minute: int, p95_ms: float | None, region: str = "eu", **changes: object) -> Bucket:
    return Bucket(at=f"2026-01-31T12:{minute:02}:00Z", region=region, p95_ms=p95_ms, **changes)  # type: ignore[arg-type]


def test_bars_of_one_kind_side_by_side_are_one_stroke_and_nothing_is_drawn_where_nothing_is_known() -> None:
    drawn = strip("euuudu")
    assert dict(drawn.paths) == {"up": "M4 12h11M20 12h3", "down": "M16 12h3"}
    assert drawn.width == 24


@pytest.mark.parametrize(
    ("beat", "letter"),
    [(Beat(up=3), "u"), (Beat(up=2, down=1), "p"), (Beat(down=3), "d"), (Beat(unknown=3), "n"), (Beat(), "e")],
)
def test_a_beat_is_what_its_regions_saw(beat: Beat, letter: str) -> None:
    assert beats([beat], 3).letters == "ee" + letter


def test_a_day_is_partial_from_the_first_failure_and_an_outage_above_72_minutes() -> None:
    shown = [Day(day="", uptime=part) for part in (None, 1.0, 0.9999, 0.95, 0.9)]
    assert days(shown, 5).letters == "euppd"


def test_a_step_without_figures_interrupts_the_line() -> None:
    chart = latency_chart([bucket(0, 10), bucket(5, 20), bucket(10, None, down=3), bucket(15, 40), bucket(20, 45)])
    assert chart is not None
    (line,) = chart.lines
    assert line.path.count("M") == 2
    assert (line.last_ms, line.worst_ms) == (45, 45)
    assert len(chart.failures) == 1
    assert [tick.text for tick in chart.levels] == ["0 ms", "12.5 ms", "25 ms", "37.5 ms", "50 ms"]


@pytest.mark.parametrize("found", [[], [bucket(0, 10)], [bucket(0, None), bucket(5, None)]])
def test_without_two_moments_and_a_figure_there_is_no_chart(found: list[Bucket]) -> None:
    assert latency_chart(found) is None


def test_phases_are_means_of_all_checks_as_parts_of_the_longest_region() -> None:
    found = [
        bucket(0, 1, "eu", up=1, phases_ms={"connect": 10.0, "first_byte": 30.0}),
        bucket(5, 1, "eu", up=3, phases_ms={"connect": 10.0, "first_byte": 10.0}),
        bucket(0, 1, "us", up=1, phases_ms={"connect": 50.0}),
    ]
    eu, us = phase_stacks(found)
    assert [(part.name, part.mean_ms) for part in eu.parts] == [("connect", 10.0), ("first byte", 15.0)]
    assert (eu.parts[1].at, eu.parts[1].width) == (20.0, 30.0)
    assert us.parts[0].width == 100.0
    assert phase_stacks([bucket(0, 1)]) == []
