"""One slot with processes that misbehave in every way that a process can."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from random import Random

import pytest

from holdfast.balancer.core.messages import Ask, ToMaster, ToWorker
from holdfast.balancer.errors import WorkerError
from holdfast.balancer.shell import workers
from holdfast.balancer.shell.workers import RestartPolicy, WorkerSlot

END = """
import os, socket, sys, time
sock = socket.socket(fileno=int(os.environ["HOLDFAST_CONTROL_FD"]))
"""


class Owner:
    """Greets with a question and notes the ends."""

    def __init__(self) -> None:
        self.codes: list[int] = []

    def welcome(self, slot: WorkerSlot) -> Sequence[ToWorker]:
        return [Ask(1)]

    def heard(self, slot: WorkerSlot, message: ToMaster) -> None:
        raise AssertionError(f"these processes say nothing, but {message}")

    def lost(self, slot: WorkerSlot, code: int) -> None:
        self.codes.append(code)


def ends(script: str | Sequence[str], **policy: float) -> tuple[str, list[int]]:
    """How the slot gives up on a worker, and how each process ended."""
    owner = Owner()
    command = (sys.executable, "-I", "-S", "-c", END + script) if isinstance(script, str) else script
    restarts = RestartPolicy(first_s=0.001, longest_s=0.002, attempts=2, **policy)
    slot = WorkerSlot(0, owner, command, restarts, Random(1))

    async def scenario() -> str:
        async with asyncio.timeout(30):
            with pytest.raises(WorkerError, match="worker 0: ended 2 times in a row") as gave_up:
                await slot.run()
        assert slot.state == "stopped"
        return str(gave_up.value)

    return asyncio.run(scenario()), owner.codes


def test_a_process_that_exits_is_described_by_its_code() -> None:
    text, codes = ends("sys.exit(7)")
    assert codes == [7, 7]
    assert "exit code 7" in text


def test_a_process_that_is_killed_is_described_by_its_signal() -> None:
    text, codes = ends("os.kill(os.getpid(), 11)")
    assert codes == [-signal.SIGSEGV] * 2
    assert "signal SIGSEGV" in text


def test_a_process_that_never_gets_ready_is_killed() -> None:
    _, codes = ends("time.sleep(60)", ready_s=0.2)
    assert codes == [-signal.SIGKILL] * 2


def test_a_process_that_talks_nonsense_is_killed() -> None:
    _, codes = ends("sock.sendall(b'\\0\\0\\0\\1X'); time.sleep(60)")
    assert codes == [-signal.SIGKILL] * 2


def test_a_process_that_closes_its_channel_and_stays_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_EXIT_GRACE_S", 0.1)
    _, codes = ends("sock.close(); time.sleep(60)")
    assert codes == [-signal.SIGKILL] * 2


def test_a_command_that_does_not_exist_is_tried_again_and_given_up() -> None:
    text, codes = ends(("/nonexistent/worker",))
    assert codes == []
    assert "exit code 127" in text


def test_a_slot_that_is_told_to_stop_while_it_waits_starts_nothing_more() -> None:
    owner = Owner()
    restarts = RestartPolicy(first_s=60.0, longest_s=60.0)
    slot = WorkerSlot(0, owner, (sys.executable, "-I", "-S", "-c", "1"), restarts, Random(1))

    async def scenario() -> None:
        running = asyncio.create_task(slot.run())
        async with asyncio.timeout(30):
            while slot.state != "waiting":  # noqa: ASYNC110 - the slot itself has nobody to tell
                await asyncio.sleep(0.01)
            slot.drain(5.0)
            await running
        assert owner.codes == [0]
        assert not slot.post(Ask(1))

    asyncio.run(scenario())


def test_a_cancelled_slot_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_EXIT_GRACE_S", 0.1)
    slot = WorkerSlot(
        0, Owner(), (sys.executable, "-I", "-S", "-c", END + "time.sleep(60)"), RestartPolicy(), Random(1)
    )

    async def scenario() -> None:
        running = asyncio.create_task(slot.run())
        async with asyncio.timeout(30):
            while slot.pid is None:  # noqa: ASYNC110 - the slot itself has nobody to tell
                await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    asyncio.run(scenario())
