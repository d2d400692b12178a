"""Where control groups can be made on this machine, and those that a crashed worker left there.

Version 1: at the top of each hierarchy that may be written, as container engines do.

Version 2, in this order:

1. our own group, if we are alone in it: we move into a leaf, because a group that has processes of its own
   cannot limit its children ("no internal processes", cgroups(7));
2. the nearest group above that may be written and either hands memory and pids down already, or is
   without processes. In a systemd user session that is ``app.slice``; for root it ends at the top, which is exempt.

Moving a process between two groups takes write permission to their common ancestor as well. That is why a shell
that systemd did not start in the user's own tree has to use ``systemd-run --user --scope``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdfast.execution.shell.sandbox.cgroups import Layout

log = logging.getLogger(__name__)

_PREFIX: Final = "holdfast"
_NAME: Final = re.compile(rf"{_PREFIX}\.(?P<namespace>\d+)\.(?P<pid>\d+)\.(?P<started>\d+)\.[\w-]+")
_V1_CONTROLLERS: Final = frozenset({"memory", "pids", "cpu", "cpuacct"})
_V2_CONTROLLERS: Final = ("memory", "pids", "cpu")
_NEEDED: Final = frozenset({"memory", "pids"})


def name(slot: int | str) -> str:
    """The name of a slot's groups: pid namespace, pid, start time and slot say whose they are, for good."""
    return f"{_PREFIX}.{_pid_namespace()}.{os.getpid()}.{_started(os.getpid())}.{slot}"


def locate(mountinfo: str | None = None, membership: str | None = None) -> Layout:
    """Find the hierarchies; the arguments stand for ``/proc/self/mountinfo`` and ``/proc/self/cgroup``."""
    mountinfo = mountinfo if mountinfo is not None else _text(Path("/proc/self/mountinfo"))
    membership = membership if membership is not None else _text(Path("/proc/self/cgroup"))
    v1, v2 = {}, None
    for mountpoint, kind, options in _mounts(mountinfo):
        if kind == "cgroup":
            v1.update({name: mountpoint for name in options & _V1_CONTROLLERS if _writable(mountpoint)})
        elif kind == "cgroup2":
            v2 = mountpoint
    if v2 is None:
        return Layout(v1=v1)
    place, controllers = _place(v2, membership)
    return Layout(v1=v1, v2=place, v2_controllers=controllers - v1.keys())


def remove_orphans(layout: Layout) -> int:
    """Remove groups whose worker is gone; how many. Processes that are left in one are killed."""
    removed = 0
    for directory in dict.fromkeys((*layout.v1.values(), *((layout.v2,) if layout.v2 else ()))):
        for group in directory.glob(f"{_PREFIX}.*"):
            if _orphaned(group.name):
                removed += _removed(group)
    if removed:
        log.info("control groups of a dead worker removed", extra={"action": "cgroups_removed", "count": removed})
    return removed


def _removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        for pid in _text(group / "cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    try:
        group.rmdir()
    except FileNotFoundError:
        return False  # another worker that starts in this moment was first
    except OSError as error:  # its processes are still dying; the next start removes it
        log.warning("control group left", extra={"action": "cgroup_left", "group": str(group), "why": error.strerror})
        return False
    return True


def _orphaned(group: str) -> bool:
    found = _NAME.fullmatch(group)
    if found is None or int(found["namespace"]) != _pid_namespace():
        return False  # another container's worker; its pids mean nothing here
    return _started(int(found["pid"])) != int(found["started"])


def _place(mountpoint: Path, membership: str) -> tuple[Path | None, frozenset[str]]:
    own = _own(mountpoint, membership)
    if _alone(own) and (found := _enable(own, leave=True)) >= _NEEDED:
        return own, found
    for directory in (own, *own.parents):
        if not directory.is_relative_to(mountpoint):
            break
        if _writable(directory) and (found := _enable(directory, leave=False)) >= _NEEDED:
            return directory, found
    # No limits, but perhaps a place for cgroup.kill and CPU time: the hybrid layout.
    return (mountpoint, frozenset()) if _writable(mountpoint) else (None, frozenset())


def _enable(directory: Path, *, leave: bool) -> frozenset[str]:
    """Have controllers handed down to groups in here; which ones are."""
    there = set(_text(directory / "cgroup.controllers").split())
    handed = {word.lstrip("+") for word in _text(directory / "cgroup.subtree_control").split()}
    if not there >= _NEEDED:
        return frozenset()
    if not handed >= _NEEDED and not (_leave(directory) if leave else _without_processes(directory)):
        return frozenset()
    for controller in _V2_CONTROLLERS:
        if controller in there - handed:
            with contextlib.suppress(OSError):
                (directory / "cgroup.subtree_control").write_text(f"+{controller}")
                handed.add(controller)
    return frozenset(handed & set(_V2_CONTROLLERS))


def _without_processes(directory: Path) -> bool:
    """Whether the rule is kept: the top, which alone has no type, is exempt from it."""
    return not (directory / "cgroup.type").exists() or not _text(directory / "cgroup.procs").strip()


def _leave(directory: Path) -> bool:
    """Move this process to a leaf, so that the directory has none of its own."""
    leaf = directory / name("worker")
    try:
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return False
    return True


def _own(mountpoint: Path, membership: str) -> Path:
    for line in membership.splitlines():
        if line.startswith("0::/"):
            path = mountpoint / line[len("0::/") :]
            # A path with ".." lies outside of what this cgroup namespace shows.
            return path if ".." not in path.parts and path.is_dir() else mountpoint
    return mountpoint


def _alone(directory: Path) -> bool:
    return _writable(directory) and _text(directory / "cgroup.procs").split() == [str(os.getpid())]


def _writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


def _mounts(mountinfo: str) -> Iterator[tuple[Path, str, frozenset[str]]]:
    for line in mountinfo.splitlines():
        mount, _, file_system = line.partition(" - ")
        fields, words = mount.split(), file_system.split()
        if len(fields) >= 5 and len(words) >= 3 and words[0] in ("cgroup", "cgroup2"):
            yield Path(fields[4]), words[0], frozenset(words[2].split(","))


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _started(pid: int) -> int:
    """Clock ticks since boot at which a process started; 0 when there is none."""
    # The name in field 2 may hold spaces and brackets; the start time is the twentieth field after it.
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
