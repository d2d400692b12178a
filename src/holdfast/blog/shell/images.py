"""The size of a picture, from its first bytes, so that a page can keep its place free."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_HEAD_BYTES: Final = 64 * 1024


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG, GIF or JPEG; ``None`` for what is none of them."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    try:
        if head[:8] == _PNG and head[12:16] == b"IHDR":
            return struct.unpack(">II", head[16:24])
        if head[:6] in {b"GIF87a", b"GIF89a"}:
            return struct.unpack("<HH", head[6:10])
        if head[:2] == b"\xff\xd8":
            return _jpeg(head)
    except struct.error:
        pass
    return None


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """Segments up to the frame header (ITU-T T.81, B.2.2): SOF0 to SOF15, except DHT, JPG and DAC."""
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:
        kind = head[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + struct.unpack(">H", head[at + 2 : at + 4])[0]
    return None
