"""What the doctor finds out about code execution on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.app.doctor_execution import examine_execution
from holdfast.app.settings import Config
from holdfast.execution import ExecutionSettings
from holdfast.store import StoreSettings
from tests.machine import require_tool

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_the_tier_and_the_languages_are_told(tmp_path: Path) -> None:
    require_tool("bwrap", "bubblewrap")
    config = Config(execution=ExecutionSettings(), store=StoreSettings(url=f"sqlite:{tmp_path}/store.db"))
    findings = {finding.name: finding for finding in await examine_execution(config)}
    assert findings["sandbox"].detail.startswith("tier ")
    assert "python 3." in findings["languages"].detail
    assert findings["store"].level == "ok"


async def test_a_store_that_does_not_open_fails(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database" * 100)
    config = Config(execution=ExecutionSettings(), store=StoreSettings(url=f"sqlite:{tmp_path}/store.db"))
    (store,) = [finding for finding in await examine_execution(config) if finding.name == "store"]
    assert store.level == "fail"


async def test_who_runs_no_code_is_told_nothing_of_sandboxes() -> None:
    assert await examine_execution(Config()) == []
