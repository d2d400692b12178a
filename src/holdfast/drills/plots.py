"""Samples and metrics as shapes: what the report's template puts into SVG. Values in, coordinates out.

Two charts. *Bars* hold one metric of all contenders against the bound that a claim sets. *Curves* are quantile
functions drawn as HdrHistogram's plots are: the share of all from left to right by nines (0, 90, 99, 99.9 %), the value
upwards, both logarithmic, so that a tail of one in a thousand has as much room as the half of all that is fast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from holdfast.evidence import Metric, Samples, samples

WIDTH: Final = 360
"""Of every chart, in units of its view box: about the width of a phone, so that letters keep their size there."""
HEIGHT: Final = 220
"""Of curves."""
LEFT: Final = 56
RIGHT: Final = 12
TOP: Final = 10
BOTTOM: Final = 26
BAR_LEFT: Final = 96
BAR_RIGHT: Final = 92
BAR_ROW: Final = 26
FEWEST: Final = 20
"""Numbers that make a curve; fewer are told in the table alone."""
_PERCENTS: Final = ("0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %")
_STEP: Final = 0.7
"""Units; points nearer to the last one are not drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One contender's value, as a horizontal bar."""

    name: str
    value: float | None
    y: float
    width: float
    spread: tuple[float, float] | None
    """From where to where its repetitions lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """One metric of all contenders."""

    bars: tuple[Bar, ...]
    bound: float | None
    """Where the line stands that a claim sets."""
    height: float


def bars(metrics: Mapping[str, Metric], bound: float | None = None) -> Bars | None:
    """Bars from 0 on one linear scale. ``None`` where nothing can be compared: negative values, or no value at all."""
    numbers = [
        number for one in metrics.values() for number in (one.value, one.low, one.high) if number is not None
    ] + ([bound] if bound is not None else [])
    if not any(one.value is not None for one in metrics.values()) or min(numbers) < 0:
        return None
    unit = (WIDTH - BAR_LEFT - BAR_RIGHT) / (max(numbers) or 1.0)

    def at(value: float) -> float:
        return round(BAR_LEFT + value * unit, 1)

    drawn = tuple(
        Bar(
            name=name,
            value=one.value,
            y=BAR_ROW * number + 4,
            width=round((one.value or 0.0) * unit, 1),
            spread=None if one.low is None or one.high is None else (at(one.low), at(one.high)),
        )
        for number, (name, one) in enumerate(metrics.items())
    )
    return Bars(bars=drawn, bound=None if bound is None else at(bound), height=BAR_ROW * len(drawn) + 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One contender's quantile function; ``path`` is that of an SVG element."""

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """One series of all contenders."""

    curves: tuple[Curve, ...]
    across: tuple[tuple[float, str], ...]
    """Where the percentages stand."""
    upwards: tuple[tuple[float, float], ...]
    """Where the values stand: position, value."""


def curves(series: Mapping[str, Samples]) -> Curves | None:
    """Quantile functions of those with at least :data:`FEWEST` numbers. ``None`` if there is none above 0."""
    many = {name: samples.pairs(one) for name, one in series.items() if samples.count(one) >= FEWEST}
    positive = [value for pairs in many.values() for value, _ in pairs if value > 0]
    if not positive:
        return None
    ticks = _ticks(min(positive), max(positive))
    low, high = math.log10(ticks[0]), math.log10(ticks[-1])
    nines = math.log10(max(sum(times for _, times in pairs) for pairs in many.values()))

    def across(share: float) -> float:
        beyond = nines if share >= 1 else min(nines, -math.log10(1 - share))
        return LEFT + (WIDTH - LEFT - RIGHT) * beyond / nines

    def upwards(value: float) -> float:
        above = 0.0 if value <= 0 else max(0.0, (math.log10(value) - low) / (high - low))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * above

    drawn = []
    for name, pairs in many.items():
        total, seen = sum(times for _, times in pairs), 0
        points: list[tuple[float, float]] = []
        for value, times in pairs:
            _extend(points, across(seen / total), upwards(value))
            seen += times
        points.append((across(1.0 if total == 10**nines else (total - 1) / total), upwards(pairs[-1][0])))
        drawn.append(Curve(name=name, path="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)))
    return Curves(
        curves=tuple(drawn),
        across=tuple(
            (round(LEFT + (WIDTH - LEFT - RIGHT) * number / nines, 1), text)
            for number, text in enumerate(_PERCENTS)
            if number <= nines
        ),
        upwards=tuple((round(upwards(tick), 1), tick) for tick in ticks),
    )


def _extend(points: list[tuple[float, float]], x: float, y: float) -> None:
    if not points or abs(points[-1][0] - x) + abs(points[-1][1] - y) >= _STEP:
        points.append((x, y))


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten around the values; within two decades 2 and 5 of each as well. At least two, ascending."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if last == first:
        last += 1
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    every = math.ceil((last - first) / 6)
    found = [step * 10.0**power for power in range(first, last) for step in steps]
    if every > 1:
        found = [10.0**power for power in range(first, last, every)]
    found.append(10.0**last)
    below = [tick for tick in found if tick <= low]
    above = [tick for tick in found if tick >= high]
    return [tick for tick in found if below[-1] <= tick <= above[0]] if below[-1] < above[0] else [below[-1], found[-1]]
