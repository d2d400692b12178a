"""Charts as they are described, read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.blog.core import chart
from holdfast.blog.core.drawing import Unparsable
from holdfast.blog.core.reference import Reading, Series, Unbacked
from tests.unit.blog.shell.records import MadeUp

BAR = """title: Errors
kind: bar
rows:
  - label: Holdfast
    value: "{ev:flapping.holdfast.errors|int}"
"""


def series(*values: float, counts: tuple[int, ...] = ()) -> Series:
    return Series(drill="d", record="r", name="n", values=values, counts=counts or (1,) * len(values))


def test_a_row_has_the_number_of_the_record_in_the_format_of_its_reference() -> None:
    read = chart.read(BAR, MadeUp())
    assert [(row.label, row.value.value, row.value.text) for row in read.rows] == [("Holdfast", 3.0, "3")]


def test_a_ratio_of_two_metrics_is_one_number_with_two_readings() -> None:
    read = chart.read(
        BAR.replace("holdfast.errors|int", "haproxy.errors / flapping.holdfast.errors|times"),
        MadeUp(),
    )
    assert read.rows[0].value.text == "14 times"
    assert len(read.rows[0].value.readings) == 2


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        (BAR.replace('"{ev:flapping.holdfast.errors|int}"', "3"), 5, "'3' is not read from evidence"),
        (BAR.replace('"{ev:flapping.holdfast.errors|int}"', '"3 {ev:flapping.holdfast.errors}"'), 5, "not read from"),
        (BAR.replace("|int", "|furlongs"), 5, "no format 'furlongs'"),
        (BAR.replace("kind: bar", "kind: pie"), 2, "no kind 'pie'"),
        (BAR.replace("kind: bar", "kind: bar\nscale: log"), 3, "no logarithmic scale"),
        (BAR.replace("kind: bar", "kind: dot\nscale: log").replace("holdfast.errors", "nothing"), 3, "zero or less"),
        (BAR.replace("kind: bar", "kind: cdf"), 3, "a cdf with rows"),
        (BAR + "colour: red\n", 6, "no 'colour'"),
        (BAR + "    weight: heavy\n", 6, "no 'weight'"),
        (BAR + "title: again\n", 6, "stands twice"),
        ("title: T\nkind: bar", 2, "no rows"),
        ("title: T\nkind: cdf", 2, "without samples"),
        ("title: T\nkind: bar\nrows: []", 3, "0 entries"),
        ("kind: bar", 1, "'title' is missing"),
        ("- a", 1, "a chart is a mapping"),
        ("", 1, "empty"),
        ("title: {unclosed", 1, "expected"),
        ("a: &x 1\nb: *x", 2, "aliases"),
        ("title: T\nkind: cdf\nsamples: not a name", 3, "names no samples"),
        ("title: T\nkind: cdf\nsamples: [[[[1]]]]", 3, "nested too deep"),
        ("x" * (chart.LONGEST + 1), 1, "characters"),
        (
            BAR.replace("flapping.holdfast.errors|int", "flapping.holdfast.errors / flapping.nothing"),
            5,
            "divides by zero",
        ),
    ],
)
def test_what_is_no_chart_is_told_with_its_line_and_a_remedy(source: str, line: int, message: str) -> None:
    with pytest.raises(Unparsable) as refused:
        chart.read(source, MadeUp())
    assert message in refused.value.message
    assert refused.value.line == line
    assert refused.value.remedy


def test_words_quote_as_those_of_a_post_do() -> None:
    source = BAR.replace(
        "title: Errors", 'title: "At {ev:flapping#rate|int} a second, {fact: 3 s, the manual of nginx}"'
    )
    read = chart.read(source.replace("label: Holdfast", 'label: "{ev:flapping#rate|int}/s"'), MadeUp())
    assert read.title == "At 500 a second, 3 s"
    assert read.rows[0].label == "500/s"
    assert [reading.name for quoted in read.quoted for reading in quoted.readings] == ["#rate", "#rate"]


def test_a_fact_is_never_drawn() -> None:
    with pytest.raises(Unparsable, match="not read from evidence"):
        chart.read(BAR.replace("{ev:flapping.holdfast.errors|int}", "{fact: 3, the manual of nginx}"), MadeUp())


def test_a_number_that_no_record_has_is_unbacked() -> None:
    with pytest.raises(Unbacked, match=r"there is no flapping\.other"):
        chart.read(BAR.replace("flapping.holdfast.errors", "flapping.other"), MadeUp())
    with pytest.raises(Unbacked, match="has no samples"):
        chart.read("title: T\nkind: cdf\nsamples: flapping.holdfast.empty", MadeUp())


def test_more_series_than_can_be_told_apart_are_refused() -> None:
    row = '  - {{label: a, series: s{0}, value: "{{ev:flapping.holdfast.errors}}"}}\n'
    rows = "".join(row.format(place) for place in range(chart.SERIES + 1))
    with pytest.raises(Unparsable, match="6 series"):
        chart.read(f"title: T\nkind: bar\nrows:\n{rows}", MadeUp())


def test_a_quantile_is_the_sample_of_that_rank() -> None:
    hundred = series(*(float(value) for value in range(1, 101)))
    assert [chart.quantile(hundred, share) for share in (0.5, 0.9, 0.99, 1.0)] == [50, 90, 99, 100]
    assert chart.quantile(series(1, 2, counts=(99, 1)), 0.99) == 1
    assert chart.quantile(series(1, 2, counts=(99, 1)), 0.995) == 2


def test_a_cumulative_curve_rises_to_all_of_them_in_few_points() -> None:
    points = chart.cumulative(series(*(float(value) for value in range(10_000))))
    assert points[-1] == (9999.0, 1.0)
    assert len(points) <= 60
    assert list(points) == sorted(points)
    assert any(0.998 < share < 1.0 for _, share in points), "the tail is drawn"


def test_bins_have_round_bounds_and_hold_every_sample() -> None:
    found = chart.bins(series(0.3, 0.5, 7.0, 23.9))
    assert sum(count for _, _, count in found) == 4
    assert found[0][:2] == (0.0, 1.0)
    assert found[-1][0] <= 23.9 < found[-1][1]
    assert sum(count for _, _, count in chart.bins(series(5.0, 5.0))) == 2


def test_samples_are_thinned_in_their_order() -> None:
    assert chart.thinned((5.0, 1.0, 3.0)) == ((0, 5.0), (1, 1.0), (2, 3.0))
    assert len(chart.thinned(tuple(map(float, range(1000))))) <= 240


class InMilliseconds(MadeUp):
    def read(self, reference: str) -> Reading:
        return replace(super().read(reference), unit="ms")


def test_a_format_that_says_another_unit_than_the_record_is_refused() -> None:
    assert chart.read(BAR.replace("|int", "|ms"), InMilliseconds()).rows[0].value.text == "3 ms"
    with pytest.raises(Unparsable, match="the record has it in 'ms', and 'percent' writes another unit") as fault:
        chart.read(BAR.replace("|int", "|percent"), InMilliseconds())
    assert fault.value.line == 5
    assert "use 'ms', or none" in fault.value.remedy


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"holdfast.errors": "ms", "haproxy.errors": "s"}, "rows in 'ms' and in 's' on one axis"),
        ({"holdfast.errors": "ms", "haproxy.errors": ""}, "rows in 'ms' and in no unit on one axis"),
        ({"holdfast.errors": "errors", "haproxy.errors": "requests"}, ""),
        ({"holdfast.errors": "ms", "haproxy.errors": "ms"}, ""),
    ],
)
def test_rows_of_one_axis_have_one_unit(units: dict[str, str], message: str) -> None:
    class Mixed(MadeUp):
        def read(self, reference: str) -> Reading:
            found = super().read(reference)
            return replace(found, unit=units[found.name])

    row = '  - {label: HAProxy, value: "{ev:flapping.haproxy.errors}"}\n'
    source = BAR.rstrip("\n") + "\n" + row
    if not message:
        assert len(chart.read(source, Mixed()).rows) == 2
        return
    with pytest.raises(Unparsable) as refused:
        chart.read(source, Mixed())
    assert refused.value.message == message
