"""Services that people are told by, as they behave: what they take, what they refuse, and how they say so."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from holdfast.netpulse.core.delivery import Outcome
from holdfast.netpulse.core.incident import Incident
from holdfast.netpulse.core.message import compose
from holdfast.netpulse.core.settings import ChannelSettings
from holdfast.netpulse.shell.notify import channels
from holdfast.netpulse.shell.notify.http import Network
from tests.unit.netpulse.notify.memory import NOW, incident, notice

ACK = "https://pulse.test/ack/inc_1?t=a&b=c"
PAGE = "https://pulse.test/incidents/inc_1"


@dataclass
class Call:
    """A request as it came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Service:
    """A server of one protocol. ``trouble``: answers to give, one after the other, before it works as it should."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    trouble: list[Callable[[], web.Response] | Callable[[], Awaitable[web.Response]]] = field(default_factory=list)


@asynccontextmanager
async def serving(
    answer: Callable[[Call], web.Response], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Service]:
    """A server on loopback, whose ``answer`` says what the real one would say to a request."""
    service = Service()

    async def handle(request: web.Request) -> web.Response:
        raw = await request.read()
        try:
            body = await request.json() if raw else None
        except ValueError:
            return web.Response(status=400, text="invalid_json")
        call = Call(request.path, dict(request.query), {k.lower(): v for k, v in request.headers.items()}, body)
        service.calls.append(call)
        if service.trouble:
            trouble = service.trouble.pop(0)()
            return trouble if isinstance(trouble, web.Response) else await trouble
        return answer(call)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        service.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()


@asynccontextmanager
async def a_network(**how: Any) -> AsyncIterator[Network]:
    network = Network(threads=1, **how)
    try:
        yield network
    finally:
        await network.close()


async def tell(
    channel: ChannelSettings,
    event: str = "opened",
    about: Incident | None = None,
    *,
    timeout_s: float = 5.0,
    last: bool = False,
    cause: int = 2,
    now: float = NOW,
    links: bool = True,
    network: Network | None = None,
) -> Outcome:
    """One attempt at telling a channel."""
    about = about or incident()
    message = compose(
        notice(event, about, cause=cause),
        about,
        acknowledge_url=ACK if links else "",
        incident_url=PAGE if links else "",
    )
    if network is not None:
        return await channels.send(network, channel, message, now=now, timeout_s=timeout_s, last=last)
    async with a_network() as own:
        return await channels.send(own, channel, message, now=now, timeout_s=timeout_s, last=last)
