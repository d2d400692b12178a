"""A record, or a comparison of two, for people at a terminal."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Final, TypeVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast.drills.findings import CONTROL
from holdfast.evidence import Record, RecordComparison

_T = TypeVar("_T")
_VERDICT_STYLE: Final = {"better": "green", "worse": "red", "changed": "yellow"}


def render(record: Record) -> RenderableType:
    """Metrics per contender, verdicts, notes."""
    parts: list[RenderableType] = [Text(record.title, style="bold"), _metrics(record)]
    if record.claims:
        parts.append(_claims(record))
    parts.extend(Text(f"note: {note}", style="yellow") for note in record.notes)
    if record.control is not None:
        parts.append(Text(f"control: {record.control.what}", style="dim"))
    parts.append(Text(_origin(record), style="dim"))
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


def by_contender(found: Mapping[str, _T], control: Mapping[str, _T]) -> dict[str, Mapping[str, _T]]:
    """What is called ``<contender>.<name>``, by contender and name; the control's own comes last."""
    grouped: dict[str, dict[str, _T]] = {}
    for name, one in found.items():
        contender, _, rest = name.partition(".")
        grouped.setdefault(contender, {})[rest] = one
    return {**grouped, **({CONTROL: control} if control else {})}


def _metrics(record: Record) -> Table:
    contenders = by_contender(record.metrics, record.control.metrics if record.control else {})
    names = dict.fromkeys(name for metrics in contenders.values() for name in metrics)
    table = Table()
    table.add_column("metric")
    for contender in contenders:
        table.add_column(contender, justify="right")
    for name in names:
        cells = []
        for metrics in contenders.values():
            found = metrics.get(name)
            cells.append("" if found is None else format_value(found.value, found.unit))
        table.add_row(name, *cells)
    return table


def _origin(record: Record) -> str:
    commit = f"commit {record.commit[:8] if record.commit else 'unknown'}{' and changes' if record.dirty else ''}"
    machine = f"{record.machine.cores} cores of {record.machine.cpu}"
    return f"{record.id}: {commit}, {machine}, {format_value(record.duration_s, 's')}; again: {shlex.join(record.argv)}"


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
