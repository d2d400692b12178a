"""Output of programs is bytes; what a client reads is text. Pure.

Bytes are decoded as UTF-8, with U+FFFD for whatever is not (one for each maximal part of a sequence, Unicode 15.0,
section 3.9). Output is cut at a number of bytes, or comes in pieces, anywhere inside a character. That is no reason
for a U+FFFD: a cut character is dropped, a split one put together.

The text holds no lone surrogates, because UTF-8 has none. NUL stays NUL, which JSON writes as an escape; who stores
output in PostgreSQL stores the bytes, as its ``text`` cannot hold one.
"""

from __future__ import annotations

import codecs


def decode(data: bytes, *, truncated: bool = False) -> str:
    """All of a program's output as text.

    Args:
        data: The bytes.
        truncated: They were cut at a limit, so that a character begun at the end is dropped.
    """
    if truncated:
        return Decoder().feed(data)
    return data.decode("utf-8", "replace")


class Decoder:
    """The same for output that comes in pieces; any pieces give the same text.

    At most three bytes are held back, so a reader is never more than one character behind.
    """

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> str:
        """The text up to the last whole character; empty when there is none yet."""
        return self._decoder.decode(data)

    def finish(self, *, truncated: bool = False) -> str:
        """What is left at the end: nothing, or one U+FFFD unless the output was cut. Then the decoder is as new."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return "" if truncated else rest
