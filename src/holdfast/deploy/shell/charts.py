"""Curves of cost as an SVG of our own: it stands alone, in light and dark, and says in words what it shows.

A line is told by its dashes as well as by its colour, the figures stand in a table beneath the drawing, and title and
description carry the crossovers for those who do not see it. Nothing in it is loaded from anywhere.
"""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from holdfast.deploy.core.curves import Axis, Crossing, Crossover, Curve, Point, spoken
from holdfast.deploy.core.traffic import cents
from holdfast.deploy.core.workload import Workload

WIDTH: Final = 720
EDGE, LEFT, RIGHT, TOP, BOTTOM = 12, 64, 12, 56, 346
ROW: Final = 20
_NAMED: Final = 'aria-labelledby="title about"'
KINDS: Final = 6
"""Dash patterns; a seventh curve begins again."""
COLUMNS: Final = 4
"""Places whose figures stand in the table."""
LETTERS: Final = 104
"""That fit on a line of the text beneath."""
LEAST: Final = Decimal("0.01")
"""USD a month that is still drawn where costs are drawn by their ratio."""
_STYLE: Final = """
svg { --ink: #1c2421; --quiet: #5a6763; --grid: #d6dedb; --paper: #fbfcfb;
  --k0: #17663a; --k1: #7a4d00; --k2: #1f4e8c; --k3: #a3211c; --k4: #55308a; --k5: #55615c;
  color: var(--ink); background: var(--paper); font: 12px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e4ebe7; --quiet: #9aaaa3; --grid: #37423d; --paper: #141a17;
    --k0: #8be0ae; --k1: #f3c97a; --k2: #9cc4f5; --k3: #f5a8a2; --k4: #cdb2f2; --k5: #b5c2bc; } }
text { fill: currentColor; } .quiet { fill: var(--quiet); } .grid { stroke: var(--grid); } .head { font-size: 15px; }
.n { text-anchor: end; font-variant-numeric: tabular-nums; } .m { text-anchor: middle; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .cross { fill: var(--paper); stroke: currentColor; }
.k0 { stroke: var(--k0); } .k1 { stroke: var(--k1); stroke-dasharray: 7 4; }
.k2 { stroke: var(--k2); stroke-dasharray: 2 3; } .k3 { stroke: var(--k3); stroke-dasharray: 10 3 2 3; }
.k4 { stroke: var(--k4); stroke-dasharray: 4 2; } .k5 { stroke: var(--k5); stroke-dasharray: 1 4; }
"""


@dataclass(frozen=True, slots=True)
class _Frame:
    """From values to places in the drawing.

    Against rates both axes go by ratios, because what is compared spans decades; against a share both are even.
    """

    axis: Axis
    low: Decimal
    high: Decimal
    floor: Decimal
    top: Decimal

    @property
    def by_ratio(self) -> bool:
        return self.axis == "rate" and self.low > 0

    def x(self, at: Decimal) -> float:
        return LEFT + self._share(at, self.low, self.high) * (WIDTH - LEFT - RIGHT)

    def y(self, total: Decimal) -> float:
        return BOTTOM - self._share(max(total, self.floor), self.floor, self.top) * (BOTTOM - TOP)

    def _share(self, value: Decimal, low: Decimal, high: Decimal) -> float:
        if self.by_ratio:
            return float((value / low).ln() / (high / low).ln())
        return float((value - low) / (high - low))

    def marks(self, count: int) -> list[Decimal]:
        """Evenly spaced places from end to end."""
        steps = [Decimal(step) / (count - 1) for step in range(count)]
        if self.by_ratio:
            return [self.low * (self.high / self.low) ** step for step in steps]
        return [self.low + (self.high - self.low) * step for step in steps]

    def levels(self) -> list[Decimal]:
        """Costs at which a line is drawn: decades, or quarters."""
        if not self.by_ratio:
            return [self.top * step / 4 for step in range(5)]
        return [Decimal(10) ** power for power in range(self.floor.adjusted(), self.top.adjusted() + 1)]


def _frame(curves: Sequence[Curve]) -> _Frame:
    places = [point.at for one in curves for point in one.points]
    totals = [point.total for one in curves if one.complete for point in one.points]
    axis, low, dearest = curves[0].axis, min(places), max(totals, default=Decimal(1))
    floor, top = Decimal(0), _nice(dearest)
    if axis == "rate" and low > 0:
        least = max(LEAST, min((total for total in totals if total > 0), default=LEAST))
        floor = Decimal(10) ** least.adjusted()
        top = Decimal(10) ** (max(dearest, floor).adjusted() + 1)
    return _Frame(axis, low, max(places), floor, top)


def draw(curves: Sequence[Curve], crossovers: Sequence[Crossover], workload: Workload, *, title: str) -> str:
    """An SVG document of some curves along one axis, and of where they cross.

    Raises ``ValueError`` without a curve of at least two places, or with curves of different axes.
    """
    if not curves or any(len(one.points) < 2 or one.axis != curves[0].axis for one in curves):
        raise ValueError("a chart takes curves of one axis with at least two places each")
    frame = _frame(curves)
    sentences = [one.text for one in crossovers]
    wrapped = [line for text in sentences for line in textwrap.wrap(text, LETTERS)]
    height = BOTTOM + 60 + ROW * (len(curves) + len(wrapped) + 1)
    ends = " to ".join(spoken(at, workload, frame.axis) for at in (frame.low, frame.high))
    described = f"USD a month by {_axis_name(workload, frame.axis)}, from {ends}. {'. '.join(sentences)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" {_NAMED}>',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="about">{escape(described)}</desc>',
        f"<style>{_STYLE}</style>",
        _text(EDGE, 22, title, "head"),
        *_axes(frame, workload),
        *(_line(one, number, frame) for number, one in enumerate(curves) if one.complete),
        *(_cross(crossing, curves, frame, workload) for one in crossovers for crossing in one.crossings),
        *_table(curves, frame, workload),
    ]
    under = BOTTOM + 60 + ROW * (len(curves) + 1)
    parts += [_text(EDGE, under + ROW * number, text, "quiet") for number, text in enumerate(wrapped)]
    return "\n".join([*parts, "</svg>", ""])


def write_chart(path: Path, document: str) -> None:
    """Write it completely or not at all, in place of what is there. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(document)
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _axis_name(workload: Workload, axis: Axis) -> str:
    if axis == "busy":
        return "share of the month that is busy"
    return "jobs per hour while busy" if workload.traffic.unit == "job" else "requests per second while busy"


def _axes(frame: _Frame, workload: Workload) -> list[str]:
    parts = [_text(EDGE, TOP - 14, "USD a month", "quiet")]
    for level in frame.levels():
        y = frame.y(level)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{level.normalize():f}", "n quiet"))
    parts += [
        _text(frame.x(at), BOTTOM + 18, spoken(at, workload, frame.axis), "m quiet")
        for at in frame.marks(COLUMNS)[1:-1]
    ]
    parts.append(_text(LEFT, BOTTOM + 18, spoken(frame.low, workload, frame.axis), "quiet"))
    parts.append(_text(WIDTH - RIGHT, BOTTOM + 18, spoken(frame.high, workload, frame.axis), "n quiet"))
    return parts


def _line(curve: Curve, number: int, frame: _Frame) -> str:
    steps = " ".join(f"{frame.x(point.at):.1f} {frame.y(point.total):.1f}" for point in curve.points)
    return f'<path class="line k{number % KINDS}" d="M{steps}"><title>{escape(curve.candidate.id)}</title></path>'


def _cross(crossing: Crossing, curves: Sequence[Curve], frame: _Frame, workload: Workload) -> str:
    """A mark where two lines cross, on the one that was cheaper until there; nothing if that one is not drawn."""
    total = next((_before(one, crossing.at).total for one in curves if one.candidate == crossing.below), None)
    if total is None or not frame.low <= crossing.at <= frame.high:
        return ""
    return (
        f'<circle class="cross" cx="{frame.x(crossing.at):.1f}" cy="{frame.y(total):.1f}" r="3.5">'
        f"<title>{escape(spoken(crossing.at, workload, frame.axis))}</title></circle>"
    )


def _before(curve: Curve, at: Decimal) -> Point:
    """The curve's last computed place up to a crossing."""
    return max((point for point in curve.points if point.at <= at), key=lambda point: point.at)


def _nearest(curve: Curve, at: Decimal) -> Point:
    """The point of a curve that is closest to a place."""
    return min(curve.points, key=lambda point: abs(point.at - at))


def _table(curves: Sequence[Curve], frame: _Frame, workload: Workload) -> list[str]:
    """A row for each curve, figures at some places. One that lacks a price is not drawn, and has ``≥`` here."""
    marks = frame.marks(COLUMNS)
    columns = [WIDTH - RIGHT - 110 * (COLUMNS - 1 - number) for number in range(COLUMNS)]
    y = BOTTOM + 48
    parts = [_text(EDGE, y, "USD a month at", "quiet")]
    parts += [_text(x, y, spoken(at, workload, frame.axis), "n quiet") for x, at in zip(columns, marks, strict=True)]
    for number, one in enumerate(curves):
        y += ROW
        if one.complete:
            parts.append(f'<path class="line k{number % KINDS}" d="M{EDGE} {y - 4}h{LEFT - EDGE - 8}"/>')
        parts.append(_text(LEFT, y, one.candidate.id + ("" if one.complete else ", a price is missing")))
        for x, at in zip(columns, marks, strict=True):
            point = _nearest(one, at)
            parts.append(_text(x, y, f"{'' if point.complete else '≥ '}{cents(point.total)}", "n"))
    return parts


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'


def _nice(value: Decimal) -> Decimal:
    """The next of 1, 2, 4, 6, 8 and 10 times a power of ten, so that quarters of it read well."""
    if value <= 0:
        return Decimal(1)
    power = Decimal(10) ** value.adjusted()
    return next(power * factor for factor in (1, 2, 4, 6, 8, 10) if power * factor >= value)
