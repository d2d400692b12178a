"""Frames of a stream that say the same but for their words.

Nearly every frame of an answer is the one before it with another word in it. Once such a frame was read, the next ones
are known by what stands before and behind the word, and the word needs no parser: what has no quotation mark, no
backslash and no control character inside of a JSON string is the string (RFC 8259, section 7).
"""

from __future__ import annotations

import re

__all__ = ["Repeats"]

_PLAIN = re.compile(rb'[^"\\\x00-\x1f]+')


class Repeats:
    """What stands around the words of the last frame that was read."""

    __slots__ = ("_after", "_before")

    def __init__(self) -> None:
        self._before = b""
        """Empty: nothing is known."""
        self._after = b""

    def words(self, frames: bytes) -> str | None:
        """What a frame says if it is one frame, and like the last but for its words."""
        before, after = self._before, self._after
        if not before or not frames.startswith(before) or not frames.endswith(after):
            return None
        found = _PLAIN.fullmatch(frames, len(before), len(frames) - len(after))
        if found is None:  # nothing between, or something that has to be read
            return None
        try:
            return found[0].decode()
        except UnicodeDecodeError:
            return None

    def learn(self, frames: bytes, text: str) -> None:
        """A frame was read, and said this and nothing else: know the next ones by it, where that cannot be mistaken.

        Letters between quotation marks that are there once are that string: what stands between two strings of JSON
        has a comma or a colon.
        """
        if b"\\" not in frames and text.strip(" ").isalpha() and text.isascii():
            quoted = b'"%b"' % text.encode()
            at = frames.find(quoted)
            if at > 0 and frames.find(quoted, at + 1) < 0:
                self._before, self._after = frames[: at + 1], frames[at + len(quoted) - 1 :]
                return
        self.forget()

    def forget(self) -> None:
        """Something else was said: what a frame means may have changed."""
        self._before = b""
