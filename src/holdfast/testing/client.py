"""A client that sends exactly the bytes that it is given, and reads exactly one answer at a time.

It shares no code with :mod:`holdfast.http1`: a test of a parser by means of that parser proves nothing.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import ssl

_DEADLINE_S: Final = 5.0
_HEAD_BYTES: Final = 256 * 1024
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it came. ``fields`` in order, names lower-cased; ``body`` without chunk framing."""

    status: int
    reason: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    head: bytes

    def field(self, name: bytes) -> bytes | None:
        """The value of a field that stands at most once. Raises ``ValueError`` when it is repeated."""
        values = [value for key, value in self.fields if key == name]
        if len(values) > 1:
            raise ValueError(f"{name!r} stands {len(values)} times in the answer")
        return values[0] if values else None


class RawClient:
    """One connection to a server. Every wait has a deadline, ``deadline_s``, and raises ``TimeoutError`` at it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, deadline_s: float = _DEADLINE_S
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.deadline_s = deadline_s

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        deadline_s: float = _DEADLINE_S,
        receive_buffer: int | None = None,
    ) -> RawClient:
        """Open a connection. ``receive_buffer`` bytes bound what the kernel takes for a client that does not read."""
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.get_running_loop().sock_connect(sock, (host, port))
                # A small limit, so that a client that does not read holds little itself.
                reader, writer = await asyncio.open_connection(
                    sock=sock, ssl=tls, server_hostname=server_name if tls is not None else None, limit=_HEAD_BYTES
                )
        except BaseException:
            sock.close()
            raise
        return cls(reader, writer, deadline_s=deadline_s)

    async def __aenter__(self) -> Self:
        """The client itself; it closes at the end."""
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Close."""
        await self.close()

    async def send(self, *pieces: bytes) -> None:
        """Send bytes; each piece is handed to the kernel before the next.

        Raises ``ConnectionError`` when the server has closed.
        """
        async with asyncio.timeout(self.deadline_s):
            for piece in pieces:
                if self._writer.is_closing():
                    raise ConnectionResetError("the server has closed the connection")
                self._writer.write(piece)
                await self._writer.drain()

    async def ask(self, data: bytes, *, to_head: bool = False) -> Answer:
        """Send a request and read its answer."""
        await self.send(data)
        return await self.answer(to_head=to_head)

    async def answer(self, *, to_head: bool = False) -> Answer:
        """Read one answer, 1xx included.

        Raises ``EOFError`` when the connection ends before it is complete, ``ConnectionResetError`` when it is
        reset, ``ValueError`` when it is not HTTP.
        """
        async with asyncio.timeout(self.deadline_s):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
                line, *lines = head[:-4].split(b"\r\n")
                version, status, reason = (line + b" ").split(b" ", 2)
                if version != b"HTTP/1.1" or not (status.isdigit() and len(status) == 3):
                    raise ValueError(f"not a status line: {line!r}")
                fields = []
                for text in lines:
                    name, colon, value = text.partition(b":")
                    if not colon or not name or name != name.strip() or b"\n" in text or b"\r" in text:
                        raise ValueError(f"not a field line: {text!r}")
                    fields.append((name.lower(), value.strip(b" \t")))
                code = int(status)
                bodiless = to_head or code < 200 or code in (204, 304)
                body = b"" if bodiless else await self._body(fields)
            except asyncio.IncompleteReadError as error:
                raise EOFError(f"the connection ended after {error.partial[-200:]!r}") from error
        return Answer(status=code, reason=reason.rstrip(b" "), fields=tuple(fields), body=body, head=head)

    async def _body(self, fields: list[tuple[bytes, bytes]]) -> bytes:
        lengths = [value for name, value in fields if name == b"content-length"]
        codings = [value for name, value in fields if name == b"transfer-encoding"]
        if len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            raise ValueError(f"the length of the body is ambiguous: {lengths} {codings}")
        if lengths:
            return await self._reader.readexactly(int(lengths[0]))
        if not codings:
            return await self._reader.read(-1)
        pieces = []
        while size := int((await self._reader.readuntil(b"\r\n"))[:-2], 16):
            pieces.append(await self._reader.readexactly(size))
            await self._crlf()
        await self._crlf()
        return b"".join(pieces)

    async def _crlf(self) -> None:
        if (found := await self._reader.readexactly(2)) != b"\r\n":
            raise ValueError(f"a chunk ends with {found!r} instead of CRLF")

    async def read(self, size: int) -> bytes:
        """Read exactly ``size`` bytes. Raises ``EOFError`` when there are fewer."""
        async with asyncio.timeout(self.deadline_s):
            try:
                return await self._reader.readexactly(size)
            except asyncio.IncompleteReadError as error:
                raise EOFError(f"the connection ended after {len(error.partial)} of {size} bytes") from error

    async def rest(self) -> bytes:
        """Everything until the server closes. Raises ``ConnectionResetError`` when it resets instead."""
        async with asyncio.timeout(self.deadline_s):
            return await self._reader.read(-1)

    async def closed(self) -> bool:
        """Whether the server closes, properly or by reset, without sending anything more."""
        try:
            return await self.rest() == b""
        except ConnectionError:
            return True

    def end(self) -> None:
        """Send FIN; reading goes on."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Vanish: the server gets RST."""
        if self._writer.is_closing():
            return
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close, whatever is still unread."""
        self._writer.transport.abort()
        try:
            async with asyncio.timeout(self.deadline_s):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # reset by the server, or gone before: closed either way
