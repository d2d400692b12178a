"""The worker against a scripted API and plain processes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random
from typing import TYPE_CHECKING, Any


from holdfast.execution.shell.languages import detect, load_profiles, offered
from holdfast.execution.shell.worker.claims import Runner
from holdfast.execution.shell.worker.worker import Worker
from tests.unit.execution.jobs import job
from tests.unit.execution.processes import ProcessSandboxes
from tests.unit.execution.stub_api import StubApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def working(api: StubApi, **options: Any) -> AsyncIterator[Worker]:
    installed = offered(await detect({"python": load_profiles()["python"]}))
    values: dict[str, Any] = {
        "name": "w",
        "epoch": "e",
        "slots": 2,
        "languages": {"python": "3"},
        "tier": "full",
        "renew_s": 5.0,
        "drain_s": 5.0,
        "rng": Random(1),
        "utc": time.time,
        **options,
    }
    worker = Worker(api, Runner(ProcessSandboxes(), installed, None, utc=time.time), **values)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(20):
            assert await running == 0


def test_a_job_is_run_and_its_result_reported() -> None:
    async def scenario() -> None:
        api = StubApi()
        async with working(api):
            wanted = job(
                "python", {"main.py": "import sys; print('hello', sys.argv[1], input())"}, args=("a",), stdin=b"x"
            )
            api.submit(wanted)
            result = await api.result(wanted)
        assert (result.verdict, result.stdout) == ("ok", b"hello a x\n")

    asyncio.run(scenario())
