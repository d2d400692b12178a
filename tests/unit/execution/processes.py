"""Sandboxes without walls: plain processes in temporary directories, for tests of what is around a sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.execution.core.task import Ended, SandboxFile, StepOutcome, TaskOutcome

if TYPE_CHECKING:
    from holdfast.execution.core.task import OnOutput, Step, Stream, Task


class ProcessSandbox:
    """Runs a task's steps one after the other; keeps to the wall limit and the limit of output."""

    def __init__(self, owner: ProcessSandboxes) -> None:
        self._owner = owner
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False

    def kill(self) -> None:
        self._killed = True
        self._end()

    async def run(self, task: Task, on_output: OnOutput | None = None) -> TaskOutcome:
        self._owner.tasks.append(task)
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            for file in task.files:
                path = work / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.data)
                path.chmod(0o755 if file.executable else 0o644)
            compiled: StepOutcome | None = None
            kept: tuple[SandboxFile, ...] = ()
            if task.compile is not None:
                compiled = await self._step(task.compile, work, None)
                if compiled.exit_code != 0:
                    return TaskOutcome(compile=compiled)
                kept = bring_back(work, task.keep, task.keep_bytes)
            run = None if task.run is None else await self._step(task.run, work, on_output)
            return TaskOutcome(compile=compiled, run=run, kept=kept)

    async def _step(self, step: Step, work: Path, on_output: OnOutput | None) -> StepOutcome:
        if self._killed:
            return StepOutcome(ended=Ended.KILLED)
        argv = [sys.executable, "-S", *step.argv] if step.warm else [*step.argv]
        started = time.monotonic()
        with tempfile.TemporaryFile() as stdin:
            stdin.write(step.stdin)
            stdin.seek(0)
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=work,
                env={
                    "PATH": "/usr/bin:/bin",
                    "HOME": name_of(work),
                    "LANG": "C.UTF-8",
                    **step.env,
                    "GOCACHE": name_of(work),
                },
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        process = self._process
        assert process.stdout is not None
        assert process.stderr is not None
        ended = Ended.EXITED
        out, err = bytearray(), bytearray()

        async def drain(stream: Stream, reader: asyncio.StreamReader, into: bytearray) -> None:
            nonlocal ended
            while data := await reader.read(65536):
                data = data[: step.limits.output_bytes - len(out) - len(err)]
                into.extend(data)
                if on_output is not None and data:
                    on_output(stream, data)
                if len(out) + len(err) >= step.limits.output_bytes:
                    ended = Ended.OUTPUT
                    self._end()

        try:
            async with asyncio.timeout(step.limits.wall_s):
                await asyncio.gather(drain("stdout", process.stdout, out), drain("stderr", process.stderr, err))
                await process.wait()
        except TimeoutError:
            ended = Ended.WALL
        finally:
            self._end()
            code = await process.wait()
            self._process = None
        if self._killed:
            ended = Ended.KILLED
        elif ended is Ended.EXITED and code < 0:
            ended = Ended.SIGNALED
        return StepOutcome(
            ended=ended,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            stdout=bytes(out),
            stderr=bytes(err),
            wall_s=time.monotonic() - started,
            cpu_s=0.001,
        )

    def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


class ProcessSandboxes:
    """Makes them on demand and remembers the tasks."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.closed = False

    async def take(self) -> ProcessSandbox:
        return ProcessSandbox(self)

    async def close(self) -> None:
        self.closed = True


def name_of(path: Path) -> str:
    return str(path)


def bring_back(work: Path, keep: tuple[str, ...], most: int) -> tuple[SandboxFile, ...]:
    files = []
    for name in keep:
        top = work / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                executable = os.access(path, os.X_OK)
                files.append(
                    SandboxFile(path=str(path.relative_to(work)), data=path.read_bytes(), executable=executable)
                )
    return tuple(files) if sum(len(file.data) for file in files) <= most else ()
