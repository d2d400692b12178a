"""A line that can fail: what comes in at one end goes on to an address, when and as long as the drill lets it.

Run as ``python -m holdfast.drills.relay FROM HOST PORT [DELAY_S]``, where ``FROM`` is ``ADDRESS:PORT`` or the path
of a Unix socket. Behind ``nsenter --net=/run/netns/NAME`` a path is a door into a network namespace: it is
seen from every other one, so clients outside can reach what listens inside.

Faults by process: stopped (SIGSTOP) it is a line on which nothing arrives any more; killed, one that resets what was
open. With a delay every byte arrives so much later, in order and in either direction, as ``tc netem delay`` does for
packets where the kernel has it. What it cannot do is lose: TCP between it and both ends makes up for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import Final

import uvloop

_CONNECT_S: Final = 5.0
_CHUNK: Final = 64 * 1024
_IN_FLIGHT: Final = 64
"""Chunks under way in one direction; more wait in the sender's own buffers, as on a long line."""


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """One direction. An empty chunk is the end."""
    now = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)

    async def take() -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await under_way.put((now() + delay_s, data))
        await under_way.put((now() + delay_s, b""))

    taking = asyncio.create_task(take())
    try:
        while True:
            due, data = await under_way.get()
            if (wait := due - now()) > 0:
                await asyncio.sleep(wait)
            if not data:
                break
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the other end has gone, and what was under way with it
    finally:
        taking.cancel()
        writer.close()


async def serve(source: str, host: str, port: int, delay_s: float = 0.0) -> None:
    """Relay until SIGTERM."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                far_reader, far_writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer, delay_s), _copy(far_reader, writer, delay_s))

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if "/" in source:
        server = await asyncio.start_unix_server(relay, source)
    else:
        address, _, number = source.rpartition(":")
        server = await asyncio.start_server(relay, address, int(number))
    await stop.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]) if len(sys.argv) > 4 else 0.0))
