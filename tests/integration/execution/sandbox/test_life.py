"""Sandboxes, slots and workers that end before they are done."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from holdfast.execution.core.task import Ended, Task, TaskOutcome
from holdfast.execution.shell.sandbox import SandboxUnavailable, hierarchies, open_sandboxes
from holdfast.execution.shell.sandbox.cgroups import Layout
from holdfast.testing.waiting import eventually
from tests.integration.execution.sandbox.harness import SETTINGS, Host, compiling, python, require_full_tier, shell
from tests.machine import require_tool

_FORKS = """
import os, signal
try:
    while True:
        if os.fork() == 0:
            signal.pause()
except BlockingIOError:
    print("enough")
"""
SLEEPS = shell("echo started; sleep 60", wall_s=60.0)


def test_a_kill_ends_what_runs(host: Host) -> None:
    async def work() -> TaskOutcome:
        sandbox = await host.pool.take()
        return await sandbox.run(SLEEPS, lambda _stream, _data: sandbox.kill())

    outcome = host.do(work()).run
    assert outcome is not None
    assert (outcome.ended, outcome.stdout) == (Ended.KILLED, b"started\n")


def test_a_kill_while_compiling_leaves_the_program_unrun(host: Host) -> None:
    async def work() -> TaskOutcome:
        sandbox = await host.pool.take()
        asyncio.get_running_loop().call_later(0.1, sandbox.kill)
        return await sandbox.run(compiling("sleep 60", run="echo ran", wall_s=60.0))

    outcome = host.do(work())
    assert outcome.compile is not None
    assert outcome.compile.ended is Ended.KILLED
    assert outcome.run is None


def test_a_sandbox_killed_before_its_run_runs_nothing(host: Host) -> None:
    async def work() -> TaskOutcome:
        sandbox = await host.pool.take()
        sandbox.kill()
        return await sandbox.run(python("print('ran')"))

    outcome = host.do(work()).run
    assert outcome is not None
    assert (outcome.ended, outcome.stdout) == (Ended.KILLED, b"")


def test_a_kill_after_the_end_does_not_reach_the_next_job(host: Host) -> None:
    async def work() -> list[TaskOutcome]:
        used = [await host.pool.take() for _ in range(2)]
        await asyncio.gather(*(sandbox.run(python("pass")) for sandbox in used))
        fresh = [await host.pool.take() for _ in range(2)]
        running = [asyncio.create_task(sandbox.run(shell("sleep 0.2; echo done"))) for sandbox in fresh]
        for sandbox in used:
            sandbox.kill()
        return await asyncio.gather(*running)

    assert [outcome.run and outcome.run.stdout for outcome in host.do(work())] == [b"done\n"] * 2


def test_cancelling_returns_when_everything_is_dead(host: Host) -> None:
    async def work() -> None:
        started = asyncio.Event()
        sandbox = await host.pool.take()
        running = asyncio.create_task(sandbox.run(SLEEPS, lambda _stream, _data: started.set()))
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert sandbox.gone.is_set()

    host.do(work())


def test_a_sandbox_whose_launcher_dies_reports_failure_and_the_slot_comes_back(host: Host) -> None:
    async def work() -> TaskOutcome:
        sandbox = await host.pool.take()
        launcher = sandbox.launcher_pid
        assert launcher is not None
        return await sandbox.run(SLEEPS, lambda _stream, _data: os.kill(launcher, signal.SIGKILL))

    outcome = host.do(work()).run
    assert outcome is not None
    assert outcome.ended is Ended.FAILED
    assert "launcher" in outcome.message


def test_a_sandbox_that_dies_while_it_waits_is_not_handed_out(host: Host) -> None:
    async def work() -> list[TaskOutcome]:
        slot = host.pool._slots[0]
        await eventually(lambda: slot.ready)
        assert slot.launcher_pid is not None
        os.kill(slot.launcher_pid, signal.SIGKILL)
        await eventually(lambda: not slot.ready)
        return [await (await host.pool.take()).run(python("print('fine')")) for _ in range(4)]

    assert [outcome.run and outcome.run.stdout for outcome in host.do(work())] == [b"fine\n"] * 4


def test_a_file_that_cannot_be_placed_is_our_failure_and_not_the_programs(host: Host) -> None:
    task = python("print('ran')")
    outcome = host.run(dataclasses.replace(task, files=(*task.files, *task.files)))
    assert (outcome.ended, outcome.stdout) == (Ended.FAILED, b"")
    assert "File exists" in outcome.message


def test_launchers_are_replaced_after_some_jobs(tmp_path: Path) -> None:
    require_full_tier()

    async def work() -> set[int | None]:
        pids = set()
        async with open_sandboxes(replace(SETTINGS, recycle_after=2), slots=1, ahead=0) as pool:
            for _ in range(6):
                sandbox = await pool.take()
                pids.add(sandbox.launcher_pid)
                await sandbox.run(python("pass"))
        return pids

    assert len(asyncio.run(work())) == 3


def test_a_worker_that_is_killed_takes_its_jobs_along(tmp_path: Path) -> None:
    require_full_tier()
    script = """
import asyncio
from holdfast.execution.shell.sandbox import open_sandboxes
from tests.integration.execution.sandbox.harness import SETTINGS
from tests.integration.execution.sandbox.test_life import SLEEPS
async def main():
    async with open_sandboxes(SETTINGS, slots=2, ahead=0) as pool:
        async def one():
            await (await pool.take()).run(SLEEPS, lambda stream, data: print(data.decode(), end="", flush=True))
        await asyncio.gather(one(), one())
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        try:
            assert [worker.stdout.readline() for _ in range(2)] == [b"started\n"] * 2
            family = _descendants(worker.pid)
            assert len(family) >= 8  # bubblewrap twice, launcher, init, shell, sleep; two times
        finally:
            worker.kill()
    assert _gone(family), "processes outlived their worker"
    layout = hierarchies.locate()
    hierarchies.remove_orphans(layout)  # or another worker that starts in this moment
    assert not [group for place in _places(layout) for group in place.glob(f"holdfast.*.{worker.pid}.*")]


def test_a_full_worker_does_not_start_without_limits() -> None:
    async def work() -> None:
        async with open_sandboxes(SETTINGS, slots=1, layout=Layout()):
            pass

    with pytest.raises(SandboxUnavailable, match="memory and pids"):
        asyncio.run(work())


def test_a_degraded_worker_limits_each_process_by_itself() -> None:
    require_tool("bwrap", "bubblewrap")
    tasks = [
        python("held = []\nwhile True: held.append(bytearray(1 << 20))"),
        python("while True: pass", cpu_s=1.0, wall_s=30.0),
        shell("sleep 60", wall_s=0.3),
        python(_FORKS),
        python("print('fine')"),
    ]

    async def work() -> list[TaskOutcome]:
        async with open_sandboxes(replace(SETTINGS, tier="degraded"), slots=2, layout=Layout()) as pool:

            async def one(task: Task) -> TaskOutcome:
                return await (await pool.take()).run(task)

            return await asyncio.gather(*map(one, tasks))

    memory, cpu, wall, forks, fine = (outcome.run for outcome in asyncio.run(work()))
    assert memory is not None
    assert memory.stderr.endswith(b"MemoryError\n")
    assert cpu is not None
    assert cpu.ended is Ended.CPU
    assert wall is not None
    assert wall.ended is Ended.WALL
    assert forks is not None
    assert forks.stdout == b"enough\n"
    assert fine is not None
    assert (fine.ended, fine.stdout) == (Ended.EXITED, b"fine\n")
    assert fine.cpu_s > 0
    assert fine.memory_bytes > 0


def _descendants(pid: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="latin-1")
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(fields.rpartition(")")[2].split()[1])
    found: set[int] = set()
    new = {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def _gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + 5.0
    while left := {pid for pid in pids if Path(f"/proc/{pid}").exists()}:
        if time.monotonic() > deadline:
            return not left
        time.sleep(0.02)
    return True


def _places(layout: Layout) -> set[Path]:
    return {*layout.v1.values(), *((layout.v2,) if layout.v2 else ())}
