"""What a drill finds, collected contender by contender and turned into a record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from holdfast import evidence
from holdfast.drills.inputs import Measured, inputs_of
from holdfast.drills.load import LoadResult
from holdfast.evidence import Better, Claim, Comparison, Control, Histogram, Machine, Metric, Record, Samples

CONTROL: Final = "control"
"""Name of the negative control."""
_MANY: Final = 200
"""Longer series are kept as histograms."""
DATA_PLANE: Final = ("app", "balancer", "drills", "evidence", "http1", "kernel", "proxy", "resilience", "telemetry")
"""Packages that a drill of the balancer runs."""
CODE_RUNNER: Final = (
    "app",
    "drills",
    "evidence",
    "execution",
    "identity",
    "kernel",
    "resilience",
    "store",
    "telemetry",
)
"""Packages that a drill of code execution runs."""
GATEWAY: Final = (
    "app",
    "drills",
    "evidence",
    "gateway",
    "http1",
    "identity",
    "kernel",
    "proxy",
    "resilience",
    "store",
    "telemetry",
    "web",
)
"""Packages that a drill of the AI gateway runs."""
NETPULSE: Final = (
    "app",
    "drills",
    "evidence",
    "identity",
    "kernel",
    "netpulse",
    "resilience",
    "store",
    "telemetry",
    "web",
)
"""Packages that a drill of NetPulse runs."""
_DISTRIBUTIONS: Final = ("holdfast", "httptools", "msgspec", "uvloop", "uvicorn", "litestar", "psycopg", "aiohttp")
_PROGRAMS: Final = (
    *("haproxy", "nginx", "wrk", "bwrap", "nft"),
    *("prometheus", "prometheus-blackbox-exporter", "prometheus-alertmanager"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The circumstances of one run."""

    quick: bool
    seed: int
    directory: Path
    """For configurations and logs; removed afterwards."""
    progress: Callable[[str], None]

    def pick(self, full: float, quick: float) -> float:
        """A duration or a count, by kind of run."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a run was made from, taken before it begins: files may change while it lasts."""

    started: dt.datetime
    commit: str | None
    dirty: bool
    inputs: dict[str, str]

    @classmethod
    def now(cls, drill: Measured) -> Origin:
        """The files that this drill depends on, and the moment."""
        root = evidence.project_root()
        commit, dirty = evidence.commit_of(root)
        inputs = evidence.digest_files(inputs_of(drill, root), root)
        return cls(started=dt.datetime.now(dt.UTC), commit=commit, dirty=dirty, inputs=inputs)


@dataclass(slots=True)
class Findings:
    """Samples, metrics and claims of a drill.

    Series are called ``<contender>.<series>``, those of the control ``<series>`` in the
    control's own section. In an expression ``$x`` stands for the contender's series ``x``.
    """

    samples: dict[str, Samples] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    parameters: dict[str, float | int | str | bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    control_what: str = ""
    control_samples: dict[str, Samples] = field(default_factory=dict)
    control_metrics: dict[str, Metric] = field(default_factory=dict)

    def add(self, contender: str, series: str, numbers: Iterable[float]) -> None:
        """Keep a series; a long one as a histogram."""
        values = tuple(float(number) for number in numbers)
        samples: Samples = Histogram.of(values) if len(values) > _MANY else values
        if contender == CONTROL:
            self.control_samples[series] = samples
        else:
            self.samples[f"{contender}.{series}"] = samples

    def add_load(self, contender: str, result: LoadResult) -> None:
        """Keep what a load generator saw, its own lateness included."""
        self.add(contender, "requests", [len(result)])
        self.add(contender, "errors", [result.errors()])
        # Always histograms: two runs are compared by their shape, not by their order.
        target = self.control_samples if contender == CONTROL else self.samples
        prefix = "" if contender == CONTROL else f"{contender}."
        target[f"{prefix}latency_ms"] = Histogram.of(result.latency_ms())
        target[f"{prefix}generator_lag_ms"] = Histogram.of(result.lag_ms())
        self.add(contender, "generator_cpu_s", [result.cpu_s])
        for outcome, number in result.outcomes().items():
            self.add(contender, f"outcome.{outcome.replace(' ', '_')}", [number])
        if "unsent" in result.outcomes():
            self.notes.append(f"{contender}: the generator ran out of connections, so this run says nothing")

    def metric(  # the keywords are the fields of the metric
        self,
        contender: str,
        name: str,
        expression: str,
        *,
        unit: str,
        better: Better,
        low: str | None = None,
        high: str | None = None,
    ) -> float | None:
        """Compute and keep a metric. Returns its value."""
        is_control = contender == CONTROL
        prefix = "samples." if is_control else f"samples.{contender}."
        metric = evidence.measure(
            expression.replace("$", prefix),
            unit=unit,
            better=better,
            samples=self.control_samples if is_control else self.samples,
            control=None if is_control else self.control_samples,
            low=None if low is None else low.replace("$", prefix),
            high=None if high is None else high.replace("$", prefix),
        )
        if is_control:
            self.control_metrics[name] = metric
        else:
            self.metrics[f"{contender}.{name}"] = metric
        return metric.value

    def claim(self, text: str, metric: str, comparison: Comparison, bound: float, *, in_quick: bool = False) -> None:
        """Judge a claim on a metric that is already there."""
        value = self.metrics[metric].value
        self.claims.append(Claim.judge(text, metric, comparison, bound, value, in_quick=in_quick))

    def record(self, drill: Drill, setting: Setting, origin: Origin, *, duration_s: float) -> Record:
        """The complete record."""
        suffix = "-quick" if setting.quick else ""
        argv = ["holdfast", "drill", "run", drill.name, "--seed", str(setting.seed)]
        return Record(
            id=f"{origin.started:%Y%m%dT%H%M%SZ}-{(origin.commit or 'nocommit')[:8]}{suffix}",
            drill=drill.name,
            title=drill.title,
            argv=(*argv, "--quick") if setting.quick else tuple(argv),
            commit=origin.commit,
            dirty=origin.dirty,
            inputs=origin.inputs,
            machine=Machine.here(),
            versions=evidence.versions_of(_DISTRIBUTIONS, _PROGRAMS),
            seed=setting.seed,
            quick=setting.quick,
            started=origin.started,
            duration_s=round(duration_s, 3),
            parameters=self.parameters,
            notes=tuple(self.notes),
            samples=self.samples,
            metrics=self.metrics,
            claims=tuple(self.claims),
            control=Control(what=self.control_what, samples=self.control_samples, metrics=self.control_metrics)
            if self.control_samples
            else None,
        )


class Drill(Protocol):
    """One experiment: what it is called, what it asks, how it is run."""

    @property
    def name(self) -> str:
        """As on the command line."""
        ...

    @property
    def title(self) -> str:
        """The question, in a sentence."""
        ...

    @property
    def packages(self) -> Sequence[str]:
        """Packages of the project that the result depends on; a change of one makes the record stale."""
        ...

    async def run(self, setting: Setting) -> Findings:
        """Carry it out. Raises :class:`~holdfast.drills.errors.DrillError` if that is impossible."""
        ...
