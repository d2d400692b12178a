"""What a sandbox saw, as a result."""

from __future__ import annotations

import signal

import pytest

from holdfast.execution.core.job import Verdict
from holdfast.execution.core.task import Ended, StepOutcome, TaskOutcome
from holdfast.execution.core.verdict import OWN_SIGNALS, result

FINE = StepOutcome(ended=Ended.EXITED, exit_code=0, cpu_s=0.25, wall_s=0.5, memory_bytes=4096)


def test_a_clean_exit_is_ok_and_carries_what_the_program_said() -> None:
    run = StepOutcome(
        ended=Ended.EXITED,
        exit_code=0,
        stdout=b"out",
        stderr=b"err",
        stderr_truncated=True,
        cpu_s=0.25,
        wall_s=0.5,
        memory_bytes=4096,
    )
    outcome = result(TaskOutcome(run=run))
    assert (outcome.verdict, outcome.exit_code, outcome.message) == (Verdict.OK, 0, "")
    assert (outcome.stdout, outcome.stderr) == (b"out", b"err")
    assert (outcome.stdout_truncated, outcome.stderr_truncated) == (False, True)
    assert (outcome.cpu_ms, outcome.wall_ms, outcome.memory_bytes) == (250.0, 500.0, 4096)
    assert outcome.compiled is None


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        (StepOutcome(ended=Ended.EXITED, exit_code=1), Verdict.RUNTIME_ERROR),
        (StepOutcome(ended=Ended.WALL, signal=9), Verdict.TIME_LIMIT),
        (StepOutcome(ended=Ended.CPU, signal=9), Verdict.TIME_LIMIT),
        (StepOutcome(ended=Ended.MEMORY, signal=9), Verdict.MEMORY_LIMIT),
        (StepOutcome(ended=Ended.OUTPUT, signal=9), Verdict.OUTPUT_LIMIT),
        (StepOutcome(ended=Ended.SIGNALED, signal=9), Verdict.KILLED),
        (StepOutcome(ended=Ended.SIGNALED, signal=15), Verdict.KILLED),
        (StepOutcome(ended=Ended.SIGNALED), Verdict.KILLED),
        (StepOutcome(ended=Ended.KILLED, signal=9), Verdict.CANCELLED),
        (StepOutcome(ended=Ended.FAILED, message="no cgroup"), Verdict.INTERNAL_ERROR),
    ],
)
def test_every_end_of_a_run_has_its_verdict(run: StepOutcome, verdict: Verdict) -> None:
    outcome = result(TaskOutcome(run=run))
    assert outcome.verdict is verdict
    assert (outcome.exit_code, outcome.signal) == (run.exit_code, run.signal)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGFPE", "SIGILL", "SIGBUS"])
def test_a_fault_is_an_error_of_the_program(name: str) -> None:
    number = int(signal.Signals[name])
    assert OWN_SIGNALS[number] == name
    outcome = result(TaskOutcome(run=StepOutcome(ended=Ended.SIGNALED, signal=number)))
    assert (outcome.verdict, outcome.signal, outcome.message) == (Verdict.RUNTIME_ERROR, number, f"was ended by {name}")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (StepOutcome(ended=Ended.EXITED, exit_code=1), "the compiler found errors"),
        (StepOutcome(ended=Ended.WALL), "the compiler reached its wall time limit"),
        (StepOutcome(ended=Ended.CPU), "the compiler reached its CPU time limit"),
        (StepOutcome(ended=Ended.MEMORY), "the compiler reached its memory limit"),
        (StepOutcome(ended=Ended.OUTPUT), "the compiler reached its output limit"),
        (StepOutcome(ended=Ended.SIGNALED, signal=11), "the compiler was ended by SIGSEGV"),
        (StepOutcome(ended=Ended.SIGNALED, signal=9), "the compiler was ended by signal 9, which no limit sent"),
    ],
)
def test_a_compiler_that_does_not_succeed_is_a_compile_error_that_says_why(step: StepOutcome, message: str) -> None:
    outcome = result(TaskOutcome(compile=step))
    assert (outcome.verdict, outcome.message) == (Verdict.COMPILE_ERROR, message)
    assert outcome.exit_code is None


def test_a_compile_error_carries_what_the_compiler_said_and_cost() -> None:
    step = StepOutcome(
        ended=Ended.EXITED,
        exit_code=1,
        stderr=b"main.cpp:1",
        stdout_truncated=True,
        cpu_s=0.8,
        wall_s=0.9,
        memory_bytes=7,
    )
    outcome = result(TaskOutcome(compile=step))
    assert outcome.compiled is not None
    assert (outcome.compiled.exit_code, outcome.compiled.stderr, outcome.compiled.truncated) == (1, b"main.cpp:1", True)
    assert (outcome.cpu_ms, outcome.wall_ms, outcome.memory_bytes) == (800.0, 900.0, 7)


def test_compiling_and_running_are_charged_together() -> None:
    outcome = result(TaskOutcome(compile=FINE, run=FINE))
    assert (outcome.verdict, outcome.cpu_ms, outcome.wall_ms) == (Verdict.OK, 500.0, 500.0)
    assert outcome.compiled is not None
    assert not outcome.compiled.cached


def test_compiling_alone_can_be_all_there_is_to_do() -> None:
    assert result(TaskOutcome(compile=FINE)).verdict is Verdict.OK


def test_a_cached_program_is_shown_as_compiled_at_no_cost() -> None:
    outcome = result(TaskOutcome(run=FINE), cached=True)
    assert outcome.compiled is not None
    assert outcome.compiled.cached
    assert outcome.cpu_ms == 250.0


def test_a_job_that_is_cancelled_while_it_compiles_is_cancelled() -> None:
    assert result(TaskOutcome(compile=StepOutcome(ended=Ended.KILLED))).verdict is Verdict.CANCELLED


def test_a_sandbox_that_fails_is_no_fault_of_the_program() -> None:
    for task in (
        TaskOutcome(compile=StepOutcome(ended=Ended.FAILED, message="no cgroup")),
        TaskOutcome(run=StepOutcome(ended=Ended.FAILED, message="no cgroup")),
    ):
        assert (result(task).verdict, result(task).message) == (Verdict.INTERNAL_ERROR, "no cgroup")
    silent = result(TaskOutcome(run=StepOutcome(ended=Ended.FAILED)))
    assert silent.message == "the sandbox failed without a word"


def test_a_sandbox_that_ran_nothing_is_an_internal_error() -> None:
    assert result(TaskOutcome()).verdict is Verdict.INTERNAL_ERROR
