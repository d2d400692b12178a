"""How a number in a post names where it comes from.

::

    {ev:flapping.errors|int}                  a metric of the newest sound record of a drill
    {ev:flapping.nginx.errors|int}            of a contender; without one it is our own
    {ev:flapping.control.errors|int}          of the negative control
    {ev:flapping#hold_s|dur}                  a parameter of that record
    {ev:flapping.nginx.errors / flapping.errors|times}
                                              the ratio of two
    {fact: 36.39 USD, the price list of AWS for us-east-1 of 2026-11-22}
                                              from elsewhere, with its source

A drill's name has hyphens and no dots, so what follows the first dot is the metric. Formats are in
:data:`FORMATS`. What is written otherwise in digits is an error unless it is of an allowed kind
(:mod:`~holdfast.blog.core.numerals`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from holdfast.kernel import HoldfastError


class Unbacked(HoldfastError):
    """A reference that no sound record answers; the text says what is there instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a record says for one reference."""

    drill: str
    record: str
    """The record's id."""
    name: str
    """The metric as the record calls it, ``holdfast.errors``; ``control.errors``; ``#hold_s`` for a parameter."""
    value: float
    unit: str
    derivation: str
    """The expression over the samples; empty for a parameter."""
    stale: tuple[str, ...] = ()
    """Inputs that have changed since; not empty means that the number may not be published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Samples of a record, for a chart: what was measured one by one."""

    drill: str
    record: str
    """The record's id."""
    name: str
    """As the record calls them, ``holdfast.latency_ms``; ``control.latency_ms`` for the negative control."""
    values: tuple[float, ...]
    """In the order of measuring; ascending where the record keeps a histogram."""
    counts: tuple[int, ...]
    """How often each value was seen: ones where the record keeps every sample."""
    stale: tuple[str, ...] = ()
    """Inputs that have changed since; not empty means that they may not be published."""


class Readings(Protocol):
    """The records, as posts see them."""

    def read(self, reference: str) -> Reading:
        """The newest sound, full record of the drill answers. Raises :class:`Unbacked`."""
        ...

    def series(self, reference: str) -> Series:
        """Samples of the same record, ``flapping.holdfast.latency_ms``. Raises :class:`Unbacked`."""
        ...


def _significant(value: float, digits: int = 3) -> str:
    text = f"{value:.{digits}g}"
    if "e-" in text:
        return f"{float(text):.{digits + 8}f}".rstrip("0").rstrip(".")
    return f"{float(text):,.0f}" if "e" in text else f"{float(text):,}".removesuffix(".0")


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= length:
            return f"{_significant(seconds / length)} {unit}"
    return f"{_significant(seconds * 1e6)} µs" if seconds else "0 s"


FORMATS: Final[dict[str, Callable[[float], str]]] = {
    "int": lambda value: f"{value:,.0f}",
    "1": lambda value: f"{value:,.1f}",
    "2": lambda value: f"{value:,.2f}",
    "3": lambda value: f"{value:,.3f}",
    "percent": lambda value: f"{value * 100:.0f} %",
    "percent1": lambda value: f"{value * 100:.1f} %",
    "times": lambda value: f"{_significant(value, 2)} times",
    "ms": lambda value: f"{_significant(value)} ms",
    "s": lambda value: f"{_significant(value)} s",
    "dur": _duration,
    "us": lambda value: f"{_significant(value)} µs",
    "mb": lambda value: f"{_significant(value / 1e6)} MB",
    "usd": lambda value: f"{value:,.2f} USD",
    "": _significant,
}
"""Name -> how a value is written; without a name three significant digits. ``dur`` takes seconds."""

_NO_MEASURE: Final = frozenset({"", "ratio", "share", "times"})
_FITS: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(("percent", "percent1", "times"), _NO_MEASURE),
    **dict.fromkeys(("s", "dur"), frozenset({"s"})),
    "ms": frozenset({"ms"}),
    "us": frozenset({"us", "µs"}),
    "mb": frozenset({"b", "bytes"}),
    "usd": frozenset({"usd"}),
}
"""Format that says a unit -> units of numbers that may be written so, in lower case. ``of POSTs`` is a share, too, and
``s between bursts`` are seconds."""


def misfit(form: str, readings: Sequence[Reading]) -> str:
    """Why these, or the quotient of two, cannot be written so: the format would say another unit than the record.

    With the remedy, after a semicolon; empty when they can.
    """
    units = [reading.unit for reading in readings]
    if len(units) == 2 and units[0].lower() != units[1].lower():
        return f"{units[0] or 'a number'} divided by {units[1] or 'a number'} is no ratio; divide what is in one unit"
    unit = units[0] if len(units) == 1 else "ratio"
    if _fits(form, unit):
        return ""
    fitting = ", ".join(repr(name) for name in _FITS if _fits(name, unit))
    has = f"the record has it in {unit!r}" if unit else "the record has it without a unit"
    return f"{has}, and {form!r} writes another unit; use {fitting or 'int'}, or none"


def mixed(units: Iterable[str]) -> tuple[str, str] | None:
    """Two of these units that cannot stand on one axis: one measures, the other is another."""
    known = sorted({unit.lower() for unit in units})
    measures = [unit for unit in known if _measures(unit)]
    if not measures or len(known) < 2:
        return None
    return measures[0], next(unit for unit in known if unit != measures[0])


def _measures(unit: str) -> bool:
    return any(units is not _NO_MEASURE and unit in units for units in _FITS.values())


def _fits(form: str, unit: str) -> bool:
    units = _FITS.get(form)
    if units is None or unit.lower() in units:
        return True
    return unit.startswith("of ") if units is _NO_MEASURE else unit.partition(" ")[0].lower() in units
