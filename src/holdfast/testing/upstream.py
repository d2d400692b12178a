"""A backend that behaves exactly as badly as a test wants, and remembers what it was sent.

A *script* is a coroutine function that is called with each request head that arrives; what it does not
do does not happen: no body is read, nothing is answered. The reading of requests here shares no code with
:mod:`holdfast.http1`, and is strict, because what the proxy sends must be beyond doubt.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import ssl

_RESET: Final = struct.pack("ii", 1, 0)
_CLOSE_S: Final = 5.0


class Visit:
    """One request at a :class:`ScriptedUpstream`, and the means to answer it.

    ``head`` is the head as it came, ``fields`` in order with lower-cased names; ``body`` is there once it is read.
    ``connection`` and ``number`` count from 0: the connections of the upstream, and its requests.
    """

    def __init__(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = head
        line, *lines = head[:-4].split(b"\r\n")
        self.method, self.target, self.version = line.split(b" ")
        fields = (text.partition(b":") for text in lines)
        self.fields = [(name.lower(), value.strip(b" \t")) for name, _, value in fields]
        self.body = b""
        self.complete = False
        self.connection = -1
        self.number = -1
        self.ended = False
        """Set by :meth:`close` and :meth:`reset`: no further request is read from this connection."""
        self._reader = reader
        self._writer = writer

    def field(self, name: bytes) -> bytes | None:
        """The value of a field that stands at most once. Raises ``ValueError`` when it is repeated."""
        values = [value for key, value in self.fields if key == name]
        if len(values) > 1:
            raise ValueError(f"{name!r} stands {len(values)} times in the request")
        return values[0] if values else None

    async def read_body(self) -> bytes:
        """Read the whole body. Raises ``asyncio.IncompleteReadError`` when the proxy gives up in the middle."""
        if self.complete:
            return self.body
        length, coding = self.field(b"content-length"), self.field(b"transfer-encoding")
        if length is not None and coding is not None:
            raise ValueError("the proxy sent two lengths")
        if coding is not None:
            pieces = []
            while size := int((await self._reader.readuntil(b"\r\n"))[:-2], 16):
                pieces.append(await self._reader.readexactly(size))
                if await self._reader.readexactly(2) != b"\r\n":
                    raise ValueError("the proxy sent a malformed chunk")
            if await self._reader.readexactly(2) != b"\r\n":
                raise ValueError("the proxy sent a malformed last chunk")
            self.body = b"".join(pieces)
        elif length is not None:
            self.body = await self._reader.readexactly(int(length))
        self.complete = True
        return self.body

    async def read(self, size: int) -> bytes:
        """Read up to ``size`` raw bytes, body or tunnel; empty at the end of the connection."""
        return await self._reader.read(size)

    async def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece handed to the kernel before the next."""
        for piece in pieces:
            if self._writer.is_closing():
                raise ConnectionResetError("the proxy has closed the connection")
            self._writer.write(piece)
            await self._writer.drain()

    async def hang(self) -> None:
        """Do nothing until the proxy closes the connection; what it sends meanwhile is read and dropped."""
        while await self._reader.read(65536):
            pass
        self.ended = True

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self.ended = True
        self._writer.close()

    def reset(self) -> None:
        """Close the connection with RST, at once."""
        self.ended = True
        if self._writer.is_closing():
            return
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()


class _Recorder(asyncio.StreamReader):
    """A stream that notes every byte that arrives on it."""

    def __init__(self) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.received = bytearray()

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        self.received += data
        super().feed_data(data)


Script = Callable[[Visit], Awaitable[None]]


def answer(status: int = 200, body: bytes = b"ok", *fields: bytes, reason: bytes = b"Fine") -> bytes:
    """An answer with a fixed length; ``fields`` are whole lines without CRLF."""
    lines = [b"HTTP/1.1 %d %b" % (status, reason), b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def always(wire: bytes, *, close: bool = False) -> Script:
    """Read each request whole and answer with these bytes; ``close``: and then close."""

    async def script(visit: Visit) -> None:
        await visit.read_body()
        await visit.send(wire)
        if close:
            visit.close()

    return script


def replies(*scripts: Script) -> Script:
    """One script for the first request, one for the second and so on; the last one stays."""

    async def script(visit: Visit) -> None:
        await scripts[min(visit.number, len(scripts) - 1)](visit)

    return script


class ScriptedUpstream:
    """A real server on loopback. Use with ``async with``; change ``script`` at any time.

    ``visits`` has every request in order of arrival, ``connections`` the raw bytes of every connection:
    the ledger that says what really reached a backend.
    """

    def __init__(
        self, script: Script | None = None, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.script: Script = script if script is not None else always(answer())
        self.host = host
        self.port = 0
        self.visits: list[Visit] = []
        self.connections: list[bytearray] = []
        self.failures: list[BaseException] = []
        """What scripts raised, other than at connections that the proxy gave up."""
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._arrival = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        await self.listen()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Close everything; raises what a script raised, unless the test has failed already."""
        await self.stop()
        if self.failures and error is None:
            raise ExceptionGroup("scripts failed", [e for e in self.failures if isinstance(e, Exception)])

    async def listen(self) -> None:
        """Accept connections, after :meth:`stop` on the same port again."""
        # asyncio.start_server() would make the reader itself, and what comes before its callback runs would be missed.
        self._server = await asyncio.get_running_loop().create_server(
            lambda: asyncio.StreamReaderProtocol(_Recorder(), self._serve), self.host, self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and reset every connection: from now on the port refuses."""
        if self._server is not None:
            self._server.close()
        for task, writer in tuple(self._open.items()):
            writer.transport.abort()
            task.cancel()
        if self._open:
            await asyncio.wait(tuple(self._open), timeout=_CLOSE_S)

    @property
    def open_connections(self) -> int:
        """Connections that neither side has closed."""
        return len(self._open)

    async def visited(self, count: int = 1, *, within_s: float = 5.0) -> Visit:
        """Wait for the ``count``-th request and return it. Raises ``TimeoutError``."""
        async with asyncio.timeout(within_s):
            while len(self.visits) < count:
                self._arrival.clear()
                await self._arrival.wait()
        return self.visits[count - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or not isinstance(reader, _Recorder):
            return
        self._open[task] = writer
        self.connections.append(reader.received)
        connection = len(self.connections) - 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                visit = Visit(head, reader, writer)
                visit.connection, visit.number = connection, len(self.visits)
                self.visits.append(visit)
                self._arrival.set()
                await self.script(visit)
                if visit.ended:
                    break
                await visit.read_body()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the proxy gave up, or the test is over
        except Exception as error:  # noqa: BLE001 - raised again where the test sees it
            self.failures.append(error)
        finally:
            writer.close()
            del self._open[task]
