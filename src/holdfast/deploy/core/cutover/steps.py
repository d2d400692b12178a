"""What a cut-over is made of: steps that say what they do, how one sees that it is done, and how it is taken back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.deploy.core.cutover.records import Batch, Record, Zone, apply
from holdfast.deploy.core.cutover.settings import CutoverRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must be true before the next step."""

    command: str
    """A line for a shell; empty: a person looks."""
    expects: str
    """What it has to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """How a step, and all before it, is taken back."""

    summary: str
    commands: tuple[str, ...] = ()
    """Lines for a shell, in order: the old target is there before traffic is moved to it, the record is tidied last."""
    batches: tuple[Batch, ...] = ()
    """The changes among them, in order: after the last one the records are those that there were before the plan."""
    effect_s: float = 0.0
    """Until clients that look up the name again are back, in seconds: propagation, and the TTL that they may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step."""

    id: str
    """``preflight``, ``weights``, ``shift-25``: stable, for programs and file names."""
    title: str
    why: str
    commands: tuple[str, ...] = ()
    """Lines for a shell, in order. None: there is nothing to do but to look and to wait."""
    batch: Batch | None = None
    """The change of records that it makes."""
    checks: tuple[Check, ...] = ()
    abort: tuple[str, ...] = ()
    """Any of this: roll back."""
    back: Back | None = None
    """``None``: there is no way back."""
    wait_s: float = 0.0
    """Least time before the next step, in seconds, with the checks repeated."""
    percent: int | None = None
    """Of the answers that name the new target once it is done; ``None``: the step does not change that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoverPlan:
    """The whole move."""

    request: CutoverRequest
    before: Zone
    """Records of the name as the plan expects to find them."""
    steps: tuple[Step, ...]
    files: Mapping[str, str]
    """Files that the commands name, by name: change batches and metric queries, JSON."""

    @property
    def duration_s(self) -> float:
        """Least time from the first step to the last."""
        return sum(step.wait_s for step in self.steps)

    def after(self, step: Step) -> Zone:
        """Records once a step is done. Raises :class:`~.records.Refused` if Route 53 would not go along."""
        zone = self.before
        for one in self.steps:
            if one.batch is not None:
                zone = apply(zone, one.batch)
            if one.id == step.id:
                break
        return zone


def weights(zone: Zone) -> dict[str, dict[str, int]]:
    """Weights by record type and identifier; empty where nothing is weighted."""
    found: dict[str, dict[str, int]] = {}
    for record in sorted(zone, key=_order):
        if record.weight is not None and record.set_id is not None:
            found.setdefault(record.type, {})[record.set_id] = record.weight
    return found


def in_words(seconds: float) -> str:
    """A length of time as people say it, to the minute: ``1 day 21 min``."""
    minutes = max(1, math.ceil(seconds / 60))
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def _order(record: Record) -> tuple[str, str, str]:
    return (record.name, record.type, record.set_id or "")
