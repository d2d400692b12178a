"""What our own services take for one request or job, from records of drills instead of guesses.

A service's figures are named here by drill and metric. What has no sound record keeps the figure of the workload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from holdfast.deploy.core.workload import Traffic, Workload
from holdfast.kernel import Duration, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The newest sound record of one drill, as far as footprints need it."""

    drill: str
    record: str
    """Its id."""
    metrics: Mapping[str, float]
    """Values by name; those that are undefined are left out."""
    cores: int
    """Of the machine that it ran on."""
    parameters: Mapping[str, float]
    stale: bool = False
    """The code has changed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where one figure is from."""

    field: str
    """Of :class:`~.workload.Traffic`: ``cpu``, ``memory``."""
    value: float
    """Seconds or bytes."""
    record: str
    """``throughput/20261122T135035Z-53c65638``."""
    metrics: tuple[str, ...]
    stale: bool
    note: str = ""

    @property
    def text(self) -> str:
        """For people: ``cpu of one: 26.5 µs, from throughput/2026..., holdfast.cpu_us_64B``."""
        amount = f"{self.value * 1e6:.4g} µs" if self.field == "cpu" else f"{self.value:.0f} B"
        parts = [f"{self.field} of one: {amount}, from {self.record}, {' and '.join(self.metrics)}"]
        if self.note:
            parts.append(self.note)
        if self.stale:
            parts.append("the code has changed since that record")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """A workload's traffic with what was measured, and the provenance of each figure."""

    traffic: Traffic
    origins: tuple[Origin, ...]


SERVICES: Final = ("balancer", "gateway", "execution-worker", "netpulse", "agent")
"""Services of which a footprint is known."""


def footprint(workload: Workload, measured: Mapping[str, Measured]) -> Footprint:
    """The traffic of a workload of ours with measured figures in place of written ones, where there are any."""
    found = [
        origin
        for origin in (_cpu(workload, measured), _memory(workload, measured))
        if origin is not None and origin.value >= 0
    ]
    changes: dict[str, Duration | Size] = {
        origin.field: Duration(origin.value) if origin.field == "cpu" else Size(origin.value) for origin in found
    }
    return Footprint(traffic=msgspec.structs.replace(workload.traffic, **changes), origins=tuple(found))


def with_footprint(workload: Workload, measured: Mapping[str, Measured]) -> Workload:
    """The workload as :func:`footprint` has it."""
    return msgspec.structs.replace(workload, traffic=footprint(workload, measured).traffic)


def _cpu(workload: Workload, measured: Mapping[str, Measured]) -> Origin | None:
    match workload.service:
        case "balancer":
            return _micros(measured.get("throughput"), "holdfast.cpu_us_64B")
        case "gateway":
            return _gateway_cpu(workload, measured.get("gateway"))
        case "execution-worker":
            return _job_cpu(measured.get("runner"))
        case "netpulse":
            return _micros(measured.get("watch-capacity"), "holdfast.engine_cpu_us")
        case "agent":
            return _micros(measured.get("watch-capacity"), "holdfast.agent_cpu_us")
        case _:
            return None


def _memory(workload: Workload, measured: Mapping[str, Measured]) -> Origin | None:
    match workload.service:
        case "balancer":
            record = measured.get("idle")
            name = "holdfast.bytes_per_client"
            value = record.metrics.get(name) if record else None
            return None if record is None or value is None else _origin("memory", value, record, name)
        case "gateway":
            return _stream_memory(measured.get("gateway"))
        case _:
            return None


def _origin(field: str, value: float, record: Measured, *metrics: str, note: str = "") -> Origin:
    return Origin(
        field=field,
        value=value,
        record=f"{record.drill}/{record.record}",
        metrics=metrics,
        stale=record.stale,
        note=note,
    )


def _micros(record: Measured | None, name: str) -> Origin | None:
    if record is None or (value := record.metrics.get(name)) is None:
        return None
    return _origin("cpu", value / 1e6, record, name)


def _gateway_cpu(workload: Workload, record: Measured | None) -> Origin | None:
    """A short answer's, and each token's where answers are streamed: at the record's pace while one is open."""
    short, token = "holdfast.cpu_us_short", "holdfast.token_cpu_us"
    plain = _micros(record, short)
    if record is None or plain is None or "sse" not in workload.protocols:
        return plain
    each, pace = record.metrics.get(token), record.parameters.get("tokens_per_s")
    if each is None or pace is None:
        return plain
    tokens = pace * workload.traffic.duration
    note = f"{tokens:.4g} tokens a stream, {pace:g} a second"
    return _origin("cpu", plain.value + tokens * each / 1e6, record, short, token, note=note)


def _stream_memory(record: Measured | None) -> Origin | None:
    """What open streams take beyond the process, by stream."""
    names = ("holdfast.stream_memory_bytes", "holdfast.memory_bytes", "holdfast.streams_open")
    if record is None or any(name not in record.metrics for name in names):
        return None
    full, bare, streams = (record.metrics[name] for name in names)
    return _origin("memory", max(0.0, full - bare) / streams, record, *names) if streams else None


def _job_cpu(record: Measured | None) -> Origin | None:
    """Processor time of a short job: all cores of the machine at the rate that it reached, so at most that."""
    name = "holdfast.python_per_s"
    if record is None or not (rate := record.metrics.get(name)):
        return None
    return _origin("cpu", record.cores / rate, record, name, note=f"all {record.cores} cores, so at most that")
