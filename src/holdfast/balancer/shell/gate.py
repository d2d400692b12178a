"""Who may ask the admin plane.

- With a token, every request but ``/healthz`` and ``/readyz`` needs ``Authorization: Bearer
  TOKEN``. Without one, only clients on loopback are answered.
- Loopback does not keep a browser out: a page of any site can make it send requests, and a
  name under that site's control can be made to resolve to 127.0.0.1 (DNS rebinding). So
  without a token the ``Host`` must be an address or ``localhost``; a rebound name is neither.
- A request that changes something must not name another origin, and must be JSON if it has
  a body. A browser names its origin with every POST, and sends JSON across origins only
  after asking (a CORS preflight), to which nobody here says yes.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

_OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Asked by orchestrators that hold no token; they tell a state and nothing else."""


class Problem(msgspec.Struct):
    """What was wrong, where, and what to do."""

    error: str
    where: str
    remedy: str


class Gate:
    """ASGI application around another that lets through only who may ask; see the module."""

    def __init__(self, app: ASGIApp, token: Callable[[], str | None]) -> None:
        """``token`` is asked each time: a reload may change it."""
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request here, or hand it on."""
        refusal = self._refusal(scope) if scope["type"] == ScopeType.HTTP else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, problem = refusal
        body = msgspec.json.encode(problem)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),  # what the client still sends of its body is not read
        ]
        if status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="holdfast"'))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _refusal(self, scope: HTTPScope) -> tuple[int, Problem] | None:
        if scope["path"] in _OPEN_PATHS:
            return None
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        token = self._token()
        host = headers.get("host", "")
        if token is not None:
            # Bytes, because compare_digest takes only ASCII text.
            if not hmac.compare_digest(headers.get("authorization", "").encode(), f"Bearer {token}".encode()):
                return 401, Problem("the token is missing or wrong", "Authorization", "send Bearer and the admin_token")
        elif not _is_loopback(scope["client"]):
            return 403, Problem("without a token only this machine is answered", "admin_token", "set a token")
        elif not _is_address(host):
            return 403, Problem(f"{host[:100]!r} is not this machine", "Host", "ask by address or as localhost")
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != host:
                return 403, Problem("a page of another origin asks", "Origin", "ask from a command line or this origin")
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            # A bare `curl -X POST` has neither origin nor body; a browser names its origin with every POST.
            empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
            bare = origin is None and not kind and empty
            if kind != "application/json" and not bare:
                return 415, Problem("the body is not JSON", "Content-Type", "send Content-Type: application/json")
        return None


def _is_loopback(client: tuple[str, int] | None) -> bool:
    return client is not None and ip_address(client[0]).is_loopback


def _is_address(host: str) -> bool:
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
