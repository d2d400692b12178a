"""The code runner under test: an API process and worker processes, as ``holdfast run`` starts them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from holdfast.drills.errors import DrillError, ToolMissingError
from holdfast.drills.process import Child, free_port
from holdfast.identity import Identities, new_key
from holdfast.store import StoreSettings, open_database

WORKER_KEY: Final = "HOLDFAST_WORKER_KEY"
FIGURES_AGE_S: Final = 0.6
"""The API's figures of the queue may be half a second old; whatever was done longer ago than this is in them."""
_REQUEST_S: Final = 30.0
_PAGE: Final = 200
NO_BOUNDS: Final[Mapping[str, object]] = {
    "tenant_backlog": "168h",
    "total_backlog": "168h",
    "daily_cpu": "0",
    "requests_per_s": 0,
    "submits_per_s": 0,
}
"""Admission out of the way: what is measured is who goes next, not who is turned away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API said."""

    status: int
    body: Any
    took_s: float


class CodeService:
    """One API and some workers on one store."""

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        tenants: Sequence[str],
        workers: int = 1,
        store: str | None = None,
        section: Mapping[str, object] | None = None,
        host: str = "127.0.0.1",
        api_prefix: Sequence[str] = (),
        door: Path | None = None,
    ) -> None:
        """``section`` is what differs from the defaults below ``execution:``.

        An API in a network namespace has its ``host`` there, is started by ``api_prefix``, and is
        reached through ``door``, a Unix socket.
        """
        self.name = name
        self.port = free_port()
        self.directory = directory / name
        self.directory.mkdir()
        self.store = store or f"sqlite:{self.directory / 'drill.db'}"
        self._section: dict[str, Any] = dict(section or {})
        self._tenants = tenants
        self._worker_count = workers
        self._worker_key = new_key()
        self._starts = 0
        self.host = host
        self._api_prefix = api_prefix
        self._door = door
        self.keys: dict[str, str] = {}
        self.operator_key = ""
        self.api: Child | None = None
        self.workers: list[Child] = []
        self._prefixes: dict[Child, Sequence[str]] = {}

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Make the keys, then start the API and the workers. Raises :class:`DrillError`."""
        if self._worker_count and shutil.which("bwrap") is None:
            raise ToolMissingError("bwrap", "bubblewrap")
        section = {
            "listen": f"{self.host}:{self.port}",
            **self._section,
            "worker": {"cache": str(self.directory / "cache"), **self._section.get("worker", {})},
        }
        document = {"store": {"url": self.store}, "execution": section}
        self.config.write_text(json.dumps(document, indent=2))
        await self._make_keys()
        try:
            await asyncio.to_thread(self.start_api)
            for _ in range(self._worker_count):
                self.start_worker(self._api_prefix)
            await self.wait_for_workers(self._worker_count)
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        await asyncio.to_thread(self.close)

    @property
    def config(self) -> Path:
        """The file that it runs on."""
        return self.directory / "holdfast.yaml"

    async def _make_keys(self) -> None:
        async with await open_database(StoreSettings(url=self.store)) as database:
            identities = Identities(database)
            await identities.open()
            for tenant in self._tenants:
                _, self.keys[tenant] = await identities.create_key(tenant, role="developer", now=time.time())
            _, self.operator_key = await identities.create_key("drill", role="operator", now=time.time())
            await identities.close()

    def start_api(self) -> None:
        """Start the API; wait until it listens where that can be seen from here."""
        self.api = self._child("execution-api", self._api_prefix)
        if self._door is None:
            self.api.wait_until_listening(self.port)

    def start_worker(self, prefix: Sequence[str] = ()) -> Child:
        """Start one more worker; ``prefix`` is a command that it is started by (``nsenter --net=…``)."""
        worker = self._child("execution-worker", prefix)
        self.workers.append(worker)
        self._prefixes[worker] = prefix
        return worker

    def prefix_of(self, worker: Child) -> Sequence[str]:
        """What it was started by."""
        return self._prefixes[worker]

    def _child(self, what: str, prefix: Sequence[str] = ()) -> Child:
        self._starts += 1
        return Child(
            [*prefix, sys.executable, "-P", "-m", "holdfast", "run", what, "-c", str(self.config)],
            log=self.directory / f"{what}-{self._starts}.log",
            environment={WORKER_KEY: self._worker_key, "HOLDFAST_LOG_FORMAT": "json"},
        )

    async def wait_for_workers(self, count: int, *, timeout_s: float = 30.0) -> None:
        """Return when so many workers have said that they are there."""
        async with self.session() as session:
            try:
                async with asyncio.timeout(timeout_s):
                    while True:
                        with contextlib.suppress(aiohttp.ClientError, DrillError):
                            if (await self.figures(session))["workers"] >= count:
                                return
                        await asyncio.sleep(0.05)
            except TimeoutError:
                raise DrillError(
                    f"{self.name}: {count} worker(s) did not start in {timeout_s:g} s: {self._words()}"
                ) from None

    def log(self) -> str:
        """What all its processes have logged so far."""
        return "".join(log.read_text(errors="replace") for log in sorted(self.directory.glob("*.log")))

    def _words(self) -> str:
        logs = sorted(self.directory.glob("*.log"))
        return " | ".join(line for log in logs for line in log.read_text(errors="replace").splitlines()[-3:])

    def session(self) -> aiohttp.ClientSession:
        """A client; connections are kept and not bounded."""
        return aiohttp.ClientSession(
            self.url,
            connector=aiohttp.TCPConnector(limit=0)
            if self._door is None
            else aiohttp.UnixConnector(str(self._door), limit=0),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_S),
        )

    async def call(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        key: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. Raises ``aiohttp.ClientError`` and ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        sent = {"Authorization": f"Bearer {key}", **(headers or {})}
        async with session.request(method, path, json=body, headers=sent) as response:
            document = await response.json(content_type=None)
            return Answer(status=response.status, body=document, took_s=loop.time() - began)

    async def figures(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """The queue in figures, as it was up to :data:`FIGURES_AGE_S` ago. Raises :class:`DrillError`."""
        answer = await self.call(session, "GET", "/v1/queue", self.operator_key)
        if answer.status != 200:
            raise DrillError(f"{self.name}: GET /v1/queue answered {answer.status}: {answer.body}")
        found: dict[str, Any] = answer.body
        return found

    async def jobs(self, session: aiohttp.ClientSession, tenant: str) -> list[dict[str, Any]]:
        """All jobs of a tenant, without results, newest first."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = await self.call(session, "GET", f"/v1/jobs?limit={_PAGE}{cursor}", self.keys[tenant])
            if answer.status != 200:
                raise DrillError(f"{self.name}: GET /v1/jobs answered {answer.status}: {answer.body}")
            found += answer.body["jobs"]
            if not answer.body["next"]:
                return found
            cursor = f"&cursor={answer.body['next']}"

    def processes(self) -> list[int]:
        """Process ids of the API and the workers, and of all that they have started."""
        children = [*self.workers, *([self.api] if self.api else [])]
        return [pid for child in children for pid in child.tree()]

    def kill(self, child: Child) -> None:
        """SIGKILL, and reap it. Whatever it started has to notice by itself."""
        child.kill()
        if child is self.api:  # or what revives would start one, and whoever killed it another that nobody knows
            self.api = None
        if child in self.workers:
            self.workers.remove(child)

    def revive(self) -> int:
        """Start again what has ended by itself, as a supervisor does; how many those were.

        An API that comes up while its database is away says so and ends.
        """
        ended = [worker for worker in self.workers if worker.over]
        for worker in ended:
            self.workers.remove(worker)
            self.start_worker(self.prefix_of(worker))
        if self.api is not None and self.api.over:
            self.api = self._child("execution-api", self._api_prefix)
            return len(ended) + 1
        return len(ended)

    def close(self) -> None:
        """End the workers, then the API, in order."""
        for worker in self.workers:
            worker.stop()
        self.workers.clear()
        if self.api is not None:
            self.api.stop()
            self.api = None
