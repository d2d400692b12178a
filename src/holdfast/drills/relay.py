"""A door into a network namespace: a Unix socket whose connections go on to an address inside.

Run as ``nsenter --net=/run/netns/NAME python -m holdfast.drills.relay SOCKET HOST PORT``; a path in the file system is
seen from every network namespace, so clients outside can reach what listens inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import Final

_CONNECT_S: Final = 5.0
_CHUNK: Final = 64 * 1024


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()


async def serve(path: str, host: str, port: int) -> None:
    """Relay until SIGTERM."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                far_reader, far_writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await asyncio.start_unix_server(relay, path):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
