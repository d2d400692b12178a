"""AWS's event stream encoding, as far as a provider writes it: headers are strings, sums are CRC-32.

A message is its total length, the length of its headers, the sum of these two, the headers, the payload, and the sum
of all that; integers are big-endian (Smithy, "Amazon Event Stream Specification"). Written apart from the gateway's
own, so that each is a check of the other.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

_AROUND: Final = 16
"""Bytes of a message that are neither headers nor payload."""
_STRING: Final = b"\x07"


def message(payload: bytes, **headers: str) -> bytes:
    """One message. Headers are named without their colon, ``_`` for ``-``: ``event_type="metadata"``."""
    block = b"".join([_header(name, value) for name, value in headers.items()])
    return _framed(block, payload)


def halved(whole: bytes) -> bytes:
    """The same message with the first half of its payload, and sums that are right."""
    size = int.from_bytes(whole[4:8], "big")
    payload = whole[12 + size : -4]
    return _framed(whole[12 : 12 + size], payload[: len(payload) // 2])


def _framed(block: bytes, payload: bytes) -> bytes:
    lengths = (_AROUND + len(block) + len(payload)).to_bytes(4, "big") + len(block).to_bytes(4, "big")
    summed = lengths + crc32(lengths).to_bytes(4, "big") + block + payload
    return summed + crc32(summed).to_bytes(4, "big")


def _header(name: str, value: str) -> bytes:
    key, text = b":" + name.replace("_", "-").encode(), value.encode()
    return bytes([len(key)]) + key + _STRING + len(text).to_bytes(2, "big") + text
