"""The slots of a worker: prepared ahead, handed out, refilled off the path.

There are some more slots than jobs at a time, so that a fresh sandbox is ready when a job ends. That is
simpler than preparing two in one slot: a user id, a set of control groups and a launcher belong to one job
and to no other, at every moment.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from holdfast.execution.core.settings import WorkerSettings
from holdfast.execution.core.task import Ended, OnOutput, SandboxFile, StepOutcome, Task, TaskOutcome
from holdfast.execution.shell.sandbox import hierarchies, root, seccomp
from holdfast.execution.shell.sandbox.cgroups import Group, Layout
from holdfast.execution.shell.sandbox.channel import Recipe
from holdfast.execution.shell.sandbox.errors import SandboxError, SandboxUnavailable, SlotBroken
from holdfast.execution.shell.sandbox.slot import Slot
from holdfast.execution.shell.sandbox.users import User

log = logging.getLogger(__name__)

TAKE_S: Final = 30.0
"""How long :meth:`Pool.take` waits for a slot before it says that none can be had."""
_RETRY_S: Final = (0.1, 0.5, 2.0, 5.0)
"""Pauses before a broken slot is built again; the last one is repeated."""
_serials = itertools.count()
_ATTEMPTS_AT_START: Final = 3
"""A worker whose slots fail so often in a row, without one success, does not start."""


@asynccontextmanager
async def open_sandboxes(
    settings: WorkerSettings, *, slots: int, ahead: int = 1, layout: Layout | None = None
) -> AsyncIterator[Pool]:
    """Sandboxes for ``slots`` jobs at a time, and ``ahead`` more that are ready when one of them ends.

    Without control groups for memory and processes, or without bubblewrap's namespaces, it raises
    :class:`~.errors.SandboxUnavailable`; ``settings.tier`` of ``degraded`` forgives the former.
    """
    layout = layout if layout is not None else hierarchies.locate()
    if settings.tier == "full" and (missing := [name for name in ("memory", "pids") if not layout.has(name)]):
        raise SandboxUnavailable(
            f"no control group can limit {' and '.join(missing)} here",
            where="cgroups",
            remedy="see `holdfast doctor`; for development only, set execution.worker.tier to degraded",
        )
    pool = Pool(settings, layout=layout, rooms=slots + ahead)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()


class Pool:
    """Implements :class:`~holdfast.execution.core.task.Sandboxes`. Made by :func:`open_sandboxes`."""

    def __init__(self, settings: WorkerSettings, *, layout: Layout, rooms: int) -> None:
        """Nothing is started before :meth:`start`."""
        self._settings = settings
        self._layout = layout
        self._rooms = rooms
        self._serial = next(_serials)
        self._ready: asyncio.Queue[PooledSandbox] = asyncio.Queue(maxsize=rooms)
        self._tasks: list[asyncio.Task[None]] = []
        self._slots: list[Slot] = []
        self._why: SandboxError | None = None
        self._failed_in_a_row = 0
        self._started = asyncio.Event()

    async def start(self) -> None:
        """Start all slots; returns when one is ready. Raises :class:`~.errors.SandboxError`."""
        bubblewrap = shutil.which("bwrap")
        if bubblewrap is None:
            raise SandboxUnavailable("not installed", where="bwrap", remedy="apt-get install bubblewrap")
        recipe = Recipe(
            bubblewrap=bubblewrap,
            python=root.interpreter(),
            filter=seccomp.compile_filter(),
            size_bytes=int(self._settings.work_size),
            files=self._settings.work_files,
            environment=root.ENVIRONMENT,
        )
        hierarchies.remove_orphans(self._layout)
        for number in range(self._rooms):
            slot = self._slot(number, recipe)
            self._slots.append(slot)
            self._tasks.append(asyncio.create_task(self._live(slot), name=slot.where))
        await self._started.wait()
        if self._why is not None:
            raise self._why

    async def take(self) -> PooledSandbox:
        """A fresh sandbox. Raises :class:`~.errors.SlotBroken` if none is to be had."""
        try:
            async with asyncio.timeout(TAKE_S):
                while not (sandbox := await self._ready.get()).ready:
                    sandbox.kill()  # it died while it waited; its slot makes another
                return sandbox
        except TimeoutError:
            why = f": {self._why}" if self._why is not None else ""
            raise SlotBroken(
                f"none was free for {TAKE_S:g} s{why}", where="sandboxes", remedy="read the log of this worker"
            ) from None

    async def close(self) -> None:
        """End everything; remove the control groups."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for slot in self._slots:
            slot.user.release()
        left = [slot.number for slot in self._slots if not await slot.group.remove()]
        if left:
            log.error("control groups in use", extra={"action": "cgroup_left", "slots": left})

    def _slot(self, number: int, recipe: Recipe) -> Slot:
        try:
            name, home = (hierarchies.name(f"{self._serial}-{part}") for part in (number, "launchers"))
            group = Group(self._layout, name, home=home, siblings=self._rooms)
        except OSError as error:
            raise SandboxUnavailable(
                f"cannot be made: {error.strerror}",
                where=str(error.filename),
                remedy="see `holdfast doctor`; for development only, set execution.worker.tier to degraded",
            ) from error
        return Slot(number, recipe, user=User.take(self._settings.uid_base), group=group)

    async def _live(self, slot: Slot) -> None:
        failures = 0
        try:
            while True:
                try:
                    await self._turn(slot)
                    failures = 0
                except (SandboxError, OSError) as broken:
                    await self._mourn(slot, broken)
                    await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                    failures += 1
        finally:
            await slot.close()

    async def _turn(self, slot: Slot) -> None:
        """One sandbox, from being built to nothing being left of it."""
        await slot.build()
        self._why = None
        self._failed_in_a_row = 0
        self._started.set()
        sandbox = PooledSandbox(slot)
        try:
            self._ready.put_nowait(sandbox)
            await sandbox.used.wait()
            await slot.until_gone()
        except BaseException:
            await slot.close()  # first of all: somebody may wait for the dead
            raise
        finally:
            sandbox.gone.set()
        if slot.jobs >= self._settings.recycle_after:
            await slot.close()

    async def _mourn(self, slot: Slot, broken: SandboxError | OSError) -> None:
        why = broken
        if not isinstance(why, SandboxError):
            why = SlotBroken(str(broken), where=slot.where, remedy="try again")
        log.error("sandbox slot broken", extra={"action": "slot_broken", "slot": slot.number, "why": str(why)})
        await slot.close()
        self._why = why
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _ATTEMPTS_AT_START:
            self._started.set()


class PooledSandbox:
    """Implements :class:`~holdfast.execution.core.task.Sandbox`."""

    def __init__(self, slot: Slot) -> None:
        """The slot has one ready."""
        self.used = asyncio.Event()
        """The slot may be taken back."""
        self.gone = asyncio.Event()
        """Nothing is left of the job."""
        self._slot = slot
        self._started = False

    @property
    def ready(self) -> bool:
        """Whether it is alive, as far as anybody has heard."""
        return self._slot.ready

    @property
    def launcher_pid(self) -> int | None:
        """The process, on the host, that ends with everything in the sandbox."""
        return self._slot.launcher_pid

    async def run(self, task: Task, on_output: OnOutput | None = None) -> TaskOutcome:
        """Run a task. When this returns, or is cancelled, every process of it is dead and reaped."""
        if self._started:
            raise RuntimeError("a sandbox is used once")
        self._started = True
        if self.used.is_set():
            return _failed(task, Ended.KILLED, "")
        try:
            return await self._run(task, on_output)
        except (SandboxError, OSError) as broken:
            self.used.set()
            await self._buried()
            return _failed(task, Ended.FAILED, str(broken))
        except asyncio.CancelledError:
            self.used.set()
            await self._buried()
            raise
        finally:
            self.used.set()

    def kill(self) -> None:
        """End it. Safe at any time; after the end it does nothing, as the slot may have its next job."""
        if not self.used.is_set():
            self._slot.end(Ended.KILLED)
            if not self._started:
                self.used.set()

    async def _run(self, task: Task, on_output: OnOutput | None) -> TaskOutcome:
        files = task.files
        compiled: StepOutcome | None = None
        kept: tuple[SandboxFile, ...] = ()
        if task.compile is not None:
            compiled = await self._slot.step(task.compile, files, last=False, on_output=None)
            files = ()
            if not _succeeded(compiled):
                return TaskOutcome(compile=compiled)
            if task.keep:
                found = await self._slot.keep(task.keep, task.keep_bytes, last=task.run is None)
                if isinstance(found, str):
                    compiled = replace(compiled, message=f"nothing was kept: {found}")
                else:
                    kept = found
        if task.run is None:
            return TaskOutcome(compile=compiled, kept=kept)
        ran = await self._slot.step(task.run, files, last=True, on_output=on_output)
        return TaskOutcome(compile=compiled, run=ran, kept=kept)

    async def _buried(self) -> None:
        # Bounded by the slot: it waits for the dead as long as DEATH_S, then the launcher is ended, and says so.
        while not self.gone.is_set():
            try:
                await self.gone.wait()
            except asyncio.CancelledError:
                continue


def _succeeded(outcome: StepOutcome) -> bool:
    return outcome.ended is Ended.EXITED and outcome.exit_code == 0


def _failed(task: Task, ended: Ended, message: str) -> TaskOutcome:
    outcome = StepOutcome(ended=ended, message=message)
    return TaskOutcome(compile=outcome) if task.compile is not None else TaskOutcome(run=outcome)
