"""The whole service in this process: API on SQLite, a worker over HTTP, real sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from holdfast.execution.core.settings import ExecutionSettings, WorkerSettings
from holdfast.execution.shell.api.connections import Guard
from holdfast.execution.shell.api.server import Server
from holdfast.execution.shell.api.service import Service
from holdfast.execution.shell.languages import Installed, known_languages
from holdfast.execution.shell.queue import CallbackOutbox, JobQueue
from holdfast.execution.shell.sandbox import SandboxUnavailable, open_sandboxes
from holdfast.execution.shell.worker.cache import Cache
from holdfast.execution.shell.worker.claims import Runner
from holdfast.execution.shell.worker.link import Link
from holdfast.execution.shell.worker.worker import Worker
from holdfast.identity import ROLES, Identities, Principal, new_key
from holdfast.store import StoreSettings, open_database
from tests.machine import require_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from holdfast.execution.core.task import Sandboxes

ADA, WORKER, OPERATOR = (new_key() for _ in range(3))
PRINCIPALS = {
    ADA: Principal(tenant="ada", key_id="k-ada", scopes=ROLES["admin"]),
    WORKER: Principal(tenant="platform", key_id="k-worker", scopes=ROLES["worker"]),
    OPERATOR: Principal(tenant="platform", key_id="k-operator", scopes=ROLES["operator"]),
}


@asynccontextmanager
async def sandboxes(*, slots: int, **settings: Any) -> AsyncIterator[Sandboxes]:
    """Real ones, or the test is skipped (in CI it fails) with what this machine lacks."""
    require_tool("bwrap", "bubblewrap")
    async with contextlib.AsyncExitStack() as stack:
        try:
            made = await stack.enter_async_context(open_sandboxes(WorkerSettings(**settings), slots=slots))
        except SandboxUnavailable as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        yield made


@dataclass
class Stack:
    """What runs."""

    url: str
    session: aiohttp.ClientSession
    worker: Worker

    async def ask(self, method: str, path: str, *, key: str = ADA, **options: Any) -> dict[str, Any]:
        """One request that must succeed."""
        headers = {"Authorization": f"Bearer {key}"}
        async with self.session.request(method, self.url + path, headers=headers, **options) as answer:
            body: dict[str, Any] = await answer.json()
            assert answer.status < 300, body
            return body

    async def submit(self, language: str, source: str, **fields: Any) -> str:
        """The id of a new job."""
        body = {"language": language, "source": source, **fields}
        return str((await self.ask("POST", "/v1/jobs", json=body))["id"])

    async def ended(self, id: str) -> dict[str, Any]:
        """The job once it has ended."""
        async with asyncio.timeout(60):
            while (job := await self.ask("GET", f"/v1/jobs/{id}?wait=20s"))["status"] not in ("finished", "dead"):
                pass
        return job


@asynccontextmanager
async def running(
    tmp_path: Path, installed: Mapping[str, Installed], *, slots: int = 2, work: bool = True, **options: Any
) -> AsyncIterator[Stack]:
    """Everything, until the block ends; the worker drains first."""
    settings = ExecutionSettings(**options)
    async with contextlib.AsyncExitStack() as stack:
        made = await stack.enter_async_context(sandboxes(slots=slots))
        database = await open_database(StoreSettings(url=f"sqlite:{tmp_path / 'store.sqlite'}"))
        stack.push_async_callback(database.close)
        identities = Identities(database, static=PRINCIPALS)
        await identities.open()
        stack.push_async_callback(identities.close)
        queue = JobQueue(database, settings, rng=Random(1))
        await queue.open(time.time())
        stack.push_async_callback(queue.close)
        service = Service(
            settings,
            queue=queue,
            identities=identities,
            outbox=CallbackOutbox(database),
            languages=known_languages(),
            clock=time.time,
            rng=Random(1),
        )
        sock = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        server = Server(service, sock, guard=Guard(most=1000))
        serving = asyncio.create_task(server.run())
        link = Link(url, WORKER)
        worker = Worker(
            link,
            Runner(made, installed, Cache(tmp_path / "cache", 2**28), utc=time.time),
            name="worker-1",
            epoch="epoch",
            slots=slots,
            languages={name: one.version for name, one in installed.items()},
            tier="full",
            renew_s=5.0,
            drain_s=5.0,
            rng=Random(1),
            utc=time.time,
        )
        working = asyncio.create_task(worker.run() if work else asyncio.sleep(0))
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
                yield Stack(url, session, worker)
        finally:
            worker.stop()
            async with asyncio.timeout(20):
                await working
            await link.close()
            server.stop(now=True)
            with contextlib.suppress(asyncio.CancelledError):
                await serving
