"""Figures as shapes: what templates put into SVG. Values in, coordinates out.

A strip is a row of bars. Bars of one kind that stand beside each other are one stroke, cut into bars by the
style's ``stroke-dasharray``: an hour of a healthy monitor is a path of ten characters, so that hundreds of strips
fit on a page. Kinds differ in height as well as in colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Final

from holdfast.console.netpulse import Beat, Bucket, Day

BAR: Final = 4
"""Units of width of a bar with its gap; the style's dash pattern adds up to it."""
MIDDLE: Final = 12
KINDS: Final = {"u": "up", "p": "partial", "d": "down", "n": "unknown", "m": "maintenance", "e": "none"}
"""Bars by their letter, and the class of each."""
PHASES: Final = ("resolve", "connect", "tls", "first_byte", "transfer")
PHASE_NAMES: Final = {
    "resolve": "resolve",
    "connect": "connect",
    "tls": "TLS",
    "first_byte": "first byte",
    "transfer": "transfer",
}
_NICE: Final = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A row of bars."""

    letters: str
    """One of :data:`KINDS` for each bar, oldest first."""
    paths: tuple[tuple[str, str], ...]
    """Class and path of each kind that there is."""

    @property
    def width(self) -> int:
        """Units of the view box."""
        return BAR * len(self.letters)


def strip(letters: str) -> Strip:
    """The bars of some letters."""
    found: dict[str, list[str]] = {}
    at = 0
    for letter, run in groupby(letters):
        count = len(list(run))
        if letter != "e":
            found.setdefault(letter, []).append(f"M{BAR * at} {MIDDLE}h{BAR * count - 1}")
        at += count
    return Strip(letters=letters, paths=tuple((KINDS[letter], "".join(path)) for letter, path in found.items()))


def letter_of(beat: Beat) -> str:
    """What a beat looks like."""
    if beat.down:
        return "p" if beat.up else "d"
    if beat.up:
        return "u"
    return "n" if beat.unknown else "e"


def beats(of: Sequence[Beat], count: int = 60) -> Strip:
    """The last ``count`` beats; places without one are empty."""
    return strip("".join(letter_of(beat) for beat in of[-count:]).rjust(count, "e"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One region's line. ``number`` tells lines apart, by dashes as well as by colour."""

    name: str
    number: int
    path: str
    last_ms: float | None
    worst_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """Lines over time."""

    width: int
    height: int
    lines: tuple[Line, ...]
    levels: tuple[Tick, ...]
    hours: tuple[Tick, ...]
    failures: tuple[float, ...]
    """Places where some region found it down."""


def latency_chart(buckets: Sequence[Bucket], *, width: int = 720, height: int = 220) -> LineChart | None:
    """p95 by region over time; ``None`` without any figure. A step without one interrupts the line."""
    times = sorted({_seconds(bucket.at) for bucket in buckets})
    figures = [bucket.p95_ms for bucket in buckets if bucket.p95_ms is not None]
    if not figures or len(times) < 2:
        return None
    first, last = times[0], times[-1]
    step = min(later - sooner for sooner, later in pairwise(times))
    top = _nice(max(figures))
    left, bottom = 48, height - 24

    def x(at: float) -> float:
        return left + (at - first) / (last - first) * (width - left - 8)

    def y(value: float) -> float:
        return bottom - value / top * (bottom - 12)

    lines = []
    for number, region in enumerate(sorted({bucket.region for bucket in buckets})):
        own = sorted((_seconds(b.at), b.p95_ms) for b in buckets if b.region == region and b.p95_ms is not None)
        pieces, before = [], None
        for at, value in own:
            pieces.append(
                f"{'L' if before is not None and at - before < 1.5 * step else 'M'}{x(at):.0f} {y(value):.1f}"
            )
            if before is None or at - before >= 1.5 * step:
                pieces.append("h.1")  # so that a point between two gaps is seen
            before = at
        known = [value for _, value in own]
        lines.append(
            Line(
                name=region,
                number=number % 6,
                path="".join(pieces),
                last_ms=known[-1] if known else None,
                worst_ms=max(known, default=None),
            )
        )
    marks = range(5)
    return LineChart(
        width=width,
        height=height,
        lines=tuple(lines),
        levels=tuple(Tick(at=y(top * part / 4), text=_level(top * part / 4)) for part in range(5)),
        hours=tuple(
            Tick(at=x(first + (last - first) * mark / 4), text=_clock(first + (last - first) * mark / 4))
            for mark in marks
        ),
        failures=tuple(sorted({x(_seconds(bucket.at)) for bucket in buckets if bucket.down})),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A phase in a stacked bar, in parts of a hundred of the longest bar."""

    name: str
    phase: str
    at: float
    width: float
    mean_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The phases of a region."""

    name: str
    parts: tuple[Part, ...]
    total_ms: float


def phase_stacks(buckets: Iterable[Bucket]) -> list[Stack]:
    """Means of the phases by region, weighted by how many checks they are of."""
    sums: dict[str, dict[str, tuple[float, int]]] = {}
    for bucket in buckets:
        own = sums.setdefault(bucket.region, {})
        for phase, mean in bucket.phases_ms.items():
            total, count = own.get(phase, (0.0, 0))
            weight = max(1, bucket.up)
            own[phase] = (total + mean * weight, count + weight)
    means: Mapping[str, dict[str, float]] = {
        region: {phase: own[phase][0] / own[phase][1] for phase in PHASES if phase in own}
        for region, own in sums.items()
        if own
    }
    longest = max((sum(own.values()) for own in means.values()), default=0.0)
    if longest <= 0:
        return []
    stacks = []
    for region in sorted(means):
        at, parts = 0.0, []
        for phase, mean in means[region].items():
            width = 100 * mean / longest
            parts.append(Part(name=PHASE_NAMES[phase], phase=phase, at=at, width=width, mean_ms=mean))
            at += width
        stacks.append(Stack(name=region, parts=tuple(parts), total_ms=sum(means[region].values())))
    return stacks


def days(of: Sequence[Day], count: int) -> Strip:
    """The last ``count`` days, as :func:`beats`."""
    return strip("".join(day_letter(day.uptime) for day in of[-count:]).rjust(count, "e"))


def day_letter(uptime: float | None) -> str:
    """The bar of a day: ``p`` from the first failure on, ``d`` when more than 5 % were lost (72 minutes)."""
    if uptime is None:
        return "e"
    if uptime >= 1:
        return "u"
    return "d" if uptime < 0.95 else "p"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")


def _nice(value: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next((power * factor for factor in _NICE if power * factor >= value), power * 10)


def _level(value: float) -> str:
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"
