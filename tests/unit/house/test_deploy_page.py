"""The page on the planner shows what its commands say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.commands import app
from tests.unit.house.pages import ROOT

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
DAY = "2026-11-23"
"""On which the answers of the page were given: facts and prices go by the day."""
SHOWN = [
    (shown[1], shown[2].splitlines())
    for block in re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for shown in re.finditer(r"^\$ holdfast (.*)\n((?:[^$].*\n)+)", block, re.MULTILINE)
]


@pytest.mark.parametrize(("command", "lines"), SHOWN, ids=[command for command, _ in SHOWN])
def test_a_command_of_the_page_says_what_the_page_shows(
    command: str, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    (tmp_path / "workloads.yaml").write_text(example[1])
    monkeypatch.chdir(tmp_path)  # where no record of a drill changes a footprint
    said = CliRunner().invoke(app, [*shlex.split(command), "--at", DAY])
    output = (said.output if said.exception is None or said.exit_code == 0 else f"{said.exception}").splitlines()
    if lines[-1] == "...":
        lines, output = lines[:-1], output[: len(lines) - 1]
    assert output == lines
