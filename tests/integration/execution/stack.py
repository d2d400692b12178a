"""The whole service in this process: API on SQLite, a worker over HTTP, real sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from holdfast.execution.core.settings import ExecutionSettings, WorkerSettings
from holdfast.execution.shell.api.serve import serve as serve_api
from holdfast.execution.shell.languages import Installed
from holdfast.execution.shell.sandbox import SandboxUnavailable, open_sandboxes
from holdfast.execution.shell.worker.cache import Cache
from holdfast.execution.shell.worker.claims import Runner
from holdfast.execution.shell.worker.link import Link
from holdfast.execution.shell.worker.worker import Worker
from holdfast.identity import Identities, new_key
from holdfast.store import StoreSettings, open_database
from tests.machine import require_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping
    from pathlib import Path

    from holdfast.execution.core.task import Sandboxes


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
    """What runs, and keys for it: of the tenant ``ada``, of the worker, of an operator."""

    url: str
    session: aiohttp.ClientSession
    worker: Worker
    ada: str
    worker_key: str
    operator: str
    api: contextlib.AsyncExitStack
    store: StoreSettings

    async def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """One request of ``ada``'s that must succeed."""
        headers = {"Authorization": f"Bearer {self.ada}"}
        async with self.session.request(method, self.url + path, headers=headers, **options) as answer:
            body: dict[str, Any] = await answer.json()
            assert answer.status < 300, body
            return body

    async def restart(self, meanwhile: Awaitable[object]) -> None:
        """End the API, wait for ``meanwhile``, start it again where it was."""
        await self.api.aclose()
        await meanwhile
        await self.api.enter_async_context(_api(self.store, self.worker_key, self.url.removeprefix("http://")))

    async def submit(self, language: str, source: str, **fields: Any) -> str:
        """The id of a new job."""
        body = {"language": language, "source": source, **fields}
        return str((await self.ask("POST", "/v1/jobs", json=body))["id"])

    async def reaches(self, id: str, status: str) -> dict[str, Any]:
        """The job once it has that status."""
        async with asyncio.timeout(30):
            while (job := await self.ask("GET", f"/v1/jobs/{id}"))["status"] != status:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.01)
        return job

    async def ended(self, id: str) -> dict[str, Any]:
        """The job once it has ended."""
        async with asyncio.timeout(60):
            while (job := await self.ask("GET", f"/v1/jobs/{id}?wait=20s"))["status"] not in ("finished", "dead"):
                pass
        return job


@asynccontextmanager
async def running(
    tmp_path: Path, installed: Mapping[str, Installed], *, slots: int = 2, drain_s: float = 5.0
) -> AsyncIterator[Stack]:
    """Everything, until the block ends; the worker drains first."""
    async with contextlib.AsyncExitStack() as stack:
        made = await stack.enter_async_context(sandboxes(slots=slots))
        store = StoreSettings(url=f"sqlite:{tmp_path / 'store.sqlite'}")
        worker_key = new_key()
        ada, operator = await _keys(store)
        api = await stack.enter_async_context(contextlib.AsyncExitStack())
        url = await api.enter_async_context(_api(store, worker_key))
        link = Link(url, worker_key)
        stack.push_async_callback(link.close)
        worker = Worker(
            link,
            Runner(made, installed, Cache(tmp_path / "cache", 2**28), utc=time.time),
            name="worker-1",
            epoch="epoch",
            slots=slots,
            languages={name: one.version for name, one in installed.items()},
            tier="full",
            renew_s=5.0,
            drain_s=drain_s,
            rng=Random(1),
            utc=time.time,
        )
        working = asyncio.create_task(worker.run())
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
                yield Stack(url, session, worker, ada, worker_key, operator, api, store)
        finally:
            worker.stop()
            async with asyncio.timeout(20):
                await working


async def _keys(store: StoreSettings) -> tuple[str, str]:
    """Of a developer and of an operator."""
    async with contextlib.AsyncExitStack() as stack:
        database = await open_database(store)
        stack.push_async_callback(database.close)
        identities = Identities(database)
        await identities.open()
        stack.push_async_callback(identities.close)
        _, ada = await identities.create_key("ada", now=time.time())
        _, operator = await identities.create_key("platform", role="operator", now=time.time())
        return ada, operator


@asynccontextmanager
async def _api(store: StoreSettings, worker_key: str, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """The API; its URL."""
    ready = asyncio.Event()
    url = ""

    def announce(addresses: Mapping[str, str]) -> None:
        nonlocal url
        url = addresses["execution"]
        ready.set()

    settings = ExecutionSettings(listen=listen)
    serving = asyncio.create_task(serve_api(settings, store, ready=announce, worker_key=worker_key))
    serving.add_done_callback(lambda _: ready.set())  # it may fail instead
    try:
        async with asyncio.timeout(20):
            await ready.wait()
        if serving.done():
            await serving
        yield url
    finally:
        serving.cancel()
        await asyncio.wait({serving})
