"""What a sandbox saw, as the result that a tenant gets. Pure.

===========================  =============================  ========================================
step ended                   while compiling                while running
===========================  =============================  ========================================
exited with 0                (the run decides)              ``ok``
exited with another status   ``compile_error``              ``runtime_error``
wall, cpu                    ``compile_error``, named       ``time_limit``
memory                       ``compile_error``, named       ``memory_limit``
output                       ``compile_error``, named       ``output_limit``
a signal of its own          ``compile_error``, named       ``runtime_error``
another signal               ``compile_error``, named       ``killed``
killed because we were told  ``cancelled``                  ``cancelled``
the sandbox failed           ``internal_error``             ``internal_error``
===========================  =============================  ========================================
"""

from __future__ import annotations

from typing import Final

from holdfast.execution.core.job import Compiled, Result, Verdict
from holdfast.execution.core.task import Ended, StepOutcome, TaskOutcome

OWN_SIGNALS: Final = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV"}
"""Linux numbers (signal(7), x86 and ARM) of what a program does to itself by a fault or by ``abort()``."""

_LIMITS: Final = {
    Ended.WALL: (Verdict.TIME_LIMIT, "wall time"),
    Ended.CPU: (Verdict.TIME_LIMIT, "CPU time"),
    Ended.MEMORY: (Verdict.MEMORY_LIMIT, "memory"),
    Ended.OUTPUT: (Verdict.OUTPUT_LIMIT, "output"),
}


def result(outcome: TaskOutcome, *, cached: bool = False) -> Result:
    """The result of a task that a sandbox brought to an end.

    Args:
        outcome: With a compile step, a run step, or both.
        cached: What the compiler made was at hand: ``outcome.compile`` is ``None`` then, and the result says so.
    """
    compiled = _compiled(outcome.compile) if outcome.compile is not None else _CACHED if cached else None
    compile_s = outcome.compile.cpu_s if outcome.compile is not None else 0.0
    if outcome.compile is not None:
        verdict, message = _of_compile(outcome.compile)
        if verdict is not Verdict.OK or outcome.run is None:
            return Result(
                verdict=verdict,
                compiled=compiled,
                cpu_ms=compile_s * 1e3,
                wall_ms=outcome.compile.wall_s * 1e3,
                memory_bytes=outcome.compile.memory_bytes,
                message=message,
            )
    run = outcome.run
    if run is None:
        return Result(verdict=Verdict.INTERNAL_ERROR, message="the sandbox ran nothing")
    verdict, message = _of_run(run)
    return Result(
        verdict=verdict,
        exit_code=run.exit_code,
        signal=run.signal,
        stdout=run.stdout,
        stderr=run.stderr,
        stdout_truncated=run.stdout_truncated,
        stderr_truncated=run.stderr_truncated,
        compiled=compiled,
        cpu_ms=(compile_s + run.cpu_s) * 1e3,
        wall_ms=run.wall_s * 1e3,
        memory_bytes=run.memory_bytes,
        message=message,
    )


_CACHED: Final = Compiled(
    exit_code=0,
    signal=None,
    stdout=b"",
    stderr=b"",
    truncated=False,
    cpu_ms=0.0,
    wall_ms=0.0,
    memory_bytes=0,
    cached=True,
)


def _compiled(step: StepOutcome) -> Compiled:
    return Compiled(
        exit_code=step.exit_code,
        signal=step.signal,
        stdout=step.stdout,
        stderr=step.stderr,
        truncated=step.stdout_truncated or step.stderr_truncated,
        cpu_ms=step.cpu_s * 1e3,
        wall_ms=step.wall_s * 1e3,
        memory_bytes=step.memory_bytes,
        cached=False,
    )


def _of_compile(step: StepOutcome) -> tuple[Verdict, str]:
    verdict, message = _of_run(step)
    if verdict in {Verdict.OK, Verdict.CANCELLED, Verdict.INTERNAL_ERROR}:
        return verdict, message
    return Verdict.COMPILE_ERROR, f"the compiler {message}" if message else "the compiler found errors"


def _of_run(step: StepOutcome) -> tuple[Verdict, str]:
    """The verdict, and what there is to say beyond it (``reached its wall time limit``)."""
    if step.ended in _LIMITS:
        verdict, what = _LIMITS[step.ended]
        return verdict, f"reached its {what} limit"
    if step.ended is Ended.EXITED:
        return (Verdict.OK if step.exit_code == 0 else Verdict.RUNTIME_ERROR), ""
    if step.ended is Ended.SIGNALED:
        own = OWN_SIGNALS.get(step.signal or 0)
        if own is not None:
            return Verdict.RUNTIME_ERROR, f"was ended by {own}"
        return Verdict.KILLED, f"was ended by signal {step.signal}, which no limit sent"
    if step.ended is Ended.KILLED:
        return Verdict.CANCELLED, "cancelled"
    return Verdict.INTERNAL_ERROR, step.message or "the sandbox failed without a word"
