"""What NetPulse's drills watch: many addresses of loopback in one process, and a port that never answers.

Run as ``python -m holdfast.drills.watch_targets PORT HANGING_PORT HOST...``. Each host answers on ``PORT``: 200, or 503
between ``GET /-/fail`` and ``GET /-/heal`` on that host. ``HANGING_PORT`` of the last host accepts, reads and says
nothing, as a service whose workers are all stuck does.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from typing import Any, Final

import uvloop

_BODY: Final = b"all is well, and these are sixty-four bytes that say so, watch me\n"
_BACKLOG: Final = 4096
_HEAD_BYTES: Final = 16 * 1024


class _Host:
    """One address."""

    def __init__(self) -> None:
        self.failing = False

    def answer(self, head: bytes) -> bytes:
        path = head.split(b" ", 2)[1]
        if path == b"/-/fail":
            self.failing = True
        elif path == b"/-/heal":
            self.failing = False
        elif self.failing:
            return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_BODY), _BODY)


class _Answering(asyncio.Protocol):
    """One request, one answer, and the connection is closed."""

    def __init__(self, host: _Host) -> None:
        self._host = host
        self._head = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head:
            self._transport.write(self._host.answer(self._head))
            self._transport.close()
        elif len(self._head) > _HEAD_BYTES:
            self._transport.abort()


async def serve(port: int, hanging_port: int, hosts: list[str]) -> None:
    """Until SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    servers = [await loop.create_server(asyncio.Protocol, hosts[-1], hanging_port, backlog=_BACKLOG)]
    servers += [await loop.create_server(partial(_Answering, _Host()), name, port, backlog=_BACKLOG) for name in hosts]
    await stop.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
