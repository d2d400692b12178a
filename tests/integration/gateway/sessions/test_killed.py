"""A process that is killed in the middle of a run loses nothing of it."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.gateway.sessions.stage import staged

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_run_goes_on_after_kill_9_from_the_step_that_was_lost(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.gateway.sessions.dying",
        str(tmp_path),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30.0):
            id = (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()
    assert id.startswith("run_")
    async with staged(tmp_path, ["42", "PASS"]) as stage:
        found = await stage.ended(id)
        names = [type(each.event).__name__ for each in await stage.sessions.store.events(id)]
    assert (found["state"], found["answer"], found["unpriced_steps"]) == ("succeeded", "42", 1)
    assert names == [
        *("Queued", "ModelAsked", "ModelAnswered", "ModelAsked", "Resumed", "ModelAsked", "ModelAnswered"),
        *("ModelAsked", "ModelAnswered", "Ended"),
    ]
