"""Watches a stream of Anthropic's protocol that is passed through.

Almost everything that comes is a ``content_block_delta`` after the commit point, and nothing in it has to be known but
how many words it holds. The events that matter (``message_start``, ``message_delta``, ``message_stop``, ``error``)
have their names between quotation marks somewhere in their frames, where the quotation marks of a text would be
escaped: looking for those bytes cannot miss one, and is wrong about nothing but the time it takes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.anthropic_encoder import PING
from holdfast.gateway.core.wire.anthropic_errors import error_frame, read_error_event
from holdfast.gateway.core.wire.anthropic_usage import Counts
from holdfast.gateway.core.wire.sse import payloads
from holdfast.gateway.errors import Refused

_decode = msgspec.json.Decoder().decode
_SAID = ("text", "thinking", "partial_json")


class AnthropicTap:
    """One stream; see :class:`~holdfast.gateway.core.dialect.Tap`.

    An ``error`` event is kept back with whatever follows it: whether the client sees that one, another, or the words of
    another deployment is the relay's decision.
    """

    __slots__ = ("_counts", "_failed", "_flows", "_told", "broken", "committed", "finished", "output_bytes", "usage")

    def __init__(self, told: Told) -> None:
        self._told = told
        self._counts = Counts()
        self._failed = False
        self._flows = False
        """Committed, and not yet at an end of any kind."""
        self.committed = False
        self.finished = False
        self.broken: Rejection | None = None
        self.usage: Usage | None = None
        self.output_bytes = 0

    def feed(self, frames: bytes) -> bytes:
        """What the client gets of whole frames."""
        if not self._flows or b'"message_' in frames or b'"error"' in frames:
            return b"" if self.finished or self._failed or self.broken is not None else self._read(frames)
        at = frames.find(b'"delta"')
        while at >= 0:
            # After the name of the delta's type come a key, a colon, and the words to the last quotation mark.
            kind = frames.find(b'_delta"', at)
            begin = frames.find(b":", kind)
            end = frames.find(b"\n", begin)
            if kind < 0 or begin < 0 or end < 0:
                break
            if frames[kind - 9 : kind] != b"signature":
                self.output_bytes += max(0, frames.rfind(b'"', begin, end) - begin - 2)
            at = frames.find(b'"delta"', end)
        return frames

    def fail(self, error: Refused) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Tap`."""
        if self.finished or self._failed:
            return b""
        self._failed = True
        self._flows = False
        return error_frame(error)

    def keep_alive(self) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Tap`."""
        return b"" if self.finished or self._failed else PING

    def _read(self, frames: bytes) -> bytes:
        """Decode each event, as long as it matters what they are."""
        frames = self._events(frames)
        self._flows = self.committed and not self.finished and self.broken is None
        return frames

    def _events(self, frames: bytes) -> bytes:
        for _, data in payloads(frames):
            try:
                event = _decode(data)
                kind = event["type"]
                if kind == "error":
                    self.broken = read_error_event(event)
                elif kind == "message_start":
                    frames = self._renamed(frames, data, event)
                else:
                    self._watch(kind, event)
            except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
                self.broken = Rejection(failure="protocol", status=200, message="not an event of Anthropic's protocol")
            if self.broken is not None:
                return frames[: _beginning(frames, data)]
            if self.finished:
                break
        return frames

    def _watch(self, kind: Any, event: Any) -> None:
        if kind == "content_block_delta":
            delta = event["delta"]
            for key in _SAID:
                words = delta.get(key)
                if words:
                    self.committed = True
                    self.output_bytes += len(words.encode())
        elif kind == "content_block_start":
            block = event["content_block"]
            if block.get("name") and block["type"].endswith("tool_use"):
                self.committed = True
        elif kind == "message_delta":
            self._counts.take(event.get("usage"))
            self.usage = self._counts.usage()
        elif kind == "message_stop":
            self.finished = True
        elif not isinstance(kind, str):
            raise TypeError("an event without a type")

    def _renamed(self, frames: bytes, data: bytes, event: Any) -> bytes:
        message = event["message"]
        self._counts.take(message.get("usage"))
        self.usage = self._counts.usage()
        if message["model"] == self._told.model:
            return frames
        message["model"] = self._told.model
        return frames.replace(data, msgspec.json.encode(event), 1)


def _beginning(frames: bytes, data: bytes) -> int:
    """Where the frame with ``data`` begins; 0, which keeps all back, when it cannot be told."""
    at = frames.find(data)
    return max(_after(frames, end, at) for end in (b"\n\n", b"\r\n\r\n", b"\r\r")) if at > 0 else 0


def _after(frames: bytes, end: bytes, before: int) -> int:
    """Behind the last ``end`` that stands ``before`` a place."""
    found = frames.rfind(end, 0, before)
    return found + len(end) if found >= 0 else 0
