"""A stream of OpenAI's chat completions that is passed through: looked at, hardly touched.

After the first meaningful token nearly every piece is one chunk with some words. Such a piece is known by its first and
last bytes and by what it does not contain; a quotation mark inside of a JSON string is always escaped, so that no words
of a model can look like a field. Everything else is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.openai_decoder import is_error
from holdfast.gateway.core.wire.openai_encoder import KEEP_ALIVE
from holdfast.gateway.core.wire.openai_errors import error_frames, read_error, read_error_object
from holdfast.gateway.core.wire.openai_usage import read_usage
from holdfast.gateway.core.wire.sse import payloads, separate
from holdfast.gateway.errors import Refused

__all__ = ["OpenAITap", "chat_is_meaningful", "text_is_meaningful"]

_decode = msgspec.json.Decoder().decode
_WORDS = (b'"content":"', b'"arguments":"', b'"reasoning_content":"', b'"text":"', b'"reasoning":"', b'"refusal":"')
_SPACED = (b'"content": "', b'"arguments": "', b'"reasoning_content": "', b'"text": "', b'"reasoning": "')
_BACKSLASH = 0x5C


def chat_is_meaningful(choice: Mapping[str, Any]) -> bool:
    """Words, a tool call, or an end without any: not a role, not a filter's result."""
    delta = choice.get("delta")
    if isinstance(delta, Mapping):
        for key in ("content", "tool_calls", "reasoning_content", "reasoning", "refusal", "function_call", "audio"):
            if delta.get(key):
                return True
    return bool(choice.get("finish_reason"))


def text_is_meaningful(choice: Mapping[str, Any]) -> bool:
    """The same of legacy completions."""
    return bool(choice.get("text")) or bool(choice.get("finish_reason"))


class OpenAITap:
    """Chat completions and, with another idea of what is meaningful, legacy completions."""

    __slots__ = ("_include_usage", "_meaningful", "broken", "committed", "finished", "output_bytes", "usage")

    def __init__(
        self, *, include_usage: bool, meaningful: Callable[[Mapping[str, Any]], bool] = chat_is_meaningful
    ) -> None:
        self._include_usage = include_usage
        self._meaningful = meaningful
        self.committed = False
        self.finished = False
        self.broken: Rejection | None = None
        self.usage: Usage | None = None
        self.output_bytes = 0

    def feed(self, frames: bytes) -> bytes:
        """``frames`` themselves, but for a usage chunk that the client did not ask for, an error, and what follows
        the end: those are left out.
        """  # noqa: D205
        if (
            self.committed
            and frames[-3:] == b"}\n\n"
            and frames[:7] == b"data: {"
            and frames.count(b"\n\n") - frames.count(b"}\n\ndata: {") == 1
            and b'"usage":{' not in frames
            and b'"usage": {' not in frames
            and b'"error"' not in frames
            and b"[DONE]" not in frames
            and not self.finished
            and self.broken is None
        ):
            self.output_bytes += _words(frames)
            return frames
        return self._look(frames)

    def fail(self, error: Refused) -> bytes:
        """As the encoder has it; nothing after the end."""
        if self.finished:
            return b""
        self.finished = True
        return error_frames(error)

    def keep_alive(self) -> bytes:
        """A comment."""
        return KEEP_ALIVE

    def _look(self, frames: bytes) -> bytes:
        kept: list[bytes] = []
        for frame in separate(frames):
            if self.finished or self.broken is not None:
                break
            if self._frame(frame):
                kept.append(frame)
        passed = frames if sum(map(len, kept)) == len(frames) else b"".join(kept)
        self.output_bytes += _words(passed)
        return passed

    def _frame(self, frame: bytes) -> bool:
        """Whether the client gets it."""
        passed = True
        seen = False
        for _, data in payloads(frame):
            seen = True
            if data.strip() == b"[DONE]":
                self.finished = True
                continue
            try:
                chunk = _decode(data)
            except (ValueError, RecursionError):
                chunk = None
            choices = chunk.get("choices", []) if isinstance(chunk, dict) else None
            if isinstance(chunk, dict) and is_error(chunk):
                self.broken = read_error_object(chunk, status=200)
                return False
            if not isinstance(choices, list) or not all(isinstance(choice, Mapping) for choice in choices):
                self._break("what came in the stream is not a chunk of this protocol")
                return False
            if chunk.get("usage") is not None:
                self.usage = read_usage(chunk["usage"])
                passed = self._include_usage or bool(choices)
            if not self.committed:
                self.committed = any(self._meaningful(choice) for choice in choices)
        if not seen and frame.lstrip()[:1] in (b"{", b"[", b"<"):
            self.broken = read_error(200, {}, frame)  # not a stream at all
            return False
        return passed

    def _break(self, message: str) -> None:
        self.broken = Rejection(failure="protocol", status=200, message=message)


def _words(frames: bytes) -> int:
    """About how many bytes of words are in them: those of the first field that is there, in all frames."""
    for marks in (_WORDS, _SPACED):
        for mark in marks:
            at = frames.find(mark)
            if at >= 0:
                total = 0
                size = len(mark)
                while at >= 0:
                    begin = at + size
                    end = frames.find(b'"', begin)
                    while end > 0 and frames[end - 1] == _BACKSLASH:
                        end = frames.find(b'"', end + 1)
                    if end < 0:
                        return total + len(frames) - begin
                    total += end - begin
                    at = frames.find(mark, end)
                if total:
                    return total
    return 0
