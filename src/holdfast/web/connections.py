"""Clients that are slow on purpose: connections that owe a request, and those that do not read.

uvicorn has no deadline for a request's head or body, and its limit of concurrency counts idle
connections, so that some thousand of them would shut everybody else out. Here instead

- a request has to be complete within :data:`REQUEST_S` of its first byte, or of the connection;
- a head has at most :data:`HEAD_BYTES`, and at most :data:`PIPELINED` requests wait behind one;
- a client that does not read its answer is cut off after :data:`STALLED_S`;
- with all places taken, a newcomer takes that of the connection that has owed a request the
  longest. An honest client sends its request at once, so it is not the one that goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast.web.problems import MEDIA_TYPE, ProblemError

log = logging.getLogger(__name__)

REQUEST_S: Final = 20.0
"""16 MiB, the largest body by default, at 7 Mbit/s."""
STALLED_S: Final = 30.0
IDLE_S: Final = 75
"""Between two requests; longer than the pools of usual clients and proxies keep a connection, so that they close it."""
HEAD_BYTES: Final = 64 * 1024
PIPELINED: Final = 16
MOST: Final = 16_000
"""Connections, each some 5 kB here and as much in the kernel."""
_RESERVE: Final = 256
"""Descriptors for everything that is not a connection: the store, logs, callbacks."""
_LOOK_EVERY_S: Final = 1.0


def places(wanted: int = MOST) -> int:
    """How many connections there may be; raises the soft limit of descriptors for them as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _RESERVE
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    found = wanted if soft == resource.RLIM_INFINITY else min(wanted, max(16, soft - _RESERVE))
    if found < wanted:
        text = "fewer connections than wanted: raise the limit of open files (ulimit -n)"
        log.warning(text, extra={"action": "limits", "connections": found, "wanted": wanted})
    return found


class Guard:
    """Keeps the rules of the module for all connections of a server."""

    def __init__(self, *, most: int, request_s: float = REQUEST_S, stalled_s: float = STALLED_S) -> None:
        self._most = most
        self._request_s = request_s
        self._stalled_s = stalled_s
        self._loop = asyncio.get_running_loop()
        self.connections = 0
        """That are open."""
        # Both in the order of their times: each change of time moves a connection to the end.
        self._owing: dict[GuardedProtocol, float] = {}
        self._idle: dict[GuardedProtocol, None] = {}
        self._stalled: dict[GuardedProtocol, float] = {}
        self.evicted = 0
        """Connections that lost their place to a newcomer."""

    async def run(self) -> None:
        """Look after deadlines until cancelled."""
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, self._request_s / 4))
            now = self._loop.time()
            for since, bound in ((self._owing, self._request_s), (self._stalled, self._stalled_s)):
                late = []
                for connection, at in since.items():
                    if at + bound > now:
                        break
                    late.append(connection)
                for connection in late:
                    since.pop(connection, None)
                    connection.cut()

    def stop(self) -> None:
        """Cut what owes a request: the process is about to end."""
        for connection in [*self._owing]:
            connection.cut()  # (those that rest are closed by the server, which sends what is still to be sent)

    def opened(self, connection: GuardedProtocol) -> None:
        """A newcomer."""
        self.connections += 1
        self.owes(connection)
        if self.connections > self._most:
            self._evict(connection)

    def closed(self, connection: GuardedProtocol) -> None:
        """It is gone."""
        self.connections -= 1
        self.paid(connection)
        self._stalled.pop(connection, None)

    def owes(self, connection: GuardedProtocol) -> None:
        """A request has begun, or should."""
        self._idle.pop(connection, None)
        self._owing.pop(connection, None)
        self._owing[connection] = self._loop.time()

    def paid(self, connection: GuardedProtocol) -> None:
        """The request is complete."""
        self._owing.pop(connection, None)
        self._idle.pop(connection, None)

    def rests(self, connection: GuardedProtocol) -> None:
        """Answered, and free for the next request; how long is bounded by the server."""
        self._idle[connection] = None

    def stalls(self, connection: GuardedProtocol) -> None:
        """The client does not read."""
        self._stalled.setdefault(connection, self._loop.time())

    def reads(self, connection: GuardedProtocol) -> None:
        """The client reads again."""
        self._stalled.pop(connection, None)

    def _evict(self, newcomer: GuardedProtocol) -> None:
        # Who has had an answer is known to behave; it goes only when nobody else is there.
        self.evicted += 1
        found = next(iter(self._owing))
        if found is newcomer and self._idle:
            found = next(iter(self._idle))
            self.paid(found)
            found.transport.close()
        else:
            self.paid(found)
            found.cut()


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, reporting to a :class:`Guard`."""

    def __init__(self, guard: Guard, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard
        self._midway = False
        self._in_head = True
        self._head_bytes = 0

    def cut(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Noted."""
        super().connection_made(transport)
        self._guard.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Noted."""
        self._guard.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A head that does not end is counted here: the parser would collect it for as long as it comes."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"the head of the request has more than {HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._in_head = False
        super().on_headers_complete()
        if len(self.pipeline) > PIPELINED:
            self.cut()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._midway = self._in_head = True
        self._head_bytes = 0
        self._guard.owes(self)
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._midway = False
        self._guard.paid(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written. It may come before the request is complete, which is owed all the same."""
        super().on_response_complete()
        if not self._midway and self.cycle.response_complete and not self.transport.is_closing():
            self._guard.rests(self)

    def send_400_response(self, msg: str) -> None:
        """Nothing of what came can be trusted, so the connection ends."""
        problem = ProblemError("malformed-request", f"{msg.rstrip('.')}; the connection is closed")
        body = problem.body()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode("ascii") + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def pause_writing(self) -> None:
        """More is to be sent than the client takes."""
        self._guard.stalls(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It takes it again."""
        self._guard.reads(self)
        super().resume_writing()
