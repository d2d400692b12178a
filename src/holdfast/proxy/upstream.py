"""A connection to a backend.

It carries one exchange at a time. Bytes that arrive while it carries none belong to nobody:
the connection is closed, because they could only ever be taken for the answer to the next request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, cast

from holdfast.http1 import BadMessage, Limits, ResponseReader

if TYPE_CHECKING:
    from holdfast.proxy.backend import Backend
    from holdfast.proxy.client import ClientConnection
    from holdfast.proxy.tunnel import Tunnel

STALE_IDLE_S: Final = 1.0
"""A kept connection that was idle this long and dies before a byte of answer was most likely
closed by the backend while the request was under way (RFC 9112 section 9.3.1)."""


class Carried(Protocol):
    """What an upstream connection works for: an exchange of the balancer, or an attempt of the gateway."""

    @property
    def client(self) -> ClientConnection:
        """For whom."""

    @property
    def tunnel(self) -> Tunnel | None:
        """Takes the bytes after a switch of protocols."""

    def answer_progress(self, upstream: UpstreamConnection) -> None:
        """Bytes of the answer were read; they are in ``upstream.reader``."""

    def answer_broken(self, upstream: UpstreamConnection, error: BadMessage) -> None:
        """The answer is not valid HTTP."""

    def upstream_lost(self, upstream: UpstreamConnection, exc: Exception | None) -> None:
        """The connection is gone."""


class UpstreamConnection(asyncio.Protocol):
    """One kept-alive connection to one backend."""

    __slots__ = ("backend", "exchange", "idle_since", "lost", "open", "reader", "transport", "uses", "write_paused")

    transport: asyncio.Transport

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.backend = backend
        self.reader = ResponseReader(limits)
        self.exchange: Carried | None = None
        self.idle_since = 0.0
        self.uses = 0
        self.lost = False
        self.open = False
        """Set by :meth:`Backend.connect`, which counts it; until then nobody else knows of this connection."""
        self.write_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer, or of a tunnel."""
        exchange = self.exchange
        if exchange is None:
            self.close()
            return
        if exchange.tunnel is not None:
            exchange.tunnel.down(data)
            return
        try:
            self.reader.feed(data)
        except BadMessage as error:
            exchange.answer_broken(self, error)
            return
        exchange.answer_progress(self)

    def eof_received(self) -> bool:
        """The backend sends no more; asyncio closes the transport, so nobody may pick it from now on."""
        if self.exchange is None:
            self._left_idle()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by either side."""
        self.lost = True
        backend = self.backend
        backend.connections -= self.open
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.upstream_lost(self, exc)
        else:
            self._left_idle()
        self.reader.close()

    def _left_idle(self) -> None:
        """The backend closed this connection while it was kept (one that we close is not among those any more)."""
        backend = self.backend
        try:
            backend.idle.remove(self)
        except ValueError:
            return
        # The clock of an engine and that of its loop are both the monotonic one.
        if asyncio.get_running_loop().time() - self.idle_since < STALE_IDLE_S:
            backend.hangs_up = True

    def pause_writing(self) -> None:
        """The backend reads slower than the client sends."""
        self.write_paused = True
        if self.exchange is not None:
            self.exchange.client.update_reading()

    def resume_writing(self) -> None:
        """The backend caught up."""
        self.write_paused = False
        if self.exchange is not None:
            self.exchange.client.update_reading()

    def release(self, now: float, *, keep: int, sent: bool) -> None:
        """The exchange is over: wait for the next one if nothing speaks against it, otherwise close.

        ``keep`` is how many connections may wait; ``sent`` says whether the backend has the whole request.
        """
        reader, backend = self.reader, self.backend
        head = reader.head
        if (
            sent
            and reader.complete
            and head is not None
            and head.keep_alive
            and not reader.dirty
            and not self.lost
            and not backend.retired
            and len(backend.idle) < keep
        ):
            self.exchange = None
            self.idle_since = now
            reader.expect(to_head=False)
            backend.idle.append(self)
        else:
            self.close()

    def close(self) -> None:
        """Close without waiting: whatever was still to be sent has lost its purpose."""
        self.exchange = None
        if not self.lost:
            self.transport.abort()
