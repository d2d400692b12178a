"""Charts as their authors describe them: YAML whose every number is a reference to evidence.

::

    title: Requests that clients saw fail          a heading; required
    kind: bar                                      bar, dot, line, cdf or histogram
    axis: failed requests                          what the numbers count, with their unit
    format: int                                    how they are written; a name of FORMATS
    scale: log                                     linear without it; log not for bars
    caption: One run of {ev:flapping#hold_s|s}.    words below
    rows:                                          for bar, dot and line
      - label: Holdfast
        value: "{ev:flapping.errors}"
        series: with retries                       groups bars and splits lines
        at: "{ev:flapping#rate}"                   where on the other axis, for line
    samples:                                       for cdf and histogram; line draws them in their order
      - label: Holdfast
        of: flapping.holdfast.latency_ms

Words may quote as those of a post do, ``{ev:...}`` and ``{fact: value, source}``; what is drawn comes from evidence
alone. Bounds of axes follow from the data: a bar begins at zero, and a bound that an author sets would be a number
typed by hand. Nothing else is read, and an unknown key is a fault.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import yaml

from holdfast.blog.core.drawing import Unparsable
from holdfast.blog.core.numerals import NUMBER_REMEDY, typed
from holdfast.blog.core.reference import FORMATS, Reading, Readings, Series, Unbacked, misfit, mixed
from holdfast.blog.core.source import unfit

KINDS: Final = ("bar", "dot", "line", "cdf", "histogram")
SERIES: Final = 5
"""Colours and dash patterns that can be told apart, in light and dark and by those who see no red or green."""
ROWS: Final = 40
LONGEST: Final = 20_000
"""Characters of a source."""
_DEEPEST: Final = 3
"""A mapping, a list in it, a mapping in that."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same in C where PyYAML was built with it."""
_REFERENCE: Final = re.compile(r"\{ev:([^{}|]+)(?:\|([^{}]*))?\}")
_QUOTED: Final = re.compile(rf"{_REFERENCE.pattern}|\{{fact:([^{{}}]*?), ([^{{}}]*)\}}")
_SAMPLES: Final = re.compile(r"[a-z0-9-]+\.[A-Za-z0-9_.-]+")
_KEYS: Final = ("title", "kind", "axis", "along", "format", "scale", "caption", "rows", "samples")
_ROW_KEYS: Final = ("label", "value", "series", "at")
_SAMPLE_KEYS: Final = ("label", "of")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """A number with what it was read from; two readings are a ratio."""

    value: float
    text: str
    readings: tuple[Reading, ...]

    @property
    def unit(self) -> str:
        """As the record has it; ``ratio`` of a quotient."""
        return self.readings[0].unit if len(self.readings) == 1 else "ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A value from elsewhere, with its source; it may stand in words, and is never drawn."""

    text: str
    source: str


Words = tuple[str | Quoted | Stated, ...]
"""A text with what it quotes."""


def plain(words: Words) -> str:
    """As it is read."""
    return "".join(part if isinstance(part, str) else part.text for part in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number of a chart."""

    label: str
    value: Quoted
    series: str = ""
    at: Quoted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Samples under a name."""

    label: str
    samples: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart whose references have been answered."""

    title: str
    kind: str
    axis: str
    along: str
    format: str
    log: bool
    caption: Words
    rows: tuple[Row, ...] = ()
    runs: tuple[Run, ...] = ()
    quoted: tuple[Quoted, ...] = ()
    """What its words quote, beside what it draws."""

    @property
    def names(self) -> tuple[str, ...]:
        """Series in the order of their first mention; one without a name where there is none."""
        found = [run.label for run in self.runs] or [row.series for row in self.rows]
        return tuple(dict.fromkeys(found))

    def write(self, value: float) -> str:
        """A number as this chart writes numbers."""
        return FORMATS[self.format](value)


# ---------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class _Text:
    """A scalar and its line; every scalar is text, so that ``3`` is seen as what it is: typed."""

    text: str
    line: int


_Value = _Text | list["_Value"] | dict[str, "_Value"]


@dataclass(slots=True)
class _Lines:
    """Where a mapping or a list begins, by identity."""

    at: dict[int, int] = field(default_factory=dict)


def _nodes(source: str) -> tuple[_Value, _Lines]:
    """The source as text, lists and mappings. Raises :class:`Unparsable`."""
    if len(source) > LONGEST:
        raise Unparsable(1, f"the chart has {len(source)} characters", f"keep it below {LONGEST}")
    try:
        depth = 0
        for event in yaml.parse(source, Loader=_LOADER):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.AliasEvent):
                raise Unparsable(line, "a chart has no aliases", "write it out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise Unparsable(line, "the chart is nested too deep", "rows and samples are flat lists")
        root = yaml.compose(source, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        remedy = 'mend the YAML; a value that begins with "{" stands in quotes'
        line = min(mark.line, source.rstrip().count("\n")) + 1 if mark else 1
        raise Unparsable(line, str(problem), remedy) from error
    if root is None:
        raise Unparsable(1, "the chart is empty", "give it a title, a kind and rows or samples")
    lines = _Lines()
    return _node(root, lines), lines


def _node(node: yaml.Node, lines: _Lines) -> _Value:
    line = node.start_mark.line + 1
    value: _Value
    if isinstance(node, yaml.MappingNode):
        value = {}
        for key, inner in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Unparsable(key.start_mark.line + 1, "a key is not a word", "write 'title: ...'")
            name = str(key.value)
            if name in value:
                raise Unparsable(key.start_mark.line + 1, f"{name!r} stands twice", "remove one of them")
            value[name] = _node(inner, lines)
            lines.at[id(value[name])] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        value = [_node(inner, lines) for inner in node.value]
    else:
        value = _Text(str(node.value), line)
        if wrong := unfit(value.text):
            raise Unparsable(line, wrong, "remove it")
    lines.at.setdefault(id(value), line)
    return value


def read(source: str, readings: Readings) -> Chart:
    """A chart with its numbers. Raises :class:`Unparsable` and :class:`Unbacked`."""
    root, lines = _nodes(source)
    if not isinstance(root, dict):
        raise Unparsable(1, "a chart is a mapping", "begin with 'title: ...'")
    return _Reading(root, lines, readings).chart()


class _Reading:
    """One chart being read."""

    def __init__(self, root: dict[str, _Value], lines: _Lines, readings: Readings) -> None:
        self._root = root
        self._lines = lines
        self._readings = readings
        self._in_words: list[Quoted] = []

    def chart(self) -> Chart:
        self._known(self._root, _KEYS, "a chart")
        title, kind = self._filled(self._root, "title"), self._text(self._root, "kind")
        if kind not in KINDS:
            raise self._fault("kind", f"there is no kind {kind!r}", f"use one of {', '.join(KINDS)}")
        form = self._text(self._root, "format", "")
        if form not in FORMATS:
            known = ", ".join(name for name in FORMATS if name)
            raise self._fault("format", f"there is no format {form!r}", f"use one of {known}, or none")
        scale = self._text(self._root, "scale", "linear")
        if scale not in ("linear", "log"):
            raise self._fault("scale", f"there is no scale {scale!r}", "use linear or log")
        if scale == "log" and kind in ("bar", "histogram"):
            raise self._fault("scale", f"a {kind} has no logarithmic scale: its length means nothing there", "use dot")
        rows, runs = self._rows(kind, form), self._runs(kind)
        caption = self._words(self._root, "caption")
        chart = Chart(
            title=title,
            kind=kind,
            axis=self._filled(self._root, "axis", ""),
            along=self._filled(self._root, "along", ""),
            format=form,
            log=scale == "log",
            caption=caption,
            rows=rows,
            runs=runs,
            quoted=tuple(self._in_words),
        )
        if len(chart.names) > SERIES:
            raise self._fault("rows", f"{len(chart.names)} series", f"draw at most {SERIES}; more cannot be told apart")
        if chart.log and any(value <= 0 for value in self._drawn(chart)):
            raise self._fault("scale", "a logarithmic scale has no place for zero or less", "use scale: linear")
        return chart

    @staticmethod
    def _drawn(chart: Chart) -> Iterable[float]:
        yield from (row.value.value for row in chart.rows)
        for run in chart.runs:
            yield from run.samples.values

    def _fault(self, key: str, message: str, remedy: str) -> Unparsable:
        return Unparsable(self._lines.at.get(id(self._root.get(key)), 1), message, remedy)

    def _known(self, mapping: dict[str, _Value], keys: tuple[str, ...], what: str) -> None:
        for key, value in mapping.items():
            if key not in keys:
                line = self._lines.at.get(id(value), 1)
                raise Unparsable(line, f"{what} has no {key!r}", f"it has {', '.join(keys)}")

    def _text(self, mapping: dict[str, _Value], key: str, otherwise: str | None = None) -> str:
        value = mapping.get(key)
        if value is None and otherwise is not None:
            return otherwise
        if not isinstance(value, _Text) or not value.text.strip():
            line = self._lines.at.get(id(value) if value is not None else id(mapping), 1)
            raise Unparsable(line, f"{key!r} is missing or is not a text", f"write '{key}: ...'")
        return " ".join(value.text.split())

    def _entries(self, key: str, keys: tuple[str, ...]) -> list[dict[str, _Value]]:
        value = self._root.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self._fault(key, f"{key!r} is not a list of mappings", f"write '- {keys[0]}: ...' below it")
        if not 1 <= len(value) <= ROWS:
            raise self._fault(key, f"{key!r} has {len(value)} entries", f"give it 1 to {ROWS}")
        entries = [entry for entry in value if isinstance(entry, dict)]
        for entry in entries:
            self._known(entry, keys, f"an entry of {key!r}")
        return entries

    def _rows(self, kind: str, form: str) -> tuple[Row, ...]:
        entries = self._entries("rows", _ROW_KEYS)
        wanted = kind in ("bar", "dot") or (kind == "line" and "samples" not in self._root)
        if wanted != bool(entries):
            what, remedy = ("no rows", "add rows") if wanted else ("rows", "use samples, or kind: bar")
            raise self._fault("rows" if entries else "kind", f"a {kind} with {what}", remedy)
        rows = [
            Row(
                label=self._filled(entry, "label"),
                value=self._number(entry, "value", form),
                series=self._filled(entry, "series", ""),
                at=self._number(entry, "at", "") if "at" in entry else None,
            )
            for entry in entries
        ]
        if len({row.at is None for row in rows}) > 1:
            raise self._fault("rows", "some rows have 'at' and some have none", "give it to all or to none")
        for numbers in ([row.value for row in rows], [row.at for row in rows if row.at]):
            if differing := mixed(number.unit for number in numbers):
                one, other = differing
                message = f"rows in {one!r} and in {repr(other) if other else 'no unit'} on one axis"
                raise self._fault("rows", message, "draw what is in one unit")
        return tuple(rows)

    def _runs(self, kind: str) -> tuple[Run, ...]:
        value = self._root.get("samples")
        if value is None:
            if kind in ("cdf", "histogram"):
                raise self._fault("kind", f"a {kind} without samples", "write 'samples: drill.contender.name'")
            return ()
        if kind not in ("cdf", "histogram", "line"):
            raise self._fault("samples", f"a {kind} draws no samples", "use cdf, histogram or line")
        if isinstance(value, _Text):
            return (Run(label="", samples=self._series(value)),)
        runs = []
        for entry in self._entries("samples", _SAMPLE_KEYS):
            of = entry.get("of")
            if not isinstance(of, _Text):
                raise self._fault("samples", "'of' is missing", "write 'of: drill.contender.name'")
            runs.append(Run(label=self._filled(entry, "label"), samples=self._series(of)))
        if kind == "histogram" and len(runs) > 1:
            raise self._fault("samples", "several series in one histogram", "use cdf, which compares them")
        return tuple(runs)

    def _series(self, of: _Text) -> Series:
        name = of.text.strip()
        if not _SAMPLES.fullmatch(name):
            raise Unparsable(of.line, f"{of.text!r} names no samples", "write drill.contender.name, without format")
        series = self._readings.series(name)
        if not series.values:
            raise Unbacked(f"{name} has no samples in {series.drill}/{series.record}; draw another series")
        return series

    def _number(self, entry: dict[str, _Value], key: str, form: str) -> Quoted:
        value = entry.get(key)
        remedy = f"write '{key}: \"{{ev:drill.metric}}\"', in quotes"
        if not isinstance(value, _Text):
            raise Unparsable(
                self._lines.at.get(id(value if value is not None else entry), 1), f"{key!r} is missing", remedy
            )
        match = _REFERENCE.fullmatch(value.text.strip())
        if match is None:
            raise Unparsable(value.line, f"{value.text!r} is not read from evidence", remedy)
        return self._quoted(match, form, value.line)

    def _quoted(self, match: re.Match[str], form: str, line: int) -> Quoted:
        form = (match[2] or "").strip() or form
        write = FORMATS.get(form)
        if write is None:
            known = ", ".join(name for name in FORMATS if name)
            raise Unparsable(line, f"there is no format {form!r}", f"use one of {known}, or none")
        readings = tuple(self._readings.read(one.strip()) for one in match[1].split(" / "))
        if len(readings) > 2:
            raise Unparsable(line, f"{match[0]} divides more than once", "a ratio has two numbers")
        value = readings[0].value
        if len(readings) == 2:
            if readings[1].value == 0:
                raise Unparsable(line, f"{match[0]} divides by zero", "draw the two numbers instead of their ratio")
            value /= readings[1].value
        if not math.isfinite(value):
            raise Unparsable(line, f"{match[0]} is {value}", "draw a number that is finite")
        if wrong := misfit(form, readings):
            what, _, remedy = wrong.partition("; ")
            raise Unparsable(line, f"{match[0]}: {what}", remedy)
        return Quoted(value=value, text=write(value), readings=readings)

    def _filled(self, mapping: dict[str, _Value], key: str, otherwise: str | None = None) -> str:
        return plain(self._words(mapping, key, otherwise))

    def _words(self, mapping: dict[str, _Value], key: str, otherwise: str | None = "") -> Words:
        """A text with its references answered; where it is drawn or linked differs."""
        text, value = self._text(mapping, key, otherwise), mapping.get(key)
        line = value.line if isinstance(value, _Text) else 1
        for number in typed(_QUOTED.sub("\ufffc", text)):  # as it was read: the source has escapes, and folds lines
            raise Unparsable(line, f"the number {number.text!r} is typed by hand", NUMBER_REMEDY)
        words: list[str | Quoted | Stated] = []
        end = 0
        for match in _QUOTED.finditer(text):
            words.append(text[end : match.start()])
            end = match.end()
            if match[1] is None:
                words.append(Stated(text=match[3].strip(), source=match[4].strip()))
                continue
            quoted = self._quoted(match, "", line)
            self._in_words.append(quoted)
            words.append(quoted)
        return tuple(part for part in (*words, text[end:]) if part)


# ---------------------------------------------------------------- distributions

_SHARES: Final = (*(share / 50 for share in range(50)), 0.99, 0.995, 0.999, 1.0)
"""Where a cumulative curve has a point: even steps, and the tail that is the reason for drawing it."""
QUANTILES: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))


def total(series: Series) -> int:
    """How many samples there are."""
    return sum(series.counts)


def quantile(series: Series, share: float) -> float:
    """The smallest value that ``share`` of the samples do not exceed (nearest rank)."""
    wanted = max(1, math.ceil(share * total(series) - 1e-9))
    seen = 0
    for value, count in sorted(zip(series.values, series.counts, strict=True)):
        seen += count
        if seen >= wanted:
            return value
    return max(series.values)


def cumulative(series: Series) -> tuple[tuple[float, float], ...]:
    """Points ``(value, share of samples up to it)``; as many as an eye can use."""
    pairs = sorted(zip(series.values, series.counts, strict=True))
    number, seen, points = total(series), 0, []
    shares = iter(_SHARES)
    share = next(shares, None)
    for value, count in pairs:
        seen += count
        reached = seen / number
        if share is not None and reached >= share:
            points.append((value, reached))
            while share is not None and reached >= share:
                share = next(shares, None)
    return tuple(points)


def bins(series: Series, most: int = 24) -> tuple[tuple[float, float, int], ...]:
    """``(from, to, count)`` over round bounds, at most about ``most`` of them."""
    low, high = min(series.values), max(series.values)
    width = _round_up((high - low) / most) if high > low else max(abs(high), 1.0) / 10
    first = math.floor(low / width)
    counts = [0] * (math.floor(high / width) - first + 1)
    for value, count in zip(series.values, series.counts, strict=True):
        counts[min(math.floor(value / width) - first, len(counts) - 1)] += count
    return tuple(((first + place) * width, (first + place + 1) * width, count) for place, count in enumerate(counts))


def _round_up(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9))


def thinned(values: tuple[float, ...], most: int = 240) -> tuple[tuple[int, float], ...]:
    """``(index, value)`` of samples in their order, every so many of them."""
    step = math.ceil(len(values) / most) or 1
    return tuple((place, values[place]) for place in range(0, len(values), step))


def described(chart: Chart, write: Callable[[Run], str]) -> str:
    """The chart in words: for those who do not see it, and for search."""
    if chart.runs:
        told = [f"{run.label}: {write(run)}" if run.label else write(run) for run in chart.runs]
    else:
        told = []
        for row in chart.rows:
            name = f"{row.label}, {row.series}" if row.series else row.label
            told.append(f"{name}{f' at {row.at.text}' if row.at else ''}: {row.value.text}")
    return "; ".join(told)
