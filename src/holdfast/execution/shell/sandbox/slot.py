"""A slot: one place where one job runs at a time. Its user id, its control groups, its launcher.

::

    down --build()--> building --"ready"--> ready --step()...--> used --until_gone()--> built again
                                              +------end()-------^
    any of them --the launcher ends, or is late--> SlotBroken --close()--> down

A slot is used again only after its launcher has said ``gone``: then the kernel has ended and reaped every
process of the job, see :mod:`.launcher`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import signal
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from holdfast.execution.core.job import Limits
from holdfast.execution.core.task import Ended, OnOutput, SandboxFile, Step, StepOutcome, Stream
from holdfast.execution.shell.sandbox.cgroups import Group, Reading
from holdfast.execution.shell.sandbox.channel import Launcher, Message, Recipe, close_all, memory_file
from holdfast.execution.shell.sandbox.errors import SlotBroken
from holdfast.execution.shell.sandbox.streams import Drain
from holdfast.execution.shell.sandbox.users import User

START_S: Final = 10.0
"""From starting a launcher to its first ready sandbox: 60 ms, unless the machine is in trouble."""
DEATH_S: Final = 10.0
"""From SIGKILL to the last process being reaped. Freeing gigabytes takes a second; more is a stuck kernel."""
_KEEP_S: Final = 30.0
"""To read back what was compiled."""
_DRAIN_S: Final = 2.0
"""From the end of a step to the ends of its pipes. All writers are dead by then."""
_POLL_S: Final = 0.02
"""How much a job may exceed its time, and how often one is looked at that is close to it."""
_KEPT_FILES: Final = 4096
_KEPT_HEADER: Final = struct.Struct("=IIQ")
_KEPT_NAME_BYTES: Final = 4096
_OTHERS: Final = 3
"""Processes of ours that count against a limit by user: bubblewrap's process 1, launcher, init."""


class Slot:
    """One slot. The pool sees to it that it has one job at a time."""

    def __init__(self, number: int, recipe: Recipe, *, user: User, group: Group) -> None:
        """Nothing is started before :meth:`build`."""
        self.number = number
        self.where = f"sandbox slot {number}"
        self.jobs = 0
        """Since the launcher was started."""
        self.user = user
        self.group = group
        self._recipe = recipe
        self._launcher: Launcher | None = None
        self._init: int | None = None
        self._leaving = False
        self._cause: Ended | None = None

    @property
    def launcher_pid(self) -> int | None:
        """The process id of the outermost process."""
        return self._launcher.pid if self._launcher is not None else None

    @property
    def ready(self) -> bool:
        """Whether a sandbox waits here, as far as anybody has heard."""
        return self._launcher is not None and self._launcher.silent and self._init is not None

    async def build(self) -> None:
        """Have a fresh sandbox ready, with a new launcher if there is none. Raises :class:`SlotBroken`."""
        if self._launcher is None:
            self.jobs = 0
            user, group = self.user, self.group
            self._launcher = Launcher.start(
                self._recipe, uid=user.uid, gid=user.gid, joins=group.all(), stays=group.home(), where=self.where
            )
        self._cause = None
        self._leaving = False
        if self.group.holds_leavings:
            await asyncio.to_thread(self.group.reclaim)
        self._launcher.send(b"build", descriptors=self.group.renew())
        message = await self._launcher.receive(START_S)
        if message.kind != "ready" or len(message.descriptors) != 1:
            close_all(message.descriptors)
            raise SlotBroken(f"{message.kind}: {message.text}", where=self.where, remedy="see `holdfast doctor`")
        self._init = message.descriptors[0]

    async def step(
        self, step: Step, files: tuple[SandboxFile, ...], *, last: bool, on_output: OnOutput | None
    ) -> StepOutcome:
        """Run one step to its end, or to its limits. Raises :class:`SlotBroken`, ``OSError``."""
        limits = step.limits
        before = self.group.read()
        try:
            self.group.limit(memory_bytes=limits.memory_bytes, processes=limits.processes)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # Files of an earlier step, or an empty sandbox, are more than that already. (Version 2 kills init.)
            return StepOutcome(ended=Ended.MEMORY, memory_bytes=before.memory_peak_bytes)
        drain: Drain[Stream] = Drain(
            ("stdout", "stderr"),
            limits.output_bytes,
            owner=(self.user.uid, self.user.gid),
            on_data=on_output,
            on_overflow=lambda: self.end(Ended.OUTPUT),
        )
        timers: list[_Timer] = []
        try:
            stdin = memory_file("stdin", step.stdin) if step.stdin else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._send(b"step", self._body(step, files, last=last), stdin, *drain.writes)
            finally:
                os.close(stdin)
            drain.handed_over()
            began = time.monotonic()
            timers = list(self._timers(limits, began + limits.wall_s, before.cpu_s + limits.cpu_s))
            message = await self._receive(limits.wall_s + DEATH_S)
            wall_s = time.monotonic() - began
            after = self.group.read()
            self._leaving = last and message.kind == "done"
            await drain.finish(_DRAIN_S)
        finally:
            for timer in timers:
                timer.cancel()
            drain.close()
        return self._outcome(message, limits, before, after, drain, wall_s)

    async def keep(self, paths: tuple[str, ...], limit_bytes: int, *, last: bool) -> tuple[SandboxFile, ...] | str:
        """Read regular files back while nothing of the job runs; or say why not."""
        overflow = False

        def overflowed() -> None:
            nonlocal overflow
            overflow = True
            self.end(Ended.FAILED)

        bound = limit_bytes + _KEPT_FILES * (_KEPT_HEADER.size + _KEPT_NAME_BYTES)
        drain = Drain(("kept",), bound, owner=(self.user.uid, self.user.gid), on_overflow=overflowed)
        try:
            body = {"paths": list(paths), "bytes": limit_bytes, "files": _KEPT_FILES, "last": last}
            self._send(b"keep", body, *drain.writes)
            drain.handed_over()
            message = await self._receive(_KEEP_S)
            self._leaving = last and message.kind in ("kept", "unkept")
            await drain.finish(_DRAIN_S)
        finally:
            drain.close()
        if message.kind != "kept" or overflow:
            return message.text or message.kind
        return tuple(_kept(memoryview(drain.data["kept"]), self.where))

    def end(self, cause: Ended) -> None:
        """Kill everything of the job; the first cause that is given stands."""
        if self._cause is None:
            self._cause = cause
        self.group.kill()
        if self._init is not None:  # process 1 takes its whole namespace along
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)

    async def until_gone(self) -> None:
        """End what is left of the job and wait until nothing is. Raises :class:`SlotBroken` if it takes too long."""
        if self._init is not None and not self._leaving:
            self.end(Ended.KILLED)
        while self._init is not None:
            close_all((await self._receive(DEATH_S)).descriptors)
        if not self.group.empty():
            raise SlotBroken("processes outlived their namespace", where=self.where, remedy="report this as a bug")
        self.jobs += 1

    async def close(self) -> None:
        """End the launcher and everything in it."""
        if self._launcher is not None:
            self.group.kill()
            await self._launcher.close()
            self._launcher = None
        self._forget_init()

    def _send(self, kind: bytes, body: dict[str, Any], *descriptors: int) -> None:
        if self._launcher is None:
            raise SlotBroken("is down", where=self.where, remedy="try again")
        if self._init is not None:  # else it has been ended already, and `gone` is the answer that waits
            self._launcher.send(kind, body, descriptors)

    async def _receive(self, timeout_s: float) -> Message:
        if self._launcher is None:
            raise SlotBroken("is down", where=self.where, remedy="try again")
        if self._init is None:
            return Message("gone")
        message = await self._launcher.receive(timeout_s)
        if message.kind == "gone":
            self._forget_init()
        return message

    def _forget_init(self) -> None:
        if self._init is not None:
            os.close(self._init)
            self._init = None

    def _timers(self, limits: Limits, wall_until: float, cpu_until_s: float) -> Iterator[_Timer]:
        yield _Timer(lambda: wall_until - time.monotonic(), 1.0, lambda: self.end(Ended.WALL))
        if self.group.measures_cpu:
            yield _Timer(lambda: cpu_until_s - self.group.cpu_s(), self.group.cores, lambda: self.end(Ended.CPU))

    def _body(self, step: Step, files: tuple[SandboxFile, ...], *, last: bool) -> dict[str, Any]:
        return {
            "files": [(file.path, file.data, 0o755 if file.executable else 0o644) for file in files],
            "argv": list(step.argv),
            "env": {**self._recipe.environment, **step.env},
            "warm": step.warm is not None,
            "rlimits": list(self._rlimits(step.limits)),
            "last": last,
        }

    def _rlimits(self, limits: Limits) -> Iterator[tuple[int, int, int]]:
        # Where CPU time is measured from outside, this is what holds while the worker is too busy to look.
        seconds = -int(-limits.cpu_s // 1) + (1 if self.group.measures_cpu else 0)
        yield resource.RLIMIT_CPU, seconds, seconds + 1
        if not self.group.limits_memory:  # degraded: each process by itself
            yield resource.RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes
        if not self.group.limits_processes:
            yield resource.RLIMIT_NPROC, limits.processes + _OTHERS, limits.processes + _OTHERS

    def _outcome(
        self, message: Message, limits: Limits, before: Reading, after: Reading, drain: Drain[Stream], wall_s: float
    ) -> StepOutcome:
        exit_code = number = None
        cpu_s, memory_bytes = after.cpu_s - before.cpu_s, after.memory_peak_bytes
        ended, said = self._cause, ""
        if message.kind == "done":
            how, value, cpu_us, rss_kb = self._parse(message.text)
            exit_code, number = (value, None) if how == "exit" else (None, value)
            if not self.group.measures_cpu:
                cpu_s = cpu_us * 1e-6
            memory_bytes = memory_bytes or rss_kb * 1024
            ended = ended or _by_itself(number, cpu_s, limits)
        elif message.kind == "failed":
            ended, said = Ended.FAILED, message.text
        if after.oom_kills > before.oom_kills and ended in (None, Ended.EXITED, Ended.SIGNALED):
            ended = Ended.MEMORY
        if ended is None:
            ended, said = Ended.FAILED, "its process 1 ended by itself"
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
            memory_bytes=memory_bytes,
            message=said,
        )

    def _parse(self, text: str) -> tuple[Literal["exit", "signal"], int, int, int]:
        try:
            how, *figures = text.split(" ")
            value, cpu_us, rss_kb = map(int, figures)
        except ValueError:
            raise SlotBroken(f"said {text!r}", where=self.where, remedy="report this as a bug") from None
        return ("exit" if how == "exit" else "signal"), value, cpu_us, rss_kb


def _by_itself(number: int | None, cpu_s: float, limits: Limits) -> Ended:
    if number is None:
        return Ended.EXITED
    if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_s >= limits.cpu_s):
        return Ended.CPU  # setrlimit got ahead of us; SIGKILL follows for those that do not listen
    return Ended.SIGNALED


def _kept(data: memoryview, where: str) -> Iterator[SandboxFile]:
    while data:
        if len(data) < _KEPT_HEADER.size:
            raise SlotBroken("sent half a header", where=where, remedy="report this as a bug")
        name_bytes, mode, size = _KEPT_HEADER.unpack_from(data)
        end = _KEPT_HEADER.size + name_bytes + size
        if end > len(data):
            raise SlotBroken("sent half a file", where=where, remedy="report this as a bug")
        name = os.fsdecode(bytes(data[_KEPT_HEADER.size : _KEPT_HEADER.size + name_bytes]))
        content = bytes(data[_KEPT_HEADER.size + name_bytes : end])
        yield SandboxFile(path=name, data=content, executable=bool(mode & 0o100))
        data = data[end:]


class _Timer:
    """Acts once nothing is ``left``. That shrinks by at most ``pace`` in a second: no need to look often."""

    __slots__ = ("_act", "_handle", "_left", "_loop", "_pace")

    def __init__(self, left: Callable[[], float], pace: float, act: Callable[[], None]) -> None:
        self._left = left
        self._pace = pace
        self._act = act
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._look)

    def cancel(self) -> None:
        """Look no more."""
        self._handle.cancel()

    def _look(self) -> None:
        left_s = self._left()
        if left_s <= 0:
            self._act()
        else:
            self._handle = self._loop.call_later(max(left_s / self._pace, _POLL_S), self._look)
