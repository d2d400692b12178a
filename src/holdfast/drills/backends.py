"""Backends that fail on purpose: ``python -m holdfast.drills.backends``.

All backends of a drill share one process and one uvloop, each with sockets of its own,
so that the two cores of a small machine are left to the proxies under test. The process
is driven by JSON lines (:mod:`holdfast.drills.faults`) and ends when its input does, so
a drill that dies leaves no backend behind.

Capacity is virtual: a heap holds the moment at which each slot becomes free, a request
takes the earliest one, and its answer is due one service time later. Lateness of a timer
therefore never accumulates into lost capacity, which a queue drained by timers would suffer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import heapq
import os
import random
import socket
import struct
import sys
import time
from typing import Final, cast

import httptools
import msgspec
import uvloop

from holdfast.drills.faults import (
    Answered,
    Attempt,
    BackendSpec,
    Begun,
    Command,
    Fault,
    FleetSpec,
    Ledger,
    Started,
)

_HEALTHY: Final = Fault(kind="healthy")
_LINGER_RESET: Final = struct.pack("ii", 1, 0)
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_BACKLOG: Final = 4096


def reset_connection(transport: asyncio.Transport) -> None:
    """Close with RST instead of FIN: linger 0 makes the kernel drop the connection."""
    if transport.is_closing():
        return
    descriptor = os.dup(transport.get_extra_info("socket").fileno())
    with socket.socket(fileno=descriptor) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    transport.abort()


class Backend:
    """One faulty server: its capacity, its current fault, its ledger, its connections."""

    def __init__(self, spec: BackendSpec, *, seed: int, loop: asyncio.AbstractEventLoop) -> None:
        self.spec = spec
        self.loop = loop
        self.ledger: list[Attempt] = []
        self.connections: set[Connection] = set()
        self._rng = random.Random(f"{seed}/{spec.name}")
        self._free_at = [0.0] * spec.slots
        self._epoch = 0.0
        self._fault = _HEALTHY
        self._timers: list[asyncio.TimerHandle] = []
        self._server: asyncio.Server | None = None
        self._port_holder = self._bind(0)
        self.port: int = self._port_holder.getsockname()[1]
        body = b"x" * spec.body_bytes
        self.ok_head = self._head(b"200 OK", len(body), spec.name)
        self.ok = self.ok_head + body
        self.unavailable = self._head(b"503 Service Unavailable", 0, spec.name)
        self.error = self._head(b"500 Internal Server Error", 0, spec.name)

    @staticmethod
    def _head(status: bytes, length: int, name: str) -> bytes:
        return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nX-Drill-Backend: %s\r\n\r\n" % (status, length, name.encode())

    @staticmethod
    def _bind(port: int) -> socket.socket:
        # Bound without listening, a socket refuses connections yet keeps its port from being
        # taken by somebody else while the backend is closed.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", port))
        return sock

    async def open(self) -> None:
        """Listen on the backend's port."""
        if self._server is None:
            sock = self._bind(self.port)
            sock.setblocking(False)
            self._server = await self.loop.create_server(lambda: Connection(self), sock=sock, backlog=_BACKLOG)

    def refuse(self) -> None:
        """Stop listening and reset what is connected, as when the process is killed."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self.connections):
            connection.reset()

    def begin(self, now: float) -> None:
        """Forget the ledger; run the schedule from ``now`` on."""
        self.ledger.clear()
        self._epoch = now
        self._set_fault(_HEALTHY)
        self._cancel_timers()
        for fault in self.spec.schedule:
            if fault.at_s <= 0:
                self._set_fault(fault)
            else:
                self._timers.append(self.loop.call_later(fault.at_s, self._set_fault, fault))

    def heal(self) -> None:
        """Behave well from now on, whatever the schedule says."""
        self._cancel_timers()
        self._set_fault(_HEALTHY)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _set_fault(self, fault: Fault) -> None:
        self._fault = fault
        if fault.kind == "refuse":
            self.refuse()
        elif self._server is None:
            self._reopening = self.loop.create_task(self.open())

    def handle(self, connection: Connection, request_id: int, *, health: bool, keep_body: bool) -> None:
        """Decide what happens to one complete request."""
        now = time.monotonic()
        answered, answer, cost_s = self._fate(now, health=health, keep_body=keep_body)
        finish = now
        if cost_s > 0.0:
            finish = max(now, self._free_at[0]) + cost_s
            heapq.heapreplace(self._free_at, finish)
            if self._is_down(finish):
                # Without this, what waited inside would be answered well while the backend is
                # down, and a flapper would be worth more than its up share.
                answered, answer = "status", self.unavailable
        if not health:
            self.ledger.append(Attempt(request_id, now, answered))
        if answered == "hang":
            return
        if cost_s > 0.0:
            self.loop.call_later(finish - now, connection.answer, answer)
        else:
            connection.answer(answer)

    def _fate(self, now: float, *, health: bool, keep_body: bool) -> tuple[Answered, bytes | None, float]:
        """How the current fault treats a request: outcome, answer (``None``: a reset), cost in seconds of a slot."""
        fault = self._fault
        # Checks do not queue behind traffic: a busy backend is not a sick one.
        cost_s = 0.0 if health else self.spec.service_s
        match fault.kind:
            case "hang":
                return "hang", b"", 0.0
            case "unavailable":
                return "status", self.unavailable, 0.0
            case "flap" if self._is_down(now):
                return "status", self.unavailable, 0.0
            case "hidden" if not health:
                return "status", self.unavailable, 0.0
            case "error500" if not health:
                return "status", self.error, cost_s
            case "reset" if not health and self._rng.random() < fault.share:
                return "reset", None, cost_s
            case "slow":
                cost_s *= fault.factor
            case _:
                pass
        return "ok", self.ok if keep_body else self.ok_head, cost_s

    def _is_down(self, moment: float) -> bool:
        """Whether this is a flapper, in the down part of its cycle."""
        fault = self._fault
        return fault.kind == "flap" and (moment - self._epoch) % fault.period_s < fault.down_s


class Connection(asyncio.Protocol):
    """One connection of a proxy to a backend: HTTP/1.1 with keep-alive, or an echoing tunnel."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._request_id = -1
        self._websocket_key: bytes | None = None
        self._tunnel = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's class is not derived from it
        self._backend.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answers that are still due will go nowhere."""
        self._transport = None
        self._backend.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse, or echo once upgraded."""
        if self._tunnel:
            if self._transport is not None:
                self._transport.write(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except httptools.HttpParserError:
            self.reset()

    def on_message_begin(self) -> None:
        """A new request."""
        self._url = b""
        self._request_id = -1
        self._websocket_key = None

    def on_url(self, url: bytes) -> None:
        """Part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        lowered = name.lower()
        if lowered == b"x-drill-id":
            self._request_id = int(value) if value.isdigit() else -1
        elif lowered == b"sec-websocket-key":
            self._websocket_key = value

    def on_message_complete(self) -> None:
        """The request is complete: let the backend decide."""
        if self._parser.should_upgrade():
            return
        self._backend.handle(
            self,
            self._request_id,
            health=self._url.startswith(b"/health"),
            keep_body=self._parser.get_method() != b"HEAD",
        )

    def _upgrade(self) -> None:
        if self._transport is None or self._websocket_key is None:
            self.reset()
            return
        accept = base64.b64encode(hashlib.sha1(self._websocket_key + _WEBSOCKET_GUID, usedforsecurity=False).digest())
        self._tunnel = True
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def answer(self, data: bytes | None) -> None:
        """Write an answer; ``None`` resets the connection."""
        if self._transport is None:
            return
        if data is None:
            self.reset()
        else:
            self._transport.write(data)

    def reset(self) -> None:
        """Close with RST."""
        if self._transport is not None:
            reset_connection(self._transport)


def _say(frame: Started | Begun | Ledger) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(frame) + b"\n")
    sys.stdout.buffer.flush()


async def serve() -> None:
    """Run the backends that standard input describes until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    spec = msgspec.json.decode(await reader.readline(), type=FleetSpec)
    backends = [Backend(one, seed=spec.seed, loop=loop) for one in spec.backends]
    for backend in backends:
        await backend.open()
    _say(Started({backend.spec.name: backend.port for backend in backends}))
    while line := await reader.readline():
        now = time.monotonic()
        match msgspec.json.decode(line, type=Command).do:
            case "begin":
                for backend in backends:
                    backend.begin(now)
                _say(Begun(now))
            case "heal":
                for backend in backends:
                    backend.heal()
                _say(Begun(now))
            case "ledger":
                _say(Ledger({backend.spec.name: backend.ledger for backend in backends}))


def main() -> None:
    """Entry point of the process."""
    uvloop.run(serve())


if __name__ == "__main__":
    main()
