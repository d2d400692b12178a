"""One JSON line per request, written by a thread, because a file or a pipe can block.

The lines wait in a bounded queue; when the reader of the log is slower than the traffic, lines are
dropped and counted, and a line says how many. Serving goes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from holdfast.http1 import RequestHead
    from holdfast.proxy.client import ClientConnection
    from holdfast.proxy.exchange import Exchange

_HELD_LINES: Final = 50_000
_FLUSH_S: Final = 0.1


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


class AccessLog:
    """Writes lines to a file descriptor from a thread of its own."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: deque[bytes] = deque()
        self._encoder = msgspec.json.Encoder()
        self._stop = threading.Event()
        self._second = -1
        self._stamp = ""
        self.dropped = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: str) -> AccessLog:
        """Append to a file (``-``: standard output). Raises ``OSError`` when it cannot be opened."""
        if path == "-":
            return cls(os.dup(1))
        return cls(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640))

    def write(self, exchange: Exchange, now: float) -> None:
        """Queue the line of a finished exchange."""
        lines = self._lines
        if len(lines) >= _HELD_LINES:
            self.dropped += 1
            return
        head = exchange.head
        client = exchange.client
        tried = exchange.trail
        lines.append(
            self._encoder.encode(
                AccessRecord(
                    self._now(client.engine.utc()),
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
        if len(self._lines) >= _HELD_LINES:
            self.dropped += 1
            return
        self._lines.append(
            self._encoder.encode(
                AccessRecord(
                    ts=self._now(client.engine.utc()),
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

    def close(self, wait_s: float = 2.0) -> None:
        """Write what is queued and stop; waits so long at most. A loop that serves traffic must not wait."""
        self._stop.set()
        self._thread.join(wait_s)

    def _now(self, utc: float) -> str:
        second = int(utc)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((utc - second) * 1000):03d}Z"

    def _run(self) -> None:
        while not self._stop.wait(_FLUSH_S):
            self._flush()
        self._flush()
        os.close(self._fd)

    def _flush(self) -> None:
        lines = self._lines
        while lines:
            batch = [lines.popleft() for _ in range(min(len(lines), 512))]
            if self.dropped != self._reported:
                missing, self._reported = self.dropped - self._reported, self.dropped
                batch.append(b'{"action":"access_log_dropped","lines":%d}' % missing)
            data = b"\n".join(batch) + b"\n"
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                # A full disk or a closed pipe must not stop the traffic.
                self.dropped += len(batch)
                return
