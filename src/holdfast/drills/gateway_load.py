"""What clients of a gateway send, and streams whose every token is timed."""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from holdfast.drills.errors import DrillError

_CONNECTS_AT_ONCE: Final = 50
_TOKEN: Final = b'"delta":{"content":"'
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"


def chat(
    orders: str,
    *,
    model: str,
    path: str = "/v1/chat/completions",
    stream: bool = False,
    max_tokens: int | None = None,
    headers: Mapping[str, str] | None = None,
    once: bool = False,
) -> bytes:
    """A request for a chat completion, head and body.

    ``orders`` are for the scripted provider. ``once``: the connection ends with the answer, even with an error.
    """
    asked: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": f"Say something [[mock: {orders}]]"}],
    }
    if stream:
        asked["stream"] = True
    if max_tokens is not None:
        asked["max_tokens"] = max_tokens
    body = json.dumps(asked).encode()
    fields = {
        "Host": "drill",
        "Content-Type": "application/json",
        "Authorization": "Bearer drill",
        **({"Connection": "close"} if once else {}),
        **(headers or {}),
        "Content-Length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class TokenStream(asyncio.Protocol):
    """One streamed answer on a connection of its own. It looks for tokens; it decodes nothing."""

    __slots__ = ("_ended", "_tail", "_wanted", "cut_at", "ended_well", "first_at", "moments", "sent_at", "transport")

    def __init__(self, ended: Callable[[TokenStream], None], *, wanted: int = 0) -> None:
        """``wanted``: tokens after which the client leaves; 0: none."""
        self._ended = ended
        self._wanted = wanted
        self._tail = b""
        self.transport: asyncio.Transport | None = None
        self.moments = array("d")
        """When each token came, monotonic seconds."""
        self.sent_at = 0.0
        self.cut_at: float | None = None
        """When the client left by itself."""
        self.ended_well = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can ask now."""
        self.transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes) -> None:
        """Ask."""
        if self.transport is not None:
            self.sent_at = time.monotonic()
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Note when tokens came; leave after enough of them, or at the end."""
        count = data.count(_TOKEN)
        if count:
            now = time.monotonic()
            for _ in range(count):
                self.moments.append(now)
            if self._wanted and len(self.moments) >= self._wanted and self.cut_at is None:
                self.cut_at = time.monotonic()
                self._close()
                return
        # What ends a stream may come in two segments.
        tail = self._tail + data[-16:]
        if tail.endswith(_LAST_CHUNK):
            self.ended_well = b"[DONE]" in self._tail + data
            self._close()
        self._tail = (self._tail + data)[-32:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Over, well or not."""
        self.transport = None
        self._ended(self)

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class TokenStreams:
    """Many streams at once against one port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.open = 0
        self.most = 0
        self.over: list[TokenStream] = []
        self.started: list[TokenStream] = []
        self._changed = asyncio.Event()

    async def start(self, data: bytes, *, wanted: int = 0) -> TokenStream:
        """Open a stream. Raises :class:`DrillError` when no connection can be made."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(20.0):
                _, stream = await loop.create_connection(
                    lambda: TokenStream(self._ended, wanted=wanted), "127.0.0.1", self._port
                )
        except (OSError, TimeoutError) as error:
            raise DrillError(f"no connection to port {self._port}: {error}") from error
        self.open += 1
        self.most = max(self.most, self.open)
        self.started.append(stream)
        stream.send(data)
        return stream

    async def start_many(self, number: int, data: bytes, *, per_s: float, wanted: int = 0) -> None:
        """Open so many, evenly spread in time: tokens of all of them must not be due at one moment."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        opening: set[asyncio.Task[TokenStream]] = set()
        async with asyncio.TaskGroup() as group:
            for _ in range(number):
                due += 1 / per_s
                await asyncio.sleep(max(0.0, due - loop.time()))
                while len(opening) >= _CONNECTS_AT_ONCE:
                    await asyncio.wait(opening, return_when=asyncio.FIRST_COMPLETED)
                task = group.create_task(self.start(data, wanted=wanted))
                opening.add(task)
                task.add_done_callback(opening.discard)

    async def wait_until_over(self, within_s: float) -> None:
        """Return when none is open, or after the time; those that are left are closed and not in ``over``."""
        try:
            async with asyncio.timeout(within_s):
                while self.open:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        for stream in self.started:
            if stream.transport is not None:
                stream.transport.abort()

    def _ended(self, stream: TokenStream) -> None:
        self.open -= 1
        self.over.append(stream)
        self._changed.set()


def lags_ms(moments: array[float], period_s: float, *, skip: int = 0) -> list[float]:
    """How late tokens were against a pace: the earliest one, seen against it, was on time by definition."""
    if len(moments) <= skip:
        return []
    offsets = [moment - number * period_s for number, moment in enumerate(moments)]
    base = min(offsets)
    return [(offset - base) * 1e3 for offset in offsets[skip:]]
