"""A stream of the Responses API that is passed through, watched.

Every byte goes on as it came; nothing of this protocol is optional, and the model keeps the provider's name. Inside a
JSON string a quote is escaped, so ``"response.completed"`` with its quotes can only be a value of its own: a search for
those bytes finds the last event, and what a model says about it does not. Only that event, and errors, are decoded.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.gateway.core.conversation import Chat
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.responses_answers import read_usage, response
from holdfast.gateway.core.wire.responses_decoder import read_failure
from holdfast.gateway.core.wire.responses_encoder import KEEP_ALIVE, failure
from holdfast.gateway.core.wire.sse import payloads
from holdfast.gateway.errors import Refused

_decode = msgspec.json.Decoder().decode


class ResponsesTap:
    """One stream."""

    __slots__ = ("_first", "_last", "_told", "broken", "committed", "finished", "output_bytes", "usage")

    def __init__(self, told: Told) -> None:
        self.committed = False
        self.finished = False
        self.broken: Rejection | None = None
        self.usage: Usage | None = None
        self.output_bytes = 0
        self._told = told
        self._first = b""
        """Frames up to the first ``response.created``: what :meth:`fail` has to repeat of it is read only there."""
        self._last = b""

    def feed(self, frames: bytes) -> bytes:
        """Look at whole frames; all of them go on."""
        at = frames.find(b'"delta":')
        while at >= 0:
            at = frames.find(b'"', at + 8) + 1
            end = frames.find(b'"', at)
            while end > 0 and frames[end - 1] == 92 and _escaped(frames, end):  # a backslash
                end = frames.find(b'"', end + 1)
            if at <= 0 or end < 0:
                break
            self.output_bytes += end - at
            at = frames.find(b'"delta":', end)
        if not self.committed:
            self._begin(frames)
        if (
            b'"response.completed"' in frames
            or b'"response.incomplete"' in frames
            or b'"response.failed"' in frames
            or b'"error"' in frames
        ):
            self._read(frames)
        if b'"sequence_number"' in frames:
            self._last = frames
        return frames

    def fail(self, error: Refused) -> bytes:
        """``response.failed`` and ``error`` with the numbers that follow, about the response that was begun."""
        if self.finished:
            return b""
        self.finished = True
        # What the provider never said is said by us, in the form that its own answers have.
        body = response(Chat(protocol="responses", model=self._told.model, messages=()), self._told)
        number = 0
        for event in _events(self._first):
            begun = event.get("response")
            if isinstance(begun, dict):
                body.update(begun)
                break
        for event in _events(self._last):
            last = event.get("sequence_number")
            if isinstance(last, int):
                number = last + 1
        return failure(error, body, number)

    def keep_alive(self) -> bytes:
        """A comment."""
        return KEEP_ALIVE

    def _begin(self, frames: bytes) -> None:
        """Nothing meaningful yet: few frames, and each of them can be looked at."""
        if not self._first and b'"response.created"' in frames:
            self._first = frames
        if self.output_bytes or (
            b'"response.output_item.added"' in frames
            and (b'"function_call"' in frames or b'"custom_tool_call"' in frames)
        ):
            self.committed = True

    def _read(self, frames: bytes) -> None:
        for event in _events(frames):
            kind = event.get("type")
            if kind == "error":
                self._break(event.get("error") or event)
                continue
            response = event.get("response")
            if not isinstance(response, dict):
                continue
            if kind in {"response.completed", "response.incomplete"}:
                self.finished = True
                self.committed = self.committed or bool(response.get("output"))
                self.usage = read_usage(response.get("usage")) or self.usage
            elif kind == "response.failed":
                self.usage = read_usage(response.get("usage")) or self.usage
                self._break(response.get("error"))

    def _break(self, error: object) -> None:
        self.finished = True
        if self.broken is None:
            self.broken = read_failure(error)


def _escaped(frames: bytes, quote: int) -> bool:
    """Whether the quote stands behind an odd number of backslashes."""
    first = quote
    while first > 0 and frames[first - 1] == 92:
        first -= 1
    return (quote - first) % 2 == 1


def _events(frames: bytes) -> list[dict[str, Any]]:
    """The events that can be read; what cannot is the client's to complain about, as it would be without us."""
    events = []
    for _, data in payloads(frames):
        try:
            event = _decode(data)
        except msgspec.DecodeError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events
