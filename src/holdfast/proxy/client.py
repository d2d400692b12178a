"""A connection from a client: reads requests, has them answered one after the other.

A client may send ahead (pipelining), but one :class:`~holdfast.proxy.exchange.Exchange` at a time
is under way, so answers cannot change places. Reading stops when too much is waiting here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from holdfast.http1 import BadMessage, RequestReader
from holdfast.proxy.answers import error_answer
from holdfast.proxy.exchange import Exchange
from holdfast.proxy.plan import Plan, affinity_key, forwarding_block

if TYPE_CHECKING:
    from holdfast.http1 import Request, RequestHead
    from holdfast.proxy.engine import Engine

_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 1024 * 1024
_EARLY_BYTES: Final = 64 * 1024
"""What a client may send for another protocol before the backend has agreed to it."""
_SLICE_BYTES: Final = 16 * 1024
_BODY_SLICE_BYTES: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends RST, which no client takes for a proper end."""


class ClientConnection(asyncio.Protocol):
    """One client."""

    __slots__ = (
        "_forward_host",
        "_forward_lines",
        "_running",
        "address",
        "broken",
        "closing",
        "engine",
        "exchange",
        "head_since",
        "linger_left",
        "lost",
        "reader",
        "reading_paused",
        "secure",
        "since",
        "transport",
        "trusted",
        "unread",
        "unsent",
        "write_paused",
    )

    transport: asyncio.Transport

    def __init__(self, engine: Engine, *, secure: bool = False) -> None:
        self.engine = engine
        self.reader = RequestReader(engine.edge.limits)
        self.exchange: Exchange | None = None
        self.broken: BadMessage | None = None
        self.closing = False
        self.lost = False
        self.secure = secure
        self.trusted = False
        self.address = ""
        self.since = 0.0
        """When the present wait began: for a request, for more of a body, or for the client to read."""
        self.head_since = 0.0
        """When the first byte of an unfinished head came; 0 without one."""
        self.write_paused = False
        self.reading_paused = False
        self.unsent = 0
        self.unread = b""
        """Bytes that were read ahead of the limit of pipelined requests."""
        self.linger_left = 0
        self._running = False
        self._forward_host: bytes | None = None
        self._forward_lines = b""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self.transport = cast("asyncio.Transport", transport)
        engine = self.engine
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else "unix"
        self.trusted = engine.edge.trusts(self.address)
        self.since = engine.clock()
        engine.accepted += 1
        if len(engine.clients) >= engine.edge.connections:
            engine.count_client_error("too_many_connections")
            self.lost = True
            self.reader.close()
            self.transport.abort()
            return
        engine.clients.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self.closing or self.broken is not None:
            if self.linger_left:
                self._discard(len(data))
            return
        exchange = self.exchange
        if exchange is not None and exchange.tunnel is not None:
            exchange.tunnel.up(data)
            return
        reader = self.reader
        try:
            if len(data) <= _SLICE_BYTES and not self.unread:
                reader.feed(data)
            else:
                self._feed_ahead(data)
        except BadMessage as error:
            self.broken = error
        if exchange is None:
            self._next()
        elif not exchange.request_sent:
            self.since = self.engine.clock()
            exchange.body_arrived()
            if self.broken is not None and not exchange.request.complete:
                self._fail_body()
        if reader.arrived or reader.early or (self.exchange is not None and not self.exchange.request_sent):
            self.update_reading()

    def eof_received(self) -> bool:
        """The client sends no more. Like nginx and Envoy we take it as gone; asyncio closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side."""
        if self.lost:
            return
        self.lost = True
        engine = self.engine
        engine.clients.discard(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_gone()
        self.reader.close()
        if engine.draining and not engine.clients:
            engine.drained.set()

    def pause_writing(self) -> None:
        """The client reads slower than the backend sends: the backend has to wait."""
        self.write_paused = True
        self.since = self.engine.clock()
        self.unsent = self.transport.get_write_buffer_size()
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client caught up."""
        self.write_paused = False
        exchange = self.exchange
        if exchange is None:
            self.since = self.engine.clock()
            self._next()
            self.update_reading()
        elif exchange.upstream is not None:
            exchange.upstream.transport.resume_reading()

    def _feed_ahead(self, data: bytes) -> None:
        """Read requests up to the limit of pipelined ones; what is beyond stays as bytes.

        One read can bring thousands of requests, and a parsed one takes twenty times its bytes.
        Raises :class:`BadMessage`.
        """
        reader = self.reader
        data, self.unread = self.unread + data, b""
        at = 0
        while at < len(data) and (
            reader.current is not None or reader.early is not None or len(reader.arrived) < self.engine.edge.pipelined
        ):
            size = _SLICE_BYTES if reader.current is None else _BODY_SLICE_BYTES
            reader.feed(data[at : at + size])
            at += size
        self.unread = data[at:]

    # Requests, one after the other.

    def _next(self) -> None:
        """Start the next request; those that are answered at once do not recurse."""
        if self._running:
            return
        self._running = True
        try:
            arrived = self.reader.arrived
            # A client that asks and does not read gets no further answers, which would only pile up here.
            while self.exchange is None and not self.write_paused and not self.lost and not self.closing:
                if arrived and (self.broken is None or arrived[0].complete):
                    self.head_since = 0.0
                    self._begin(arrived.popleft())
                elif self.unread:
                    try:
                        self._feed_ahead(b"")
                    except BadMessage as error:
                        self.broken = error
                elif self.broken is not None:
                    self._refuse(self.broken)
                else:
                    break
        finally:
            self._running = False
        if self.exchange is None and self.reader.mid_head and not self.head_since:
            self.head_since = self.engine.clock()

    def _begin(self, request: Request) -> None:
        engine = self.engine
        head = request.head
        plan = head.memo
        if isinstance(plan, Plan) and plan.head is head and plan.epoch is engine.epoch:
            pool = engine.pools[plan.pool]
        else:
            known = plan if isinstance(plan, Plan) and plan.epoch is engine.epoch else None
            host = head.host.decode("latin-1") if known is None else known.host
            routed = engine.route(host, head.target.decode("ascii"))
            if routed is None or routed.pool not in engine.pools:
                self._unrouted(request)
                return
            pool = engine.pools[routed.pool]
            plan = Plan(head, self, routed, engine.epoch) if known is None else known.under(head, routed)
            head.memo = plan
            if pool.hashes:
                plan.key = affinity_key(pool.policy.hash_on, head, self.address)
        engine.requests += 1
        now = engine.clock()
        self.since = now
        self.exchange = exchange = Exchange(self, request, plan, pool, engine.requests, now)
        exchange.start(now)

    def _unrouted(self, request: Request) -> None:
        head = request.head
        keep = head.keep_alive and request.complete
        request_id = b"%032x" % self.engine.rng.getrandbits(128)
        self.engine.count_client_error("no_route")
        self.engine.log_refusal(self, 404, "no_route", request_id, head)
        self.send_error(
            404,
            "no_route",
            "no route matches this host and path",
            keep=keep,
            request_id=request_id,
            bodiless=head.method == b"HEAD",
        )
        if not keep:
            self._close_softly()

    def exchange_done(self, exchange: Exchange) -> None:
        """An answer is complete: go on with the next request, or close."""
        if self.exchange is not exchange:
            return  # given up here, by _fail_body() or connection_lost()
        self.exchange = None
        if not exchange.keep or self.engine.draining:
            if exchange.request.complete:
                self.close()
            else:
                self._close_softly()
            return
        self.since = self.engine.clock()
        if self._running:
            return
        if self.reader.arrived or self.broken is not None or self.reader.mid_head or self.unread:
            self._next()
        if self.reading_paused:
            self.update_reading()

    def _fail_body(self) -> None:
        exchange, error = self.exchange, self.broken
        if exchange is None or error is None:
            return
        answered = exchange.answer_sent
        self.exchange = None
        self.engine.count_client_error(error.reason)
        if not answered:
            exchange.answer_status = error.status
        exchange.client_gone(error.reason)
        if answered:
            self.abort()
        else:
            self._refuse(error, counted=True)

    def _refuse(self, error: BadMessage, *, counted: bool = False) -> None:
        """Answer a client that broke a rule, and close. ``counted``: it has its count and its log line."""
        request_id = b"%032x" % self.engine.rng.getrandbits(128)
        if not counted:
            self.engine.count_client_error(error.reason)
            self.engine.log_refusal(self, error.status, error.reason, request_id)
        self.send_error(error.status, error.reason, str(error), keep=False, request_id=request_id)
        self._close_softly()

    def forwarding(self, head: RequestHead) -> bytes:
        """The forwarding fields for a request of this client."""
        if self.trusted and head.owned:
            return forwarding_block(head, self.address, secure=self.secure, trusted=True)
        if head.host != self._forward_host:
            self._forward_host = head.host
            self._forward_lines = forwarding_block(head, self.address, secure=self.secure, trusted=False)
        return self._forward_lines

    def send_error(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        keep: bool,
        request_id: bytes,
        retry_after: int | None = None,
        bodiless: bool = False,
    ) -> None:
        """Write an answer of our own."""
        if self.lost:
            return
        self.transport.write(
            error_answer(
                status,
                reason,
                message,
                request_id=request_id,
                date=self.engine.http_date,
                retry_after_s=retry_after,
                close=not keep,
                bodiless=bodiless,
            )
        )

    # Flow control, closing, time.

    def update_reading(self) -> None:
        """Stop reading while more would only pile up here; go on when it would not."""
        if self.lost:
            return
        exchange = self.exchange
        arrived = self.reader.arrived
        if exchange is None:
            hold = self.write_paused and bool(arrived or self.unread)
        else:
            hold = (
                exchange.holds_body
                or len(arrived) >= self.engine.edge.pipelined
                or bool(self.unread)
                or bool(arrived and not arrived[-1].complete)
                or len(self.reader.early or b"") > _EARLY_BYTES
            )
        if hold != self.reading_paused:
            self.reading_paused = hold
            if hold:
                self.since = self.engine.clock()
                self.transport.pause_reading()
            else:
                self.since = self.engine.clock()
                self.transport.resume_reading()

    def close(self) -> None:
        """Close when everything is written."""
        self.closing = True
        self.since = self.engine.clock()
        if not self.lost:
            self.transport.close()

    def abort(self) -> None:
        """Close with RST, so that a cut answer cannot look complete."""
        self.closing = True
        if self.lost:
            return
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _close_softly(self) -> None:
        """Close after an answer while the client is still sending.

        Closing at once would make the kernel answer what still arrives with RST, and that can
        destroy the answer before the client has read it. So: end our side, read on for a moment.
        """
        self.closing = True
        if self.lost:
            return
        self.reader.arrived.clear()
        if self.reading_paused:
            self.reading_paused = False
            self.transport.resume_reading()
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.linger_left = _LINGER_BYTES
        self.since = self.engine.clock()
        self.transport.write_eof()

    def _discard(self, size: int) -> None:
        self.linger_left -= size
        if self.linger_left <= 0:
            self.abort()

    def sweep(self, now: float) -> None:
        """Enforce the time limits; called about twice a second."""
        edge = self.engine.edge
        exchange = self.exchange
        if self.write_paused:
            unsent = self.transport.get_write_buffer_size()
            if unsent < self.unsent:
                self.unsent, self.since = unsent, now
            elif now - self.since > edge.write_timeout_s:
                self.engine.count_client_error("write_timeout")
                self.abort()
        elif self.linger_left:
            if now - self.since > _LINGER_S:
                self.linger_left = 0  # what is unsent has the write timeout left
                self.close()
        elif self.closing:
            if now - self.since > edge.write_timeout_s:
                self.abort()
        elif exchange is None:
            if self.reader.mid_head:
                if now - self.head_since > edge.header_timeout_s:
                    self._refuse(BadMessage(408, "header_timeout", "the request head did not arrive in time"))
            elif now - self.since > edge.idle_timeout_s:
                self.close()
        elif exchange.tunnel is not None:
            if self.reading_paused and now - self.since > edge.write_timeout_s:
                # The backend takes nothing, and a client that is not read cannot be seen to leave.
                self.engine.count_client_error("tunnel_stalled")
                self.abort()
        elif not exchange.request.complete and not self.reading_paused and now - self.since > edge.body_timeout_s:
            self.broken = BadMessage(408, "body_timeout", "the request body did not arrive in time")
            self._fail_body()
