"""What is asked of Vega-Lite for a chart: a specification, with stand-ins for the colours that the page gives."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from holdfast.blog.core import chart as charts
from holdfast.blog.core.chart import SERIES, Chart
from holdfast.blog.core.graph import SIZE
from holdfast.blog.core.lettering import width, wrap

WIDTH: Final = 400.0
"""Units of a whole chart. A phone shows it at about nine tenths, with all of its bars; a desk a third larger."""
_BAND: Final = 26.0
"""Units per bar or dot."""
_HEIGHT: Final = 200.0
"""Of the plot of curves."""
_NAMES: Final = 130.0
"""Units that the names of rows get at most."""
_COLOUR: Final = "#0000{:02x}"
"""A colour that stands for a series until the class takes its place."""


def series_of(colour: str) -> int:
    """The place of a series, from 1, by its stand-in colour; 0 for any other."""
    if not colour.startswith("#0000") or len(colour) != 7:
        return 0
    place = int(colour[5:], 16)
    return place if place <= SERIES else 0


def _colours(read: Chart) -> dict[str, Any]:
    """Which stand-in colour each series has."""
    colours = [_COLOUR.format(place) for place in range(1, len(read.names) + 1)]
    scale = {"domain": list(read.names), "range": colours}
    return {"field": "series", "type": "nominal", "scale": scale, "legend": None}


def specification(read: Chart) -> dict[str, Any]:
    """A Vega-Lite specification, complete and without any address in it."""
    form = {"bar": _rows, "dot": _rows, "line": _line, "cdf": _cdf, "histogram": _histogram}[read.kind](read)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": None,
        "padding": 4,
        "autosize": {"type": "pad"},
        "config": {
            "font": "Liberation Sans",
            "view": {"stroke": None},
            "axis": {
                "labelFontSize": SIZE - 1,
                "titleFontSize": SIZE - 1,
                "titleFontWeight": "normal",
                "labelLimit": 0,
                "titleLimit": 0,
                "tickCount": 5,
                "labelFlush": False,
                "labelOverlap": "greedy",
                "labelSeparation": 12,
            },
        },
        **form,
    }


def _scale(read: Chart, **more: Any) -> dict[str, Any]:
    return (
        {"type": "log", "nice": False, **more, "padding": 14} if read.log else {"type": "linear", "nice": True, **more}
    )


def _axis_of(values: list[float], read: Chart, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Tick labels in plain figures: thousands with commas, no SI letters to guess at."""
    axis: dict[str, Any] = {"format": ",~r" if max(map(abs, values), default=1) >= 1 else "~g", **(extra or {})}
    if read.format in ("percent", "percent1"):
        return axis | {"labelExpr": "format(datum.value * 100, ',~r') + ' %'"}
    if all(value.is_integer() for value in values):
        axis["tickMinStep"] = 1  # things that are counted have no halves
    if read.log:
        axis |= {"format": ",~g" if max(values, default=1) < 1e6 else "~e", "values": _round(min(values), max(values))}
    return axis


def _round(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: tens, with twos and fives between them where there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    return [step * 10.0**power for power in range(first, last + 1) for step in steps]


def _rows(read: Chart) -> dict[str, Any]:
    labels = list(dict.fromkeys(row.label for row in read.rows))
    names = min(max((width(label, SIZE - 1) for label in labels), default=0.0) + 10, _NAMES)
    told = max(width(row.value.text, SIZE - 1) for row in read.rows) + 14
    plot = max(WIDTH - names - told, 160.0)
    data = [
        {"label": row.label, "series": row.series, "value": row.value.value, "text": row.value.text}
        for row in read.rows
    ]
    grouped = len(read.names) > 1 and read.kind == "bar"
    band = _BAND * (0.62 * len(read.names) + 0.4) if grouped else _BAND
    place: dict[str, Any] = {
        "y": {
            "field": "label",
            "type": "nominal",
            "sort": labels,
            "title": None,
            "scale": {"paddingInner": 0.3, "paddingOuter": 0.15},
            "axis": {
                "ticks": False,
                "domain": read.kind == "bar",
                "labelPadding": 8,
                "minExtent": names,
                "labelExpr": _breaking(labels),
            },
        }
    }
    if grouped:
        place["yOffset"] = {"field": "series", "type": "nominal", "sort": list(read.names)}
    lines = max(len(wrap(label, SIZE - 1, _NAMES - 12)) for label in labels)
    band += (lines - 1) * SIZE
    x = {
        "field": "value",
        "type": "quantitative",
        "title": read.axis or None,
        "scale": _scale(read, zero=read.kind == "bar"),
        "axis": _axis_of([row.value.value for row in read.rows], read, None if read.log else {"tickCount": 4}),
    }
    mark = {"type": "bar"} if read.kind == "bar" else {"type": "point", "filled": True, "size": 90}
    layers: list[dict[str, Any]] = [{"mark": mark, "encoding": {"x": x, "color": _colours(read)}}]
    if read.kind == "bar" or len(read.names) == 1:
        words = {"type": "text", "align": "left", "baseline": "middle", "dx": 8, "fontSize": SIZE - 1}
        layers.append({"mark": words, "encoding": {"x": x, "text": {"field": "text"}}})
    return {
        # Vega measures with its own font; the reader's may be a fifth wider.
        "padding": {"left": 4, "top": 4, "bottom": 4, "right": 6 + told / 4},
        "width": plot,
        "height": band * len(labels),
        "data": {"values": data},
        "encoding": place,
        "layer": layers,
    }


def _breaking(labels: list[str]) -> str:
    """A Vega expression that breaks long names into the lines that our own table gives them."""
    broken = {label: list(wrap(label, SIZE - 1, _NAMES - 12)) for label in labels}
    return f"({json.dumps(broken)})[datum.value]"


def _plot(layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"width": WIDTH - 70, "height": _HEIGHT, "layer": layers}


def _line(read: Chart) -> dict[str, Any]:
    data: list[dict[str, Any]]
    x: dict[str, Any]
    if read.runs:
        data = [
            {"series": run.label, "x": place, "y": value, "place": place}
            for run in read.runs
            for place, value in charts.thinned(run.samples.values)
        ]
        x = {
            "field": "x",
            "type": "quantitative",
            "title": read.along or "sample",
            "axis": {"grid": False, "format": ",~r"},
        }
    else:
        placed = all(row.at for row in read.rows)
        data = [
            {"series": row.series, "x": row.at.value if row.at else row.label, "y": row.value.value, "place": place}
            for place, row in enumerate(read.rows)
        ]
        x = {"field": "x", "title": read.along or None, "axis": {"grid": False, "labelAngle": 0}}
        x |= {"type": "quantitative"} if placed else {"type": "ordinal", "sort": None}
    y = {
        "field": "y",
        "type": "quantitative",
        "title": read.axis or None,
        "scale": _scale(read, zero=not read.log),
        "axis": _axis_of([one["y"] for one in data], read),
    }
    encoding = {"x": x, "y": y, "color": _colours(read), "order": {"field": "place"}}
    layers: list[dict[str, Any]] = [{"mark": {"type": "line"}, "encoding": encoding}]
    if len(data) <= 60:
        dots = {name: value for name, value in encoding.items() if name != "order"}
        layers.append({"mark": {"type": "point", "filled": True, "size": 40}, "encoding": dots})
    return _plot(layers) | {"data": {"values": data}}


def _cdf(read: Chart) -> dict[str, Any]:
    data: list[dict[str, Any]] = [
        {"series": run.label, "x": value, "y": share * 100, "place": place}
        for run in read.runs
        for place, (value, share) in enumerate(charts.cumulative(run.samples))
    ]
    x = {
        "field": "x",
        "type": "quantitative",
        "title": read.axis or None,
        "scale": _scale(read, zero=not read.log),
        "axis": _axis_of([one["x"] for one in data], read),
    }
    y = {
        "field": "y",
        "type": "quantitative",
        "title": "% of samples up to",
        "scale": {"domain": [0, 100]},
        "axis": {"values": [0, 25, 50, 75, 100]},
    }
    encoding = {"x": x, "y": y, "color": _colours(read), "order": {"field": "place"}}
    curve = {"mark": {"type": "line", "interpolate": "step-after"}, "encoding": encoding}
    return _plot([curve]) | {"data": {"values": data}}


def _histogram(read: Chart) -> dict[str, Any]:
    data = [{"from": low, "to": high, "count": count} for low, high, count in charts.bins(read.runs[0].samples)]
    axis = _axis_of([one["to"] for one in data], read, {"grid": False})
    encoding = {
        "x": {
            "field": "from",
            "type": "quantitative",
            "bin": {"binned": True},
            "title": read.axis or None,
            "axis": axis,
        },
        "x2": {"field": "to"},
        "y": {"field": "count", "type": "quantitative", "title": read.along or "samples", "axis": {"format": ",~r"}},
        "color": {"value": _COLOUR.format(1)},
    }
    return _plot([{"mark": {"type": "bar"}, "encoding": encoding}]) | {"data": {"values": data}}
