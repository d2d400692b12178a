"""What can happen to the frames of an answer on their way: each shape is an iterator over another.

A frame with a negative count is no frame but a mark for the connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.gateway.shell.mock.answers import Frame
from holdfast.gateway.shell.mock.orders import Orders
from holdfast.gateway.shell.mock.wire import Wire

STALL: Final = -1
"""Nothing comes any more; the connection stays open."""
CUT: Final = -2
"""The connection is closed here."""
RESET: Final = -3
"""The connection is reset here."""
PAUSE: Final = -4
"""What follows is a segment of its own."""
_MALFORMED: Final = 2
"""The frame that loses half of its JSON: the third, after the stream has begun well."""


def shape(frames: Iterator[Frame], orders: Orders, wire: Wire | None) -> Iterator[Frame]:
    """The frames as the orders want them.

    ``wire`` is that of a stream; ``None`` for a whole answer, where events do not exist.
    """
    if wire is not None:
        if orders.malformed:
            frames = _malformed(frames, wire)
        if orders.error_after is not None:
            frames = _until(frames, orders.error_after, (wire.broken(), 0))
        if orders.comments and wire.lines:
            frames = ((b": keep-alive\n\n" + data, count) for data, count in frames)
        if orders.crlf and wire.lines:
            frames = ((data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), count) for data, count in frames)
    if orders.stall is not None:
        frames = _until(frames, orders.stall, (b"", STALL))
    if orders.merged > 1:
        frames = _merged(frames, orders.merged)
    if orders.split:
        frames = _split(frames)
    if orders.chunk > 0:
        frames = _chunks(frames, orders.chunk)
    if orders.cut is not None:
        frames = _cut(frames, orders.cut, CUT)
    elif orders.reset is not None:
        frames = _cut(frames, orders.reset, RESET)
    return frames


def _malformed(frames: Iterator[Frame], wire: Wire) -> Iterator[Frame]:
    for n, (data, count) in enumerate(frames):
        yield (wire.spoilt(data), 0) if n == _MALFORMED else (data, count)


def _until(frames: Iterator[Frame], most: int, last: Frame) -> Iterator[Frame]:
    for n, frame in enumerate(frames):
        if n >= most:
            break
        yield frame
    yield last


def _merged(frames: Iterator[Frame], most: int) -> Iterator[Frame]:
    held: list[bytes] = []
    tokens = 0
    for data, count in frames:
        if count < 0:
            yield b"".join(held), tokens
            yield data, count
            return
        held.append(data)
        tokens += count
        if len(held) >= most:
            yield b"".join(held), tokens
            held.clear()
            tokens = 0
    if held:
        yield b"".join(held), tokens


def _split(frames: Iterator[Frame]) -> Iterator[Frame]:
    for data, count in frames:
        middle = len(data) // 2
        if count < 0 or not middle:
            yield data, count
            continue
        yield data[:middle], 0
        yield b"", PAUSE
        yield data[middle:], count
        yield b"", PAUSE


def _chunks(frames: Iterator[Frame], size: int) -> Iterator[Frame]:
    for data, count in frames:
        if count < 0:
            yield data, count
            continue
        last = max(0, (len(data) - 1) // size)
        for n in range(last + 1):
            # The token has arrived with its last byte.
            yield data[n * size : (n + 1) * size], count if n == last else 0


def _cut(frames: Iterator[Frame], most: int, mark: int) -> Iterator[Frame]:
    left = most
    for data, count in frames:
        if count < 0:
            yield data, count
            continue
        if len(data) > left:
            yield data[:left], 0
            yield b"", mark
            return
        left -= len(data)
        yield data, count
    yield b"", mark
