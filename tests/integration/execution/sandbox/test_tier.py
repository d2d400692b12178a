"""What this machine can do, as the doctor and a starting worker find it."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.execution.shell.sandbox import examine
from holdfast.execution.shell.sandbox.cgroups import Layout
from tests.integration.execution.sandbox.harness import SETTINGS
from tests.machine import require_tool


def test_a_machine_without_control_groups_is_degraded_and_says_what_it_takes() -> None:
    require_tool("bwrap", "bubblewrap")
    examination = asyncio.run(examine(SETTINGS, layout=Layout()))
    assert examination.tier == "degraded"
    assert {part.name for part in examination.missing} == {"cgroup memory", "cgroup pids", "cgroup cpu"}
    assert all(part.remedy for part in examination.missing)


def test_a_machine_without_bubblewrap_has_no_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    examination = asyncio.run(examine(SETTINGS))
    assert examination.tier == "none"
    assert [part.remedy for part in examination.missing if part.name == "bubblewrap"] == ["apt-get install bubblewrap"]


def test_an_examination_agrees_with_itself() -> None:
    require_tool("bwrap", "bubblewrap")
    examination = asyncio.run(examine(SETTINGS))
    assert examination.tier != "none", examination.missing
    assert (examination.tier == "full") == all(part.works or part.costs == "full" for part in examination.parts)
