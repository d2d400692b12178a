"""References in a text, found and answered.

A reference holds characters that mean something to Markdown (``_``, ``|``, ``/``), so each is lifted out before the
text is parsed: a single private-use character stands for it until the HTML is written. Posts cannot hold such
characters themselves (:mod:`~holdfast.blog.core.source`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape
from typing import Final

from holdfast.blog.core.front import Report
from holdfast.blog.core.reference import FORMATS, Reading, Readings, Unbacked, misfit
from holdfast.blog.core.source import unfit_entity

STAND_IN: Final = re.compile("[\ue000-\uf8ff]")
"""What stands for a reference."""

_FIRST: Final = 0xE000
_MOST: Final = 0xF8FF - _FIRST
"""References in one post; the Basic Multilingual Plane has this many characters for private use."""
_REFERENCE: Final = re.compile(r"\{(?P<kind>ev|fact):(?P<body>[^{}]*)\}")
_OPENED: Final = re.compile(r"\{\s*(?:ev|fact)\s*:", re.IGNORECASE)
_OPERAND: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,79}(?:\.[A-Za-z0-9_.-]{1,120}|#[A-Za-z0-9_.-]{1,120})")
_DRILLS: Final = "src/holdfast/drills/"
"""Inputs below it are the drill itself."""
_SOURCE_SHORTEST: Final = 8
_FACT_LONGEST: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One reference, answered."""

    text: str
    """What a reader sees: ``1,234``."""
    written: str = ""
    """What its author wrote: ``{ev:flapping.errors}``."""
    readings: tuple[Reading, ...] = ()
    """One, or two for a ratio; empty for a fact."""
    source: str = ""
    """Of a fact."""
    missing: bool = False
    """Nothing answered it; that has been told."""


_NOTHING: Final = Quote(text="\ufffd", missing=True)
"""A character that looks like a stand-in; it has been told."""


class Quotes:
    """The references of one post: answered once, written as often as they stand."""

    def __init__(self, readings: Readings, report: Report, *, base: str = "/", allow_stale: bool = False) -> None:
        self._readings = readings
        self._report = report
        self._base = base
        self._allow_stale = allow_stale
        self._stale_told: set[str] = set()
        self._quotes: list[Quote] = []
        self._noted: list[Reading] = []
        self._answered: dict[str, int] = {}

    def lift(self, text: str, line: int) -> str:
        """Put a stand-in for each reference. ``line`` is that of the file on which the text begins."""
        at, wrong = unfit_entity(text)
        if wrong:  # it would be read as a stand-in, or do what the file itself must not
            self._report(line + text.count("\n", 0, at), wrong, "remove it")
        if "{" not in text:
            return text
        lifted = _REFERENCE.sub(lambda match: self._stand_in(match, text, line), text)
        for opened in _OPENED.finditer(lifted):
            at = line + lifted.count("\n", 0, opened.start())
            self._report(
                at,
                f"a reference is not complete: {lifted[opened.start() : opened.start() + 40]!r}",
                "write {ev:drill.metric|format} or {fact: value, source}, without braces inside",
            )
        return lifted

    def plain(self, lifted: str) -> str:
        """With the words of each reference in its place."""
        return STAND_IN.sub(lambda match: self.of(match[0]).text, lifted)

    def written(self, lifted: str) -> str:
        """With each reference as its author wrote it."""
        return STAND_IN.sub(lambda match: self.of(match[0]).written, lifted)

    def html(self, lifted: str, *, linked: bool = True) -> str:
        """Escaped, with a link to its evidence for each reference; without links where a link cannot be."""
        return self.fill(escape(lifted, quote=False), linked=linked)

    def fill(self, html: str, *, linked: bool = True) -> str:
        """The same for what is escaped already."""
        return STAND_IN.sub(lambda match: self._html(self.of(match[0]), linked=linked), html)

    def sources(self, lifted: str) -> dict[str, str]:
        """Facts of a text with where they come from."""
        quotes = (self.of(stand_in) for stand_in in STAND_IN.findall(lifted))
        return {quote.text: quote.source for quote in quotes if quote.source}

    def add(self, references: Iterable[str], line: int) -> None:
        """Take note of what a figure quotes by itself."""
        for reference in references:
            if reference not in self._answered:
                self._answered[reference] = -1
                reading = self._read(reference, reference, line)
                if reading is not None:
                    self._noted.append(reading)

    def of(self, stand_in: str) -> Quote:
        """What a stand-in stands for."""
        place = ord(stand_in) - _FIRST
        return self._quotes[place] if place < len(self._quotes) else _NOTHING

    def readings(self) -> tuple[Reading, ...]:
        """All that were quoted, in the order of the text, without repetition."""
        quoted = [reading for quote in self._quotes for reading in quote.readings]
        found = {(reading.drill, reading.name): reading for reading in (*quoted, *self._noted)}
        return tuple(found.values())

    def _stand_in(self, match: re.Match[str], text: str, line: int) -> str:
        # A reference may run over a line's end, as editors wrap; the lines after it must keep their numbers.
        lines = "\n" * match[0].count("\n")
        known = self._answered.get(match[0])
        if known is None:
            if len(self._quotes) >= _MOST:
                self._report(line, f"more than {_MOST:,} references", "split the post")
                return ""
            at = line + text.count("\n", 0, match.start())
            body = " ".join(match["body"].split())
            known = len(self._quotes)
            answer = self._evidence(body, at) if match["kind"] == "ev" else self._fact(body, at)
            self._quotes.append(replace(answer, written=match[0]))
            self._answered[match[0]] = known
        return lines + chr(_FIRST + known)

    def _fact(self, body: str, line: int) -> Quote:
        value, comma, source = body.partition(", ")
        if not comma or not value.strip() or len(source.strip()) < _SOURCE_SHORTEST or len(body) > _FACT_LONGEST:
            self._report(
                line,
                f"the fact {{fact: {body}}} names no source",
                "write {fact: value, where it comes from}; the value has no comma followed by a space",
            )
        return Quote(text=value.strip(), source=source.strip())

    def _evidence(self, body: str, line: int) -> Quote:
        expression, _, form = body.partition("|")
        form = form.strip()
        operands = [operand.strip() for operand in expression.split(" / ")]
        write = FORMATS.get(form)
        if write is None:
            known = ", ".join(name for name in FORMATS if name)
            self._report(line, f"{{ev:{body}}}: there is no format {form!r}", f"use one of {known}, or none")
        if len(operands) > 2 or not all(_OPERAND.fullmatch(operand) for operand in operands):
            self._report(
                line,
                f"{{ev:{body}}} names no number",
                "write {ev:drill.metric}, {ev:drill.contender.metric}, {ev:drill#parameter}, or two with ' / ' between",
            )
            return Quote(text="?", missing=True)
        readings = [reading for operand in operands if (reading := self._read(operand, body, line)) is not None]
        if write is None or len(readings) < len(operands):
            return Quote(text="?", missing=True)
        value = readings[0].value
        if len(readings) == 2:
            if readings[1].value == 0:
                self._report(line, f"{{ev:{body}}} divides by zero", "tell the two numbers instead of their ratio")
                return Quote(text="?", missing=True)
            value /= readings[1].value
        if wrong := misfit(form, readings):
            what, _, remedy = wrong.partition("; ")
            self._report(line, f"{{ev:{body}}}: {what}", remedy)
        return Quote(text=write(value), readings=tuple(readings))

    def _read(self, operand: str, body: str, line: int) -> Reading | None:
        try:
            reading = self._readings.read(operand)
        except Unbacked as error:
            what, _, remedy = str(error).partition("; ")
            self._report(line, f"{{ev:{body}}}: {what}", remedy or "'holdfast drill list' shows the drills")
            return None
        if reading.stale and not self._allow_stale and reading.drill not in self._stale_told:
            self._stale_told.add(reading.drill)
            changed = next((name for name in reading.stale if name.startswith(_DRILLS)), None)
            what = "is of another version of the drill" if changed else "is stale"
            more = f" and {len(reading.stale) - 1} more" if len(reading.stale) > 1 else ""
            name = f"{reading.drill}/{reading.record}"
            self._report(
                line,
                f"{{ev:{body}}}: {name} {what}: {changed or reading.stale[0]}{more} changed since",
                f"run 'holdfast evidence rerun {reading.drill}'",
            )
        return reading

    def _html(self, quote: Quote, *, linked: bool) -> str:
        text = escape(quote.text)
        if quote.source:
            return f'<span class="fact" title="{escape(quote.source)}">{text}</span>'
        if not quote.readings:
            return f'<span class="ev">{text}</span>'
        first = quote.readings[0]
        stale = any(reading.stale for reading in quote.readings)
        title = " / ".join(describe(reading) for reading in quote.readings) + (" (stale)" if stale else "")
        kind = "ev stale" if stale else "ev"
        if not linked:
            return f'<data class="{kind}" value="{text}" title="{escape(title)}">{text}</data>'
        href = escape(f"{self._base}evidence/{first.drill}/#{anchor(first.name)}")
        return f'<a class="{kind}" href="{href}" title="{escape(title)}">{text}</a>'


def without_references(text: str) -> str:
    """With ``U+FFFC`` for each."""
    return _REFERENCE.sub("\ufffc", text)


def anchor(name: str) -> str:
    """The id that a metric has on the page of its record: its name; ``parameter.hold_s`` for ``#hold_s``."""
    return f"parameter.{name[1:]}" if name.startswith("#") else name


def describe(reading: Reading) -> str:
    """``flapping, record 2026...: holdfast.errors, errors``."""
    unit = f", in {reading.unit}" if reading.unit else ""
    return f"{reading.drill}, record {reading.record}: {reading.name.removeprefix('#')}{unit}"


def nearest(name: str, known: list[str]) -> str:
    """``did you mean holdfast.errors?``, or the first few that there are."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return ", ".join(close or known[:5])
