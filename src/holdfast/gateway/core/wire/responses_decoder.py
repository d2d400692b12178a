"""The stream of a provider of the Responses API as events.

A content part of a message is a block, and so is every other item. What an event says about an item that was never
announced begins that item: several compatible servers leave ``response.content_part.added`` out, or send no deltas and
only the text that is done. Events that are not known are passed over, as the protocol's documentation asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

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
    Opaque,
    Part,
    Refusal,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.wire.openai_errors import read_error_object
from holdfast.gateway.core.wire.responses_answers import NotAnAnswer, call_raw, finish, read_answer, read_item
from holdfast.gateway.core.wire.responses_reading import reasoning_text
from holdfast.gateway.core.wire.sse import payloads

_decode = msgspec.json.Decoder().decode
_DELTAS: Mapping[str, BlockKind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "thinking",
    "response.reasoning_text.delta": "thinking",
    "response.function_call_arguments.delta": "tool_call",
    "response.custom_tool_call_input.delta": "tool_call",
}
_REQUEST = ("invalid_", "unsupported_", "image_", "empty_image", "failed_to_download", "bio_policy", "context_length")
"""Beginnings of the codes of ``response.error`` that are about the request: 400, had it not been a stream."""
_Key = tuple[int, int]
_ITEM = -1
"""In place of a content index: the item itself."""


def read_failure(error: object) -> Rejection:
    """What an error inside a stream says: of ``response.failed``, or of ``error``, flat or nested."""
    found = error if isinstance(error, Mapping) else {}
    code = found.get("code")
    about_request = isinstance(code, str) and code.startswith(_REQUEST)
    return read_error_object({"error": found}, status=400 if about_request else 0)


class ResponsesDecoder:
    """One stream of a provider."""

    __slots__ = ("_blocks", "_broken", "_count", "_ended", "_messages", "_said", "_started")

    def __init__(self) -> None:
        self._blocks: dict[_Key, int] = {}
        self._said: set[int] = set()
        """Blocks of which words were seen."""
        self._messages: set[int] = set()
        """Messages of which parts were seen."""
        self._count = 0
        self._started = False
        self._ended = False
        self._broken = False

    def feed(self, frames: bytes) -> list[Event]:
        """Whole frames."""
        events: list[Event] = []
        for name, data in payloads(frames):
            if self._ended or self._broken:
                break
            if data == b"[DONE]":  # not of this protocol, and sent by servers that have one writer for all
                continue
            try:
                self._read(data, events)
            except (ValueError, RecursionError) as error:
                self._broken = True
                label = name.decode("ascii", "replace") or "an event"
                events.append(Broken(failure="protocol", message=f"{label} is not of the Responses API: {error}"[:300]))
        return events

    def end(self) -> list[Event]:
        """The connection ended."""
        if self._ended or self._broken:
            return []
        self._broken = True
        return [Broken(failure="cut", message="the stream ended before response.completed")]

    def _read(self, data: bytes, events: list[Event]) -> None:
        event = _decode(data)
        kind = event.get("type") if isinstance(event, dict) else None
        if not isinstance(kind, str):
            raise NotAnAnswer("no object with a 'type'")
        block = _DELTAS.get(kind)
        if block is not None:
            self._delta(event, block, events)
        elif kind == "response.output_item.added":
            self._item_added(event, events)
        elif kind == "response.output_item.done":
            self._item_done(event, events)
        elif kind == "response.content_part.added":
            self._part_added(event, events)
        elif kind == "response.content_part.done":
            self._part_done(event, events)
        elif kind == "response.reasoning_summary_part.added":
            self._summary_part(event, events)
        elif kind in {"response.created", "response.in_progress", "response.queued"}:
            self._start(_object(event, "response"), events)
        elif kind in {"response.completed", "response.incomplete"}:
            self._end(_object(event, "response"), events)
        elif kind in {"response.failed", "response.cancelled"}:
            self._fail(_object(event, "response").get("error"), events)
        elif kind == "error":
            self._fail(event.get("error") or event, events)

    # ------------------------------------------------------------ the whole

    def _start(self, response: Mapping[str, Any], events: list[Event]) -> None:
        if self._started:
            return
        self._started = True
        identity, model, created = response.get("id"), response.get("model"), response.get("created_at")
        events.append(
            Started(
                id=identity if isinstance(identity, str) else "",
                model=model if isinstance(model, str) else "",
                created=int(created) if isinstance(created, (int, float)) and 0 <= created < 1 << 40 else 0,
            )
        )

    def _end(self, response: Mapping[str, Any], events: list[Event]) -> None:
        self._start(response, events)
        answer = read_answer({"id": "", "output": [], **response})
        parts = answer.choices[0].parts
        if self._count == 0:
            for part in parts:
                self._whole(part, events)
        events.extend(BlockEnded(index=index) for index in self._blocks.values())
        self._blocks.clear()
        events.append(Finished(finish=finish(response, parts)))
        if answer.usage is not None:
            events.append(UsageSeen(usage=answer.usage))
        self._ended = True
        events.append(Ended())

    def _fail(self, error: object, events: list[Event]) -> None:
        self._broken = True
        rejection = read_failure(error)
        events.append(Broken(failure=rejection.failure, message=rejection.message))

    # ------------------------------------------------------------ blocks

    def _begin(self, key: _Key, kind: BlockKind, events: list[Event], item: Mapping[str, Any] | None = None) -> int:
        if not self._started:
            self._start({}, events)
        index = self._blocks[key] = self._count
        if kind in {"text", "refusal"}:
            self._messages.add(key[0])
        self._count += 1
        if kind == "tool_call":
            call = item or {}
            call_id, name = call.get("call_id"), call.get("name")
            if not isinstance(call_id, str) or not isinstance(name, str):
                raise NotAnAnswer("a call of a tool without 'call_id' or 'name'")
            events.append(BlockStarted(index=index, kind=kind, id=call_id, name=name, raw=call_raw(call)))
        elif kind in {"thinking", "opaque"}:
            events.append(BlockStarted(index=index, kind=kind, protocol="responses", raw=item))
        else:
            events.append(BlockStarted(index=index, kind=kind))
        return index

    def _finish(self, key: _Key, events: list[Event], raw: Mapping[str, Any] | None = None) -> None:
        index = self._blocks.pop(key, None)
        if index is not None:
            events.append(BlockEnded(index=index, raw=raw))

    def _say(self, index: int, text: str, events: list[Event], logprobs: Any = None) -> None:
        if text:
            self._said.add(index)
            events.append(Delta(index=index, text=text, logprobs=logprobs or None))

    def _delta(self, event: Mapping[str, Any], kind: BlockKind, events: list[Event]) -> None:
        text = event.get("delta")
        if not isinstance(text, str):
            raise NotAnAnswer("a delta that is no text")
        key = (_place(event, "output_index"), _place(event, "content_index") if kind in {"text", "refusal"} else _ITEM)
        index = self._blocks.get(key)
        if index is None:
            index = self._begin(key, kind, events)
        self._say(index, text, events, event.get("logprobs"))

    def _summary_part(self, event: Mapping[str, Any], events: list[Event]) -> None:
        """Parts of a summary are paragraphs of one block."""
        index = self._blocks.get((_place(event, "output_index"), _ITEM))
        if index is not None and index in self._said:
            self._say(index, "\n\n", events)

    def _item_added(self, event: Mapping[str, Any], events: list[Event]) -> None:
        item = _object(event, "item")
        kind = _kind(item)
        if kind is not None:
            self._begin((_place(event, "output_index"), _ITEM), kind, events, item)

    def _item_done(self, event: Mapping[str, Any], events: list[Event]) -> None:
        item = _object(event, "item")
        output = _place(event, "output_index")
        kind = _kind(item)
        if kind is None:
            self._message_done(item, output, events)
            return
        key = (output, _ITEM)
        index = self._blocks.get(key)
        if index is None:
            index = self._begin(key, kind, events, item)
        if kind == "tool_call":
            said = item.get("input" if item.get("type") == "custom_tool_call" else "arguments")
            if index not in self._said and isinstance(said, str):
                self._say(index, said, events)
            self._finish(key, events)
            return
        if kind == "thinking":
            if index not in self._said:
                self._say(index, reasoning_text(item), events)
            signature = item.get("encrypted_content")
            if isinstance(signature, str):
                events.append(Signed(index=index, signature=signature))
        self._finish(key, events, item)

    def _message_done(self, item: Mapping[str, Any], output: int, events: list[Event]) -> None:
        """Parts that are open still end with their message; parts of which nothing was seen are in it."""
        open_parts = [key for key in self._blocks if key[0] == output]
        for key in open_parts:
            self._finish(key, events)
        if output in self._messages:
            return
        for part in read_item(item):
            self._whole(part, events)

    def _part_added(self, event: Mapping[str, Any], events: list[Event]) -> None:
        kind = _part_kind(_object(event, "part"))
        key = (_place(event, "output_index"), _place(event, "content_index"))
        if kind is not None and key not in self._blocks:
            self._begin(key, kind, events)

    def _part_done(self, event: Mapping[str, Any], events: list[Event]) -> None:
        part = _object(event, "part")
        kind = _part_kind(part)
        if kind is None:
            return
        key = (_place(event, "output_index"), _place(event, "content_index"))
        index = self._blocks.get(key)
        if index is None:
            index = self._begin(key, kind, events)
        said = part.get("text" if kind == "text" else "refusal")
        if index not in self._said and isinstance(said, str):
            self._say(index, said, events)
        notes = part.get("annotations")
        self._finish(key, events, {"annotations": notes} if notes else None)

    def _whole(self, part: Part, events: list[Event]) -> None:
        """A block that was told at once, in the last event."""
        key = (-1 - self._count, _ITEM)  # no place that the provider could name
        if isinstance(part, Text):
            self._say(self._begin(key, "text", events), part.text, events)
        elif isinstance(part, Refusal):
            self._say(self._begin(key, "refusal", events), part.text, events)
        elif isinstance(part, ToolCall):
            item = {**(part.raw or {}), "call_id": part.id, "name": part.name}
            self._say(self._begin(key, "tool_call", events, item), part.arguments, events)
        elif isinstance(part, Thinking):
            self._say(self._begin(key, "thinking", events, part.raw), part.text, events)
            self._finish(key, events, part.raw)
        elif isinstance(part, Opaque):
            self._begin(key, "opaque", events, part.raw)
        self._finish(key, events)


def _object(event: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = event.get(key)
    if not isinstance(value, Mapping):
        raise NotAnAnswer(f"no '{key}'")
    return value


def _place(event: Mapping[str, Any], key: str) -> int:
    value = event.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise NotAnAnswer(f"'{key}' is no index")
    return value


def _kind(item: Mapping[str, Any]) -> BlockKind | None:
    """Of an item; ``None`` for a message, whose parts are the blocks."""
    kind = item.get("type")
    if kind == "message":
        return None
    if kind in {"function_call", "custom_tool_call"}:
        return "tool_call"
    return "thinking" if kind == "reasoning" else "opaque"


def _part_kind(part: Mapping[str, Any]) -> Literal["text", "refusal"] | None:
    kind = part.get("type")
    return "text" if kind == "output_text" else "refusal" if kind == "refusal" else None
