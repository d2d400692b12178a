"""The net that catches leaks has no holes where we know of them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from tests import leaks
from tests.leaks import Watch, pending_tasks_noted

SLEEPER = [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"]


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE_S", 0.0)


def test_a_test_that_cleans_up_leaves_nothing() -> None:
    watch = Watch(orphans=True)
    socket.socket().close()
    with subprocess.Popen(SLEEPER, stdin=subprocess.PIPE):
        pass  # leaving the block closes its input and waits for it
    assert watch.leaks() == []


def test_an_open_socket_is_a_leak_until_it_is_closed() -> None:
    watch = Watch(orphans=False)
    with socket.socket():
        assert [leak.split(":")[0] for leak in watch.leaks()] == ["socket socket"]
    assert watch.leaks() == []


def test_a_child_left_running_is_a_leak_and_is_ended() -> None:
    watch = Watch(orphans=False)
    child = os.posix_spawn(sys.executable, ["left", *SLEEPER[1:]], {})
    assert [leak.split(":")[0] for leak in watch.leaks()] == [f"process {child}"]
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_process_that_outlives_its_parent_is_a_leak() -> None:
    watch = Watch(orphans=True)
    nested = f"import subprocess; print(subprocess.Popen({SLEEPER!r}, stdout=subprocess.DEVNULL).pid)"
    read_end, write_end = os.pipe()  # keeps the orphan waiting for input
    told = subprocess.run(
        [sys.executable, "-I", "-c", nested], stdin=read_end, stdout=subprocess.PIPE, check=True, timeout=30
    )
    orphan = int(told.stdout)
    assert [leak.split(":")[0] for leak in watch.leaks()] == [f"process {orphan}"]
    os.close(read_end)
    os.close(write_end)


def test_a_task_that_nobody_awaited_is_noted_when_the_loop_ends() -> None:
    async def forgetful() -> None:
        asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="forgotten")

    noted: list[str] = []
    with pending_tasks_noted(noted):
        asyncio.run(forgetful())
    assert [note.split(":")[0] for note in noted] == ["forgotten"]


def test_tasks_that_are_awaited_or_cancelled_in_time_are_not_noted() -> None:
    async def tidy() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))

    noted: list[str] = []
    with pending_tasks_noted(noted):
        asyncio.run(tidy())
    assert noted == []
