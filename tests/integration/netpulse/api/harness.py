"""The API over a scripted engine on a real socket, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from holdfast.identity import ROLES, Principal
from holdfast.netpulse.shell.api.links import open_links
from holdfast.netpulse.shell.api.serve import Server
from holdfast.netpulse.shell.api.service import Service
from holdfast.store import StoreUnavailable
from holdfast.testing.netpulse import ScriptedNetpulse
from holdfast.web.connections import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

    from litestar import Router

    from holdfast.netpulse.shell.api.exports import Export

KEYS = {
    role: Principal(tenant="default", key_id=f"k-{role}", scopes=ROLES[role])
    for role in ("viewer", "editor", "admin", "owner", "developer", "worker")
} | {"other": Principal(tenant="other", key_id="k-other", scopes=ROLES["owner"])}
"""By the text of the key."""


@dataclass
class Entry:
    """Of the audit trail."""

    tenant: str
    actor: str
    action: str
    target: str
    detail: Mapping[str, Any]


@dataclass
class FakeIdentities:
    """Keys are the names in :data:`KEYS`."""

    trail: list[Entry] = field(default_factory=list)
    broken: bool = False
    revoked: set[str] = field(default_factory=set)

    async def authenticate(self, text: str, *, now: float) -> Principal | None:
        if self.broken:
            raise StoreUnavailable("the disk is on fire")
        return None if text in self.revoked else KEYS.get(text)

    async def audit(
        self, tenant: str, *, actor: str, action: str, target: str, detail: Mapping[str, Any] | None = None, now: float
    ) -> None:
        if self.broken:
            raise StoreUnavailable("the disk is on fire")
        self.trail.append(Entry(tenant, actor, action, target, detail or {}))


@dataclass
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Api:
    """A service that answers."""

    netpulse: ScriptedNetpulse
    identities: FakeIdentities
    service: Service
    server: Server
    task: asyncio.Task[None]
    session: aiohttp.ClientSession
    url: str

    async def ask(self, method: str, path: str, *, key: str | None = "admin", **kwargs: Any) -> Reply:
        """One request; ``json=`` and ``data=`` as aiohttp has them."""
        headers = dict(kwargs.pop("headers", {}))
        if key is not None:
            headers.setdefault("Authorization", f"Bearer {key}")
        async with self.session.request(method, self.url + path, headers=headers, **kwargs) as answer:
            return Reply(answer.status, answer.headers.copy(), await answer.read())

    async def ok(self, method: str, path: str, **kwargs: Any) -> Any:
        """The body of an answer that is well."""
        reply = await self.ask(method, path, **kwargs)
        assert reply.status < 300, (reply.status, reply.body)
        return reply.json() if reply.body else None

    async def refused(self, method: str, path: str, **kwargs: Any) -> Any:
        """The problem of one that is not."""
        reply = await self.ask(method, path, **kwargs)
        assert reply.headers["content-type"] == "application/problem+json", (reply.status, reply.body)
        problem = reply.json()
        assert problem["status"] == reply.status
        return problem

    @property
    def actions(self) -> list[tuple[str, str, str]]:
        """Of the audit trail."""
        return [(each.actor, each.action, each.target) for each in self.identities.trail]


def looped(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine, in a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@asynccontextmanager
async def running(
    *,
    public: bool = False,
    export: Export | None = None,
    more: Callable[[ScriptedNetpulse], Sequence[Router]] = lambda _: (),
) -> AsyncIterator[Api]:
    """The API on a free port of loopback; ``public``: with ``demo_readonly``; ``more`` routers."""

    netpulse, identities = ScriptedNetpulse(clock=time.time), FakeIdentities()
    netpulse.scene.settings = msgspec.structs.replace(netpulse.scene.settings, demo_readonly=public)
    links = await open_links(netpulse.records, lambda: "https://pulse.example.com", clock=time.time)
    service = Service(
        netpulse,
        netpulse.records,
        identities=identities,
        links=links,
        export=export,
        clock=time.time,
        rng=Random(1),
    )
    sock = socket.create_server(("127.0.0.1", 0), backlog=64)
    server = Server(service, sock, guard=Guard(most=500), routers=more(netpulse))
    host, port = sock.getsockname()
    task = asyncio.create_task(server.run())
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        try:
            yield Api(netpulse, identities, service, server, task, session, f"http://{host}:{port}")
        finally:
            server.stop(now=True)
            with contextlib.suppress(asyncio.CancelledError):
                await task
