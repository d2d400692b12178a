"""What a sandbox is asked to do, and what it says came of it.

The worker turns a job and a language profile into a :class:`Task`; a sandbox knows no languages,
except that it has a warm Python. One sandbox runs one task and is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from holdfast.execution.core.job import Limits

Stream: TypeAlias = Literal["stdout", "stderr"]
OnOutput: TypeAlias = Callable[[Stream, bytes], None]
"""Called with output of the run (not of the compiler) as it comes, at most ``limits.output_bytes`` in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFile:
    """A file placed in the work directory before anything runs."""

    path: str
    data: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One program to run in the work directory, ``/job``."""

    argv: tuple[str, ...]
    """``argv[0]`` is an absolute path in the sandbox, or relative to ``/job`` when it begins with ``./``."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment; nothing is added but PATH, HOME, TMPDIR and LANG."""
    stdin: bytes = b""
    limits: Limits
    warm: Literal["python"] | None = None
    """Run ``argv[0]`` as a script in an interpreter that is already there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Files, an optional compile step, a run step."""

    files: tuple[SandboxFile, ...]
    compile: Step | None = None
    keep: tuple[str, ...] = ()
    """Paths in ``/job`` (files, or directories with everything in them) brought back after a successful compile."""
    keep_bytes: int = 256 * 2**20
    """Most bytes that are brought back; with more, nothing is."""
    run: Step | None
    """``None``: compile only."""


class Ended(StrEnum):
    """Why a step is over."""

    EXITED = "exited"
    SIGNALED = "signaled"
    WALL = "wall"
    CPU = "cpu"
    MEMORY = "memory"
    OUTPUT = "output"
    KILLED = "killed"
    """We were told to: :meth:`Sandbox.kill`."""
    FAILED = "failed"
    """The sandbox itself failed; ``message`` says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """What came of a step. Output is cut at the limit, at any byte."""

    ended: Ended
    exit_code: int | None = None
    signal: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_bytes: int = 0
    """Peak, all processes together."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutcome:
    """``run`` is ``None`` when there was none, or when compiling did not succeed."""

    compile: StepOutcome | None = None
    run: StepOutcome | None = None
    kept: tuple[SandboxFile, ...] = ()
    """Regular files only; nothing that a program made is ever opened from outside the sandbox."""


class Sandbox(Protocol):
    """One prepared sandbox: used once."""

    async def run(self, task: Task, on_output: OnOutput | None = None) -> TaskOutcome:
        """Run a task. When this returns, or is cancelled, every process of it is dead and reaped."""
        ...

    def kill(self) -> None:
        """End what runs now; :meth:`run` returns soon with ``KILLED``. Safe at any time."""
        ...


class Sandboxes(Protocol):
    """Prepared sandboxes, refilled off the path."""

    async def take(self) -> Sandbox:
        """A fresh sandbox; waits for one to be prepared if need be."""
        ...

    async def close(self) -> None:
        """End everything; nothing of it is left behind."""
        ...
