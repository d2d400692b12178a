"""Server-sent events: where frames end, and what stands in them.

A frame is some lines and the blank line after them; a line ends with LF, CR LF or CR (WHATWG HTML, 9.2.5 "Parsing an
event stream"). What a provider sends arrives cut anywhere, and several frames at a time; nothing but whole frames may
reach a client, so that a stream that breaks can still be ended well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["LIMIT", "Frames", "payloads", "separate"]

LIMIT = 4 << 20
"""Bytes of one frame. The longest in the field are images in base64, about 3 MB."""

_BOM = b"\xef\xbb\xbf"
_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
"""The end of a line and a blank line. The look-ahead keeps CR LF from being taken for two ends of lines."""


class Frames:
    """Splits one stream at the ends of its frames.

    The byte order mark that a stream may begin with is left out: clients other than browsers do not know it.
    """

    __slots__ = ("_after_cr", "_kept", "_limit", "_plain", "_started")

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._plain = False
        """Nothing is kept, and nothing that came before changes what the next bytes mean."""
        self._started = False
        self._after_cr = False
        """The last frame ended with CR, and a LF that follows is part of that end."""

    def feed(self, data: bytes) -> bytes:
        """All frames that are complete by now, one after the other as they came; often exactly ``data``.

        Raises :class:`ValueError` when more than ``limit`` bytes are kept for one frame.
        """
        if self._plain and data[-2:] == b"\n\n":
            return data
        return self._search(data)

    @property
    def rest(self) -> bytes:
        """Bytes of a frame that is not complete."""
        return bytes(self._kept)

    def _search(self, data: bytes) -> bytes:
        kept = self._kept
        begin = b""
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                begin, data = b"\n", data[1:]
        since = max(0, len(kept) - 3)  # CR LF CR may be the beginning of an end
        kept += data
        if not self._started:
            if len(kept) < len(_BOM) and _BOM.startswith(kept):
                return b""
            self._started = True
            if kept.startswith(_BOM):
                del kept[: len(_BOM)]
            since = 0
        end = _last_end(kept, since)
        frames = begin + kept[:end]
        del kept[:end]
        self._after_cr = frames[-1:] == b"\r" and not kept
        self._plain = not kept and not self._after_cr
        if len(kept) > self._limit:
            msg = f"a frame of more than {self._limit} bytes"
            raise ValueError(msg)
        return frames


def _last_end(data: bytearray, since: int) -> int:
    """Where the last complete frame ends; 0 when there is none."""
    if data.find(b"\r", since) < 0:
        last = data.rfind(b"\n\n", since)
        return last + 2 if last >= 0 else 0
    end = 0
    for found in _END.finditer(data, since):
        end = found.end()
    return end


def payloads(frames: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name (``b""`` when it has none) and data of each event. Comments and events without data are passed over."""
    if b"\r" in frames:
        frames = frames.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    name = b""
    data: list[bytes] = []
    for line in frames.split(b"\n"):
        if not line:
            if data:
                yield name, data[0] if len(data) == 1 else b"\n".join(data)
                data = []
            name = b""
        elif line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            name = line[6:].strip()
        elif line == b"data":
            data.append(b"")


def separate(frames: bytes) -> list[bytes]:
    """Whole frames one by one, as they came; nothing is lost."""
    if b"\r" not in frames:
        parts = [part + b"\n\n" for part in frames.split(b"\n\n")]
        last = parts.pop()[:-2]
        return [*parts, last] if last else parts
    begin = 0
    parts = []
    for found in _END.finditer(frames):
        parts.append(frames[begin : found.end()])
        begin = found.end()
    return [*parts, frames[begin:]] if begin < len(frames) else parts
