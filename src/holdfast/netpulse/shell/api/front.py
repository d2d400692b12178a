"""The door: who is asking, how often, how large; then to the endpoint.

What is refused should cost little, so it is asked in this order: open paths, key, rate, size; only then is the body
read. Some paths need no key, because what is in them is the credential (heartbeats, links in messages): they are
counted by address instead, and kept out of logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Send
from litestar.types import Scope as AsgiScope

from holdfast.netpulse.errors import NetpulseError
from holdfast.netpulse.shell.api.heartbeats import BODY_BYTES as HEARTBEAT_BYTES
from holdfast.netpulse.shell.api.problems import ProblemError, refusal
from holdfast.netpulse.shell.api.service import PUBLIC, Service
from holdfast.web.exchange import Answer, answering, read_head, replaying, require_json, send_answer
from holdfast.web.reading import Memory, read_body
from holdfast.web.sending import Sending, answers
from holdfast.web.streams import closing_streams

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
OPEN_PREFIX: Final = "/problems/"
SCHEMA_PATHS: Final = frozenset({"/openapi.json", "/schema"})
SECRET_PREFIXES: Final[Mapping[str, int]] = {
    "/v1/heartbeats/": HEARTBEAT_BYTES,
    "/ack/": 4_096,
    "/v1/status/subscribers": 4_096,
}
"""Paths that are their own credential, or need none, and the bytes that a body may have there."""
BODY_BYTES: Final = 256 * 1024
"""A monitor with the largest body that it may send has some 70 KiB; a thousand alerts have more."""
ALERTS_BYTES: Final = 4 * 2**20
ACTIVE: Final = 4096
"""Requests that are worked on at a time, streams included; each costs some 10 kB."""
_HELD: Final = frozenset({"GET /v1/events"})
"""Its time says nothing of how fast we are."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})


class Front:
    """ASGI application around another; see the module."""

    def __init__(self, service: Service, app: ASGIApp, schema: Callable[[], bytes]) -> None:
        """``schema`` gives the OpenAPI document: alone, as the usual viewers fetch their scripts from elsewhere."""
        self._service = service
        self._app = app
        self._schema = schema
        self.open = 0
        """Requests under way."""
        self._active = 0
        self._memory = Memory()
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
            route = _route(scope)
            if route not in _HELD:
                self._service.metrics.answered(route, status, self._monotonic() - began)

    async def _serve(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            await self._ask(scope, receive, send)
        except NetpulseError as error:
            raise refusal(error) from error

    async def _ask(self, scope: Any, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path in SCHEMA_PATHS and method == "GET":
            await send_answer(Answer(200, self._schema()), send)
            return
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            await self._app(scope, receive, send)
            return
        head = read_head(scope["headers"])
        secret = next((prefix for prefix in SECRET_PREFIXES if path.startswith(prefix)), None)
        if secret is not None:
            scope["masked_path"] = f"{secret}***"
            client = scope.get("client") or ("",)
            self._service.strangers.count(client[0])
            tenant, limit = "", SECRET_PREFIXES[secret]
        else:
            principal = await self._service.authenticated(head.key, reading=method in {"GET", "HEAD"})
            tenant = principal.key_id if principal.key_id == PUBLIC else principal.tenant
            self._service.requests.count(tenant)
            if head.length:
                require_json(head)
            scope["user"] = principal
            limit = ALERTS_BYTES if path == "/v1/alertmanager" else BODY_BYTES
        body = await read_body(receive, length=head.length, limit=limit, memory=self._memory, tenant=tenant)
        try:
            if self._active >= ACTIVE:
                raise ProblemError("overloaded", f"{ACTIVE} requests are worked on; try again", retry_after_s=1.0)
            self._active += 1
            try:
                async with closing_streams(scope):
                    await self._app(scope, replaying(body, receive), Sending(send, self._answers, tenant))
            finally:
                self._active -= 1
        finally:
            self._memory.give(tenant, len(body))


def _route(scope: Any) -> str:
    """A name for what was asked: a template, never a path, of which a client can make up any number."""
    method, path = scope["method"], scope["path"]
    template = path if path in SCHEMA_PATHS else scope.get("path_template")
    return f"{method} {template}" if template and method in _METHODS else "other"
