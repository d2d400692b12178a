"""The records of the journal, and how they lie in a file.

A segment is records one after the other::

    length  4 bytes, little-endian: of the payload, at most 64 KiB
    crc     4 bytes, little-endian: CRC-32 of length and payload
    payload msgpack of one of the structs below, with its tag

One ``write`` appends a record, so a process that is killed leaves whole records, and at most one torn one at the end if
the machine died. A reader stops at the first record that is not whole or whose sum is wrong: what is behind it was
never acknowledged to anybody in that order, and is cut off.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from holdfast.gateway.core.budget import Window
from holdfast.gateway.core.ports import AttemptBegun, AttemptEnded

MAX_RECORD: Final = 64 * 1024
_HEAD: Final = struct.Struct("<II")


class Begun(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """An attempt is about to be sent; the windows are those that it is charged to."""

    begun: AttemptBegun
    day: int
    month: int

    @property
    def windows(self) -> tuple[Window, Window]:
        """Where it is charged."""
        return Window("day", self.day), Window("month", self.month)


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """An attempt is over."""

    ended: AttemptEnded


class Cached(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """An answer of the cache: a whole story in one record."""

    begun: AttemptBegun
    day: int
    month: int


Record: TypeAlias = Begun | Ended | Cached

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def frame(record: Record) -> bytes:
    """A record as it is written. Raises ``ValueError`` for one that is too long."""
    payload = _encoder.encode(record)
    size = len(payload)
    if size > MAX_RECORD:
        raise ValueError(f"a journal record of {size} bytes; at most {MAX_RECORD} fit")
    length = size.to_bytes(4, "little")
    return _HEAD.pack(size, zlib.crc32(payload, zlib.crc32(length))) + payload


def records(data: bytes, start: int = 0) -> Iterator[tuple[Record, int]]:
    """The whole records from an offset on, each with the offset behind it; ends where they end."""
    at = start
    while at + _HEAD.size <= len(data):
        size, crc = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + size
        if size > MAX_RECORD or end > len(data):
            return
        payload = data[at + _HEAD.size : end]
        if zlib.crc32(payload, zlib.crc32(data[at : at + 4])) != crc:
            return
        try:
            record = _decoder.decode(payload)
        except msgspec.DecodeError:
            return
        yield record, end
        at = end


def whole(data: bytes, start: int = 0) -> int:
    """Where the last whole record ends."""
    end = start
    for _, end in records(data, start):  # noqa: B007 - the last one counts
        pass
    return end
