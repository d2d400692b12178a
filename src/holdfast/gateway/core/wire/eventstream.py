"""AWS event streams: the binary frames in which Bedrock streams its answers.

A message, all integers big-endian (Smithy, "Amazon Event Stream Specification")::

    total length u32 | headers length u32 | CRC-32 of these eight bytes u32
    headers          | payload            | CRC-32 of everything before u32

A header is the length of its name (u8), the name, the type of its value (u8) and the value. Lengths are checked by the
first sum before anything is kept, so that a corrupt one asks for no memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from zlib import crc32

__all__ = ["LIMIT", "Frames", "Message", "encode", "messages"]

LIMIT = 4 << 20
"""Bytes of one message; the specification allows 16 MiB of payload, and no answer's event comes near either."""

HeaderValue: TypeAlias = str | bytes | bool | int

_PRELUDE = struct.Struct(">III")
_SUM = struct.Struct(">I")
_LEAST = _PRELUDE.size + _SUM.size
_MOST_HEADERS = 128 << 10
_FIXED = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}
_SHORT = struct.Struct(">H")
_TRUE, _FALSE, _INT, _BYTES, _STRING, _UUID = 0, 1, 4, 6, 7, 9


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Headers of types that Bedrock does not use are there as integers or bytes."""

    payload: bytes
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``event``, ``exception`` or ``error``."""
        return str(self.headers.get(":message-type", ""))

    @property
    def name(self) -> str:
        """Of the event or the exception: ``contentBlockDelta``, ``throttlingException``."""
        by_kind = {"exception": ":exception-type", "error": ":error-code"}
        return str(self.headers.get(by_kind.get(self.kind, ":event-type"), ""))


class Frames:
    """Splits one stream at the ends of its messages; the counterpart of :class:`.sse.Frames`."""

    __slots__ = ("_kept", "_limit")

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept = bytearray()

    def feed(self, data: bytes) -> bytes:
        """All messages that are complete by now, one after the other as they came; often exactly ``data``.

        Raises :class:`ValueError` for a length that is impossible, over ``limit``, or not what its sum says. The sum
        of a whole message is checked where it is read (:func:`messages`).
        """
        kept = self._kept
        whole: bytes | bytearray = data
        if kept:
            kept += data
            whole = kept
        end, size = 0, len(whole)
        while size - end >= _PRELUDE.size:
            total = _total(whole, end)
            if total > self._limit:
                msg = f"a message of {total} bytes, more than {self._limit}"
                raise ValueError(msg)
            if size - end < total:
                break
            end += total
        if whole is data:
            if end == size:
                return data
            kept += data[end:]
            return data[:end]
        complete = bytes(kept[:end])
        del kept[:end]
        return complete

    @property
    def rest(self) -> bytes:
        """Bytes of a message that is not complete."""
        return bytes(self._kept)


def messages(frames: bytes) -> Iterator[Message]:
    """Each of some whole messages. Raises :class:`ValueError` for a wrong sum or headers that are none."""
    at, size = 0, len(frames)
    while at < size:
        if size - at < _LEAST:
            msg = "the stream ends within a message"
            raise ValueError(msg)
        total = _total(frames, at)
        end = at + total
        if end > size:
            msg = "the stream ends within a message"
            raise ValueError(msg)
        (expected,) = _SUM.unpack_from(frames, end - 4)
        if crc32(memoryview(frames)[at : end - 4]) != expected:
            msg = "a message whose sum is wrong"
            raise ValueError(msg)
        (headers_size,) = _SUM.unpack_from(frames, at + 4)
        start = at + _PRELUDE.size
        yield Message(frames[start + headers_size : end - 4], _headers(frames[start : start + headers_size]))
        at = end


def encode(headers: Mapping[str, HeaderValue], payload: bytes) -> bytes:
    """One message. Headers are strings, bytes, booleans or integers of 32 bits."""
    parts = []
    for name, value in headers.items():
        key = name.encode()
        parts.append(bytes((len(key),)) + key + _encoded(value))
    block = b"".join(parts)
    begin = struct.pack(">II", _LEAST + len(block) + len(payload), len(block))
    message = b"".join((begin, _SUM.pack(crc32(begin)), block, payload))
    return message + _SUM.pack(crc32(message))


def _total(data: bytes | bytearray, at: int) -> int:
    total, headers_size, expected = _PRELUDE.unpack_from(data, at)
    if crc32(data[at : at + 8]) != expected:
        msg = "a message whose lengths have a wrong sum"
        raise ValueError(msg)
    if total < _LEAST + headers_size or headers_size > _MOST_HEADERS:
        msg = f"a message of {total} bytes with {headers_size} bytes of headers"
        raise ValueError(msg)
    return int(total)


def _headers(block: bytes) -> dict[str, HeaderValue]:
    found: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(block):
            end = at + 1 + block[at]
            name, kind = block[at + 1 : end].decode(), block[end]
            found[name], at = _value(block, end + 1, kind)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        msg = "headers that are none"
        raise ValueError(msg) from error
    return found


def _value(block: bytes, at: int, kind: int) -> tuple[HeaderValue, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, at
    if kind in _FIXED:
        form = _FIXED[kind]
        return int(form.unpack_from(block, at)[0]), at + form.size
    if kind == _UUID:
        length = 16
    elif kind in (_BYTES, _STRING):
        (length,) = _SHORT.unpack_from(block, at)
        at += 2
    else:
        msg = f"a header of the unknown type {kind}"
        raise ValueError(msg)
    value = block[at : at + length]
    if len(value) < length:
        raise IndexError
    return (value.decode() if kind == _STRING else value), at + length


def _encoded(value: HeaderValue) -> bytes:
    match value:
        case bool():
            return bytes((_TRUE if value else _FALSE,))
        case int():
            return struct.pack(">Bi", _INT, value)
        case str():
            data = value.encode()
            return struct.pack(">BH", _STRING, len(data)) + data
        case _:
            return struct.pack(">BH", _BYTES, len(value)) + value
