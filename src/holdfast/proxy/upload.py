"""The body of a request on its way to a backend.

It is passed on as it comes, and its beginning is kept, up to a bound, so that the attempt can be
repeated. A body that outgrows the bound makes its request unrepeatable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holdfast.http1 import Request
    from holdfast.proxy.upstream import UpstreamConnection

_HELD_BYTES: Final = 64 * 1024
"""How much may wait here while there is no backend to send it to."""


class Upload:
    """One request body. Requests without one have none of these."""

    __slots__ = ("_bound", "_chunked", "_held", "_kept", "_kept_bytes", "_request", "awaits_go", "lost", "sent", "size")

    def __init__(self, request: Request, bound: int) -> None:
        self._request = request
        self._chunked = request.head.chunked
        self._bound = bound
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._held = 0
        self.size = 0
        """Body bytes taken from the client."""
        self.lost = False
        """Whether a part is gone that a repeated attempt would need."""
        self.sent = False
        """Whether the present backend has all of it."""
        self.awaits_go = request.head.expect_continue
        """Whether the client waits for 100 before it sends: until then it is the backend's turn."""

    def begin(self, upstream: UpstreamConnection) -> None:
        """Start anew with a backend that has the head."""
        self.sent = False
        for piece in self._kept:
            self._send(upstream, piece)

    def forward(self, upstream: UpstreamConnection) -> None:
        """Send what has come in the meantime."""
        request = self._request
        self._held = 0
        if request.pieces:
            self.awaits_go = False
            pieces, request.pieces = request.pieces, []
            for piece in pieces:
                self.size += len(piece)
                if not self.lost:
                    self._keep(piece)
                self._send(upstream, piece)
        if request.complete and not self.sent:
            self.sent = True
            if self._chunked:
                upstream.transport.write(b"0\r\n\r\n")

    def hold(self) -> None:
        """Leave what has come where it is: there is no backend to send it to."""
        self._held = sum(map(len, self._request.pieces))

    @property
    def is_full(self) -> bool:
        """Whether more of it should stay with the client while there is no backend."""
        return self._held > _HELD_BYTES

    def _keep(self, piece: bytes) -> None:
        self._kept_bytes += len(piece)
        if self._kept_bytes > self._bound:
            self.lost = True
            self._kept = []
        else:
            self._kept.append(piece)

    def _send(self, upstream: UpstreamConnection, piece: bytes) -> None:
        if self._chunked:
            upstream.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            upstream.transport.write(piece)
