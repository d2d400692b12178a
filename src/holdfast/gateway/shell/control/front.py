"""The door of the control API: who is asking, how often; then to the endpoint.

The data plane has read the body already, within ``max_body``; the bodies that are taken here are smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar.enums import ScopeType

from holdfast.gateway.shell.control.problems import ProblemError
from holdfast.web.exchange import Answer, answering, read_head, require_json, send_answer
from holdfast.web.streams import closing_streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar.types import ASGIApp, Receive, Send
    from litestar.types import Scope as AsgiScope

    from holdfast.gateway.shell.control.service import Service

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
OPEN_PREFIX: Final = "/problems/"
SCHEMA_PATHS: Final = frozenset({"/openapi.json", "/schema"})
BODY_BYTES: Final = 4 * 2**20
"""A provider's report of ten thousand attempts has some 2 MiB."""
ACTIVE: Final = 1024
"""Requests that are worked on at a time, streams included: models come first."""


class Front:
    """ASGI application around another; see the module."""

    def __init__(self, service: Service, app: ASGIApp, schema: Callable[[], bytes]) -> None:
        """``schema`` gives the OpenAPI document."""
        self._service = service
        self._app = app
        self._schema = schema
        self._active = 0

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == ScopeType.HTTP:
            await answering(self._ask, scope, receive, send)

    async def _ask(self, scope: Any, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path in SCHEMA_PATHS and method == "GET":
            await send_answer(Answer(200, self._schema()), send)
            return
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            await self._app(scope, receive, send)
            return
        head = read_head(scope["headers"])
        principal = await self._service.authenticated(head.key)
        self._service.count(principal.tenant)
        if head.length:
            require_json(head)
            if head.length > BODY_BYTES:
                raise ProblemError("payload-too-large", f"the body has more than {BODY_BYTES} bytes; send parts")
        if self._active >= ACTIVE:
            raise ProblemError("overloaded", f"{ACTIVE} requests are worked on; try again", retry_after_s=1.0)
        scope["user"] = principal
        self._active += 1
        try:
            async with closing_streams(scope):
                await self._app(scope, receive, send)
        finally:
            self._active -= 1
