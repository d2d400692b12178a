"""One request of one client, from its head to the last byte of its answer.

The connection of the client (:class:`~holdfast.proxy.client.ClientConnection`) treats a call as it treats an exchange
of the balancer: it hands on body bytes, says when the client is gone, and goes on with the next request when the call
is done. What the answer is, is decided in a task of the call's own (:mod:`.handling`).
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from holdfast.http1 import valid_request_id, valid_traceparent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holdfast.gateway.core.seen import Seen
    from holdfast.gateway.shell.plane.connection import GatewayConnection
    from holdfast.http1 import Request, RequestHead
    from holdfast.proxy.upstream import UpstreamConnection

_REASONS: Final = {
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    204: b"No Content",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    409: b"Conflict",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    529: b"Overloaded",
}
ARRIVING_BYTES: Final = 512 * 1024 * 1024
"""What bodies that are not whole may take, all together."""
_ESCAPES: Final = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


def header(name: str, value: str) -> bytes:
    """A header line. What a value may not contain is replaced, so that nothing can add a line of its own."""
    return f"{name}: {value.translate(_ESCAPES)}\r\n".encode("latin-1", "replace")


class Call:
    """See the module."""

    __slots__ = (
        "_chunked",
        "_counted",
        "_headers",
        "answer_sent",
        "answer_status",
        "bytes_in",
        "bytes_out",
        "client",
        "done",
        "gone",
        "handled",
        "head",
        "is_wanted",
        "keep",
        "number",
        "on_drained",
        "on_gone",
        "pending",
        "request",
        "request_id",
        "seen",
        "started",
        "streaming",
        "task",
        "traceparent",
        "tunnel",
        "upstream",
    )

    seen: Seen
    """What is known of it for the log, the metrics and the traces; from the moment it is handled."""

    def __init__(self, client: GatewayConnection, request: Request, number: int) -> None:
        engine = client.gateway
        self.client = client
        self.request = request
        self.head: RequestHead = request.head
        self.number = number
        self.started = engine.clock()
        self.tunnel = None
        self.upstream: UpstreamConnection | None = None
        """The connection that the answer is relayed from: stopped while the client does not read."""
        self.task: asyncio.Task[None] | None = None
        self.keep = request.head.keep_alive
        self.answer_sent = False
        self.answer_status = 0
        self.streaming = False
        self.handled = False
        self.pending = 0
        """Attempts that are not over."""
        self.done = False
        self.gone = False
        self.on_gone: Callable[[], None] | None = None
        """Called at once when the client is gone: stops what is under way for it."""
        self.is_wanted: Callable[[], bool] | None = None
        """Whether somebody else needs the work to go on without this client."""
        self.on_drained: Callable[[], None] | None = None
        """Called when the client reads again, for answers that are not relayed."""
        self.bytes_in = 0
        self.bytes_out = 0
        self._chunked = False
        self._headers: dict[bytes, bytes] | None = None
        owned = request.head.owned
        received = owned.get(b"x-request-id", b"") if owned else b""
        self.request_id = (
            received if valid_request_id(received) else b"req_%032x" % engine.rng.getrandbits(128)
        ).decode("ascii")
        received = owned.get(b"traceparent", b"") if owned else b""
        self.traceparent = received.decode("ascii") if valid_traceparent(received) else ""
        self._counted = 0
        if request.complete:
            self._start()
        elif request.head.expect_continue and not request.pieces:
            client.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # What the client's connection asks of an exchange.

    @property
    def request_sent(self) -> bool:
        """Whether nothing of the request is waited for."""
        return self.task is not None

    @property
    def holds_body(self) -> bool:
        """Bodies are bounded by their limit, and read at once."""
        return False

    def body_arrived(self) -> None:
        """More of the body is there."""
        if self.task is not None or self.done:
            return
        if self.request.complete:
            self._give_room()
            self._start()
            return
        engine = self.client.gateway
        for piece in self.request.pieces[self._counted :]:
            self._counted += 1
            self.bytes_in += len(piece)
            engine.arriving_bytes += len(piece)
        if engine.arriving_bytes > ARRIVING_BYTES:
            self._turn_away()

    def _turn_away(self) -> None:
        """More bodies are on their way than there is memory for: this one has to come again."""
        self.done = True
        self._give_room()
        client = self.client
        client.gateway.count_client_error("bodies")
        client.send_error(
            503,
            "overloaded",
            "too many large requests at once",
            keep=False,
            request_id=self.request_id.encode("ascii"),
            retry_after=1,
        )
        client.exchange = None
        client.hang_up()

    def _give_room(self) -> None:
        self.client.gateway.arriving_bytes -= self.bytes_in
        self.bytes_in = 0
        self._counted = 0

    def client_gone(self, reason: str = "client_gone") -> None:
        """The client closed, or broke the rules: everything for it stops."""
        if self.done:
            return
        self.done = True
        self.gone = True
        engine = self.client.gateway
        if self.task is None:
            self._give_room()
        engine.calls.discard(self)
        if self.is_wanted is not None and self.is_wanted():
            # Others wait for the same answer: it is fetched to its end, whatever this client read of it.
            self.client.write_paused = False
            if self.upstream is not None:
                self.upstream.transport.resume_reading()
            return
        if self.on_gone is not None:
            self.on_gone()
        if self.task is not None:
            self.task.cancel(reason)

    # The request.

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Fields by lower-case name; of several with one name the first counts."""
        found = self._headers
        if found is None:
            found = self._headers = {}
            for line in self.head.block.split(b"\r\n"):
                name, colon, value = line.partition(b":")
                if colon:
                    found.setdefault(name.lower(), value.strip())
        return found

    def field(self, name: bytes) -> str:
        """One field as text; empty without it."""
        return self.headers.get(name, b"").decode("latin-1")

    def take_body(self) -> bytes:
        """The whole body; once."""
        pieces, self.request.pieces = self.request.pieces, []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.bytes_in = len(body)
        return body

    # The answer.

    def send(self, status: int, body: bytes, fields: Iterable[bytes] = (), *, media_type: bytes) -> None:
        """A whole answer."""
        if self.done:
            return
        self.answer_status = status
        self.answer_sent = True
        self._decide_keep()
        bodiless = self.head.method == b"HEAD"
        wire = b"%bContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (self._head(status, fields), media_type, len(body))
        self.bytes_out = len(body)
        transport = self.client.transport
        if bodiless:
            transport.write(wire)
        elif len(body) <= 4096:
            transport.write(wire + body)
        else:
            transport.writelines((wire, body))
        self._end()

    def begin(self, status: int, fields: Iterable[bytes] = (), *, media_type: bytes, first: bytes = b"") -> None:
        """The head of a stream, and with it what there is of the body."""
        if self.done:
            return
        self.answer_status = status
        self.answer_sent = True
        self.streaming = True
        self._chunked = not self.head.http10
        if not self._chunked:
            self.keep = False
        self._decide_keep()
        wire = b"%bContent-Type: %b\r\n%b\r\n" % (
            self._head(status, fields),
            media_type,
            b"Transfer-Encoding: chunked\r\n" if self._chunked else b"",
        )
        if first:
            self.bytes_out += len(first)
            wire += b"%x\r\n%b\r\n" % (len(first), first) if self._chunked else first
        self.client.transport.write(wire)

    def write(self, data: bytes) -> None:
        """More of a stream."""
        if self.done or not data:
            return
        self.bytes_out += len(data)
        self.client.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self, trailers: bytes = b"") -> None:
        """The stream is whole."""
        if self.done:
            return
        if self._chunked:
            self.client.transport.write(b"0\r\n%b\r\n" % trailers)
        self._end()

    def abort(self) -> None:
        """The stream broke where no word for it exists: the client's connection breaks with it."""
        if self.done:
            return
        self.keep = False
        self.done = True
        self.client.gateway.calls.discard(self)
        self.client.abort()

    @property
    def wants_trailers(self) -> bool:
        """Whether the client takes fields after the body (RFC 9110 section 6.5.1)."""
        return self._chunked and b"trailers" in self.head.owned.get(b"te", b"").lower()

    def _start(self) -> None:
        engine = self.client.gateway
        engine.calls.add(self)
        self.task = engine.loop.create_task(engine.handle(self), name="call")

    def _decide_keep(self) -> None:
        self.keep = self.keep and self.request.complete and not self.client.gateway.draining

    def _head(self, status: int, fields: Iterable[bytes]) -> bytes:
        engine = self.client.gateway
        return b"HTTP/1.1 %d %b\r\nDate: %b\r\nX-Request-Id: %b\r\n%b%b" % (
            status,
            _REASONS.get(status, b"Status"),
            engine.http_date,
            self.request_id.encode("ascii"),
            b"".join(fields),
            b"" if self.keep else b"Connection: close\r\n",
        )

    def _end(self) -> None:
        self.done = True
        self.upstream = None
        self.on_gone = None
        self.task = None
        engine = self.client.gateway
        engine.calls.discard(self)
        self.client.exchange_done(self)  # type: ignore[arg-type]

    # The sweep of the proxy's engine looks at these; a call keeps its time itself.
    expires = math.inf
    phase = 0
