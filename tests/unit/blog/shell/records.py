"""Readings of a record that is made up here."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.blog.core.reference import Reading, Series, Unbacked

METRICS = {
    "flapping.holdfast.errors": 3.0,
    "flapping.haproxy.errors": 41.0,
    "flapping#rate": 500.0,
    "flapping.nothing": 0.0,
}
SERIES = {
    "flapping.holdfast.latency_ms": (1.0, 2.0, 3.0, 10.0),
    "flapping.haproxy.latency_ms": (2.0, 20.0, 200.0),
    "flapping.holdfast.empty": (),
    "flapping.holdfast.with_zero": (0.0, 1.0),
}


@dataclass(frozen=True)
class MadeUp:
    """Answers from the tables above."""

    metrics: dict[str, float] = field(default_factory=lambda: METRICS)
    samples: dict[str, tuple[float, ...]] = field(default_factory=lambda: SERIES)
    stale: tuple[str, ...] = ()

    def read(self, reference: str) -> Reading:
        if reference not in self.metrics:
            raise Unbacked(f"there is no {reference}; run the drill")
        drill, name = reference.split("#") if "#" in reference else reference.split(".", 1)
        name = f"#{name}" if "#" in reference else name
        return Reading(
            drill=drill, record="r1", name=name, value=self.metrics[reference], unit="", derivation="", stale=self.stale
        )

    def series(self, reference: str) -> Series:
        if reference not in self.samples:
            raise Unbacked(f"there are no samples {reference}; run the drill")
        drill, name = reference.split(".", 1)
        values = self.samples[reference]
        return Series(drill=drill, record="r1", name=name, values=values, counts=(1,) * len(values), stale=self.stale)
