"""The API over a fake queue on a real socket, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from holdfast.execution.core.protocol import Held, Orders, Receipt, Report, Sync, WireResult
from holdfast.execution.core.settings import ExecutionSettings
from holdfast.execution.shell.api.front import Front
from holdfast.execution.shell.api.server import Server
from holdfast.execution.shell.api.service import Service
from holdfast.identity import ROLES, Principal
from holdfast.store import StoreUnavailable
from holdfast.web.connections import Guard
from tests.integration.execution.fake_queue import FakeQueue
from tests.integration.execution.languages import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

KEYS = {
    "ada": Principal(tenant="ada", key_id="k-ada", scopes=ROLES["owner"]),
    "bob": Principal(tenant="bob", key_id="k-bob", scopes=ROLES["owner"]),
    "viewer": Principal(tenant="ada", key_id="k-viewer", scopes=ROLES["viewer"]),
    "worker": Principal(tenant="platform", key_id="k-worker", scopes=ROLES["worker"]),
    "operator": Principal(tenant="platform", key_id="k-operator", scopes=ROLES["operator"]),
}
HELLO = {"language": "python", "source": "print('hello')"}


@dataclass
class Entry:
    """Of the audit trail."""

    seq: int
    tenant: str
    at: float
    actor: str
    action: str
    target: str
    detail: Mapping[str, Any]


@dataclass
class FakeIdentities:
    """Keys are the names in :data:`KEYS`."""

    trail: list[Entry] = field(default_factory=list)
    secrets: dict[str, list[Secret]] = field(default_factory=dict)
    broken: bool = False

    async def authenticate(self, text: str, *, now: float) -> Principal | None:
        if self.broken:
            raise StoreUnavailable("the disk is on fire")
        return KEYS.get(text)

    async def audit(
        self, tenant: str, *, actor: str, action: str, target: str, detail: Mapping[str, Any] | None = None, now: float
    ) -> None:
        self.trail.append(Entry(len(self.trail) + 1, tenant, now, actor, action, target, detail or {}))

    async def audit_entries(
        self, tenant: str, *, limit: int, before: int | None = None, action: str | None = None
    ) -> list[Any]:
        mine = [e for e in reversed(self.trail) if e.tenant == tenant and action in {None, e.action}]
        return [e for e in mine if before is None or e.seq < before][:limit]

    async def callback_secrets(self, tenant: str, *, now: float) -> list[Any]:
        return self.secrets.setdefault(tenant, [Secret(f"whsec_{tenant}", now, None)])

    async def rotate_callback_secret(self, tenant: str, *, overlap_s: float, now: float, actor: str) -> list[Any]:
        old = (await self.callback_secrets(tenant, now=now))[0]
        old.expires = now + overlap_s
        self.secrets[tenant] = [Secret(f"{old.text}+", now, None), old]
        return self.secrets[tenant]


@dataclass
class Dead:
    """A callback that was given up."""

    job: str
    url: str = "https://example.org/"
    attempts: int = 8
    error: str = "no answer"


@dataclass
class FakeOutbox:
    """Dead callbacks by tenant."""

    dead: dict[str, list[Dead]] = field(default_factory=dict)

    async def dead_letters(self, tenant: str, *, limit: int, before: str | None = None) -> list[Dead]:
        mine = sorted(self.dead.get(tenant, []), key=lambda each: each.job, reverse=True)
        return [each for each in mine if before is None or each.job < before][:limit]

    async def replay(self, tenant: str, *, jobs: Sequence[str] | None, now: float) -> int:
        mine = self.dead.get(tenant, [])
        left = [] if jobs is None else [each for each in mine if each.job not in jobs]
        self.dead[tenant] = left
        return len(mine) - len(left)


@dataclass
class Secret:
    """Of callbacks."""

    text: str
    created: float
    expires: float | None


@dataclass
class Api:
    """A service that answers."""

    service: Service
    queue: FakeQueue
    outbox: FakeOutbox
    identities: FakeIdentities
    guard: Guard
    server: Server
    task: asyncio.Task[None]
    session: aiohttp.ClientSession
    host: str
    port: int
    rng: Random = field(default_factory=lambda: Random(1))

    @property
    def front(self) -> Front:
        return self.server.front

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def ask(self, method: str, path: str, *, key: str | None = "ada", **kwargs: Any) -> Reply:
        """One request; ``json=`` and ``data=`` as aiohttp has them."""
        headers = dict(kwargs.pop("headers", {}))
        if key is not None:
            headers.setdefault("Authorization", f"Bearer {key}")
        async with self.session.request(method, self.url + path, headers=headers, **kwargs) as answer:
            return Reply(answer.status, answer.headers.copy(), await answer.read())

    async def submitted(self, *, key: str = "ada", **fields: Any) -> str:
        """The id of a new job."""
        reply = await self.ask("POST", "/v1/jobs", key=key, json=HELLO | fields)
        assert reply.status == 202, reply.body
        return str(reply.json()["id"])


@dataclass
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def sync(
    api: Api, *, worker: str = "w1", free: int = 1, wait_s: float = 5.0, held: tuple[Held, ...] = ()
) -> Orders:
    """Ask for work as a worker does."""
    message = Sync(worker=worker, epoch="e", slots=2, free=free, wait_s=wait_s, held=held, languages={"python": "3.12"})
    reply = await api.ask("POST", "/internal/v1/sync", key="worker", data=msgspec.msgpack.encode(message))
    assert reply.status == 200, reply.body
    return msgspec.msgpack.decode(reply.body, type=Orders)


async def report(api: Api, message: Report) -> Receipt:
    """Report as a worker does."""
    reply = await api.ask("POST", "/internal/v1/report", key="worker", data=msgspec.msgpack.encode(message))
    assert reply.status == 200, reply.body
    return msgspec.msgpack.decode(reply.body, type=Receipt)


async def finish(api: Api, id: str, token: int = 1, **fields: Any) -> Receipt:
    """Report a result."""
    result = WireResult(**{"id": id, "token": token, "verdict": "ok", "exit_code": 0, **fields})
    return await report(api, Report(worker="w1", epoch="e", results=(result,)))


@asynccontextmanager
async def running(
    settings: ExecutionSettings | None = None, *, most: int = 5000, request_s: float = 20.0, stalled_s: float = 30.0
) -> AsyncIterator[Api]:
    """The API on a free port of loopback."""
    queue, identities, outbox = FakeQueue(), FakeIdentities(), FakeOutbox()
    service = Service(
        settings or ExecutionSettings(),
        queue=queue,
        identities=identities,
        outbox=outbox,
        languages=LANGUAGES,
        clock=time.time,
        rng=Random(1),
    )
    sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
    guard = Guard(most=most, request_s=request_s, stalled_s=stalled_s)
    server = Server(service, sock, guard=guard)
    host, port = sock.getsockname()
    task = asyncio.create_task(server.run())
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=20)
    ) as session:
        try:
            yield Api(service, queue, outbox, identities, guard, server, task, session, host, port)
        finally:
            server.stop(now=True)
            with contextlib.suppress(asyncio.CancelledError):
                await task
