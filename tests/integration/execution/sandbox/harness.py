"""A small worker's worth of sandboxes, and a host that would notice."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from holdfast.execution.core.job import Limits
from holdfast.execution.core.settings import WorkerSettings
from holdfast.execution.core.task import Ended, OnOutput, SandboxFile, Step, StepOutcome, Task, TaskOutcome
from holdfast.execution.shell.sandbox import Pool, hierarchies
from holdfast.kernel import Size
from tests.machine import require_tool

SLOTS = 2
WORK = "/job"
"""Where programs find themselves."""
SECRET = "canary-5f3c-of-the-worker"
SETTINGS = WorkerSettings(work_size=Size(16 * 2**20), work_files=512, uid_base=1_910_000_000)
LIMITS = Limits(wall_s=15.0, cpu_s=2.0, memory_bytes=64 * 2**20, output_bytes=64 * 2**10, processes=16)

_T = TypeVar("_T")
_INNOCENT = b"print(sum(n * n for n in range(1000)))"
_ANSWER = b"332833500\n"


def limits(**changes: Any) -> Limits:
    """The small limits of these tests, with changes."""
    return Limits(**{name: changes.get(name, getattr(LIMITS, name)) for name in Limits.__slots__})


def python(code: str, *, args: tuple[str, ...] = (), env: Mapping[str, str] | None = None, **changes: Any) -> Task:
    """A program for the warm interpreter."""
    stdin = changes.pop("stdin", b"")
    step = Step(argv=(f"{WORK}/main.py", *args), env=env or {}, stdin=stdin, limits=limits(**changes), warm="python")
    return Task(files=(SandboxFile(path="main.py", data=code.encode()),), run=step)


def shell(script: str, *, args: tuple[str, ...] = (), env: Mapping[str, str] | None = None, **changes: Any) -> Task:
    """A script for ``/bin/sh``: what any program is that has to be started."""
    stdin = changes.pop("stdin", b"")
    step = Step(argv=("/bin/sh", f"{WORK}/main.sh", *args), env=env or {}, stdin=stdin, limits=limits(**changes))
    return Task(files=(SandboxFile(path="main.sh", data=script.encode()),), run=step)


def compiling(
    script: str, *, keep: tuple[str, ...] = (), keep_bytes: int = 2**20, run: str = "", **changes: Any
) -> Task:
    """A shell script in the role of a compiler, perhaps with one to run afterwards."""
    files = (SandboxFile(path="make.sh", data=script.encode()), SandboxFile(path="run.sh", data=run.encode()))
    make = Step(argv=("/bin/sh", "make.sh"), limits=limits(**changes))
    then = Step(argv=("/bin/sh", "run.sh"), limits=limits(**changes)) if run else None
    return Task(files=files, compile=make, keep=keep, keep_bytes=keep_bytes, run=then)


@dataclass
class Host:
    """Sandboxes to attack, and what the attacks must not touch."""

    directory: Path
    runner: asyncio.Runner
    pool: Pool
    canary: subprocess.Popen[bytes]
    """A process on the host, with the user id of the first slot."""
    files: dict[Path, bytes] = field(default_factory=dict)

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run something in the loop of the sandboxes."""
        return self.runner.run(work)

    def task(self, task: Task, on_output: OnOutput | None = None) -> TaskOutcome:
        """Run a task while an innocent one runs beside it, again and again."""

        async def both() -> TaskOutcome:
            sandbox = await self.pool.take()
            neighbour = asyncio.create_task(self._innocent())
            outcome = await sandbox.run(task, on_output)
            await neighbour
            return outcome

        return self.do(both())

    def run(self, task: Task, on_output: OnOutput | None = None) -> StepOutcome:
        """The outcome of the run step."""
        outcome = self.task(task, on_output).run
        assert outcome is not None
        return outcome

    def says(self, task: Task) -> str:
        """What a program that ends well says."""
        outcome = self.run(task)
        assert (outcome.ended, outcome.exit_code) == (Ended.EXITED, 0), outcome
        return outcome.stdout.decode().strip()

    def is_unharmed(self) -> None:
        """Every slot runs innocent code, and nothing of the host has changed."""

        async def all_slots() -> None:
            sandboxes = [await self.pool.take() for _ in range(SLOTS)]
            outcomes = await asyncio.gather(*(sandbox.run(python(_INNOCENT.decode())) for sandbox in sandboxes))
            assert [outcome.run and outcome.run.stdout for outcome in outcomes] == [_ANSWER] * SLOTS, outcomes

        self.do(all_slots())
        assert self.canary.poll() is None, "a process of the host was killed"
        assert process_state(self.canary.pid) == "S", "a process of the host was stopped"
        for path, content in self.files.items():
            assert path.read_bytes() == content, f"{path} was changed"
        assert sorted(self.directory.iterdir()) == sorted(self.files), "files were made on the host"

    async def _innocent(self) -> None:
        sandbox = await self.pool.take()
        outcome = await sandbox.run(python(_INNOCENT.decode(), wall_s=10.0))
        assert outcome.run is not None
        assert outcome.run.stdout == _ANSWER, outcome


def require_full_tier() -> None:
    """Skip where sandboxes cannot be limited, and fail in CI, with the same advice."""
    require_tool("bwrap", "bubblewrap")
    layout = hierarchies.locate()
    if layout.has("memory") and layout.has("pids"):
        return
    advice = (
        "no control groups to limit memory and processes with; run the tests as root, or: systemd-run --user --scope"
    )
    if os.environ.get("CI"):
        pytest.fail(advice)
    pytest.skip(advice)


def process_state(pid: int) -> str:
    """The letter that ps(1) shows."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[0]
