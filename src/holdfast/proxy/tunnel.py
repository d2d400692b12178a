"""After 101: bytes in both directions, nobody looks at them (RFC 9110 section 7.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.proxy.answers import answer_head

if TYPE_CHECKING:
    from holdfast.http1 import ResponseHead
    from holdfast.proxy.exchange import Exchange
    from holdfast.proxy.upstream import UpstreamConnection

_FLUSH_S: Final = 2.0
"""Longest time for what a client sent last to reach the backend after the client has gone."""


class Tunnel:
    """The relay of one upgraded connection. Its end is the exchange's affair."""

    __slots__ = ("_exchange", "_upstream", "received")

    def __init__(self, exchange: Exchange, upstream: UpstreamConnection, head: ResponseHead) -> None:
        """Pass 101 on, and what either side sent right behind its head."""
        self._exchange = exchange
        self._upstream = upstream
        self.received = 0
        """Bytes from the client."""
        client = exchange.client
        early, behind = client.reader.early or b"", upstream.reader.tunnel or b""
        client.reader.early = b""
        client.transport.write(
            b"%bConnection: Upgrade\r\nUpgrade: %b\r\nX-Request-Id: %b\r\n\r\n"
            % (answer_head(head, chunked=False), head.upgrade or b"", exchange.request_id)
        )
        if behind:
            self.down(behind)
        if early:
            self.up(early)
        self._stay()

    def up(self, data: bytes) -> None:
        """Bytes from the client."""
        self.received += len(data)
        self._upstream.transport.write(data)
        self._stay()

    def down(self, data: bytes) -> None:
        """Bytes from the backend."""
        self._exchange.bytes_out += len(data)
        self._exchange.client.transport.write(data)
        self._stay()

    def close(self) -> None:
        """Let go of the backend; what is still to be sent may be sent, for a moment."""
        upstream = self._upstream
        upstream.exchange = None
        if not upstream.lost:
            upstream.transport.close()
            # A backend that takes nothing would keep the connection for ever.
            self._exchange.client.engine.loop.call_later(_FLUSH_S, upstream.close)

    def _stay(self) -> None:
        engine = self._exchange.client.engine
        self._exchange.expires = engine.clock() + engine.edge.tunnel_timeout_s
