"""The walls of the house stand: violations planted in a copy of the tree are found by what `make check` runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent

# A file of the copy, the line that is added to it, the contract that breaks.
PLANTED = [
    ("kernel/planted.py", "import holdfast.resilience", "layers"),
    ("resilience/planted.py", "import holdfast.proxy", "layers"),
    ("http1/planted.py", "import holdfast.resilience", "layers"),
    ("proxy/planted.py", "import holdfast.balancer", "layers"),
    ("store/planted.py", "import holdfast.identity", "layers"),
    ("balancer/shell/planted.py", "import holdfast.gateway", "layers"),
    ("gateway/shell/planted.py", "import holdfast.drills", "layers"),
    ("balancer/shell/planted.py", "import holdfast.testing", "layers"),
    ("cellar/planted.py", "import holdfast.kernel", "layers"),
    ("kernel/planted.py", "import time", "decisions do no I/O"),
    ("resilience/planted.py", "from random import Random", "decisions do no I/O"),
    ("http1/planted.py", "import asyncio", "decisions do no I/O"),
    ("balancer/core/planted.py", "import socket", "decisions do no I/O"),
    ("netpulse/core/planted.py", "import logging", "decisions do no I/O"),
    ("balancer/core/planted.py", "import holdfast.telemetry", "decisions know no room that does I/O"),
    ("execution/core/planted.py", "import holdfast.store", "decisions know no room that does I/O"),
    ("balancer/core/planted.py", "import holdfast.balancer.shell", "core never imports shell"),
    ("blog/core/planted.py", "import holdfast.blog.shell", "core never imports shell"),
    ("console/pages.py", "import holdfast.balancer.core", "console sees façades only"),
    ("console/pages.py", "import holdfast.netpulse.shell", "console sees façades only"),
]
ALLOWED = [
    ("balancer/core/planted.py", "import holdfast.resilience"),
    ("balancer/shell/planted.py", "import asyncio, holdfast.proxy, holdfast.balancer.core"),
    ("console/pages.py", "import holdfast.balancer"),
    ("testing/planted.py", "import time, holdfast.store"),
    ("resilience/planted.py", "import typing\nif typing.TYPE_CHECKING:\n    from random import Random"),
]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the tree in which every room of the design exists."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for subsystem in ("balancer", "gateway", "execution", "netpulse", "deploy", "blog"):
        for half in ("core", "shell"):
            make_room(tmp_path, f"{subsystem}/{half}")
    for room in ("console", "identity", "store", "testing"):
        make_room(tmp_path, room)
    return tmp_path


def make_room(house: Path, room: str) -> None:
    for package in (Path(room), *Path(room).parents[:-1]):
        directory = house / "src" / "holdfast" / package
        directory.mkdir(exist_ok=True, parents=True)
        if not directory.with_suffix(".py").exists():
            (directory / "__init__.py").touch()


def plant(house: Path, file: str, text: str) -> None:
    make_room(house, str(Path(file).parent))
    (house / "src" / "holdfast" / file).write_text(f'"""Planted."""\n\n{text}\n')


def lint_imports(house: Path) -> subprocess.CompletedProcess[str]:
    return run(house, BIN / "lint-imports", "--no-cache", "--no-logo")


def run(house: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(house / "src"), "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        command,
        cwd=house,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_contracts_hold_for_the_tree_as_it_is() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("file", "text", "contract"), PLANTED)
def test_a_forbidden_import_breaks_its_contract(house: Path, file: str, text: str, contract: str) -> None:
    plant(house, file, text)
    result = lint_imports(house)
    assert f"{contract} BROKEN" in result.stdout
    assert result.returncode == 1


def test_imports_that_point_down_break_nothing(house: Path) -> None:
    for file, text in ALLOWED:
        plant(house, file, text)
    result = lint_imports(house)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "call"),
    [
        ("resilience/planted.py", "import datetime as dt\n\nNOW = dt.datetime.now(dt.UTC)"),
        ("balancer/core/planted.py", "import time\n\nNOW = time.time()"),
        ("proxy/planted.py", "import time\n\nNOW = time.monotonic()"),
        ("http1/planted.py", "import random\n\nDICE = random.random()"),
    ],
)
def test_reading_a_clock_or_rolling_dice_in_the_wrong_room_is_refused(house: Path, file: str, call: str) -> None:
    plant(house, file, call)
    result = run(house, BIN / "ruff", "check", "--no-cache", "--select", "TID251", f"src/holdfast/{file}")
    assert (result.returncode, "TID251" in result.stdout) == (1, True), result.stdout


@pytest.mark.parametrize("file", ["app/planted.py", "balancer/shell/planted.py"])
def test_app_and_shells_may_read_the_clock(house: Path, file: str) -> None:
    plant(house, file, "import time\n\nNOW = time.monotonic()")
    result = run(house, BIN / "ruff", "check", "--no-cache", "--select", "TID251", f"src/holdfast/{file}")
    assert result.returncode == 0, result.stdout
