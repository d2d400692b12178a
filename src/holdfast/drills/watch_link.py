"""The line between agents and engine, as one process that can be stopped and killed.

Run as ``python -m holdfast.drills.watch_link PORT TO``: what comes to ``PORT`` of loopback goes on to ``TO``. Stopped
(SIGSTOP) it is a line on which nothing arrives any more; killed, one that resets what was open.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final

import uvloop

_CONNECT_S: Final = 5.0
_CHUNK: Final = 64 * 1024


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(port: int, to: int) -> None:
    """Until SIGTERM."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        except (OSError, TimeoutError):
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(relay, "127.0.0.1", port)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
