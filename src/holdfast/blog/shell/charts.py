"""Charts: Vega-Lite draws them offline, and what it drew is rewritten so that it may stand in a page.

Vega writes colours, fonts and opacities into every element. Of its SVG only the geometry is kept: each mark becomes an
element of :mod:`holdfast.blog.core.svg` with the class of its role (``grid``, ``label``, ``bar s1``), so that the
page's style sheet colours it in light and dark. Series are told apart by stand-in colours that become classes. Text is
measured by our own table, as the reader's font is not Vega's.

Starting Vega takes half a second, once per process; a build that keeps figures by the hash of their source pays it
only when a chart has changed.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final
from xml.etree import ElementTree as ET

from holdfast.blog.core import chart as charts
from holdfast.blog.core import svg, vega
from holdfast.blog.core.chart import Chart, Quoted, Stated
from holdfast.blog.core.drawing import Figure
from holdfast.blog.core.reference import Reading, Readings, Series, Unbacked
from holdfast.blog.core.svg import Svg
from holdfast.blog.errors import RenderFailed

_VERSION: Final = "v5.21"
"""Pinned: another Vega-Lite draws other bytes."""


def chart(source: str, *, name: str, readings: Readings, base: str = "/", allow_stale: bool = False) -> Figure:
    """A chart as a figure; see :class:`holdfast.blog.core.drawing.Draughtsman`."""
    read = charts.read(source, readings)
    if not allow_stale:
        _refuse_stale(read)
    label = f"Chart: {read.title}"
    told = charts.described(read, lambda run: _summary(read, run.samples))
    picture = _picture(read, name, label, told)
    caption = "".join(_shown(part, base) for part in read.caption)
    below = f'<p class="caption">{caption}</p>' if caption else ""
    return Figure(
        html=f'<figure class="figure chart wide" id="{escape(name)}"><figcaption>{svg.text(read.title)}</figcaption>'
        f'{_legend(read)}<div class="scroll">{picture}</div>{below}{_table(read, base)}</figure>',
        text=f"{label}. {told}.{''.join(_words(read))}",
        readings=tuple(_references(read)),
    )


def _refuse_stale(read: Chart) -> None:
    """Metrics are judged with those of the text; samples have only this place."""
    for run in read.runs:
        one = run.samples
        if one.stale:
            more = f" and {len(one.stale) - 1} more" if len(one.stale) > 1 else ""
            raise Unbacked(
                f"{one.drill}/{one.record} is stale: {one.stale[0]}{more} changed since; "
                f"run 'holdfast evidence rerun {one.drill}'"
            )


def _references(read: Chart) -> list[str]:
    quoted = [number for row in read.rows for number in (row.value, row.at) if number]
    quoted += read.quoted
    found = [_reference(reading) for number in quoted for reading in number.readings]
    return list(dict.fromkeys(found))


def _reference(reading: Reading) -> str:
    return f"{reading.drill}{'' if reading.name.startswith('#') else '.'}{reading.name}"


def _words(read: Chart) -> list[str]:
    words = charts.plain(read.caption)
    return [f" {words}"] if words else []


def _summary(read: Chart, samples: Series) -> str:
    told = [f"{name} {read.write(charts.quantile(samples, share))}" for name, share in charts.QUANTILES]
    return f"{charts.total(samples):,} samples, {', '.join(told)}"


# ---------------------------------------------------------------- words beneath


def _shown(part: str | Quoted | Stated, base: str) -> str:
    if isinstance(part, Quoted):
        return _linked(part, base)
    if isinstance(part, Stated):
        return f'<span class="fact" title="{svg.text(part.source)}">{svg.text(part.text)}</span>'
    return svg.text(part)


def _linked(number: Quoted, base: str) -> str:
    reading = number.readings[0]
    anchor = f"parameter.{reading.name[1:]}" if reading.name.startswith("#") else reading.name
    title = " / ".join(
        f"{one.drill}, record {one.record}: {one.name.removeprefix('#')}{f', in {one.unit}' if one.unit else ''}"
        for one in number.readings
    )
    stale = any(one.stale for one in number.readings)
    href = escape(f"{base}evidence/{reading.drill}/#{anchor}")
    kind = "ev stale" if stale else "ev"
    told = f"{title}{' (stale)' if stale else ''}"
    return f'<a class="{kind}" href="{href}" title="{svg.text(told)}">{svg.text(number.text)}</a>'


def _legend(read: Chart) -> str:
    if len(read.names) < 2:
        return ""
    shape = {"bar": "bar", "histogram": "bar", "dot": "dot"}.get(read.kind, "line")
    entries = []
    for place, label in enumerate(read.names, start=1):
        kind = f"{shape} s{place}"
        mark = {
            "bar": svg.element("rect", {"class": kind, "x": 5, "y": 0, "width": 12, "height": 12}),
            "dot": svg.element("circle", {"class": kind, "cx": 11, "cy": 6, "r": 5}),
            "line": svg.element("path", {"class": kind, "d": "M0 6H22"}),
        }[shape]
        swatch = svg.element("svg", {"width": 22, "height": 12, "viewBox": "0 0 22 12", "aria-hidden": "true"}, mark)
        entries.append(f"<li>{swatch} {svg.text(label)}</li>")
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _table(read: Chart, base: str) -> str:
    head, rows = _run_table(read, base) if read.runs else _row_table(read, base)
    cells = "".join(f'<th scope="col">{svg.text(one)}</th>' for one in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    return (
        f"<details><summary>The chart as a table</summary><table><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table></details>"
    )


def _row_table(read: Chart, base: str) -> tuple[list[str], list[list[str]]]:
    grouped, placed = any(row.series for row in read.rows), any(row.at for row in read.rows)
    head = ["What", *(["Series"] if grouped else []), *([read.along or "At"] if placed else []), read.axis or "Value"]
    rows = []
    for row in read.rows:
        cells: list[str] = [svg.text(row.label)]
        if grouped:
            cells.append(svg.text(row.series))
        if row.at:
            cells.append(_linked(row.at, base))
        rows.append([*cells, _linked(row.value, base)])
    return head, rows


def _run_table(read: Chart, base: str) -> tuple[list[str], list[list[str]]]:
    head = ["Series", "Samples", *(f"{name} {read.axis}".strip() for name, _ in charts.QUANTILES)]
    rows = []
    for run in read.runs:
        one = run.samples
        href = escape(f"{base}evidence/{one.drill}/")
        title = svg.text(f"{one.drill}, record {one.record}: samples {one.name}")
        values = [f"{charts.total(one):,}", *(read.write(charts.quantile(one, share)) for _, share in charts.QUANTILES)]
        links = [f'<a class="ev" href="{href}" title="{title}">{svg.text(value)}</a>' for value in values]
        rows.append([svg.text(run.label or one.name), *links])
    return head, rows


# ---------------------------------------------------------------- Vega's SVG, rewritten


def _picture(read: Chart, name: str, title: str, description: str) -> Svg:
    try:
        import vl_convert
    except ImportError as error:
        raise RenderFailed("charts need vl-convert; run: pip install 'holdfast[blog]'") from error
    try:
        drawn = vl_convert.vegalite_to_svg(vega.specification(read), vl_version=_VERSION, allowed_base_urls=[])
    except ValueError as error:
        raise RenderFailed(f"Vega-Lite did not draw {read.title!r}: {str(error)[:300]}") from error
    root = ET.fromstring(drawn)  # noqa: S314 - written by the library that we called, which escapes what it is given
    box = [float(part) for part in root.attrib["viewBox"].split()]
    content = tuple(_rewritten(child, "") for child in root)
    return svg.figure(
        name, title=title, description=description, box=(box[0], box[1], box[2], box[3]), children=content
    )


_ROLES: Final = {
    "role-axis-grid": "grid", "role-axis-tick": "tick", "role-axis-domain": "domain", "role-axis-label": "label",
    "role-axis-title": "axis", "mark-rect": "bar", "mark-line": "line", "mark-symbol": "dot", "mark-text": "value",
}  # fmt: skip
"""Vega's classes -> ours; the first that an element has counts."""
_GEOMETRY: Final = ("d", "x", "y", "x1", "x2", "y1", "y2", "dy", "width", "height", "text-anchor")
_FIGURES: Final = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_IDLE: Final = re.compile(r"translate\(0, ?0\)")


def _rewritten(node: ET.Element, role: str) -> Svg:
    """One element and what is in it, with nothing but geometry and classes."""
    kind = node.tag.rpartition("}")[2]
    if node.get("display") == "none" or node.get("class") in ("background", "foreground") or kind in ("defs", "style"):
        return Svg("")
    own = (node.get("class") or "").split()
    role = next((ours for theirs, ours in _ROLES.items() if theirs in own), role)
    if kind == "g":
        inner = [_rewritten(child, role) for child in node]
        attributes: dict[str, str | float] = {}
        if any(theirs in own for theirs in _ROLES):
            attributes["class"] = role
        moved = _shortened(node.get("transform", ""))
        if moved and not _IDLE.fullmatch(moved):
            attributes["transform"] = moved
        joined = Svg("".join(inner))
        return svg.element("g", attributes, joined) if attributes and joined else joined
    if kind not in ("path", "line", "rect", "text", "tspan"):
        return Svg("")
    attributes = {key: _shortened(node.attrib[key]) for key in _GEOMETRY if key in node.attrib}
    if moved := _shortened(node.get("transform", "")):
        attributes["transform"] = moved
    if series := _series_of(node):
        attributes["class"] = series
    words = [svg.text(node.text)] if kind in ("text", "tspan") and node.text else []
    return svg.element(kind, attributes, *words, *(_rewritten(child, role) for child in node))


def _series_of(node: ET.Element) -> str:
    """``s1`` for what has the first stand-in colour."""
    for paint in (node.get("fill", ""), node.get("stroke", "")):
        if place := vega.series_of(paint):
            return f"s{place}"
    return ""


def _shortened(geometry: str) -> str:
    return _FIGURES.sub(lambda match: svg.number(float(match[0])), geometry)
