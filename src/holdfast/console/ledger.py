"""The evidence ledger of an incident as rows of a table: the sum, each failure domain in it, each region in that.

The API gives evidence as JSON objects; a simple rule has other figures than the detector, and a later version may
have more. What is known by name gets its place, and every other figure is shown with its name: nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast.console.pulse_wording import share

MOST_ROWS: Final = 200
"""Rows of a page; fifty members with four regions each."""
_SUMS: Final = ("sum", "evidence", "total", "score", "cusum")
_MOSTS: Final = ("threshold", "cap", "bound")
_NAMES: Final = ("monitor", "domain", "region", "name")
_CHANCES: Final = {"good": "good path", "bad": "bad path", "stuck": "stuck"}
_NESTED: Final = (("domains", "domain"), ("regions", "region"))
_TEXT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line."""

    level: int
    """0 a monitor, 1 a failure domain in it, 2 a region in that."""
    kind: str
    name: str
    figure: float | None
    most: float | None
    about: str

    @property
    def share(self) -> float | None:
        """The figure as a part of its cap or threshold."""
        return None if self.figure is None or not self.most else min(1.0, max(0.0, self.figure / self.most))

    @property
    def is_full(self) -> bool:
        """The cap, or the threshold, is reached."""
        return self.share == 1.0


def rows(ledger: Sequence[Mapping[str, Any]]) -> list[Row]:
    """All of it, at most :data:`MOST_ROWS`."""
    found: list[Row] = []
    for entry in ledger:
        for row in _rows(entry, "monitor", "", 0):
            if len(found) == MOST_ROWS:
                return found
            found.append(row)
    return found


def _rows(entry: Mapping[str, Any], kind: str, name: str, level: int) -> Iterator[Row]:
    known = dict(entry)
    named = next((str(known.pop(key)) for key in _NAMES if isinstance(known.get(key), str)), name)
    figure = next((known.pop(key) for key in _SUMS if _is_number(known.get(key))), None)
    most = next((known.pop(key) for key in _MOSTS if _is_number(known.get(key))), None)
    nested = [(inner, known.pop(key)) for key, inner in _NESTED if isinstance(known.get(key), (list, dict))]
    yield Row(level=level, kind=kind, name=named, figure=figure, most=most, about=_about(known))
    for inner, items in nested:
        pairs = items.items() if isinstance(items, dict) else (("", item) for item in items)
        for key, item in pairs:
            if isinstance(item, Mapping):
                yield from _rows(item, inner, str(key), min(2, level + 1))
            else:
                yield Row(level=min(2, level + 1), kind=inner, name=str(key or item), figure=None, most=None, about="")


def _about(known: Mapping[str, Any]) -> str:
    parts = [
        f"{text} {share(float(known[key]))}"
        for key, text in _CHANCES.items()
        if _is_number(known.get(key)) and 0 <= known[key] <= 1
    ]
    parts += [
        f"{key.replace('_', ' ')} {_figure(value)}"
        for key, value in known.items()
        if key not in _CHANCES and value is not None and value != "" and not isinstance(value, (dict, list))
    ]
    return ", ".join(parts)[:_TEXT]


def _figure(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
