"""A small HTTP server to balance: says who it is, and can fail in a rhythm.

One process each, so that a curious reader can kill one. It is not part of the data plane and
does the least that a well-behaved HTTP/1.1 server must: keep-alive, bodies skipped, bounds on
heads, bodies and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from holdfast.app.readiness import announce

HEAD_BYTES: Final = 16 * 1024
BODY_BYTES: Final = 2**20
IDLE_S: Final = 75.0
"""Longer than the balancer keeps its idle connections, so that it is the one who closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoBackend:
    """Who it is and how it fails."""

    id: str
    port: int
    front: str
    """URL of the balancer, for the page."""
    admin: str
    """URL of the admin plane, for the page."""
    cycle_s: float = 0.0
    """Length of the rhythm; 0 means that it never fails."""
    bad_s: float = 0.0
    """The last part of each cycle, in which it answers 503 to everything, /health included."""

    def healthy(self, elapsed_s: float) -> bool:
        """Whether it works, so long after it started."""
        return self.cycle_s <= 0 or elapsed_s % self.cycle_s < self.cycle_s - self.bad_s

    def respond(self, method: str, path: str, accept: str, elapsed_s: float) -> bytes:
        """The whole answer."""
        if not self.healthy(elapsed_s):
            return _answer(503, "text/plain", f"backend {self.id} is having a bad moment\n", method)
        if path == "/health":
            return _answer(200, "text/plain", "ok\n", method)
        if "text/html" in accept:
            return _answer(200, "text/html; charset=utf-8", self._page(), method)
        return _answer(200, "text/plain", self._text(), method)

    def _text(self) -> str:
        return (
            f"Hello from backend {self.id}, through the balancer at {self.front}\n"
            "Backend c fails on purpose every few seconds; this page should not.\n\n"
            f"See it happen:  curl {self.admin}/admin/backends\n"
            f"Ask why:        curl '{self.admin}/admin/explain?pool=demo&backend=c'\n"
        )

    def _page(self) -> str:
        states, why = f"{self.admin}/admin/backends", f"{self.admin}/admin/explain?pool=demo&backend=c"
        links = "".join(
            f'<li><a href="{html.escape(url)}"><code>{html.escape(url)}</code></a> {what}</li>'
            for url, what in ((states, "the state of each backend"), (why, "why backend c is in or out"))
        )
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>holdfast demo</title>'
            "<style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:44em;margin:3em auto;padding:0 1em}</style>"
            f"<h1>Hello from backend <em>{html.escape(self.id)}</em></h1>"
            "<p>You came through the balancer. Backend c fails on purpose every few seconds; "
            f"this page should not: reload it.</p><p>Look next at</p><ul>{links}</ul></html>\n"
        )


def _answer(status: int, kind: str, body: str, method: str) -> bytes:
    content = body.encode()
    reason = {200: "OK", 400: "Bad Request", 503: "Service Unavailable"}[status]
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
        f"Cache-Control: no-store\r\n{'Connection: close' + chr(13) + chr(10) if status == 400 else ''}\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else content)


async def serve(backend: DemoBackend, *, host: str = "127.0.0.1") -> int:
    """Answer until SIGTERM or SIGINT; returns the exit code."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # a reload: there is nothing to read
    started = loop.time()
    open_connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            open_connections.add(task)
            task.add_done_callback(open_connections.discard)
        try:
            await _converse(backend, reader, writer, lambda: loop.time() - started)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the client went, dawdled or sent too much: close; on shutdown: close as well
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await asyncio.wait_for(writer.wait_closed(), 1.0)

    server = await asyncio.start_server(accept, host, backend.port, limit=HEAD_BYTES, backlog=512)
    port = server.sockets[0].getsockname()[1]
    announce(
        {f"process {os.getpid()}": f"http://{host}:{port}"}
    )  # so that it can be killed by its id, and seen to fail
    await stop.wait()
    server.close()
    for task in tuple(open_connections):
        task.cancel()
    await asyncio.gather(*open_connections, return_exceptions=True)
    return 0


async def _converse(
    backend: DemoBackend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, elapsed: Callable[[], float]
) -> None:
    while True:
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_S)).decode("latin-1")
        request, *lines = head.split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        words = request.split(" ")
        length = headers.get("content-length", "0")
        if len(words) != 3 or "transfer-encoding" in headers or not length.isdecimal() or int(length) > BODY_BYTES:
            writer.write(_answer(400, "text/plain", "this demo takes short, plain requests\n", "GET"))
            await asyncio.wait_for(writer.drain(), IDLE_S)
            return
        await asyncio.wait_for(reader.readexactly(int(length)), IDLE_S)
        method, target, _ = words
        writer.write(backend.respond(method, target.partition("?")[0], headers.get("accept", ""), elapsed()))
        await asyncio.wait_for(writer.drain(), IDLE_S)
        if headers.get("connection", "").lower() == "close":
            return
