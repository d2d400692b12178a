"""What tests of tools share: callers, a trail that is a list, tools on loopback, and a client of the router."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
from aiohttp import web
from litestar import Litestar, Router

from holdfast.gateway.core.settings import GatewaySettings
from holdfast.gateway.shell.tools import Broker
from holdfast.identity import ROLES, Principal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping


def caller(tenant: str = "acme", role: str = "developer") -> Principal:
    return Principal(tenant=tenant, key_id=f"k-{tenant}", scopes=ROLES[role])


@dataclass
class ListedTrail:
    """The audit trail, as a list."""

    entries: list[dict[str, Any]] = field(default_factory=list)

    async def audit(
        self, tenant: str, *, actor: str, action: str, target: str, detail: Mapping[str, Any] | None = None, now: float
    ) -> None:
        self.entries.append(
            {"tenant": tenant, "actor": actor, "action": action, "target": target, "detail": dict(detail or {})}
        )


@asynccontextmanager
async def served(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A web server on loopback whose every path is answered by one function."""
    # A client that goes away cancels the handler: that is how a tool hears that it was given up.
    runner = web.AppRunner(_application(handler), handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _application(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    return application


def settings(**sections: Any) -> GatewaySettings:
    return msgspec.convert(sections, GatewaySettings, dec_hook=_parsed)


def _parsed(kind: type, value: Any) -> Any:
    return kind.parse(value) if isinstance(value, str) else kind(value)  # type: ignore[attr-defined]


@asynccontextmanager
async def brokering(trail: ListedTrail | None = None, **sections: Any) -> AsyncIterator[Broker]:
    """A broker with these sections of the settings."""
    broker = Broker(settings(**sections), trail=trail or ListedTrail(), clock=lambda: 1_000_000.0)
    await broker.open()
    try:
        yield broker
    finally:
        async with asyncio.timeout(20.0):
            await broker.close()


@asynccontextmanager
async def asking(*routers: Router) -> AsyncIterator[httpx.AsyncClient]:
    """A client of some routers, in the loop of the test."""
    app: Any = Litestar(list(routers), logging_config=None, openapi_config=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        yield client
