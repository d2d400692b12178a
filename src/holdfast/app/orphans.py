"""Processes that a service left behind when it crashed (Linux).

A balancer whose master dies leaves workers, on purpose: they serve on until a new master has
taken over, and then drain. But should the supervisor stop in the meantime, nobody else would
end them. They are found by their process group right after the crash and held by pidfd, so
that a recycled process id can never lead a signal astray.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from pathlib import Path


class Orphans:
    """What is left of crashed services."""

    def __init__(self) -> None:
        self._held: dict[int, int] = {}

    def adopt(self, group: int) -> None:
        """Take hold of every process of a group whose leader has died."""
        self._forget_dead()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name in field 2 may hold spaces and brackets; the group is the third field after it.
                fields = (entry / "stat").read_text(encoding="latin-1").rpartition(")")[2].split()
                if int(fields[2]) == group and fields[0] != "Z":
                    self._held.setdefault(pid := int(entry.name), os.pidfd_open(pid))

    def send(self, number: signal.Signals) -> None:
        """Signal all of them."""
        for descriptor in self._held.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)

    async def wait_gone(self) -> None:
        """Wait until none is left. Without a bound: the caller has one."""
        loop = asyncio.get_running_loop()
        for descriptor in self._held.values():
            gone = asyncio.Event()
            loop.add_reader(descriptor, gone.set)
            try:
                await gone.wait()
            finally:
                loop.remove_reader(descriptor)
        self._forget_dead()

    def close(self) -> None:
        """Let go of those that still run."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def __len__(self) -> int:
        return len(self._held)

    def _forget_dead(self) -> None:
        poll = select.poll()
        for descriptor in self._held.values():
            poll.register(descriptor, select.POLLIN)
        dead = {descriptor for descriptor, _ in poll.poll(0)}
        for pid, descriptor in list(self._held.items()):
            if descriptor in dead:
                os.close(descriptor)
                del self._held[pid]
