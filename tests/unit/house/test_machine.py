"""Tests get what they need of the machine, or say what to install."""

from __future__ import annotations

import re
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.machine import free_port, require_tool

ROOT = Path(__file__).parents[3]
SCRIPTS = [ROOT / ".ci" / "run", *sorted((ROOT / "scripts").iterdir())]


def test_a_program_that_is_there_is_found() -> None:
    assert Path(require_tool("sh")).name == "sh"


def test_a_missing_program_skips_the_test_with_the_command_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="sudo apt-get install some-package"):
        require_tool("no-such-program", package="some-package")


def test_in_ci_a_missing_program_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="sudo apt-get install no-such-program"):
        require_tool("no-such-program")


def test_a_free_port_can_be_bound() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_executable_and_its_shell_can_read_it(script: Path) -> None:
    assert script.stat().st_mode & stat.S_IXUSR
    shell = script.read_text().splitlines()[0].split("/")[-1].split()[-1]
    if shell == "python3":
        compile(script.read_text(), script, "exec")
    else:
        subprocess.run([require_tool(shell), "-n", script], check=True, timeout=30)


def test_make_without_a_target_lists_every_target() -> None:
    shown = subprocess.run(
        [require_tool("make"), "-s", "-C", ROOT], stdout=subprocess.PIPE, text=True, check=True, timeout=30
    )
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[1] for line in shown.stdout.splitlines()] == targets
