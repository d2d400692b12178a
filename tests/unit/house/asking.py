"""One request to an ASGI application, without a network."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

from holdfast.identity import Principal


class Endpoint(NamedTuple):
    """A method and a path."""

    method: str
    path: str


class Reply(NamedTuple):
    """An answer."""

    status: int
    body: Any


class Nobody:
    """Every key is good, and may do nothing."""

    async def authenticate(self, text: str, *, now: float) -> Principal:
        return Principal(tenant="t", key_id="k", scopes=frozenset())


async def ask(
    front: Callable[..., Awaitable[None]], endpoint: Endpoint, *, key: bool = True, body: bytes = b"{}"
) -> Reply:
    """The answer to a request with any key, or none. A GET has no ``body``."""
    body = b"" if endpoint.method in {"GET", "HEAD", "DELETE"} else body
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": endpoint.method,
        "scheme": "http",
        "path": endpoint.path,
        "raw_path": endpoint.path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [*headers, (b"x-api-key", b"any")] if key else headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
    status, pieces = 0, []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        pieces.append(message.get("body", b""))

    await front(cast("Any", scope), cast("Any", receive), cast("Any", send))
    text = b"".join(pieces)
    return Reply(status, json.loads(text) if text.startswith(b"{") else text)
