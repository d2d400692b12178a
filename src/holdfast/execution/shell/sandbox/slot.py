"""A slot: one place where one job runs at a time. Its user id, its control groups, its launcher.

::

    down --build()--> building --"ready"--> ready --run()--> running --"gone"--> used --build()--> building
                                              +---kill()------------------^
    any of them --the launcher ends, or is late--> broken --build()--> building, with a new launcher

A slot is used again only after its launcher has said ``gone``: then the kernel has ended and reaped every
process of the job, see :mod:`.launcher`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import struct
import time
from collections.abc import Callable, Mapping
from typing import Final

from holdfast.execution.core.task import Ended, OnOutput, SandboxFile, Step, StepOutcome, Stream, Task, TaskOutcome
from holdfast.execution.shell.sandbox.cgroups import Group, Reading
from holdfast.execution.shell.sandbox.errors import SlotBroken
from holdfast.execution.shell.sandbox.warm import Launcher, Message, Recipe, close_all, memory_file

log = logging.getLogger(__name__)

ENVIRONMENT: Final[Mapping[str, str]] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/work",
    "TMPDIR": "/tmp",  # noqa: S108 - of the sandbox
    "LANG": "C.UTF-8",
}
START_S: Final = 10.0
"""From starting a launcher to its first ready sandbox: 50 ms, unless the machine is in trouble."""
DEATH_S: Final = 10.0
"""From SIGKILL to the last process being reaped. Freeing gigabytes takes a second; more is a stuck kernel."""
_DRAIN_S: Final = 2.0
"""From the end of a step to the end of its pipes. All writers are dead by then."""
_CHUNK: Final = 64 * 1024
_CPU_POLL_S: Final = 0.02
_KEPT_FILES: Final = 4096
_KEPT_HEADER: Final = struct.Struct("=IIQ")
_OPEN_FILES: Final = 1024
_STACK: Final = 64 * 2**20
"""More than the usual 8 MiB: recursive solutions are what beginners write, and memory is limited anyway."""


class Slot:
    """One slot. Not safe for two jobs at a time: the pool sees to that."""

    def __init__(self, number: int, recipe: Recipe, *, uid: int, gid: int, group: Group | None) -> None:
        """Nothing is started before :meth:`build`."""
        self.number = number
        self.jobs = 0
        """Since the launcher was started."""
        self._recipe = recipe
        self._uid = uid
        self._gid = gid
        self._group = group
        self._launcher: Launcher | None = None
        self._init: int | None = None
        self._cause: Ended | None = None

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"slot {self.number}"

    async def build(self) -> None:
        """Have a fresh sandbox ready, with a new launcher if there is none. Raises :class:`SlotBroken`."""
        if self._launcher is None:
            procs = self._group.open_procs() if self._group else []
            try:
                self._launcher = Launcher.start(
                    self._recipe, uid=self._uid, gid=self._gid, procs=procs, where=self.where
                )
            finally:
                close_all(procs)
            self.jobs = 0
        self._cause = None
        self._launcher.send(b"build")
        message = await self._launcher.receive(START_S)
        if message.kind != "ready" or len(message.descriptors) != 1:
            close_all(message.descriptors)
            raise SlotBroken(f"{message.kind} {message.text}", where=self.where, remedy="see `holdfast doctor`")
        self._init = message.descriptors[0]

    async def step(
        self, step: Step, files: tuple[SandboxFile, ...], *, last: bool, on_output: OnOutput | None
    ) -> StepOutcome:
        """Run one step to its end, or to its limits."""
        assert self._launcher is not None
        before = self._limit(step)
        out, err = _Pipe("stdout"), _Pipe("stderr")
        stdin = memory_file("stdin", step.stdin) if step.stdin else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        drain = _Drain((out, err), step.limits.output_bytes, on_output, lambda: self.end(Ended.OUTPUT))
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        wall = loop.call_later(step.limits.wall_s, self.end, Ended.WALL)
        watch = _CpuWatch(self, step.limits.cpu_s, before.cpu_s) if self._group and self._group.measures_cpu else None
        try:
            try:
                self._launcher.send(
                    b"step", _body(step, files, last=last, recipe=self._recipe), (stdin, out.write, err.write)
                )
            finally:
                close_all((stdin, out.write, err.write))
            message = await self._launcher.receive(step.limits.wall_s + DEATH_S)
            wall_s = time.monotonic() - began
            if message.kind == "gone":  # it was ended with its process 1
                self._gone()
            await drain.finish(_DRAIN_S)
        finally:
            wall.cancel()
            if watch is not None:
                watch.cancel()
            drain.close()
        return self._outcome(step, message, before, drain, wall_s)

    async def keep(self, paths: tuple[str, ...], limit_bytes: int, *, last: bool) -> tuple[SandboxFile, ...] | str:
        """Read files back, or say why not."""
        raise NotImplementedError

    def end(self, cause: Ended) -> None:
        """Kill everything of the job, with the first cause that is given."""
        if self._cause is None:
            self._cause = cause
        if self._group is not None:
            self._group.kill()
        if self._init is not None:  # process 1 takes its whole namespace along
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)

    async def until_used(self) -> None:
        """Wait until nothing of the job is left. Raises :class:`SlotBroken` if that does not happen in time."""
        assert self._launcher is not None
        while self._init is not None:
            message = await self._launcher.receive(DEATH_S)
            close_all(message.descriptors)
            if message.kind == "gone":
                self._gone()
        if self._group is not None and not self._group.empty():
            raise SlotBroken("processes outlived their namespace", where=self.where, remedy="report this as a bug")
        self.jobs += 1

    async def close(self) -> None:
        """End the launcher and everything in it."""
        launcher, self._launcher = self._launcher, None
        if launcher is not None:
            await launcher.close()
        if self._init is not None:
            self._gone()

    def _gone(self) -> None:
        if self._init is not None:
            os.close(self._init)
            self._init = None

    def cpu_s(self) -> float:
        """Of everything that ever ran here."""
        return self._group.cpu_s() if self._group else 0.0

    def _limit(self, step: Step) -> Reading:
        if self._group is None:
            return Reading()
        # One process more: init counts, too.
        self._group.limit(memory_bytes=step.limits.memory_bytes, processes=step.limits.processes + 1)
        return self._group.read()

    def _outcome(self, step: Step, message: Message, before: Reading, drain: _Drain, wall_s: float) -> StepOutcome:
        after = self._group.read() if self._group else Reading()
        ended, exit_code, number, said = self._cause, None, None, ""
        cpu_s, memory = after.cpu_s - before.cpu_s, after.memory_peak_bytes
        if message.kind == "done":
            how, value, cpu_us, rss_kb = _done(message.text)
            exit_code, number = (value, None) if how == "exit" else (None, value)
            if self._group is None:
                cpu_s, memory = cpu_us / 1e6, rss_kb * 1024
            if ended is None:
                ended = Ended.EXITED if number is None else Ended.SIGNALED
        elif message.kind == "failed":
            ended, said = Ended.FAILED, message.text
        if after.oom_kills > before.oom_kills and ended in (None, Ended.EXITED, Ended.SIGNALED):
            ended = Ended.MEMORY
        elif number == signal.SIGXCPU:
            ended = Ended.CPU
        if ended is None:
            ended, said = Ended.FAILED, "the sandbox ended by itself"
        return StepOutcome(
            ended=ended,
            exit_code=exit_code,
            signal=number,
            stdout=bytes(drain.data["stdout"]),
            stderr=bytes(drain.data["stderr"]),
            stdout_truncated="stdout" in drain.truncated,
            stderr_truncated="stderr" in drain.truncated,
            cpu_s=cpu_s,
            wall_s=wall_s,
            memory_bytes=memory,
            message=said,
        )


def _done(text: str) -> tuple[str, int, int, int]:
    try:
        how, value, cpu_us, rss_kb = text.split(" ")
        return how, int(value), int(cpu_us), int(rss_kb)
    except ValueError:
        raise SlotBroken(f"said {text!r}", where="launcher", remedy="report this as a bug") from None


def _body(step: Step, files: tuple[SandboxFile, ...], *, last: bool, recipe: Recipe) -> dict[str, object]:
    cpu = int(step.limits.cpu_s) + 2
    memory = step.limits.memory_bytes
    del memory
    rlimits = [
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, recipe.size_bytes, recipe.size_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_STACK, _STACK, _STACK),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
    ]
    return {
        "files": [(f.path, f.data, 0o755 if f.executable else 0o644) for f in files],
        "argv": list(step.argv),
        "env": {**ENVIRONMENT, **step.env},
        "warm": step.warm is not None,
        "rlimits": rlimits,
        "last": last,
    }


class _Pipe:
    """A pipe whose writing end goes into the sandbox."""

    __slots__ = ("read", "stream", "write")

    def __init__(self, stream: Stream) -> None:
        self.stream: Stream = stream
        self.read, self.write = os.pipe()
        os.set_blocking(self.read, False)


class _Drain:
    """Reads both streams as they come, up to a common limit."""

    def __init__(
        self, pipes: tuple[_Pipe, ...], limit: int, on_output: OnOutput | None, on_overflow: Callable[[], None]
    ) -> None:
        self.data: dict[Stream, bytearray] = {pipe.stream: bytearray() for pipe in pipes}
        self.truncated: set[Stream] = set()
        self._left = limit
        self._on_output = on_output
        self._on_overflow = on_overflow
        self._open = {pipe.read for pipe in pipes}
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        for pipe in pipes:
            self._loop.add_reader(pipe.read, self._readable, pipe)

    async def finish(self, timeout_s: float) -> None:
        """Wait for the end of both streams."""
        if self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._done

    def close(self) -> None:
        """Stop reading."""
        for descriptor in self._open:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self._open.clear()

    def _readable(self, pipe: _Pipe) -> None:
        try:
            data = os.read(pipe.read, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            self._loop.remove_reader(pipe.read)
            os.close(pipe.read)
            self._open.discard(pipe.read)
            if not self._open and not self._done.done():
                self._done.set_result(None)
            return
        if len(data) > self._left:
            data = data[: self._left]
            self.truncated.add(pipe.stream)
            self._on_overflow()
        self._left -= len(data)
        if data:
            self.data[pipe.stream] += data
            if self._on_output is not None:
                self._on_output(pipe.stream, data)


class _CpuWatch:
    """Ends a job that has used its CPU time.

    A slot has one core, so the limit cannot be reached before as much wall time has passed: that is when to look.
    """

    def __init__(self, slot: Slot, limit_s: float, before_s: float) -> None:
        self._slot = slot
        self._until_s = before_s + limit_s
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(max(limit_s, _CPU_POLL_S), self._look)

    def cancel(self) -> None:
        self._handle.cancel()

    def _look(self) -> None:
        left_s = self._until_s - self._slot.cpu_s()
        if left_s <= 0:
            self._slot.end(Ended.CPU)
        else:
            self._handle = self._loop.call_later(max(left_s, _CPU_POLL_S), self._look)
