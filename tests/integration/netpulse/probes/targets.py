"""Targets that behave as told, and a prober that may ask them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from msgspec import structs

from holdfast.kernel import Duration
from holdfast.netpulse.core.settings import HttpCheck, MonitorSettings
from holdfast.netpulse.shell.probes import Finding, Leave, Prober

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LEAVE = Leave(allow_private=True, allow_commands=True)


@contextlib.asynccontextmanager
async def target(serve: Serve, **options: Any) -> AsyncIterator[int]:
    """A server on loopback; its port. What a handler still does when the test ends is cancelled."""
    tasks: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tuple(tasks), return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 1)


def saying(answer: bytes, *, close: bool = True) -> Serve:
    """Read a request, then say this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if not close:
            await reader.read()
        writer.close()

    return serve


def repeating(start: bytes, piece: bytes, *, pause_s: float = 0.0) -> Serve:
    """Read a request, then say a piece again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return serve


def answer(body: bytes = b"", status: str = "200 OK", headers: str = "") -> bytes:
    """A well-formed answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def monitor(*, timeout: float = 5.0, allow_private: bool = True, **kind: Any) -> MonitorSettings:
    """A monitor that may ask loopback."""
    return structs.replace(MonitorSettings(timeout=Duration(timeout), allow_private=allow_private), **kind)


async def probe(spec: MonitorSettings, leave: Leave = LEAVE) -> Finding:
    """Once, with a prober of its own."""
    prober = Prober(leave)
    try:
        return await prober.probe(spec)
    finally:
        await prober.close()


async def get(port: int, *, within: float = 5.0, **check: Any) -> Finding:
    """Probe a target by HTTP."""
    url = check.pop("url", f"http://127.0.0.1:{port}/")
    return await probe(monitor(timeout=within, http=HttpCheck(url=url, **check)))
