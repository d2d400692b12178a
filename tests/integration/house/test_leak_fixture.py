"""The fixture that every test gets does fail a test that leaks: planted in a copy of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

PLANTED = """
import asyncio
import os
import socket
import sys

import pytest

from tests import leaks

KEPT = []
leaks.GRACE_S = 0.0


def test_forgets_a_task():
    async def main():
        KEPT.append(asyncio.create_task(asyncio.Event().wait()))

    asyncio.run(main())


def test_keeps_a_socket():
    KEPT.append(socket.socket())


def test_leaves_a_process():
    waits = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
    os.posix_spawn(sys.executable, waits, dict(os.environ))


def test_is_clean_and_runs_on_uvloop():
    async def main():
        return type(asyncio.get_running_loop()).__module__

    assert asyncio.run(main()).startswith("uvloop")


@pytest.mark.anyio
async def test_is_clean_and_runs_on_anyio():
    await asyncio.sleep(0)


@pytest.mark.anyio
async def test_forgets_a_task_on_anyio():
    KEPT.append(asyncio.create_task(asyncio.Event().wait()))


def test_fails_and_keeps_a_socket():
    with_reference = socket.socket()
    KEPT.append(with_reference)
    raise AssertionError("the reason that has to be seen")
"""


def test_each_leak_fails_its_test_and_no_failure_is_buried_under_leaks(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests" / "integration").mkdir(parents=True)
    for name in ("__init__.py", "conftest.py", "databases.py", "leaks.py", "machine.py", "measuring.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    (tmp_path / "tests" / "integration" / "test_planted.py").write_text(PLANTED)

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST"))}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--color=no", "tests"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )

    verdicts = {line for line in result.stdout.splitlines() if line.startswith(("ERROR", "FAILED"))}
    assert {line.split("::")[1].split(" ")[0] for line in verdicts if line.startswith("ERROR")} == {
        "test_forgets_a_task",
        "test_forgets_a_task_on_anyio",
        "test_keeps_a_socket",
        "test_leaves_a_process",
    }, result.stdout
    assert [line.split("::")[1].split(" ")[0] for line in verdicts if line.startswith("FAILED")] == [
        "test_fails_and_keeps_a_socket"
    ]
    assert result.returncode == 1
