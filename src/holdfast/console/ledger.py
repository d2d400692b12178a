"""The evidence ledger of an incident as rows of a table: the sum, each failure domain in it, each region in that.

The API gives evidence as JSON objects; a simple rule has other figures than the detector, and a later version may
have more. What is known by name gets its place and its words; every other figure is shown with its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from holdfast.console.pulse_wording import share

MOST_ROWS: Final = 200
"""Rows of a page; fifty members with four regions each."""
_SUMS: Final = ("total", "sum", "evidence")
_MOSTS: Final = ("threshold",)
_CAPS: Final = ("cap", "cap_per_domain")
_CHANCES: Final = {"good": "good path", "bad": "bad path", "stuck": "stuck"}
_SAID: Final[Mapping[str, Callable[[Any], str]]] = {
    "failing": lambda value: "saw it fail last" if value else "saw it up last",
    "believed": lambda value: "" if value else "not believed: stuck, or not heard",
    "lone": lambda value: "one failure domain decides alone" if value else "",
    "recovery": lambda value: f"recovery {value:.4g}" if value else "",
    "llr": lambda value: f"its last result said {value:+.2f}",
    "predicted_fails": lambda value: f"chance of a failure by the path alone {share(value)}",
    "learned_fails": lambda value: f"usual loss {share(value)}",
    "learned_bad_share": lambda value: f"usually bad {share(value)} of the time",
    "median_ms": lambda value: f"median {value:.4g} ms" if value is not None else "",
}
"""Figures of the detector in words; those that say nothing unusual say nothing."""
_TEXT: Final = 300


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
    """All of it, at most :data:`MOST_ROWS`: what each member was decided by, then how that stands now."""
    return list(islice(chain.from_iterable(map(_member, ledger)), MOST_ROWS))


def _member(entry: Mapping[str, Any]) -> Iterator[Row]:
    name = str(entry.get("monitor", ""))
    if not isinstance(entry.get("decided_by"), Mapping):
        yield from _judgement({key: value for key, value in entry.items() if key != "monitor"}, "monitor", name)
        return
    condition = {"condition": entry["condition"]} if entry.get("condition") else {}
    yield from _judgement({**condition, **entry["decided_by"]}, "monitor", name)
    if isinstance(entry.get("now"), Mapping) and entry["now"]:
        yield from _judgement(entry["now"], "monitor, now", name)


def _judgement(evidence: Mapping[str, Any], kind: str, name: str) -> Iterator[Row]:
    """The sum, its failure domains against their cap, and below each the regions that are in it."""
    known = dict(evidence)
    cap = _taken(known, _CAPS)
    domains, regions = _items(known.pop("domains", None), "domain"), _items(known.pop("regions", None), "region")
    yield _row(known, 0, kind, name, most=_taken(known, _MOSTS))
    for domain, figures in domains:
        yield _row(figures, 1, "domain", domain, most=cap)
        for region, seen in regions:
            if seen.get("domain") == domain:
                yield _row({key: value for key, value in seen.items() if key != "domain"}, 2, "region", region)
    in_some = {domain for domain, _ in domains}
    for region, seen in regions:
        if seen.get("domain") not in in_some:
            yield _row(seen, 1, "region", region)


def _items(found: object, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Parts with their names: of a list of objects, of names, or of an object by name."""
    pairs: Iterable[tuple[str, Any]] = ()
    if isinstance(found, Mapping):
        pairs = found.items()
    elif isinstance(found, list):
        pairs = (("", item) for item in found)
    items = []
    for key, item in pairs:
        if isinstance(item, Mapping):
            figures = dict(item)
            items.append((str(figures.pop(name, key)), figures))
        elif key:
            items.append((str(key), {"sum": item}))
        else:
            items.append((str(item), {}))
    return items


def _row(known: Mapping[str, Any], level: int, kind: str, name: str, *, most: float | None = None) -> Row:
    left = dict(known)
    figure = _taken(left, _SUMS)
    return Row(level=level, kind=kind, name=name, figure=figure, most=most, about=_about(left))


def _taken(known: dict[str, Any], names: Sequence[str]) -> float | None:
    """Take the first figure of these names out."""
    return next((float(known.pop(name)) for name in names if _is_number(known.get(name))), None)


def _about(known: Mapping[str, Any]) -> str:
    parts = [
        f"{text} {share(float(known[key]))}"
        for key, text in _CHANCES.items()
        if _is_number(known.get(key)) and 0 <= known[key] <= 1
    ]
    parts = [text for key in _SAID if key in known and (text := _said(key, known[key]))] + parts
    parts += [
        f"{key.replace('_', ' ')} {_figure(value)}"
        for key, value in known.items()
        if key not in _CHANCES
        and key not in _SAID
        and not key.endswith("_at")  # moments are in the timeline
        and value is not None
        and value != ""
        and not isinstance(value, (dict, list))
    ]
    return ", ".join(parts)[:_TEXT]


def _said(key: str, value: Any) -> str:
    """In its words, if it is of the kind that they are for."""
    fits = isinstance(value, bool) or _is_number(value)
    return _SAID[key](value) if fits else "" if value is None else f"{key.replace('_', ' ')} {value}"


def _figure(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
