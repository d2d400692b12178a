"""What a test left behind: asyncio tasks, sockets, processes.

A leak here is a leak in production, only shorter: the task nobody awaits, the connection nobody closes, the worker
that outlives its master. Sockets and processes are read from ``/proc``; without it (not Linux) only tasks are seen.

Not seen: what a test's own loop, closed by hand instead of through ``asyncio.run`` or ``asyncio.Runner``, still had.
"""

from __future__ import annotations

import asyncio
import asyncio.runners
import contextlib
import gc
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GRACE_S = 3.0
"""How long something that is on its way out may take; only a leaking test waits that long."""

MARK = "HOLDFAST_TEST_MARK"
"""Environment variable that tells whose process it is, even after its parent has died."""

KEPT: set[int] = set()
"""Processes that fixtures of the session keep for all tests, and end themselves."""

_RUNNER = "TestRunner._run_tests_and_fixtures"  # anyio's own, which runs the tests marked so and their fixtures
_TRACKER = "multiprocessing.resource_tracker"  # one per interpreter, kept by the standard library on purpose
_CANCEL_ALL: Callable[[asyncio.AbstractEventLoop], None] = vars(asyncio.runners)["_cancel_all_tasks"]
_T = TypeVar("_T")
_numbers = iter(range(1, 1 << 62))


class Watch:
    """Notes what there is when it is made; :meth:`leaks` says what has been added since."""

    def __init__(self, *, orphans: bool) -> None:
        """``orphans``: look at all processes for ones that this test started indirectly (some milliseconds)."""
        self.tasks: list[str] = []
        self._sockets = _sockets()
        self._children = _children()
        self._mark = f"{os.getpid()}.{next(_numbers)}" if orphans else None
        if self._mark is not None:
            os.environ[MARK] = self._mark

    def leaks(self) -> list[str]:
        """One line for each thing left. Processes among them are ended, so that they hurt no other test."""
        if _sockets() - self._sockets:
            gc.collect()  # a transport and its protocol refer to each other
        sockets = _settled(lambda: _sockets() - self._sockets)
        if sockets:
            gc.collect()  # or a thread of somebody's library held them when we looked first
            sockets = _sockets() - self._sockets
        processes = _settled(self._processes)
        found = [f"task {task}" for task in self.tasks]
        found += [f"socket {link}" for link in sorted(sockets)]
        found += [f"process {pid}: {_command(pid)}" for pid in sorted(processes)]
        self.end_processes(processes)
        return found

    def end_processes(self, pids: set[int] | None = None) -> None:
        """Kill and reap what this test started and left."""
        for pid in self._processes() if pids is None else pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _processes(self) -> set[int]:
        left = {pid for pid in _children() - self._children - KEPT if _TRACKER not in _command(pid)}
        return left | _marked(self._mark) if self._mark else left


@contextlib.contextmanager
def pending_tasks_noted(into: list[str]) -> Iterator[None]:
    """While active, tasks that ``asyncio.run`` finds unfinished when its coroutine returns are noted.

    It cancels them silently, which is kind to scripts and hides every forgotten ``await`` from a test.
    """

    def noting(loop: asyncio.AbstractEventLoop) -> None:
        tasks = [task for task in asyncio.all_tasks(loop) if _RUNNER not in repr(task.get_coro())]
        into.extend(f"{task.get_name()}: {task.get_coro()!r}" for task in tasks)
        _CANCEL_ALL(loop)

    runners = vars(asyncio.runners)
    before, runners["_cancel_all_tasks"] = runners["_cancel_all_tasks"], noting
    try:
        yield
    finally:
        runners["_cancel_all_tasks"] = before


def _settled(look: Callable[[], set[_T]]) -> set[_T]:
    """What is still there after the grace, which ends early when nothing is."""
    deadline = time.monotonic() + GRACE_S
    while (left := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _sockets() -> set[str]:
    links = set()
    with contextlib.suppress(FileNotFoundError):
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the listing's own descriptor is gone by now
                link = str(descriptor.readlink())
                if link.startswith("socket:"):
                    links.add(link)
    return links


def _children() -> set[int]:
    listings = Path("/proc/self/task").glob("*/children")
    pids: set[int] = set()
    for listing in listings:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            pids.update(map(int, listing.read_text().split()))
    return pids


def _marked(mark: str) -> set[int]:
    wanted = f"{MARK}={mark}".encode()
    pids = set()
    with contextlib.suppress(FileNotFoundError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):  # gone, or not ours
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        pids.add(int(entry.name))
    return pids


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return "(gone)"
    return words.decode(errors="replace").strip() or "(zombie)"
