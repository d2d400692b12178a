"""All drills by name, and how one of them is run."""

from __future__ import annotations

import asyncio
import resource
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import uvloop

from holdfast import evidence
from holdfast.drills.errors import DrillError, UnknownDrillError
from holdfast.drills.findings import Drill, Findings, Origin, Setting

DEFAULT_SEED: Final = 20_090_531
"""Any fixed number does; a drill is repeated with the seed that its record names."""


@cache
def _drills() -> tuple[Drill, ...]:
    """One of each, imported when asked for.

    Every process of a drill is started as a module of this package, and pays for what importing the package loads.
    """
    from holdfast.drills.blog_build import BlogBuild
    from holdfast.drills.burst import Burst
    from holdfast.drills.chaos import Chaos
    from holdfast.drills.dead_backend import DeadBackend
    from holdfast.drills.deploy_cost import DeployCost
    from holdfast.drills.deploy_cutover import DeployCutover
    from holdfast.drills.deploy_faults import DeployFaults
    from holdfast.drills.flapping import Flapping
    from holdfast.drills.gateway_cost import GatewayCost
    from holdfast.drills.gateway_holding import GatewayHolding
    from holdfast.drills.gateway_ledger import GatewayLedger
    from holdfast.drills.idle import Idle
    from holdfast.drills.noise import Noise
    from holdfast.drills.outage import Outage
    from holdfast.drills.reload import Reload
    from holdfast.drills.runner import Runner
    from holdfast.drills.scale_to_zero import ScaleToZero
    from holdfast.drills.throughput import Throughput
    from holdfast.drills.watch_capacity import WatchCapacity
    from holdfast.drills.watch_chaos import WatchChaos

    return (
        Flapping(),
        Outage(),
        DeadBackend(),
        Throughput(),
        Reload(),
        Idle(),
        Burst(),
        Runner(),
        Chaos(),
        ScaleToZero(),
        Noise(),
        WatchCapacity(),
        WatchChaos(),
        GatewayCost(),
        GatewayHolding(),
        GatewayLedger(),
        DeployCutover(),
        DeployFaults(),
        DeployCost(),
        BlogBuild(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillInfo:
    """What a person chooses a drill by."""

    name: str
    title: str


def list_drills() -> tuple[DrillInfo, ...]:
    """Every drill, in the order of the documentation."""
    return tuple(DrillInfo(name=drill.name, title=drill.title) for drill in _drills())


def run_drill(name: str, *, quick: bool, seed: int | None, out: Path, progress: Callable[[str], None]) -> Path:
    """Carry out a drill and write its record below ``out``. Returns the record's path.

    ``quick`` takes seconds instead of minutes and proves that the drill works, not what it
    claims. ``progress`` gets a line whenever something begins. Raises
    :class:`UnknownDrillError` and other :class:`~holdfast.drills.errors.DrillError` s.
    """
    drill = next((one for one in _drills() if one.name == name), None)
    if drill is None:
        known = ", ".join(one.name for one in _drills())
        raise UnknownDrillError(f"there is no drill {name!r}; there are {known}")
    _allow_open_files()
    origin = Origin.now(drill)
    clock = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"holdfast-{name}-") as directory:
        setting = Setting(
            quick=quick,
            seed=DEFAULT_SEED if seed is None else seed,
            directory=Path(directory),
            progress=progress,
        )
        found = _run(drill, setting)
    record = found.record(drill, setting, origin, duration_s=time.monotonic() - clock)
    return evidence.write(record, out)


def compare(before: Path, after: Path) -> evidence.RecordComparison:
    """Compare two records of the same drill. Raises :class:`~holdfast.evidence.EvidenceError`."""
    return evidence.compare(evidence.load(before), evidence.load(after))


def _run(drill: Drill, setting: Setting) -> Findings:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_interruptible(drill, setting))


async def _interruptible(drill: Drill, setting: Setting) -> Findings:
    """Let SIGTERM, like SIGINT, end the drill through its context managers: no process may stay behind."""
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await drill.run(setting)
    except asyncio.CancelledError:
        raise DrillError("the drill was ended by a signal; nothing was recorded") from None


def _allow_open_files() -> None:
    # Clients, proxies and backends inherit this; the common default of 1,024 would be the
    # first thing that a drill runs into.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
