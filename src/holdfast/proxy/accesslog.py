"""One JSON line per request; see :class:`~holdfast.telemetry.LineLog`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.telemetry import LineLog, opened

if TYPE_CHECKING:
    from holdfast.http1 import RequestHead
    from holdfast.proxy.client import ClientConnection
    from holdfast.proxy.exchange import Exchange


class AccessRecord(msgspec.Struct, omit_defaults=True):
    """A line of the access log. Times are milliseconds, sizes bytes of body."""

    ts: str
    id: str
    client: str
    method: str
    host: str
    target: str
    status: int
    route: str
    """Host pattern and path prefix that matched; empty if none did."""
    pool: str
    backend: str | None
    attempts: int
    total_ms: float
    bytes_in: int
    bytes_out: int
    queue_ms: float = 0.0
    connect_ms: float = 0.0
    first_byte_ms: float = 0.0
    retries: list[tuple[str, str]] = []
    """Backend and reason of each failed attempt that was repeated or given up."""
    why: str = ""
    """Why no (further) attempt was made, or why the answer was cut."""


class AccessLog(LineLog):
    """The access log of a data plane."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, name="access_log")
        self._encoder = msgspec.json.Encoder()

    @classmethod
    def open(cls, path: str) -> AccessLog:
        """Append to a file (``-``: standard output). Raises ``OSError`` when it cannot be opened."""
        return cls(opened(path))

    def write(self, exchange: Exchange, now: float) -> None:
        """Queue the line of a finished exchange."""
        if not self.has_room():
            return
        head = exchange.head
        client = exchange.client
        tried = exchange.trail
        self.put(
            self._encoder.encode(
                AccessRecord(
                    self.stamp(client.engine.utc()),
                    exchange.request_id.decode("ascii"),
                    client.address,
                    head.method.decode("ascii"),
                    head.host.decode("latin-1"),
                    head.target.decode("ascii"),
                    exchange.answer_status,
                    exchange.plan.route,
                    exchange.pool.name,
                    exchange.answered_by,
                    exchange.attempts,
                    round((now - exchange.started) * 1e3, 3),
                    exchange.bytes_in(),
                    exchange.bytes_out,
                    round(exchange.queued_s * 1e3, 3),
                    round(exchange.connected_s * 1e3, 3),
                    round(exchange.first_byte_s * 1e3, 3),
                    tried if tried is not None else [],
                    exchange.refusal,
                )
            )
        )

    def refused(
        self, client: ClientConnection, status: int, reason: str, request_id: bytes, head: RequestHead | None
    ) -> None:
        """Queue the line of a request that reached no pool. ``head`` is ``None`` if it could not be read."""
        if not self.has_room():
            return
        self.put(
            self._encoder.encode(
                AccessRecord(
                    ts=self.stamp(client.engine.utc()),
                    id=request_id.decode("ascii"),
                    client=client.address,
                    method="" if head is None else head.method.decode("ascii"),
                    host="" if head is None else head.host.decode("latin-1"),
                    target="" if head is None else head.target.decode("ascii"),
                    status=status,
                    route="",
                    pool="",
                    backend=None,
                    attempts=0,
                    total_ms=0.0,
                    bytes_in=0,
                    bytes_out=0,
                    why=reason,
                )
            )
        )
