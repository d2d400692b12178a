"""Reads a provider's stream of Anthropic's protocol.

Events and deltas of types that came later are passed over, as the API's policy on versions asks of clients. What has no
type at all, or comes in an order that cannot be, is not this protocol.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockKind,
    BlockStarted,
    Broken,
    Delta,
    Ended,
    Event,
    Finished,
    JsonObject,
    Signed,
    Started,
    UsageSeen,
)
from holdfast.gateway.core.wire.anthropic_answers import read_finish
from holdfast.gateway.core.wire.anthropic_errors import read_error_event
from holdfast.gateway.core.wire.anthropic_usage import Counts
from holdfast.gateway.core.wire.sse import payloads

_decode = msgspec.json.Decoder().decode
_KINDS: dict[str, BlockKind] = {
    "text": "text",
    "thinking": "thinking",
    "redacted_thinking": "thinking",
    "tool_use": "tool_call",
}


class _Block:
    """A block that is open at the provider."""

    __slots__ = ("citations", "content", "json", "kind")

    def __init__(self, content: JsonObject, kind: BlockKind) -> None:
        self.content = content
        self.kind = kind
        self.json: list[str] = []
        self.citations: list[Any] = []


class AnthropicDecoder:
    """One stream."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._counts = Counts()
        self._started = False
        self._finished = False
        self._over = False

    def feed(self, frames: bytes) -> list[Event]:
        """See :class:`~holdfast.gateway.core.dialect.Decoder`."""
        events: list[Event] = []
        for _, data in payloads(frames):
            if self._over:
                break
            try:
                self._take(_decode(data), events)
            except (msgspec.DecodeError, RecursionError, KeyError, TypeError, AttributeError, ValueError):
                self._over = True
                events.append(Broken(failure="protocol", message="not an event of Anthropic's protocol"))
        return events

    def end(self) -> list[Event]:
        """See :class:`~holdfast.gateway.core.dialect.Decoder`."""
        if self._over:
            return []
        self._over = True
        return [Broken(failure="cut", message="the provider's stream ended before its message_stop")]

    def _take(self, event: Any, events: list[Event]) -> None:
        kind = event["type"]
        if kind == "content_block_delta":
            self._delta(event["index"], event["delta"], events)
        elif kind == "content_block_start":
            self._start(event["index"], event["content_block"], events)
        elif kind == "content_block_stop":
            self._stop(event["index"], events)
        elif kind == "message_start":
            message = event["message"]
            self._started = True
            self._counts.take(message.get("usage"))
            events.append(
                Started(id=_string(message["id"]), model=_string(message["model"]), usage=self._counts.usage())
            )
        elif kind == "message_delta":
            self._ending(event["delta"], event.get("usage"), events)
        elif kind == "message_stop":
            if not self._started:
                raise ValueError("a message that never began")
            self._over = True
            for index in list(self._blocks):
                self._stop(index, events)
            if not self._finished:
                events.append(Finished(finish="stop"))
            events.append(Ended())
        elif kind == "error":
            self._over = True
            failure = read_error_event(event)
            events.append(Broken(failure=failure.failure, message=failure.message))
        else:
            _string(kind)

    def _start(self, index: Any, content: Any, events: list[Event]) -> None:
        if not self._started or type(index) is not int or index in self._blocks:
            raise ValueError("a block out of turn")
        kind = _KINDS.get(_string(content["type"]), "opaque")
        block = self._blocks[index] = _Block(content, kind)
        if kind == "tool_call":
            name, call = _string(content["name"]), _string(content["id"])
            events.append(BlockStarted(index=index, kind=kind, id=call, name=name))
        elif kind == "text":
            events.append(BlockStarted(index=index, kind=kind))
            self._words(index, content.get("text"), events)
            block.citations += content.get("citations") or ()
        elif content["type"] == "thinking":
            events.append(BlockStarted(index=index, kind=kind, protocol="anthropic"))
            self._words(index, content.get("thinking"), events)
            if content.get("signature"):
                events.append(Signed(index=index, signature=_string(content["signature"])))
        else:
            events.append(BlockStarted(index=index, kind=kind, protocol="anthropic", raw=content))

    def _words(self, index: int, text: Any, events: list[Event]) -> None:
        if text:
            events.append(Delta(index=index, text=_string(text)))

    def _delta(self, index: Any, delta: Any, events: list[Event]) -> None:
        block = self._blocks[index]
        kind = delta["type"]
        if kind == "text_delta":
            self._words(index, _string(delta["text"]), events)
        elif kind == "input_json_delta":
            piece = _string(delta["partial_json"])
            block.json.append(piece)
            if block.kind == "tool_call":
                self._words(index, piece, events)
        elif kind == "thinking_delta":
            self._words(index, _string(delta["thinking"]), events)
        elif kind == "signature_delta":
            events.append(Signed(index=index, signature=_string(delta["signature"])))
        elif kind == "citations_delta":
            block.citations.append(delta["citation"])
        else:
            _string(kind)

    def _stop(self, index: Any, events: list[Event]) -> None:
        block = self._blocks.pop(index)
        content = block.content
        raw: JsonObject | None = None
        if block.kind == "tool_call" and content.get("input") and not any(block.json):
            # Compatible servers that do not stream arguments give them whole at the beginning.
            self._words(index, msgspec.json.encode(content["input"]).decode(), events)
        elif block.kind == "opaque":
            whole = "".join(block.json)
            raw = {**content, "input": _decode(whole)} if whole else content
        elif block.kind == "thinking" and content["type"] == "redacted_thinking":
            raw = content
        elif block.citations:
            raw = {"citations": block.citations}
        events.append(BlockEnded(index=index, raw=raw))

    def _ending(self, delta: Any, usage: Any, events: list[Event]) -> None:
        reason = delta.get("stop_reason")
        if reason is not None and not self._finished:
            self._finished = True
            for index in list(self._blocks):
                self._stop(index, events)
            sequence = delta.get("stop_sequence")
            events.append(
                Finished(finish=read_finish(reason), stop_sequence=sequence if isinstance(sequence, str) else None)
            )
        self._counts.take(usage)
        known = self._counts.usage()
        if known is not None:
            events.append(UsageSeen(usage=known))


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("should be a string")
    return value
