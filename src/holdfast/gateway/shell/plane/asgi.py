"""An ASGI application behind the same port: control API and pages.

The connection, its limits and its time limits are the data plane's; the body is there before the application is called.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.gateway.shell.plane.call import Call

    AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

log = logging.getLogger(__name__)

_OWN: Final = frozenset((b"content-length", b"transfer-encoding", b"connection", b"date", b"content-type"))
_WRITTEN: Final = 256 * 1024
"""What may wait for a client that reads slowly, before the application has to wait as well."""


async def serve(app: AsgiApp, call: Call) -> None:  # noqa: C901 - the three callables of ASGI share their state
    """Have the application answer a call."""
    head = call.head
    path, _, query = head.target.partition(b"?")
    body = call.take_body()
    given = False
    left = asyncio.Event()
    drained = asyncio.Event()
    drained.set()
    status = 0
    fields: list[bytes] = []
    media_type = b"application/octet-stream"
    streaming = False

    def on_drained() -> None:
        drained.set()

    async def receive() -> dict[str, Any]:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        # Whoever streams asks for this beside its work; the task is cancelled when the client goes.
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, fields, media_type, streaming
        if message["type"] == "http.response.start":
            status = message["status"]
            for name, value in message.get("headers", ()):
                if name.lower() == b"content-type":
                    media_type = value
                elif name.lower() not in _OWN:
                    fields.append(b"%b: %b\r\n" % (name, value))
            return
        if message["type"] != "http.response.body":
            return
        piece, more = message.get("body", b""), message.get("more_body", False)
        if not streaming and not more:
            call.send(status, piece, fields, media_type=media_type)
            return
        if not streaming:
            streaming = True
            call.on_drained = on_drained
            call.begin(status, fields, media_type=media_type, first=piece)
        else:
            call.write(piece)
        if not more:
            call.end()
            left.set()  # ASGI: after a whole answer there is nobody left; the framework waits to hear it
        elif call.client.write_paused:
            drained.clear()
            await drained.wait()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.0" if head.http10 else "1.1",
        "method": head.method.decode("ascii"),
        "scheme": "https" if call.client.secure else "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [
            (b"host", head.host),
            (b"content-length", b"%d" % len(body)),
            *((name, value) for name, value in call.headers.items()),
        ],
        "client": (call.client.address, 0),
        "server": None,
        "state": {},
        "extensions": {},
    }
    try:
        await app(scope, receive, send)
    finally:
        left.set()
    if not call.done and not call.answer_sent:
        log.error("the application gave no answer", extra={"action": "request", "path": path.decode("ascii")})
        call.send(500, b'{"error":{"message":"see the log of the gateway"}}', media_type=b"application/json")
    elif not call.done:
        call.abort()
