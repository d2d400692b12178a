"""A record, or a comparison of two, for people at a terminal."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast.evidence import Metric, Record, RecordComparison

_VERDICT_STYLE = {"better": "green", "worse": "red", "changed": "yellow"}


def render(record: Record) -> RenderableType:
    """Metrics per contender, verdicts, notes."""
    parts: list[RenderableType] = [Text(record.title, style="bold"), _metrics(record)]
    if record.claims:
        parts.append(_claims(record))
    parts.extend(Text(f"note: {note}", style="yellow") for note in record.notes)
    if record.control is not None:
        parts.append(Text(f"control: {record.control.what}", style="dim"))
    if record.quick:
        parts.append(Text("A quick run shows that the drill works; run it in full before quoting it.", style="yellow"))
    return Group(*parts)


def render_comparison(comparison: RecordComparison) -> RenderableType:
    """What changed from one record to the other, and what makes that doubtful."""
    table = Table(title=comparison.drill, title_justify="left")
    table.add_column("metric")
    for title in ("before", "after"):
        table.add_column(title, justify="right")
    table.add_column("verdict")
    for change in comparison.changes:
        table.add_row(
            change.metric,
            format_value(change.before, change.unit),
            format_value(change.after, change.unit),
            Text(change.verdict, style=_VERDICT_STYLE.get(change.verdict, "")),
        )
    return Group(table, *(Text(f"doubt: {doubt}", style="yellow") for doubt in comparison.doubts))


def format_value(value: float | None, unit: str) -> str:
    """Three significant digits and the unit; whole numbers in full."""
    if value is None:
        return "-"
    if value == math.trunc(value) and abs(value) < 1e6:
        text = f"{value:.0f}"
    else:
        digits = max(0, 2 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{digits}f}"
    return f"{text} {unit}".rstrip()


def _metrics(record: Record) -> Table:
    by_contender: dict[str, dict[str, Metric]] = {}
    for name, metric in record.metrics.items():
        contender, _, rest = name.partition(".")
        by_contender.setdefault(contender, {})[rest] = metric
    if record.control is not None:
        by_contender["control"] = record.control.metrics
    names = dict.fromkeys(name for metrics in by_contender.values() for name in metrics)
    table = Table()
    table.add_column("metric")
    for contender in by_contender:
        table.add_column(contender, justify="right")
    for name in names:
        cells = []
        for metrics in by_contender.values():
            found = metrics.get(name)
            cells.append("" if found is None else format_value(found.value, found.unit))
        table.add_row(name, *cells)
    return table


def _claims(record: Record) -> Table:
    table = Table()
    for title in ("claim", "bound", "value", "verdict"):
        table.add_column(title)
    for claim in record.claims:
        if claim.holds:
            verdict = Text("holds", style="green")
        elif record.quick and not claim.in_quick:
            verdict = Text("not judged in a quick run", style="yellow")
        else:
            verdict = Text("FAILS", style="bold red")
        bound = f"{claim.comparison} {format_value(claim.bound, '')}"
        table.add_row(claim.claim, bound, format_value(claim.value, ""), verdict)
    return table
