"""Records of drills, read for the footprints of our own services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.deploy.core.footprint import Measured
from holdfast.evidence import EvidenceError, Record, load, stale_inputs

DRILLS: Final = ("throughput", "idle", "gateway", "runner", "watch-capacity")
"""Those that measure what a request, connection or job takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found."""

    measured: dict[str, Measured]
    """By drill."""
    notes: tuple[str, ...]
    """Records that could not be used or are stale, and why."""


def read_evidence(directory: Path, root: Path | None = None) -> Evidence:
    """The newest sound record of each drill below ``directory``.

    Sound: it verifies, and it is no quick run. A claim that did not hold says that the figure was hoped to be better,
    not that it is wrong. One that is stale (its code has changed, seen against the project at ``root``) is used all
    the same, with a note: an old measurement is still better than none. A directory that is not there has no records.
    """
    measured, notes = {}, []
    for drill in DRILLS:
        sound = []
        for path in sorted((directory / drill).glob("*.json")):
            try:
                record = load(path)
            except EvidenceError as error:
                notes.append(f"not used: {error}")
                continue
            if not record.quick:
                sound.append(record)
        if sound:
            newest = max(sound, key=lambda record: record.started)
            stale = stale_inputs(newest, root) if root is not None else ()
            if stale:
                notes.append(f"{drill}/{newest.id} is stale: {stale[0]} has changed since ({len(stale)} in all)")
            measured[drill] = _measured(newest, stale=bool(stale))
    return Evidence(measured=measured, notes=tuple(notes))


def _measured(record: Record, *, stale: bool) -> Measured:
    return Measured(
        drill=record.drill,
        record=record.id,
        metrics={name: metric.value for name, metric in record.metrics.items() if metric.value is not None},
        cores=record.machine.cores,
        parameters={
            name: float(value)
            for name, value in record.parameters.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        },
        stale=stale,
    )
