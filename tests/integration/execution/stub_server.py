"""The scripted API of the unit tests behind real HTTP."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

import msgspec
from aiohttp import web

from holdfast.execution.core.protocol import Message, Report, Sync
from tests.unit.execution.stub_api import StubApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

M = TypeVar("M", bound=Message)


class StubServer:
    """``answer`` replaces every answer while it is set; ``keys`` are the headers that came."""

    def __init__(self) -> None:
        self.api = StubApi()
        self.url = ""
        self.answer: web.Response | None = None
        self.authorizations: set[str] = set()
        self.refused = 0
        self.connections: set[tuple[str, int]] = set()

    def handler(
        self, kind: type[M], call: Callable[[M], Awaitable[Message]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            self.authorizations.add(request.headers.get("Authorization", ""))
            assert request.transport is not None
            self.connections.add(request.transport.get_extra_info("peername"))
            body = await request.read()
            if self.answer is not None:
                self.refused += 1
                return web.Response(status=self.answer.status, body=self.answer.body)
            answer = await call(msgspec.msgpack.decode(body, type=kind))
            return web.Response(body=msgspec.msgpack.encode(answer), content_type="application/msgpack")

        return handle


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[StubServer]:
    """A server on a port of its own."""
    server = StubServer()
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/internal/v1/sync", server.handler(Sync, server.api.sync))
    app.router.add_post("/internal/v1/report", server.handler(Report, server.api.report))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
