"""Two records of the same drill, metric by metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from holdfast.evidence.errors import RecordsIncomparableError
from holdfast.evidence.record import Metric, Record

NOISE: Final = 0.05
"""Changes below 5 % are called the same where a metric has no spread of its own: two runs
of one commit on a shared machine differ by about as much."""

Verdict = Literal["better", "worse", "same", "changed", "added", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One metric in both records. ``None`` is a value that is undefined or absent."""

    metric: str
    unit: str
    before: float | None
    after: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordComparison:
    """What changed, and what makes the comparison doubtful."""

    drill: str
    changes: tuple[Change, ...]
    doubts: tuple[str, ...]


def compare(before: Record, after: Record) -> RecordComparison:
    """Compare by metric. Raises :class:`RecordsIncomparableError` for two different drills."""
    if before.drill != after.drill:
        raise RecordsIncomparableError(f"{before.id} is of drill {before.drill}, {after.id} of {after.drill}")
    doubts = []
    if before.machine != after.machine:
        doubts.append("the machines differ; trust ratios within one record, not values across them")
    if before.quick or after.quick:
        doubts.append("a quick run shows that the drill works, not how well its subject does")
    doubts.extend(f"{record.id} ran on uncommitted changes" for record in (before, after) if record.dirty)
    doubts.extend(
        f"{name} was {before.parameters.get(name)}, is {after.parameters.get(name)}"
        for name in sorted(before.parameters.keys() | after.parameters.keys())
        if before.parameters.get(name) != after.parameters.get(name)
    )
    names = [*before.metrics, *(name for name in after.metrics if name not in before.metrics)]
    changes = [_change(name, before.metrics.get(name), after.metrics.get(name)) for name in names]
    return RecordComparison(drill=before.drill, changes=tuple(changes), doubts=tuple(doubts))


def _change(name: str, before: Metric | None, after: Metric | None) -> Change:
    known = after or before
    verdict: Verdict
    if before is None:
        verdict = "added"
    elif after is None:
        verdict = "removed"
    else:
        verdict = _verdict(before, after)
    return Change(
        metric=name,
        unit=known.unit if known else "",
        before=before.value if before else None,
        after=after.value if after else None,
        verdict=verdict,
    )


def _verdict(before: Metric, after: Metric) -> Verdict:
    if before.value is None or after.value is None:
        return "same" if before.value == after.value else "changed"
    if _overlap(before, after):
        return "same"
    if after.better == "neither":
        return "changed"
    return "better" if (after.value < before.value) == (after.better == "lower") else "worse"


def _overlap(before: Metric, after: Metric) -> bool:
    if before.value is None or after.value is None:
        return False
    if None not in (before.low, before.high, after.low, after.high):
        return (before.low or 0.0) <= (after.high or 0.0) and (after.low or 0.0) <= (before.high or 0.0)
    return abs(after.value - before.value) <= NOISE * max(abs(before.value), abs(after.value))
