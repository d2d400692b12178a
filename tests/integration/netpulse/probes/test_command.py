"""The command check: its exit code counts, and nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import CommandCheck
from holdfast.netpulse.shell.probes import Finding, Leave, Prober
from tests.integration.netpulse.probes.targets import LEAVE, monitor, probe

pytestmark = pytest.mark.anyio


async def run(*argv: str, within: float = 5.0) -> Finding:
    return await probe(monitor(timeout=within, command=CommandCheck(argv=argv)))


@pytest.mark.parametrize(
    ("argv", "outcome", "failure", "status", "detail"),
    [
        (("true",), Outcome.UP, Failure.NONE, 0, ""),
        (("sh", "-c", "echo no\tway >&2; exit 3"), Outcome.DOWN, Failure.EXIT, 3, "exit code 3: no way"),
        (("sh", "-c", "kill -9 $$"), Outcome.DOWN, Failure.EXIT, 137, "exit code 137"),
        (("/no/such/program",), Outcome.UNKNOWN, Failure.AGENT, 0, "No such file"),
        (("/etc/passwd",), Outcome.UNKNOWN, Failure.AGENT, 0, "Permission denied"),
        (("a\0b",), Outcome.UNKNOWN, Failure.AGENT, 0, "null byte"),
        ((), Outcome.UNKNOWN, Failure.AGENT, 0, "no program"),
    ],
)
async def test_the_exit_code_is_the_finding(
    argv: tuple[str, ...], outcome: Outcome, failure: Failure, status: int, detail: str
) -> None:
    found = await run(*argv)
    assert (found.outcome, found.failure, found.status) == (outcome, failure, status), found
    assert detail in found.detail


async def test_an_agent_that_allows_no_commands_runs_none(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    found = await probe(monitor(command=CommandCheck(argv=("touch", str(mark)))), Leave(allow_private=True))
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT)
    assert not mark.exists()


async def test_nothing_of_the_agents_environment_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cret")
    code = "import os, sys; sys.exit(1 if set(os.environ) - {'PATH', 'LANG', 'LC_CTYPE'} else 0)"
    assert (await run(sys.executable, "-I", "-S", "-c", code)).outcome is Outcome.UP


async def test_at_the_timeout_the_whole_group_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! >> {pids}; (sleep 60 & echo $! >> {pids}; wait) & echo $! >> {pids}; wait"
    found = await run("sh", "-c", script, within=1.5)
    assert found.failure is Failure.TIMEOUT
    assert "the program to end" in found.detail
    for pid in map(int, pids.read_text().split()):
        assert gone(pid)


async def test_what_a_program_leaves_running_is_killed_when_it_ends(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    start = time.monotonic()
    found = await run("sh", "-c", f"sleep 60 & echo $! > {pids}")
    assert found.outcome is Outcome.UP
    assert time.monotonic() - start < 30.0
    assert gone(int(pids.read_text()))


async def test_endless_output_is_read_and_dropped() -> None:
    found = await run("sh", "-c", "head -c 50000000 /dev/zero; exit 4")
    assert (found.failure, found.status) == (Failure.EXIT, 4)
    assert len(found.detail) <= 200
    assert found.detail.isprintable()


async def test_a_cancelled_probe_takes_its_program_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    prober = Prober(LEAVE)
    script = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 60"
    task = asyncio.ensure_future(prober.probe(monitor(command=CommandCheck(argv=("sh", "-c", script)))))
    while not pid_file.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await prober.close()
    assert gone(int(pid_file.read_text()))


def gone(pid: int) -> bool:
    """Whether a process is no more; orphans are reaped by somebody else, and may be zombies for a moment."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False
