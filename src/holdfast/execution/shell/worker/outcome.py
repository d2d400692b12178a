"""Results on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.execution.core.protocol import WireCompiled, WireResult
from holdfast.execution.core.task import Ended

if TYPE_CHECKING:
    from holdfast.execution.core.job import Compiled, Result
    from holdfast.execution.core.protocol import WireJob
    from holdfast.execution.core.task import TaskOutcome

MESSAGE: Final = 1000
"""Longest text about what happened, in characters; the API takes up to 4096."""


def was_killed(outcome: TaskOutcome) -> bool:
    """Whether a task is over because we said so."""
    return any(step is not None and step.ended is Ended.KILLED for step in (outcome.compile, outcome.run))


def on_wire(job: WireJob, result: Result) -> WireResult:
    """The result of a claim, to be reported."""
    return WireResult(
        id=job.id,
        token=job.token,
        verdict=result.verdict.value,
        exit_code=result.exit_code,
        signal=result.signal,
        stdout=result.stdout,
        stderr=result.stderr,
        stdout_truncated=result.stdout_truncated,
        stderr_truncated=result.stderr_truncated,
        compiled=None if result.compiled is None else _compiled(result.compiled),
        cpu_ms=result.cpu_ms,
        wall_ms=result.wall_ms,
        memory_bytes=result.memory_bytes,
        message=result.message[:MESSAGE],
    )


def _compiled(compiled: Compiled) -> WireCompiled:
    return WireCompiled(
        exit_code=compiled.exit_code,
        signal=compiled.signal,
        stdout=compiled.stdout,
        stderr=compiled.stderr,
        truncated=compiled.truncated,
        cpu_ms=compiled.cpu_ms,
        wall_ms=compiled.wall_ms,
        memory_bytes=compiled.memory_bytes,
        cached=compiled.cached,
    )
