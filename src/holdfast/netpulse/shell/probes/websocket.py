"""The WebSocket check: the opening handshake (RFC 6455), and if wanted a message each way."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

from holdfast.http1 import BadMessage, ResponseHead, ResponseReader
from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.core.settings import WebSocketCheck
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.probes.finding import Failed, quoted
from holdfast.netpulse.shell.probes.http import LIMITS, USER_AGENT, field
from holdfast.netpulse.shell.probes.place import Place, place
from holdfast.netpulse.shell.probes.secure import dial_secure
from holdfast.netpulse.shell.probes.trip import Trip
from holdfast.netpulse.shell.probes.wire import Wire, dial

READ_LIMIT: Final = 256 * 1024
"""Bytes in which the expected text has to be."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_GOING: Final = (1000).to_bytes(2, "big")
"""Close code: the purpose is fulfilled."""


async def probe_websocket(check: WebSocketCheck, trip: Trip) -> None:
    """Raises :class:`Failed` when the target is not up."""
    try:
        where = place(check.url, ("ws", "wss"))
    except Invalid as problem:
        raise Failed(Failure.AGENT, f"the monitor's URL cannot be probed: {problem}") from None
    if where.scheme == "wss":
        wire = await dial_secure(
            trip, where.host, where.port, name=where.host, verify=check.verify, ca_file=check.ca_file
        )
    else:
        wire = await dial(trip, where.host, where.port)
    try:
        early = await _open(trip, wire, where)
        frames = _Frames(wire, early)
        if check.send:
            trip.doing = "the message to be taken"
            await wire.send(frame(_TEXT, check.send.encode()))
        if check.expect:
            start = trip.clock()
            trip.doing = f"{quoted(check.expect)} to come"
            await frames.until(check.expect.encode())
            trip.transfer_ms = trip.since(start)
        await wire.send(frame(_CLOSE, _GOING))
    finally:
        wire.close()


async def _open(trip: Trip, wire: Wire, where: Place) -> bytes:
    """The handshake; what came after it."""
    key = base64.b64encode(secrets.token_bytes(16))
    await wire.send(
        f"GET {where.path} HTTP/1.1\r\nHost: {where.authority}\r\nUser-Agent: {USER_AGENT}\r\n"
        f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key.decode()}\r\n\r\n".encode()
    )
    sent = trip.clock()
    trip.doing = "the answer to the opening handshake"
    reader = ResponseReader(LIMITS)
    try:
        reader.expect(to_head=False)
        while reader.head is None:
            data = await wire.receive()
            if trip.first_byte_ms is None:
                trip.first_byte_ms = trip.since(sent)
            if not data:
                raise Failed(Failure.PROTOCOL, "the target closed the connection without an answer")
            reader.feed(data)
        _judge(reader.head, key, trip)
        return reader.tunnel or b""
    except BadMessage as broken:
        raise Failed(Failure.PROTOCOL, str(broken).replace("the backend", "the target")) from None
    finally:
        reader.close()


def _judge(head: ResponseHead, key: bytes, trip: Trip) -> None:
    trip.status = head.status
    if head.status != 101:
        raise Failed(Failure.STATUS, f"expected status 101, got {head.status}")
    if (head.upgrade or b"").lower() != b"websocket":
        raise Failed(Failure.PROTOCOL, "the target switched to another protocol than websocket")
    proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    if field(head, b"sec-websocket-accept") != proof:
        raise Failed(Failure.PROTOCOL, "the target's Sec-WebSocket-Accept is wrong: it does not speak WebSocket")


def frame(opcode: int, payload: bytes) -> bytes:
    """One unfragmented frame of a client, masked as those have to be."""
    mask = secrets.token_bytes(4)
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    pad = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ pad).to_bytes(size, "big")


class _Frames:
    """Reads frames of a server, up to a limit."""

    def __init__(self, wire: Wire, early: bytes) -> None:
        self._wire = wire
        self._data = early
        self._left = READ_LIMIT

    async def until(self, wanted: bytes) -> None:
        """Until a message has this text. Raises :class:`Failed`."""
        message = b""
        while True:
            final, opcode, payload = await self._frame()
            if opcode == _PING:
                await self._wire.send(frame(_PONG, payload))
            elif opcode == _CLOSE:
                code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
                raise Failed(Failure.CONTENT, f"expected {quoted(wanted.decode())}, got a close with code {code}")
            elif opcode in {_TEXT, _BINARY, _CONTINUATION}:
                message = message + payload if opcode == _CONTINUATION else payload
                if wanted in message:
                    return
                if final:
                    message = b""
            elif opcode != _PONG:
                raise Failed(Failure.PROTOCOL, f"the target sent a frame of the unknown kind {opcode}")

    async def _frame(self) -> tuple[bool, int, bytes]:
        first, second = await self._take(2)
        if first & 0x70 or second & 0x80:
            raise Failed(Failure.PROTOCOL, "the target sent a frame that is masked or has bits that were not agreed on")
        size = second
        if size > 125:
            if first & 8:
                raise Failed(Failure.PROTOCOL, "the target sent a control frame that is too long")
            size = int.from_bytes(await self._take(2 if size == 126 else 8), "big")
        return bool(first & 0x80), first & 15, await self._take(size)

    async def _take(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise Failed(Failure.CONTENT, f"the expected text is not in the first {READ_LIMIT} bytes")
        pieces = [self._data]
        have = len(self._data)
        while have < size:
            more = await self._wire.receive()
            if not more:
                raise Failed(Failure.PROTOCOL, "the target closed the connection without a close frame")
            pieces.append(more)
            have += len(more)
        data = b"".join(pieces)
        self._data = data[size:]
        return data[:size]
