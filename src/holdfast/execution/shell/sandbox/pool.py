"""The slots of a worker: prepared ahead, handed out, refilled off the path."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from holdfast.execution.core.settings import WorkerSettings
from holdfast.execution.core.task import Ended, OnOutput, Step, StepOutcome, Task, TaskOutcome
from holdfast.execution.shell.sandbox import cgroups, root, seccomp
from holdfast.execution.shell.sandbox.errors import SandboxError, SandboxUnavailable, SlotBroken
from holdfast.execution.shell.sandbox.slot import Slot
from holdfast.execution.shell.sandbox.warm import Recipe

log = logging.getLogger(__name__)

TAKE_S: Final = 30.0
"""How long :meth:`Pool.take` waits for a slot before it says that none can be had."""
_RETRY_S: Final = (0.1, 0.5, 2.0, 5.0)
"""Pauses before a broken slot is built again; the last one is repeated."""


@asynccontextmanager
async def open_sandboxes(settings: WorkerSettings, *, slots: int, ahead: int = 1) -> AsyncIterator[Pool]:
    """Sandboxes for ``slots`` jobs at a time, and ``ahead`` more that are ready when one of them ends.

    Raises :class:`~.errors.SandboxError` if not a single one can be made.
    """
    pool = Pool(settings, rooms=slots + ahead)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()


class Pool:
    """Implements :class:`~holdfast.execution.core.task.Sandboxes`."""

    def __init__(self, settings: WorkerSettings, *, rooms: int) -> None:
        """Nothing is started before :meth:`start`."""
        self._settings = settings
        self._rooms = rooms
        self._ready: asyncio.Queue[PooledSandbox] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._groups: list[cgroups.Group] = []

    async def start(self) -> None:
        """Start all slots; returns when one is ready."""
        bubblewrap = shutil.which("bwrap")
        if bubblewrap is None:
            raise SandboxUnavailable("not installed", where="bwrap", remedy="apt-get install bubblewrap")
        recipe = Recipe(
            bubblewrap=bubblewrap,
            python=root.interpreter(),
            filter=seccomp.compile_filter(),
            size_bytes=int(self._settings.work_size),
            files=self._settings.work_files,
        )
        layout = cgroups.locate()
        for number in range(self._rooms):
            group = cgroups.Group(layout, f"{cgroups.PREFIX}.{os.getpid()}.{number}")
            self._groups.append(group)
            uid, gid = os.getuid(), os.getgid()
            if uid == 0:
                uid = gid = self._settings.uid_base + number
            slot = Slot(number, recipe, uid=uid, gid=gid, group=group)
            self._tasks.append(asyncio.create_task(self._live(slot), name=f"sandbox slot {number}"))

    async def take(self) -> PooledSandbox:
        """A fresh sandbox."""
        async with asyncio.timeout(TAKE_S):
            return await self._ready.get()

    async def close(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for group in self._groups:
            group.remove()

    async def _live(self, slot: Slot) -> None:
        failures = 0
        try:
            while True:
                try:
                    await slot.build()
                    failures = 0
                    sandbox = PooledSandbox(slot)
                    self._ready.put_nowait(sandbox)
                    await sandbox.wait_used()
                    if slot.jobs >= self._settings.recycle_after:
                        await slot.close()
                except SandboxError as broken:
                    log.error(
                        "sandbox slot broken", extra={"action": "slot_broken", "slot": slot.number, "why": str(broken)}
                    )
                    await slot.close()
                    await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                    failures += 1
        finally:
            await slot.close()


class PooledSandbox:
    """Implements :class:`~holdfast.execution.core.task.Sandbox`."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._used: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, task: Task, on_output: OnOutput | None = None) -> TaskOutcome:
        """Run a task, once."""
        compiled: StepOutcome | None = None
        ran: StepOutcome | None = None
        try:
            files = task.files
            if task.compile is not None:
                compiled = await self._slot.step(task.compile, files, last=task.run is None, on_output=None)
                files = ()
            if task.run is not None and (compiled is None or succeeded(compiled)):
                ran = await self._slot.step(task.run, files, last=True, on_output=on_output)
        finally:
            if not self._used.done():
                self._used.set_result(None)
        return TaskOutcome(compile=compiled, run=ran)

    def kill(self) -> None:
        """End it."""
        self._slot.end(Ended.KILLED)

    async def wait_used(self) -> None:
        await self._used
        await self._slot.until_used()


def succeeded(outcome: StepOutcome) -> bool:
    """Whether a compiler did its work."""
    return outcome.ended is Ended.EXITED and outcome.exit_code == 0
