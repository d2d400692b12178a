"""The admin plane: what an operator, a scraper or a script asks the master.

Who may ask is decided in :mod:`.gate`. Every error is ``{"error", "where", "remedy"}``, and a
request body has at most :data:`BODY_LIMIT` bytes.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, cast
from urllib.parse import urlsplit

import msgspec
import uvicorn
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, SkipValidation
from litestar.response import Stream
from litestar.types import ASGIApp

from holdfast import __version__
from holdfast.balancer.core.explain import BackendSnapshot, Explanation, PoolSnapshot
from holdfast.balancer.core.messages import BackendRef
from holdfast.balancer.core.settings import BalancerSettings, StrategyName
from holdfast.balancer.errors import BalancerError, RequestError
from holdfast.balancer.shell.events import Event, EventLog, TooManySubscribersError
from holdfast.balancer.shell.gate import Gate, Problem
from holdfast.balancer.shell.page import backends_page
from holdfast.kernel import Duration, Size

log = logging.getLogger(__name__)

BODY_LIMIT: Final = 64 * 1024
HEARTBEAT_S: Final = 15.0
"""Comments on a silent event stream: often enough for the usual 60 s idle timeout of proxies."""
_MASK: Final = "***"
_STYLE: Final = Path(__file__).with_name("admin.css")
_PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class ControlPlane(Protocol):
    """What the admin plane needs from the master."""

    events: EventLog

    @property
    def settings(self) -> BalancerSettings:
        """The settings in force."""
        ...

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether traffic is served, and the details."""
        ...

    async def metrics(self) -> bytes:
        """Prometheus text."""
        ...

    def snapshot(self) -> dict[str, PoolSnapshot]:
        """Every pool at a glance."""
        ...

    def explain(self, pool: str, backend: str) -> Explanation:
        """Why a backend is in or out; raises :class:`BalancerError`."""
        ...

    def drain(self, pool: str, backend: str, drained: bool) -> None:
        """Raises :class:`BalancerError`."""
        ...

    def weigh(self, pool: str, backend: str, weight: float | None) -> None:
        """Raises :class:`BalancerError`."""
        ...

    def strategies(self) -> dict[str, StrategyName]:
        """In force, by pool."""
        ...

    def switch(self, pool: str, strategy: StrategyName) -> None:
        """Raises :class:`BalancerError`."""
        ...

    async def reload(self) -> int:
        """The new generation; raises :class:`BalancerError`."""
        ...


Plane = NamedDependency[SkipValidation[ControlPlane]]


class Act(msgspec.Struct, forbid_unknown_fields=True):
    """What to do with a backend."""

    action: Literal["drain", "undrain", "weight"]
    weight: float | msgspec.UnsetType | None = msgspec.UNSET
    """With ``weight`` only: the new one, 0 or more, or null for the configured one."""


class SwitchStrategy(msgspec.Struct, forbid_unknown_fields=True):
    """Use another strategy in one pool, without losing a request or any health state."""

    pool: str
    strategy: StrategyName


class Reloaded(msgspec.Struct):
    """The configuration of that generation is in force in every worker."""

    generation: int


@get("/healthz", sync_to_thread=False)
def healthz() -> dict[str, str]:
    """The master's loop is alive."""
    return {"status": "ok"}


@get("/readyz", sync_to_thread=False)
def readyz(plane: Plane) -> Response[dict[str, Any]]:
    """Whether workers accept traffic: 200, or 503 while starting and draining."""
    ready, details = plane.readiness()
    return Response(details, status_code=200 if ready else 503)


@get("/metrics", media_type=MediaType.TEXT)
async def metrics(plane: Plane) -> Response[bytes]:
    """Master and workers in the Prometheus text format."""
    return Response(await plane.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


@get("/admin/backends", sync_to_thread=False)
def backends(request: Request[Any, Any, Any], plane: Plane) -> Response[Any]:
    """Every backend by pool. A browser gets a page."""
    pools = plane.snapshot()
    if _prefers_html(request.headers.get("accept", "")):
        explanations = {
            BackendRef(name, backend.id): plane.explain(name, backend.id)
            for name, pool in pools.items()
            for backend in pool.backends
        }
        page = backends_page(pools, plane.strategies(), explanations)
        return Response(page, media_type=MediaType.HTML, headers={**_PAGE_HEADERS, "vary": "Accept"})
    return Response({"pools": pools}, headers={"vary": "Accept"})


@get("/admin/style.css", include_in_schema=False, sync_to_thread=False)
def style() -> Response[str]:
    """The style of the page."""
    return Response(_STYLE.read_text(), media_type="text/css", headers={"cache-control": "max-age=300"})


@get("/admin/explain", sync_to_thread=False)
def explain(plane: Plane, pool: FromQuery[str], backend: FromQuery[str]) -> Explanation:
    """Why a backend is in or out, since when, until when, with the figures."""
    return plane.explain(pool, backend)


@get("/admin/strategy", sync_to_thread=False)
def strategies(plane: Plane) -> dict[str, StrategyName]:
    """The strategy in force, by pool."""
    return plane.strategies()


@post("/admin/strategy", status_code=200, sync_to_thread=False)
def switch_strategy(plane: Plane, data: JSONBody[SwitchStrategy]) -> dict[str, StrategyName]:
    """Switch a pool's strategy at run time."""
    plane.switch(data.pool, data.strategy)
    return plane.strategies()


@post("/admin/backends/{pool:str}/{backend:str}", status_code=200, sync_to_thread=False)
def act(plane: Plane, pool: FromPath[str], backend: FromPath[str], data: JSONBody[Act]) -> BackendSnapshot:
    """Drain or undrain a backend, or set its weight; how it stands afterwards."""
    if data.action == "weight":
        if data.weight is msgspec.UNSET:
            raise RequestError("the weight is missing", where="weight", remedy='send {"action": "weight", "weight": 2}')
        plane.weigh(pool, backend, data.weight)
    else:
        plane.drain(pool, backend, data.action == "drain")
    return next(each for each in plane.snapshot()[pool].backends if each.id == backend)


@get("/admin/events")
async def events(
    plane: Plane, last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None
) -> Response[Any]:
    """State transitions as server-sent events: the kept ones after ``Last-Event-ID``, then live."""
    stream = event_stream(plane.events, last_event_id)
    try:
        # The first piece is made here, so that a full house is a 503 and not an empty 200.
        first = await anext(stream)
    except TooManySubscribersError:
        problem = Problem("every event stream is taken", "/admin/events", "close one, or try again later")
        return Response(problem, status_code=503)

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in stream:
            yield piece

    return Stream(whole(), media_type="text/event-stream", headers={"cache-control": "no-store"})


@post("/admin/reload", status_code=200)
async def reload(plane: Plane) -> Reloaded:
    """Read the configuration anew; answers when every worker has it in force."""
    return Reloaded(await plane.reload())


@get("/admin/config", sync_to_thread=False)
def config(plane: Plane) -> dict[str, Any]:
    """The configuration in force with every default, secrets masked."""
    return effective(plane.settings)


def effective(settings: BalancerSettings) -> dict[str, Any]:
    """The settings as plain values, durations and sizes as people write them, secrets masked."""
    plain: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    if settings.admin_token is not None:
        plain["admin_token"] = _MASK
    for pool in plain["pools"].values():
        for backend in pool["backends"]:
            backend["url"] = _without_credentials(backend["url"])
    return plain


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{_MASK}@{host}").geturl() if at and user else url


async def event_stream(events: EventLog, last_id: str | None) -> AsyncIterator[bytes]:
    """Server-sent events after ``last_id``. Raises :class:`TooManySubscribersError` at its first step."""
    with events.subscribe(last_id) as subscriber:
        yield b": holdfast events\nretry: 2000\n\n"
        async for event in subscriber.events(HEARTBEAT_S):
            yield b": still here\n\n" if event is None else _frame(event)
        yield b": the stream ends here, come back with Last-Event-ID\n\n"


def _frame(event: Event) -> bytes:
    # msgspec escapes line breaks inside strings, so one data line always suffices.
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        event.id.encode(),
        event.kind.encode(),
        msgspec.json.encode({"at": event.at, **event.data}),
    )


def _prefers_html(accept: str) -> bool:
    """Whether ``text/html`` is named before JSON and before anything goes, as browsers do."""
    for part in accept.split(","):
        kind = part.partition(";")[0].strip().lower()
        if kind == "text/html":
            return True
        if kind in ("application/json", "*/*"):
            return False
    return False


def admin_app(plane: ControlPlane) -> Gate:
    """The ASGI application over a control plane."""
    app = Litestar(
        route_handlers=[
            healthz,
            readyz,
            metrics,
            backends,
            style,
            explain,
            strategies,
            switch_strategy,
            act,
            events,
            reload,
            config,
        ],
        dependencies={"plane": Provide(lambda: plane, sync_to_thread=False)},
        exception_handlers={BalancerError: _balancer_problem, HTTPException: _http_problem, Exception: _bug},
        openapi_config=OpenAPIConfig(
            title="Holdfast balancer",
            version=__version__,
            # The document alone: the usual viewers fetch their scripts from elsewhere.
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        ),
        type_encoders={Duration: str, Size: str},
        request_max_body_size=BODY_LIMIT,
        logging_config=None,
    )
    # Around the whole application: what it does not know is nobody else's business either.
    return Gate(cast("ASGIApp", app), lambda: plane.settings.admin_token)


def _balancer_problem(_: Request[Any, Any, Any], error: BalancerError) -> Response[Problem]:
    return Response(Problem(error.error, error.where, error.remedy), status_code=error.status)


def _http_problem(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    details = "; ".join(str(item.get("message", item)) for item in error.extra or () if isinstance(item, dict))
    text = f"{error.detail}: {details}" if details else error.detail
    problem = Problem(text, f"{request.method} {request.url.path}", "see /schema for what is accepted")
    return Response(problem, status_code=error.status_code, headers=error.headers)


def _bug(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.error("admin request failed", exc_info=error, extra={"action": "admin", "path": request.url.path})
    problem = Problem("internal error", f"{request.method} {request.url.path}", "read the log, and report it")
    return Response(problem, status_code=500)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the master."""
        yield


async def serve_admin(sock: socket.socket, plane: ControlPlane) -> None:
    """Serve the admin plane on a listening socket until cancelled."""
    server = _Server(
        uvicorn.Config(
            admin_app(plane),
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            limit_concurrency=256,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
