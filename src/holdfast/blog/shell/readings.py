"""Numbers from the records on disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from holdfast import evidence
from holdfast.blog.core.quoting import nearest
from holdfast.blog.core.reference import Reading, Series, Unbacked

OURS: Final = "holdfast"
"""The contender whose name may be left out."""
_CONTROL: Final = "control."


class RecordedReadings:
    """Answers references from ``evidence_dir``: the newest full record of each drill, when it is sound.

    A record is read, recomputed and compared with the inputs below ``root`` once, when it is first asked for. An
    unsound newest record is not passed over for an older one: somebody would have to notice.
    """

    def __init__(self, evidence_dir: Path, root: Path) -> None:
        self._evidence_dir = evidence_dir
        self._root = root
        self._standing: dict[str, evidence.Standing] = {}
        self._read: dict[str, Reading] = {}

    def drills(self) -> tuple[str, ...]:
        """Drills that have a full record."""
        if not self._evidence_dir.is_dir():
            return ()
        names = sorted(folder.name for folder in self._evidence_dir.iterdir() if folder.is_dir())
        return tuple(name for name in names if evidence.newest(self._evidence_dir, name) is not None)

    def record(self, drill: str) -> evidence.Record:
        """The record that speaks for a drill. Raises :class:`Unbacked`."""
        found = self._standing.get(drill)
        if found is None:
            found = self._standing[drill] = evidence.standing(self._evidence_dir, drill, self._root)
        return self._sound(found)

    def stale(self, drill: str) -> tuple[str, ...]:
        """Inputs of that record that have changed since. Raises :class:`Unbacked`."""
        self.record(drill)
        return self._standing[drill].stale

    def read(self, reference: str) -> Reading:
        """``flapping.errors``, ``flapping.nginx.errors``, ``flapping.control.errors`` or ``flapping#hold_s``.

        Raises :class:`Unbacked` for a drill without a sound record and for what its record does not hold.
        """
        known = self._read.get(reference)
        if known is None:
            known = self._read[reference] = self._answer(reference)
        return known

    def series(self, reference: str) -> Series:
        """Samples, ``flapping.holdfast.latency_ms`` or ``flapping.control.latency_ms``. Raises :class:`Unbacked`."""
        drill, _, name = reference.partition(".")
        record = self.record(drill)
        if name.startswith(_CONTROL):
            samples = {
                f"{_CONTROL}{key}": one for key, one in (record.control.samples if record.control else {}).items()
            }
        else:
            samples = record.samples
        full = name if name in samples else f"{OURS}.{name}"
        if full not in samples:
            raise Unbacked(
                f"{drill}/{record.id} has no samples {name!r}; it has {nearest(name, list(samples)) or 'none'}"
            )
        found = samples[full]
        return Series(
            drill=drill,
            record=record.id,
            name=full,
            values=found.values if isinstance(found, evidence.Histogram) else found,
            counts=found.counts if isinstance(found, evidence.Histogram) else (1,) * len(found),
            stale=self._standing[drill].stale,
        )

    def _answer(self, reference: str) -> Reading:
        drill, mark, name = reference.partition("#")
        if mark and "." not in drill:
            return self._parameter(drill, name)
        drill, _, name = reference.partition(".")
        record = self.record(drill)
        if name.startswith(_CONTROL):
            metrics = {
                f"{_CONTROL}{key}": metric for key, metric in (record.control.metrics if record.control else {}).items()
            }
        else:
            metrics = record.metrics
        full = name if name in metrics else f"{OURS}.{name}"
        metric = metrics.get(full)
        if metric is None:
            short = [key.removeprefix(f"{OURS}.") for key in metrics]
            if not short:
                raise Unbacked(f"{drill}/{record.id} has no control; name one of its metrics")
            raise Unbacked(
                f"{drill}/{record.id} has no metric {name!r}; it has {nearest(name, short)}; if the drill was changed, "
                f"run 'holdfast evidence rerun {drill}'"
            )
        if metric.value is None or not math.isfinite(metric.value):
            raise Unbacked(f"{drill}/{record.id}: {full} is undefined for its samples; quote another metric")
        return self._reading(record, full, metric.value, metric.unit, metric.derivation)

    def _parameter(self, drill: str, name: str) -> Reading:
        record = self.record(drill)
        value = record.parameters.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            numeric = [key for key, one in record.parameters.items() if isinstance(one, int | float)]
            raise Unbacked(f"{drill}/{record.id} has no number #{name}; it has {nearest(name, numeric)}")
        return self._reading(record, f"#{name}", float(value), _unit_of(name), "")

    def _reading(self, record: evidence.Record, name: str, value: float, unit: str, derivation: str) -> Reading:
        return Reading(
            drill=record.drill,
            record=record.id,
            name=name,
            value=value,
            unit=unit,
            derivation=derivation,
            stale=self._standing[record.drill].stale,
        )

    def _sound(self, found: evidence.Standing) -> evidence.Record:
        """The record, if it may speak for its drill."""
        if found.path is None:
            drills = self.drills()
            known = f" (there are records of {nearest(found.drill, list(drills))})" if drills else ""
            raise Unbacked(f"no full record of a drill {found.drill!r}{known}; run 'holdfast drill run {found.drill}'")
        name, record = f"{found.drill}/{found.path.stem}", found.record
        if record is None:
            why = f"is not sound: {_one_line(found.fault)}"
        elif record.quick:
            why = "is a quick run, which shows that the drill works and nothing else"
        elif (record.drill, record.id) != (found.drill, found.path.stem):
            why = f"is the record {record.drill}/{record.id}"
        else:
            return record
        raise Unbacked(f"{name} {why}; run 'holdfast evidence rerun {found.drill}'")


def _unit_of(name: str) -> str:
    """Parameters carry their unit in their name: ``hold_s``, ``rate_per_s``, ``seconds``."""
    before, _, suffix = name.rpartition("_")
    if before.endswith("_per"):
        return f"per {suffix}"
    return "s" if suffix == "seconds" else suffix if suffix in {"s", "ms", "us", "bytes", "usd"} else ""


def _one_line(text: str) -> str:
    """Without semicolons: what follows the first one is the remedy."""
    text = " ".join(text.split()).replace(";", ",")
    return text if len(text) <= 300 else f"{text[:300]}..."
