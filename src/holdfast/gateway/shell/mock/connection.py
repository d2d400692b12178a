"""A client's connection: requests in, one answer at a time out."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from holdfast.gateway.shell.mock.delivery import Delivery
from holdfast.http1 import BadMessage, Limits, Request, RequestReader

if TYPE_CHECKING:
    from holdfast.gateway.shell.mock.provider import MockProvider

_LIMITS: Final = Limits(body=64 * 1024 * 1024)
_RESET: Final = struct.pack("ii", 1, 0)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_PIPELINED: Final = 64
"""Requests that may wait on one connection before it is not read any more."""


class Connection(asyncio.Protocol):
    """One connection. A FIN of the client is taken as leaving: half-closed clients get no answer."""

    __slots__ = ("_reader", "_transport", "continued", "delivery", "keep_alive", "paused", "provider", "trusted")

    def __init__(self, provider: MockProvider) -> None:
        self.provider = provider
        self._reader = RequestReader(_LIMITS)
        self._transport: asyncio.Transport | None = None
        self.delivery: Delivery | None = None
        self.keep_alive = True
        self.paused = False
        self.trusted = False
        self.continued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        peer = transport.get_extra_info("peername")
        self.trusted = not isinstance(peer, tuple) or peer[0] in ("127.0.0.1", "::1")
        self.provider.connected(self)
        if self.provider.plan.faults and self.provider.plan.at_accept():
            self.end(reset=True)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        try:
            self._reader.feed(data)
        except BadMessage as error:
            if self.delivery is None:
                self.write(self.provider.bad_message(error))
            self.end(reset=False)
            return
        if len(self._reader.arrived) > _PIPELINED:
            self.end(reset=True)
        elif self.delivery is None:
            self._serve()

    def eof_received(self) -> bool:
        """The client has left: producing stops here, and the transport closes when it has flushed."""
        self._cancel()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._cancel()
        self._transport = None
        self._reader.close()
        self.provider.disconnected(self)

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self.paused = True

    def resume_writing(self) -> None:
        """It reads again."""
        self.paused = False
        if self.delivery is not None:
            self.delivery.resume()

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered."""
        return self.delivery is None

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket."""
        if self._transport is not None:
            self._transport.write(data)

    def answered(self) -> None:
        """An answer is complete."""
        self.delivery = None
        if not self.keep_alive:
            self.end(reset=False)
        elif self._reader.arrived:
            self.provider.loop.call_soon(self._serve)

    def end(self, *, reset: bool) -> None:
        """Close with FIN once everything is sent, or with RST at once."""
        transport = self._transport
        if transport is None:
            return
        self._cancel()
        if reset:
            sock = transport.get_extra_info("socket")
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError:
                pass  # closed already
            transport.abort()
        else:
            transport.close()

    def _cancel(self) -> None:
        delivery, self.delivery = self.delivery, None
        if delivery is not None:
            delivery.cancel()

    def _serve(self) -> None:
        """Answer the first request that is complete."""
        arrived = self._reader.arrived
        if self.delivery is not None or not arrived or self._transport is None or self._transport.is_closing():
            return
        request: Request = arrived[0]
        if not request.complete:
            if request.head.expect_continue and not request.pieces and not self.continued:
                self.continued = True
                self.write(_CONTINUE)
            return
        arrived.popleft()
        self.continued = False
        self.keep_alive = request.head.keep_alive
        self.provider.serve(self, request.head, b"".join(request.pieces))
