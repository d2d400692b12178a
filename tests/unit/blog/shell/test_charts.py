"""YAML in, a chart out."""

from __future__ import annotations

import re

import pytest

from holdfast.blog.core.reference import Unbacked
from holdfast.blog.shell.charts import chart
from tests.unit.blog.shell.records import MadeUp

pytestmark = pytest.mark.usefixtures("vega")

BAR = """title: Failed <requests>
kind: bar
axis: requests
format: int
caption: At {ev:flapping#rate|int} requests a second.
rows:
  - {label: Holdfast, value: "{ev:flapping.holdfast.errors}"}
  - {label: "HAProxy <stable>", value: "{ev:flapping.haproxy.errors}"}
"""
CDF = """title: Latency
kind: cdf
axis: milliseconds
scale: log
format: ms
samples:
  - {label: Holdfast, of: flapping.holdfast.latency_ms}
  - {label: HAProxy, of: flapping.haproxy.latency_ms}
"""
FORBIDDEN = re.compile(
    r"style=|<style|\son[a-z]+=|<script|javascript:|https?://(?!www\.w3\.org/2000/svg)|xlink|fill=|stroke="
)


def test_a_bar_chart_has_its_words_its_table_and_links_to_the_record() -> None:
    figure = chart(BAR, name="c", readings=MadeUp(), base="/blog/")
    assert "<figcaption>Failed &lt;requests&gt;</figcaption>" in figure.html
    assert '<td><a class="ev" href="/blog/evidence/flapping/#haproxy.errors"' in figure.html
    assert ">41</a>" in figure.html
    assert 'href="/blog/evidence/flapping/#parameter.rate"' in figure.html
    assert figure.text == ("Chart: Failed <requests>. Holdfast: 3; HAProxy <stable>: 41. At 500 requests a second.")
    assert figure.readings == ("flapping.holdfast.errors", "flapping.haproxy.errors", "flapping#rate")


def test_the_bars_are_as_long_as_their_numbers_and_begin_at_zero() -> None:
    html = chart(BAR, name="c", readings=MadeUp()).html
    bars = [float(width) for width in re.findall(r'class="s1" d="M0,[\d.]+h([\d.]+)', html)]
    bars = bars or [float(width) for width in re.findall(r'd="M0,[\d.]+h([\d.]+)v[\d.]+h-[\d.]+Z" class="s1"', html)]
    assert len(bars) == 2
    assert bars[1] / bars[0] == pytest.approx(41 / 3, rel=0.02)


@pytest.mark.parametrize("source", [
    BAR,
    CDF,
    BAR.replace("kind: bar", "kind: dot"),
    BAR.replace("kind: bar", "kind: line"),
    "title: T\nkind: line\nsamples: flapping.holdfast.latency_ms",
    "title: T\nkind: histogram\nsamples: flapping.holdfast.latency_ms",
])  # fmt: skip
def test_every_kind_is_classes_and_geometry_only_and_the_same_twice(source: str) -> None:
    first = chart(source, name="c", readings=MadeUp())
    assert not FORBIDDEN.search(first.html), FORBIDDEN.search(first.html)
    assert "s1" in first.html
    assert len(first.html) < 12_000
    assert first == chart(source, name="c", readings=MadeUp())


def test_the_axis_of_shares_is_in_percent_as_its_numbers_are() -> None:
    source = BAR.replace("format: int", "format: percent").replace("haproxy.errors", "share")
    metrics = {"flapping.holdfast.errors": 0.1, "flapping.share": 0.9, "flapping#rate": 1.0}
    html = chart(source, name="c", readings=MadeUp(metrics)).html
    assert ">50 %</text>" in html or ">60 %</text>" in html


def test_curves_are_told_apart_by_a_legend_and_summed_up_in_a_table() -> None:
    html = chart(CDF, name="c", readings=MadeUp()).html
    assert html.count("<li>") == 2
    assert 'class="line s2"' in html
    assert "p99 milliseconds" in html
    assert ">200 ms</a>" in html


def test_samples_of_a_stale_record_are_refused_unless_drafts_are_shown() -> None:
    stale = MadeUp(stale=("src/a.py", "src/b.py"))
    with pytest.raises(Unbacked, match=r"flapping/r1 is stale: src/a\.py and 1 more changed since; run 'holdfast"):
        chart(CDF, name="c", readings=stale)
    assert chart(CDF, name="c", readings=stale, allow_stale=True).html


def test_a_stale_metric_is_marked() -> None:
    assert 'class="ev stale"' in chart(BAR, name="c", readings=MadeUp(stale=("src/a.py",))).html
