"""The report of a record as one HTML file: no script, nothing loaded, everything from the record escaped.

Its policy allows nothing but its own style sheet, by hash. A record may come from anybody.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from holdfast.drills import plots
from holdfast.drills.findings import CONTROL
from holdfast.drills.report import by_contender, format_value
from holdfast.evidence import Claim, Metric, Record, Samples, samples

if TYPE_CHECKING:
    import jinja2

_HUES: Final = 5
"""Lines that the style sheet tells apart."""
_SIGNS: Final = {"<=": "\N{LESS-THAN OR EQUAL TO}", ">=": "\N{GREATER-THAN OR EQUAL TO}", "==": "="}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One claimed metric of all contenders."""

    claims: tuple[Claim, ...]
    """With one bound; they may be about different contenders."""
    name: str
    metrics: Mapping[str, Metric]
    plot: plots.Bars | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One series of all contenders."""

    name: str
    series: Mapping[str, Samples]
    plot: plots.Curves


def render_page(record: Record, *, stale: Sequence[str] = ()) -> str:
    """The whole file. ``stale`` are inputs that have changed since, if that is known."""
    import markupsafe

    metrics = by_contender(record.metrics, record.control.metrics if record.control else {})
    series = by_contender(record.samples, record.control.samples if record.control else {})
    contenders = tuple(dict.fromkeys((*metrics, *series)))
    style = files("holdfast.drills").joinpath("templates", "record.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("record.html")
        .render(
            record=record,
            stale=stale,
            style=markupsafe.Markup(style),  # noqa: S704  # ours, from the package
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            command=shlex.join(record.argv),
            contenders=contenders,
            hues={name: CONTROL if name == CONTROL else f"h{at % _HUES}" for at, name in enumerate(contenders)},
            metrics=metrics,
            names=tuple(dict.fromkeys(name for found in metrics.values() for name in found)),
            comparisons=_comparisons(record, metrics),
            distributions=_distributions(series),
            series=series,
            plots=plots,
        )
    )


def _comparisons(record: Record, metrics: Mapping[str, Mapping[str, Metric]]) -> tuple[Comparison, ...]:
    claims: dict[tuple[str, str, float], list[Claim]] = {}
    for claim in record.claims:
        claims.setdefault((claim.metric.partition(".")[2], claim.comparison, claim.bound), []).append(claim)
    found = []
    for (name, _, bound), alike in claims.items():
        of_all = {contender: of[name] for contender, of in metrics.items() if name in of}
        found.append(Comparison(claims=tuple(alike), name=name, metrics=of_all, plot=plots.bars(of_all, bound)))
    return tuple(found)


def _distributions(series: Mapping[str, Mapping[str, Samples]]) -> tuple[Distribution, ...]:
    found = []
    for name in dict.fromkeys(name for of in series.values() for name in of):
        of_all = {contender: of[name] for contender, of in series.items() if name in of}
        if (plot := plots.curves(of_all)) is not None:
            found.append(Distribution(name=name, series=of_all, plot=plot))
    return tuple(found)


def _quantiles(one: Samples) -> tuple[float | None, ...]:
    return tuple(samples.quantile(one, q) for q in (0.0, 0.5, 0.9, 0.99, 0.999, 1.0))


def _plain(value: float | None) -> str:
    return format_value(value, "")


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("holdfast.drills"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "value": format_value,
        "plain": _plain,
        "sign": lambda comparison: _SIGNS.get(comparison, comparison),
        "quantiles": _quantiles,
        "count": samples.count,
        "bytes": lambda number: f"{number / 2**30:.1f} GiB",
    }
    environment.filters.update(filters)
    return environment
