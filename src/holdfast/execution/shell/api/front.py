"""The door: who is asking, how much, how large; then to the endpoint.

Everything comes through here, in this order, so that what is refused costs little: open paths,
key, rate, size, and only then is the body read (counted while it comes, chunked or not).

The endpoints that carry the load (submissions and the workers' two) are called from here with the
raw body: routing, injection and validation of the web framework cost more than they do. Their
twins among the framework's routes lead to the same functions and put them into the OpenAPI document.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Send
from litestar.types import Scope as AsgiScope

from holdfast.execution.shell.api.service import Service, require
from holdfast.identity import Principal, Scope
from holdfast.web.exchange import Answer, Head, answering, read_head, replaying, require_json, send_answer
from holdfast.web.problems import ProblemError
from holdfast.web.reading import IN_ALL, Memory, read_body
from holdfast.web.sending import Sending, answers
from holdfast.web.streams import closing_streams

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
OPEN_PREFIX: Final = "/problems/"
SCHEMA_PATHS: Final = frozenset({"/schema", "/schema/", "/schema/openapi.json"})
ACTIVE: Final = 4096
"""Requests that are worked on at a time, held ones (streams, polls) included; each costs some 10 kB."""
HELD: Final = frozenset({"POST /internal/v1/sync", "GET /v1/jobs/{id}/events"})
"""Their time says nothing of how fast we are."""
_METHODS: Final = frozenset({"GET", "POST", "DELETE"})


Endpoint: TypeAlias = Callable[[Principal, Head, bytes, Receive], Awaitable[Answer]]


class Hot(NamedTuple):
    """An endpoint that is called from here."""

    call: Endpoint
    scope: Scope
    """What the key must carry; asked before the body is read."""
    limit: int
    """Bytes of its body."""
    json: bool
    rate: Callable[[str], None] | None
    """Counts it for a tenant, before the body is read."""


class Front:
    """ASGI application around another; see the module."""

    def __init__(
        self, service: Service, app: ASGIApp, hot: Mapping[tuple[str, str], Hot], schema: Callable[[], bytes]
    ) -> None:
        """``hot``: the endpoints that are called from here, by method and path; ``schema`` gives the OpenAPI document.

        The document alone: the usual viewers fetch their scripts from elsewhere.
        """
        self._schema = schema
        self._service = service
        self._app = app
        self._hot = hot
        self._limit = int(service.settings.payload.body)
        self.open = 0
        """Requests under way, those included whose body is on its way."""
        self.active = 0
        """Requests that are worked on."""
        self._memory = Memory()
        # Workers report what tenants wait for; no tenant's submissions may take their room.
        self._worker_memory = Memory(per_tenant=IN_ALL)
        self._answers = answers()
        self._monotonic = asyncio.get_running_loop().time

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        status = 0
        self.open += 1
        began = self._monotonic()
        try:
            status = await answering(self._serve, scope, receive, send)
        finally:
            self.open -= 1
            route = _route(scope, self._hot)
            if route not in HELD and b"wait=" not in scope["query_string"]:
                self._service.metrics.answered(route, status, self._monotonic() - began)

    async def _serve(self, scope: Any, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in SCHEMA_PATHS and scope["method"] == "GET":
            await send_answer(Answer(200, self._schema()), send)
            return
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            await self._app(scope, receive, send)
            return
        head = read_head(scope["headers"])
        principal = await self._authenticated(head)
        hot = self._hot.get((scope["method"], path))
        tenant, memory, limit = principal.tenant, self._memory, self._limit
        if hot is None:
            self._service.rates.request(tenant)
            if head.length:
                require_json(head)
        else:
            require(principal, hot.scope)
            limit = hot.limit
            if hot.rate is not None:
                hot.rate(tenant)
            if hot.json:
                require_json(head)
            if hot.scope is Scope.WORKER:
                memory = self._worker_memory
        body = await read_body(receive, length=head.length, limit=limit, memory=memory, tenant=tenant)
        try:
            if self.active >= ACTIVE:
                raise ProblemError("overloaded", f"{ACTIVE} requests are worked on; try again", retry_after_s=1.0)
            self.active += 1
            try:
                if hot is not None:
                    await send_answer(await hot.call(principal, head, body, receive), send)
                else:
                    scope["user"] = principal
                    async with closing_streams(scope):
                        await self._app(scope, replaying(body, receive), Sending(send, self._answers, tenant))
            finally:
                self.active -= 1
        finally:
            memory.give(tenant, len(body))

    async def _authenticated(self, head: Head) -> Principal:
        if head.key is None:
            raise ProblemError("unauthenticated", "no API key was sent; use 'Authorization: Bearer KEY' or 'X-API-Key'")
        principal = await self._service.identities.authenticate(head.key, now=self._service.clock())
        if principal is None:
            raise ProblemError("unauthenticated", "this API key is not valid (any more); make one, or check for typos")
        return principal


def _route(scope: Any, hot: Mapping[tuple[str, str], Hot]) -> str:
    """A name for what was asked: a template, never a path, of which a client can make up any number."""
    method, path = scope["method"], scope["path"]
    if (method, path) in hot:
        return f"{method} {path}"
    template = scope.get("path_template")
    return f"{method} {template}" if template and method in _METHODS else "other"
