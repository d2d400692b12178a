"""A WebSocket that says something now and then and notices when it is cut."""

from __future__ import annotations

import asyncio
import base64
import random
import struct
from typing import Final

from holdfast.drills.errors import DrillError

_ANSWER_TIMEOUT_S: Final = 5.0
_FRAME_BYTES: Final = 12


class WebSocketProbe:
    """Sends a small masked text frame every ``interval_s`` and expects the echoing backend to return its bytes.

    The backends of a drill echo the bytes of a tunnel unchanged, so what is tested is the
    tunnel and not a WebSocket implementation (frames: RFC 6455, section 5.2).
    """

    def __init__(self, port: int, *, seed: int, interval_s: float = 0.05) -> None:
        self.echoes = 0
        """Frames that came back."""
        self.breaks = 0
        """1 if the tunnel was cut or fell silent."""
        self._port = port
        self._rng = random.Random(f"{seed}/websocket")
        self._interval_s = interval_s
        self._stop = asyncio.Event()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.get_running_loop().create_task(self._talk())

    async def wait_open(self) -> None:
        """Return when the upgrade is through. Raises :class:`DrillError` if it was refused."""
        await self._opened

    async def close(self) -> None:
        """Say goodbye and wait for the end."""
        self._stop.set()
        await self._task

    async def _talk(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                await self._upgrade(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, DrillError) as error:
            self._opened.set_exception(DrillError(f"no WebSocket through the balancer: {error!r}"))
            return
        self._opened.set_result(None)
        await self._ping(reader, writer)

    async def _ping(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not self._stop.is_set():
                if writer.is_closing():
                    self.breaks = 1
                    return
                frame = self._frame()
                writer.write(frame)
                async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                    echoed = await reader.readexactly(len(frame))
                if echoed != frame:
                    self.breaks = 1
                    return
                self.echoes += 1
                try:
                    async with asyncio.timeout(self._interval_s):
                        await self._stop.wait()
                except TimeoutError:
                    continue
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self.breaks = 1
        finally:
            writer.transport.abort()

    async def _upgrade(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = base64.b64encode(self._rng.randbytes(16))
        writer.write(
            b"GET /drill HTTP/1.1\r\nHost: drill\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise DrillError(f"answered {head.splitlines()[0]!r}")

    def _frame(self) -> bytes:
        mask = self._rng.randbytes(4)
        text = self._rng.randbytes(_FRAME_BYTES)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
        return struct.pack("!BB", 0x82, 0x80 | len(text)) + mask + masked
