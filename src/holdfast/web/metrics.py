"""What APIs share of the Prometheus text format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
"""The framework adds the charset; Prometheus 3 refuses a type that names it twice."""
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Buckets for the time that a request takes."""


class Counted(Collector):
    """A counter that somebody else keeps."""

    def __init__(self, name: str, text: str, counts: Callable[[], Mapping[str, int]], labels: tuple[str, ...]) -> None:
        self._name = name
        self._text = text
        self._counts = counts
        self._labels = labels

    def collect(self) -> Iterable[Metric]:
        """Its present values."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for label, count in self._counts().items():
            family.add_metric([label] if self._labels else [], count)
        return [family]
