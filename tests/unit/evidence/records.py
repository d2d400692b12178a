"""A small record to try things on."""

from __future__ import annotations

import datetime as dt

from holdfast.evidence import Claim, Control, Histogram, Machine, Record, Samples, measure

MACHINE = Machine(cpu="a cpu", cores=2, memory_bytes=2**30, kernel="Linux 6")


def small_record(
    *,
    identity: str = "20260101T000000Z-abc",
    drill: str = "flapping",
    latency: tuple[float, ...] = (1.0, 2.0, 30.0),
    attempts: float = 11.0,
    inputs: dict[str, str] | None = None,
    quick: bool = False,
    rounds: tuple[float, ...] = (1.0, 1.2),
) -> Record:
    samples: dict[str, Samples] = {
        "holdfast.latency_ms": Histogram.of(latency),
        "holdfast.attempts": (attempts,),
        "holdfast.requests": (10.0,),
        "holdfast.rounds": rounds,
    }
    control: dict[str, Samples] = {"attempts": (30.0,), "requests": (10.0,)}
    ratio = "ratio(samples.holdfast.attempts, samples.holdfast.requests)"
    metrics = {
        "holdfast.latency_p99_ms": measure(
            "p99(samples.holdfast.latency_ms)", unit="ms", better="lower", samples=samples
        ),
        "holdfast.attempts_per_request": measure(ratio, unit="", better="lower", samples=samples),
        "holdfast.cpu_us": measure(
            "median(samples.holdfast.rounds)",
            unit="µs",
            better="lower",
            samples=samples,
            low="min(samples.holdfast.rounds)",
            high="max(samples.holdfast.rounds)",
        ),
    }
    per_request = metrics["holdfast.attempts_per_request"].value
    return Record(
        id=identity,
        drill=drill,
        title="Does it hold?",
        argv=("holdfast", "drill", "run", drill, *(("--quick",) if quick else ())),
        commit="0" * 40,
        dirty=False,
        inputs=inputs or {},
        machine=MACHINE,
        versions={"python": "3.11"},
        seed=7,
        quick=quick,
        started=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        duration_s=1.0,
        parameters={"rate_per_s": 10.0},
        notes=("without haproxy: it is not installed",),
        samples=samples,
        metrics=metrics,
        claims=(Claim.judge("few attempts", "holdfast.attempts_per_request", "<=", 1.1, per_request),),
        control=Control(
            what="without the budget",
            samples=control,
            metrics={
                "attempts_per_request": measure(
                    "ratio(samples.attempts, samples.requests)", unit="", better="lower", samples=control
                )
            },
        ),
    )
