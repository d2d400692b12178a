"""Limits and meters of a slot: one control group in each hierarchy that counts.

Layouts that are found in the field, all handled by the same two classes:

- version 2 alone (systemd since 2019): one directory has memory, pids, cpu and ``cgroup.kill``;
- version 1 with an empty version 2 hierarchy beside it ("hybrid"): limits from version 1, ``cgroup.kill``
  and CPU time from version 2, which has both without any controller;
- version 1 alone.

Groups are made once per slot and used again; what is counted is a difference, what is a peak is reset.
Where they are made is in :mod:`.hierarchies`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PERIOD_US: Final = 100_000
"""The kernel's default; a job that wants more than its cores waits at most this long."""
_PAGE: Final = 4096
_LEFT_BYTES: Final = 4 * 2**20
"""An empty group has 0.2 MiB charged to it; with more than this, what jobs left is reclaimed. It takes milliseconds,
for 200 MiB of directory entries tenths of a second."""
_SETTLING_S: Final = (0.005, 0.01, 0.02, 0.04)
"""Pauses until what was reclaimed is off the account: the kernel uncharges names a grace period of RCU after it has
freed them, some 10 ms later and more on a busy machine."""
_V1_METERS: Final = ("memory.max_usage_in_bytes", "memory.oom_control")
_V2_METERS: Final = ("memory.peak", "memory.events")
_REMOVAL_S: Final = (0.01, 0.05, 0.2, 1.0, 0.0)
"""Pauses between attempts to remove a group: the last process is reaped a moment before it has left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where groups can be made. ``None`` and absent keys: not on this machine."""

    v1: Mapping[str, Path] = field(default_factory=dict)
    """Controller -> directory of the version 1 hierarchy."""
    v2: Path | None = None
    v2_controllers: frozenset[str] = frozenset()
    """What groups made in ``v2`` can limit."""

    def has(self, controller: str) -> bool:
        """Whether there is a group to limit this with."""
        return self.place(controller) is not None

    def place(self, controller: str) -> Path | None:
        """The directory in which a group can be made that limits this."""
        return self.v1.get(controller) or (self.v2 if controller in self.v2_controllers else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the meters show."""

    cpu_s: float = 0.0
    oom_kills: int = 0
    memory_peak_bytes: int = 0


class Group:
    """The control groups of one slot, seen as one."""

    def __init__(self, layout: Layout, name: str, *, home: str, cores: float = 1.0, siblings: int = 1) -> None:
        """Make them, and ``home`` beside them, without limits, for launchers. Raises ``OSError``.

        Where CPU time is short, so many ``siblings`` together get as much as one ordinary group: whatever jobs burn,
        the worker and its API, which have to answer in milliseconds, get theirs. (The kernel's idle class was tried: on
        a machine with other work jobs stood still for seconds.)
        """
        self._memory = self._make(layout, "memory", name)
        self._pids = self._make(layout, "pids", name)
        self._cpu = self._make(layout, "cpu", name)
        self._v2 = layout.v2 / name if layout.v2 is not None else None
        if self._v2 is not None:
            self._v2.mkdir(exist_ok=True)
        acct = None if self._v2 is not None else self._make(layout, "cpuacct", name)
        found = (self._memory, self._pids, self._cpu, acct, self._v2)
        self.paths = tuple(dict.fromkeys(path for path in found if path is not None))
        # Moving into a group locks the machine's forks for a moment. In these the launcher, which sleeps while a job
        # runs, can be as well; not where memory counts, and not where everything is killed at once.
        each = (self._memory, self._v2)
        self._standing = tuple(path for path in self.paths if path not in each)
        self._joined = tuple(path for path in self.paths if path in each)
        self._home = home
        for path in self._joined:
            (path.parent / home).mkdir(exist_ok=True)
        self._ours = 2 if self._pids in self._standing else 1
        self._memory_v1 = "memory" in layout.v1
        # Version 2 shows its peak since Linux 5.19; before, the figure is what the largest process had.
        self._has_peak = self._memory_v1 or (self._memory is not None and (self._memory / _V2_METERS[0]).exists())
        found = (self._memory, self._pids, self._cpu, acct, self._v2)
        self.paths = tuple(dict.fromkeys(path for path in found if path is not None))
        self.cores = float(os.cpu_count() or 1)
        """At most so many seconds of CPU time in a second."""
        self._siblings = siblings
        self._limits: tuple[int, int] | None = None
        self._descriptors: dict[Path, int] = {}
        self._usage: Path | None
        if self._cpu is not None:
            self._quota(self._cpu, cores, v1="cpu" in layout.v1)
            self.cores = cores
        if self._v2 is not None:
            self._usage, self._usage_field, self._usage_unit = self._v2 / "cpu.stat", b"usage_usec ", 1e-6
        elif acct is not None:
            self._usage, self._usage_field, self._usage_unit = acct / "cpuacct.usage", b"", 1e-9
        else:
            self._usage, self._usage_field, self._usage_unit = None, b"", 0.0

    @property
    def limits_memory(self) -> bool:
        """Whether memory is limited and measured here."""
        return self._memory is not None

    @property
    def limits_processes(self) -> bool:
        """Whether the number of processes is limited here."""
        return self._pids is not None

    @property
    def measures_cpu(self) -> bool:
        """Whether CPU time is measured here."""
        return self._usage is not None

    def renew(self) -> Sequence[int]:
        """Be fresh for the next job. Gives descriptors to which a process writes ``0`` to join; they stay ours.

        Before Linux 6.12 the peak of version 2 cannot be reset, so there the group is made anew. Raises ``OSError``.
        """
        if self._memory is not None and not self._memory_v1 and not self._peak_resets():
            self._close()
            self._memory.rmdir()
            self._memory.mkdir()
            self._limits = None
            if self._cpu == self._memory:
                self._quota(self._cpu, self.cores, v1=False)
        return [self._open(path / "cgroup.procs") for path in self._joined]

    @property
    def holds_leavings(self) -> bool:
        """Whether what ended jobs left in the kernel is worth :meth:`reclaim`. Raises ``OSError``."""
        if self._memory is None:
            return False
        name = "memory.usage_in_bytes" if self._memory_v1 else "memory.current"
        return int(self._read(self._memory / name)) > _LEFT_BYTES

    def reclaim(self) -> None:
        """Free what is charged to the group without a process in it: pages of files, names that were looked up.

        Nobody else's job should find its limit half used up, or see in its own figure what ran before. Blocks.
        """
        if self._memory is None:
            return
        with contextlib.suppress(OSError):  # no such file before Linux 5.19; EAGAIN: some of it is in use elsewhere
            if self._memory_v1:
                self._write(self._memory / "memory.force_empty", 0)
            else:
                self._write(self._memory / "memory.reclaim", self._read(self._memory / "memory.current").decode())
        for pause_s in _SETTLING_S:
            if not self.holds_leavings:
                break
            time.sleep(pause_s)

    def all(self) -> Sequence[int]:
        """The same for all groups, those included that the launcher joins for good."""
        return [self._open(path / "cgroup.procs") for path in self.paths]

    def home(self) -> Sequence[int]:
        """The same for where the launcher goes when it leaves the groups of its jobs."""
        return [self._open(path.parent / self._home / "cgroup.procs") for path in self._joined]

    def limit(self, *, memory_bytes: int, processes: int) -> None:
        """Set the limits and start the peak anew. Our own processes come on top of ``processes``.

        Raises ``OSError`` if more memory is in use already.
        """
        wanted = (memory_bytes, processes)
        if wanted != self._limits:
            self._limits = None
            if self._memory is not None:
                self._limit_memory(self._memory, memory_bytes)
            if self._pids is not None:
                self._write(self._pids / "pids.max", processes + self._ours)
            self._limits = wanted
        if self._memory is not None:
            self._peak_resets()

    def read(self) -> Reading:
        """Read all meters."""
        if self._memory is None:
            return Reading(cpu_s=self.cpu_s())
        names = _V1_METERS if self._memory_v1 else _V2_METERS
        peak, events = (self._memory / name for name in names)
        return Reading(
            cpu_s=self.cpu_s(),
            memory_peak_bytes=int(self._read(peak)) if self._has_peak else 0,
            oom_kills=_field(self._read(events), b"oom_kill "),
        )

    def cpu_s(self) -> float:
        """CPU time of everything that ever ran in here."""
        if self._usage is None:
            return 0.0
        return _field(self._read(self._usage), self._usage_field) * self._usage_unit

    def kill(self) -> bool:
        """SIGKILL to everything in the group at once; whether the kernel can (Linux 5.14, version 2)."""
        if self._v2 is None:
            return False
        try:
            self._write(self._v2 / "cgroup.kill", 1)
        except FileNotFoundError:
            return False
        return True

    def empty(self) -> bool:
        """Whether no process of a job is left. They are in all groups, so one is enough to look at."""
        return not any(self._read(path / "cgroup.procs").strip() for path in self._joined[:1])

    async def remove(self) -> bool:
        """Remove the groups; whether they are gone. With a process left in them they are not."""
        self._close()
        left = [*self.paths, *(path.parent / self._home for path in self._joined)]
        for pause_s in _REMOVAL_S:
            left = [path for path in left if not _remove(path)]
            if not left:
                return True
            await asyncio.sleep(pause_s)
        return False

    @staticmethod
    def _make(layout: Layout, controller: str, name: str) -> Path | None:
        place = layout.place(controller)
        if place is None:
            return None
        path = place / name
        path.mkdir(exist_ok=True)
        return path

    def _quota(self, group: Path, cores: float, *, v1: bool) -> None:
        quota = int(cores * _PERIOD_US)
        if v1:
            self._write(group / "cpu.cfs_period_us", _PERIOD_US)
            self._write(group / "cpu.cfs_quota_us", quota)
            self._write(group / "cpu.shares", max(2, 1024 // self._siblings))
        else:
            self._write(group / "cpu.max", f"{quota} {_PERIOD_US}")
            self._write(group / "cpu.weight", max(1, 100 // self._siblings))

    def _limit_memory(self, group: Path, size: int) -> None:
        if not self._memory_v1:
            self._write(group / "memory.max", size)
            with contextlib.suppress(FileNotFoundError):  # a kernel without swap
                self._write(group / "memory.swap.max", 0)
            return
        # Memory alone may never be more than memory and swap together, so the order depends on the direction.
        plain, with_swap = group / "memory.limit_in_bytes", group / "memory.memsw.limit_in_bytes"
        if not with_swap.exists():
            self._write(group / "memory.swappiness", 0)
            self._write(plain, size)
            return
        growing = size > int(self._read(plain))
        for path in (with_swap, plain) if growing else (plain, with_swap):
            self._write(path, size)

    def _peak_resets(self) -> bool:
        """Start the peak anew, where the kernel can."""
        if self._memory is None or not self._has_peak:
            return True
        path = self._memory / (_V1_METERS if self._memory_v1 else _V2_METERS)[0]
        try:
            os.pwrite(self._open(path), b"0", 0)
        except OSError:
            return False
        return True

    def _close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def _open(self, path: Path) -> int:
        descriptor = self._descriptors.get(path)
        if descriptor is None:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except PermissionError:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._descriptors[path] = descriptor
        return descriptor

    def _read(self, path: Path) -> bytes:
        # The meters are read several times for each job; an open descriptor halves that.
        return os.pread(self._open(path), _PAGE, 0)

    @staticmethod
    def _write(path: Path, value: object) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)


def _field(text: bytes, name: bytes) -> int:
    for line in text.splitlines():
        if line.startswith(name):
            return int(line[len(name) :])
    return 0


def _remove(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True
