"""What this machine can do for sandboxes, found out by doing it.

==========  ==================================================================================================
full        All namespaces, the filter, an own user id or namespace, and control groups that limit memory and
            processes. Workers run by default on nothing less.
degraded    Namespaces and the filter, but limits only for each process by itself (setrlimit): a program can
            take the machine's memory by forking. For development.
none        Programs cannot be isolated.
==========  ==================================================================================================
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from holdfast.execution.core.job import Limits
from holdfast.execution.core.settings import WorkerSettings
from holdfast.execution.core.task import Ended, Sandboxes, SandboxFile, Step, StepOutcome, Task
from holdfast.execution.shell.sandbox import hierarchies, root, seccomp
from holdfast.execution.shell.sandbox.cgroups import Layout
from holdfast.execution.shell.sandbox.errors import SandboxError
from holdfast.execution.shell.sandbox.pool import open_sandboxes

Tier: TypeAlias = Literal["full", "degraded", "none"]

_KERNEL: Final = (5, 9)
"""close_range; pidfds, ``subset=pid`` and seccomp as we use them are older."""
_MACHINES: Final = ("x86_64", "aarch64")
_PROBE_LIMITS: Final = Limits(wall_s=10.0, cpu_s=5.0, memory_bytes=48 * 2**20, output_bytes=4096, processes=8)
_IDENTITY: Final = b"""
import os
with open("/proc/self/status") as file:
    status = dict(line.split(":", 1) for line in file)
print(os.getuid(), status["CapBnd"].strip().strip("0") or 0, status["Seccomp"].strip(), status["NoNewPrivs"].strip())
"""
_HOG: Final = b"held = [bytearray(1 << 20) for _ in range(256)]"
_FORKS: Final = b"""
import os, signal
made = 0
try:
    while made < 64:
        if os.fork() == 0:
            signal.pause()
        made += 1
except BlockingIOError:
    pass
print(made)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that sandboxes need."""

    name: str
    works: bool
    detail: str
    remedy: str = ""
    """What it takes, when it does not work."""
    costs: Tier = "none"
    """The tier that is left without it; ``full``: it is only slower or less exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The tier, and what it was judged by."""

    tier: Tier
    parts: tuple[Part, ...]

    @property
    def missing(self) -> tuple[Part, ...]:
        """Parts that do not work."""
        return tuple(part for part in self.parts if not part.works)


async def examine(settings: WorkerSettings, *, layout: Layout | None = None) -> Examination:
    """Try everything. Takes about a fifth of a second; leaves nothing behind."""
    layout = layout if layout is not None else hierarchies.locate()
    parts = [*_tools(), *_groups(layout)]
    if all(part.works or part.costs != "none" for part in parts):
        tier: Literal["full", "degraded"] = "full" if layout.has("memory") and layout.has("pids") else "degraded"
        probed = msgspec.structs.replace(settings, tier=tier)
        try:
            async with open_sandboxes(probed, slots=1, ahead=0, layout=layout) as sandboxes:
                parts += [part async for part in _probe(sandboxes, layout)]
        except SandboxError as error:
            parts.append(_refused(error))
    return Examination(tier=judge(parts), parts=tuple(parts))


def judge(parts: list[Part]) -> Tier:
    """The best tier that is left without what does not work."""
    left = {part.costs for part in parts if not part.works}
    return "none" if "none" in left else "degraded" if "degraded" in left else "full"


def _tools() -> Iterator[Part]:
    release = platform.release()
    found = re.match(r"(\d+)\.(\d+)", release)
    recent = found is not None and (int(found[1]), int(found[2])) >= _KERNEL
    known = platform.machine() in _MACHINES
    yield Part(
        name="kernel",
        works=recent and known,
        detail=f"Linux {release} on {platform.machine()}",
        remedy=f"Linux 5.9 or later on {' or '.join(_MACHINES)}",
    )
    bubblewrap = shutil.which("bwrap")
    yield Part(
        name="bubblewrap",
        works=bubblewrap is not None,
        detail=bubblewrap or "not installed",
        remedy="apt-get install bubblewrap",
    )
    for name, probe in (("libseccomp", _filter_size), ("python", root.interpreter)):
        try:
            yield Part(name=name, works=True, detail=probe())
        except SandboxError as error:
            yield Part(name=name, works=False, detail=f"{error.where}: {error.error}", remedy=error.remedy)


def _filter_size() -> str:
    return f"{len(seccomp.compile_filter()) // 8} instructions"


def _groups(layout: Layout) -> Iterator[Part]:
    remedy = "run as root, or in a tree that systemd delegates: systemd-run --user --scope -p Delegate=yes holdfast ..."
    for controller in ("memory", "pids"):
        yield Part(
            name=f"cgroup {controller}",
            works=layout.has(controller),
            detail=str(layout.place(controller) or "no group can be made"),
            remedy=remedy,
            costs="degraded",
        )
    yield Part(
        name="cgroup cpu",
        works=layout.has("cpu"),
        detail=str(layout.place("cpu") or "jobs are not held to one core; CPU time is limited all the same"),
        remedy=f"{remedy}; systemd before 252: Delegate=cpu in user@.service",
        costs="full",
    )


async def _probe(sandboxes: Sandboxes, layout: Layout) -> AsyncIterator[Part]:
    identity = await _run(sandboxes, _IDENTITY)
    uid, *rest = identity.stdout.split() or [b""]
    expected = identity.ended is Ended.EXITED and uid != b"0" and rest == [b"0", b"2", b"1"]
    yield Part(
        name="namespaces",
        works=expected,
        detail=f"a program ran as uid {uid.decode()}, filtered, without capabilities"
        if expected
        else _describe(identity),
        remedy="allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000",
    )
    if layout.has("memory"):
        hog = await _run(sandboxes, _HOG)
        yield Part(
            name="memory limit",
            works=hog.ended is Ended.MEMORY,
            detail=_describe(hog),
            remedy="switch the memory controller on: cgroup_enable=memory on the kernel's command line",
            costs="degraded",
        )
    if layout.has("pids"):
        forks = await _run(sandboxes, _FORKS)
        made = forks.stdout.strip().decode() or "no"
        works = made.isdigit() and int(made) < _PROBE_LIMITS.processes
        yield Part(
            name="process limit",
            works=works,
            detail=f"{made} of 64 processes could be started, with a limit of {_PROBE_LIMITS.processes}",
            remedy="switch the pids controller on (CONFIG_CGROUP_PIDS)",
            costs="degraded",
        )


async def _run(sandboxes: Sandboxes, code: bytes) -> StepOutcome:
    sandbox = await sandboxes.take()
    step = Step(argv=("./probe.py",), limits=_PROBE_LIMITS, warm="python")
    outcome = await sandbox.run(Task(files=(SandboxFile(path="probe.py", data=code),), run=step))
    return outcome.run or StepOutcome(ended=Ended.FAILED)


def _describe(outcome: StepOutcome) -> str:
    said = outcome.message or outcome.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    code = f" with {outcome.exit_code}" if outcome.exit_code is not None else ""
    return f"the probe ended: {outcome.ended.value}{code}" + (f": {said}" if said else "")


def _refused(error: SandboxError) -> Part:
    if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists() and os.getuid() != 0:
        remedy = "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for bwrap with `userns`"
    elif Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        remedy = "in a container: allow user namespaces and mounts (--security-opt seccomp=unconfined, unmasked /proc)"
    else:
        remedy = "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000"
    return Part(name="sandbox", works=False, detail=f"{error.where}: {error.error}", remedy=remedy)
