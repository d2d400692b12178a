"""The first page: which services there are, and how they are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.params import FromPath

from holdfast.console import pulse_wording
from holdfast.console.context import Console, Shared, signed_in
from holdfast.console.errors import ServiceProblem
from holdfast.console.service import is_ready
from holdfast.console.settings import ConsoleSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as the overview shows it."""

    name: str
    about: str
    url: str
    links: tuple[tuple[str, str], ...]
    """Text and address."""
    is_ready: bool = False
    note: str = ""
    """How things are there, in one line."""


@get("/")
async def overview(request: Request[Any, Any, Any], console: Shared) -> Response[str]:
    """Every service that this console was told of."""
    key = signed_in(request).key
    services = await asyncio.gather(*(_asked(console, service, key) for service in known_services(console.settings)))
    return console.page(request, "overview.html", title="Overview", services=services)


def known_services(settings: ConsoleSettings) -> list[Service]:
    """Those that have an address in the settings."""
    found = []
    if settings.execution is not None:
        url = settings.execution.rstrip("/")
        about = "Runs programs in sandboxes, from a durable queue that no burst and no tenant can starve."
        links = (("Run code", "/code"), ("Jobs", "/jobs"))
        found.append(Service(name="Execution", about=about, url=url, links=links))
    if settings.netpulse is not None:
        url = settings.netpulse.rstrip("/")
        about = "Watches from many regions, weighs their evidence, and pages once for each cause."
        links = (("Monitors", "/monitors"), ("Incidents", "/incidents"))
        found.append(Service(name="NetPulse", about=about, url=url, links=links))
    if settings.balancer is not None:
        url = settings.balancer.rstrip("/")
        about = "The front door: spreads requests over backends, and takes out those that fail or flap."
        page = (("Backends", f"{url}/admin/backends"),)
        found.append(Service(name="Load balancer", about=about, url=url, links=page))
    if settings.blog is not None:
        url = settings.blog.rstrip("/")
        about = "Posts about what was broken and mended here; every number leads to the drill that it is from."
        posts = (("Posts", f"{url}/"), ("Evidence", f"{url}/evidence/"))
        found.append(Service(name="Blog", about=about, url=url, links=posts))
    return found


async def _asked(console: Console, service: Service, key: str) -> Service:
    ready = await is_ready(console.http, service.url)
    note = ""
    if ready and console.netpulse is not None and service.url == console.netpulse.url:
        try:
            note = pulse_wording.glance(await console.netpulse.summary(key))
        except ServiceProblem:
            pass  # its own page says what is wrong
    return replace(service, is_ready=ready, note=note)


@get("/healthz", sync_to_thread=False)
def healthz() -> dict[str, str]:
    """The loop is alive."""
    return {"status": "ok"}


@get("/readyz", sync_to_thread=False)
def readyz() -> dict[str, str]:
    """Pages are served, whatever the services do: an error page that says so is of use as well."""
    return {"status": "ok"}


@get("/static/{name:str}", sync_to_thread=False)
def static(console: Shared, name: FromPath[str]) -> Response[bytes]:
    """Style, script and icon."""
    found = console.assets.find(name)
    if found is None:
        return Response(b"not found\n", status_code=404, media_type=MediaType.TEXT)
    data, media_type = found
    return Response(data, media_type=media_type, headers={"cache-control": "public, max-age=31536000, immutable"})
