"""What came of a task, as the worker reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.execution.core.job import Verdict
from holdfast.execution.core.protocol import WireCompiled, WireResult
from holdfast.execution.core.task import Ended, StepOutcome

if TYPE_CHECKING:
    from holdfast.execution.core.protocol import WireJob
    from holdfast.execution.core.task import TaskOutcome


_NOT_RUN: Final = StepOutcome(ended=Ended.EXITED)
"""Stands for the run of a job that did not come so far."""


def failure(outcome: TaskOutcome) -> str | None:
    """What went wrong with the sandbox itself; ``None``: nothing did."""
    for step in (outcome.compile, outcome.run):
        if step is not None and step.ended is Ended.FAILED:
            return step.message or "the sandbox failed and did not say how"
    return "the sandbox ran nothing" if outcome.compile is None and outcome.run is None else None


def was_killed(outcome: TaskOutcome) -> bool:
    """Whether it is over because we said so."""
    return any(step is not None and step.ended is Ended.KILLED for step in (outcome.compile, outcome.run))


def result(job: WireJob, outcome: TaskOutcome, verdict: Verdict, *, cached: bool) -> WireResult:
    """The report of a job; ``cached``: its compiled form was there already."""
    steps = [step for step in (outcome.compile, outcome.run) if step is not None]
    compiled = WireCompiled(exit_code=0, cached=True) if cached else None
    run = outcome.run or _NOT_RUN
    return WireResult(
        id=job.id,
        token=job.token,
        verdict=verdict.value,
        exit_code=run.exit_code,
        signal=run.signal,
        stdout=run.stdout,
        stderr=run.stderr,
        stdout_truncated=run.stdout_truncated,
        stderr_truncated=run.stderr_truncated,
        compiled=_compiled(outcome.compile) if outcome.compile is not None else compiled,
        cpu_ms=1000.0 * sum(step.cpu_s for step in steps),
        wall_ms=1000.0 * run.wall_s,
        memory_bytes=max((step.memory_bytes for step in steps), default=0),
        message=next((step.message for step in reversed(steps) if step.message), ""),
    )


def unstarted(job: WireJob, verdict: Verdict, message: str) -> WireResult:
    """The report of a job that no sandbox saw."""
    return WireResult(id=job.id, token=job.token, verdict=verdict.value, message=message)


def _compiled(step: StepOutcome) -> WireCompiled:
    return WireCompiled(
        exit_code=step.exit_code,
        signal=step.signal,
        stdout=step.stdout,
        stderr=step.stderr,
        truncated=step.stdout_truncated or step.stderr_truncated,
        cpu_ms=1000.0 * step.cpu_s,
        wall_ms=1000.0 * step.wall_s,
        memory_bytes=step.memory_bytes,
    )


_VERDICTS: Final = {
    Ended.WALL: Verdict.TIME_LIMIT,
    Ended.CPU: Verdict.TIME_LIMIT,
    Ended.MEMORY: Verdict.MEMORY_LIMIT,
    Ended.OUTPUT: Verdict.OUTPUT_LIMIT,
    Ended.SIGNALED: Verdict.KILLED,
    Ended.KILLED: Verdict.CANCELLED,
    Ended.FAILED: Verdict.INTERNAL_ERROR,
}


def verdict(outcome: TaskOutcome) -> Verdict:
    """What a task comes to."""
    if outcome.run is None:
        return Verdict.COMPILE_ERROR
    if outcome.run.ended is Ended.EXITED:
        return Verdict.RUNTIME_ERROR if outcome.run.exit_code else Verdict.OK
    return _VERDICTS[outcome.run.ended]
