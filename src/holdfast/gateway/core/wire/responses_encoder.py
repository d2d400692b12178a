"""Events as the stream that a client of the Responses API reads.

::

    response.created  response.in_progress
    ( response.output_item.added
        ( response.content_part.added     response.output_text.delta*    .done  response.content_part.done    a message
        | response.content_part.added     response.refusal.delta*        .done  response.content_part.done    a refusal
        | response.function_call_arguments.delta*  .done                                              a tool call
        | response.reasoning_summary_part.added  ..._text.delta*  .done  response.reasoning_summary_part.done )
      response.output_item.done )*
    response.completed | response.incomplete | response.failed error

``sequence_number`` counts all events from 0. A block is an item of its own, with one part; blocks may interleave, for
each event names its item. The official client's accumulator wants ``response.created`` first and items in the order of
``output_index`` (openai-python, ``lib/streaming/responses``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockStarted,
    Broken,
    Chat,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Opaque,
    Part,
    ProtocolName,
    Refusal,
    Signed,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.openai_errors import write_error
from holdfast.gateway.core.wire.responses_answers import ending, response, write_item, write_usage
from holdfast.gateway.core.wire.responses_writing import write_annotations
from holdfast.gateway.errors import Refused

_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which clients pass over (WHATWG HTML, 9.2.6)."""


def frame(event: Mapping[str, Any]) -> bytes:
    """One event with its type as the name."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))


def failure(error: Refused, body: Mapping[str, Any], number: int) -> bytes:
    """The end of a stream that failed: ``response.failed``, then ``error``.

    The first is the protocol's own, and makes no noise in a client that waits for words; the second has the ``error``
    for which the official client raises ``APIError``, and the flat fields of its type ``ResponseErrorEvent``.
    """
    told = write_error(error, request_id="")[1]["error"]
    code, message = told["code"], told["message"]
    known = "rate_limit_exceeded" if told["type"] == "rate_limit_error" else "server_error"
    body = {**body, "status": "failed", "error": {"code": error.code or known, "message": message}}
    event = {"type": "error", "sequence_number": number + 1, "code": code, "message": message, "param": error.param}
    return frame({"type": "response.failed", "sequence_number": number, "response": body}) + frame(
        {**event, "error": told}
    )


class _Block:
    """An item that is being written."""

    __slots__ = (
        "before",
        "end",
        "ids",
        "item_id",
        "kind",
        "name",
        "opened",
        "output",
        "protocol",
        "raw",
        "said",
        "signature",
    )

    def __init__(self, event: BlockStarted, output: int, name: str) -> None:
        self.kind = event.kind
        self.output = output
        self.name = name
        self.ids = (event.id, event.name)
        self.protocol: ProtocolName | None = event.protocol
        self.raw = event.raw
        self.said: list[str] = []
        self.signature: str | None = None
        self.opened = False
        """Whether the summary of a reasoning item has begun: one without words has none."""
        self.item_id = ""
        self.before = b""
        self.end = b""

    def part(self, raw: Mapping[str, Any] | None, *, whole: bool) -> Part:
        """As it is by now. ``raw`` came with its end."""
        text = "".join(self.said)
        if self.kind == "refusal":
            return Refusal(text=text)
        if self.kind == "tool_call":
            return ToolCall(id=self.ids[0], name=self.ids[1], arguments=text, raw=self.raw)
        if self.kind == "thinking":
            known = raw or self.raw
            if known is not None and self.protocol == "responses" and not whole:
                known = {**known, "summary": []}
            return Thinking(text=text, signature=self.signature, protocol=self.protocol or "responses", raw=known)
        if self.kind == "opaque":
            return Opaque(protocol=self.protocol or "responses", raw=raw or self.raw or {})
        return Text(text=text, citations=_citations(raw))


def _citations(raw: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    notes = (raw or {}).get("annotations") or (raw or {}).get("citations") or ()
    return tuple(note for note in notes if isinstance(note, Mapping))


class ResponsesEncoder:
    """One stream to a client."""

    __slots__ = ("_blocks", "_body", "_done", "_ended", "_finish", "_name", "_number", "_outputs", "_started", "_usage")

    def __init__(self, chat: Chat, told: Told) -> None:
        self._body = response(chat, told)
        self._name = told.id
        self._number = 0
        self._outputs = 0
        self._blocks: dict[int, _Block] = {}
        self._done: dict[int, dict[str, Any]] = {}
        self._finish: Finish = "stop"
        self._usage: Usage | None = None
        self._started = False
        self._ended = False

    def write(self, events: Sequence[Event]) -> bytes:
        """Events as frames."""
        out: list[bytes] = []
        for event in events:
            if self._ended:
                break
            if not self._started:
                self._start(out)
            if type(event) is Delta:
                self._delta(event, out)
            elif getattr(event, "choice", 0) == 0:  # another choice has no place in this protocol
                self._take(event, out)
        return b"".join(out)

    def fail(self, error: Refused) -> bytes:
        """The end of a stream that broke. Whole items are in it; what was cut is not, for a client could not tell."""
        if self._ended:
            return b""
        out: list[bytes] = []
        if not self._started:
            self._start(out)
        self._ended = True
        out.append(failure(error, self._final(), self._number))
        return b"".join(out)

    def keep_alive(self) -> bytes:
        """A comment."""
        return KEEP_ALIVE

    # ------------------------------------------------------------ parts of a stream

    def _take(self, event: Event, out: list[bytes]) -> None:
        match event:
            case BlockStarted():
                self._open(event, out)
            case BlockEnded():
                self._close(event.index, event.raw, out)
            case Signed():
                block = self._blocks.get(event.index)
                if block is not None:
                    block.signature = (block.signature or "") + event.signature
            case Finished():
                self._finish = event.finish
            case UsageSeen():
                self._usage = event.usage
            case Ended():
                self._end(out)
            case Broken():
                out.append(self.fail(Refused("cut", event.message)))

    def _send(self, out: list[bytes], kind: str, **fields: Any) -> None:
        out.append(frame({"type": kind, "sequence_number": self._number, **fields}))
        self._number += 1

    def _start(self, out: list[bytes]) -> None:
        self._started = True
        self._send(out, "response.created", response=self._body)
        self._send(out, "response.in_progress", response=self._body)

    def _end(self, out: list[bytes]) -> None:
        for index in list(self._blocks):
            self._close(index, None, out)
        self._ended = True
        refused = any(part["type"] == "refusal" for item in self._done.values() for part in _content(item))
        body = self._final() | ending(self._finish, refused=refused)
        self._send(out, f"response.{body['status']}", response=body)

    def _final(self) -> dict[str, Any]:
        items = [self._done[output] for output in sorted(self._done)]
        return {**self._body, "output": items, "usage": write_usage(self._usage)}

    def _open(self, event: BlockStarted, out: list[bytes]) -> None:
        if event.index in self._blocks:
            return
        if event.kind == "opaque" and event.protocol != "responses":
            return  # another protocol's own: nothing here could stand for it
        block = _Block(event, self._outputs, f"{self._name}_{self._outputs}")
        item = write_item(block.part(None, whole=False), block.name)
        if item is None:
            return
        self._outputs += 1
        self._blocks[event.index] = block
        block.item_id = str(item.get("id", ""))
        if event.kind != "opaque":
            item["status"] = "in_progress"
        if event.kind in {"text", "refusal"}:
            empty = item["content"][0]
            item["content"] = []
            self._send(out, "response.output_item.added", output_index=block.output, item=item)
            self._place(block, out, "response.content_part.added", part=empty)
        else:
            self._send(out, "response.output_item.added", output_index=block.output, item=item)
        block.before, block.end = _shell(block)

    def _place(self, block: _Block, out: list[bytes], kind: str, **fields: Any) -> None:
        where = {"item_id": block.item_id, "output_index": block.output}
        if block.kind in {"text", "refusal"}:
            where["content_index"] = 0
        elif block.kind == "thinking":
            where["summary_index"] = 0
        self._send(out, kind, **where, **fields)

    def _delta(self, event: Delta, out: list[bytes]) -> None:
        block = self._blocks.get(event.index) if event.choice == 0 else None
        if block is None or not event.text or block.kind == "opaque":
            return
        if block.kind == "thinking" and not block.opened:
            block.opened = True
            part = {"type": "summary_text", "text": ""}
            self._place(block, out, "response.reasoning_summary_part.added", part=part)
        block.said.append(event.text)
        end = block.end
        if event.logprobs is not None and block.kind == "text":
            end = b',"logprobs":%b}\n\n' % _encode(_logprobs(event.logprobs))
        out.append(b'%b%d,"delta":%b%b' % (block.before, self._number, _encode(event.text), end))
        self._number += 1

    def _close(self, index: int, raw: Mapping[str, Any] | None, out: list[bytes]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        item = write_item(block.part(raw, whole=True), block.name)
        if item is None:
            return
        text = "".join(block.said)
        if block.kind == "text":
            said = item["content"][0]
            for n, note in enumerate(write_annotations(_citations(raw))):
                self._place(block, out, "response.output_text.annotation.added", annotation_index=n, annotation=note)
            self._place(block, out, "response.output_text.done", text=text, logprobs=[])
            self._place(block, out, "response.content_part.done", part=said)
        elif block.kind == "refusal":
            self._place(block, out, "response.refusal.done", refusal=text)
            self._place(block, out, "response.content_part.done", part=item["content"][0])
        elif item["type"] == "custom_tool_call":
            self._place(block, out, "response.custom_tool_call_input.done", input=text)
        elif block.kind == "tool_call":
            self._place(block, out, "response.function_call_arguments.done", name=item["name"], arguments=text)
        elif block.opened:
            self._place(block, out, "response.reasoning_summary_text.done", text=text)
            self._place(block, out, "response.reasoning_summary_part.done", part={"type": "summary_text", "text": text})
        self._done[block.output] = item
        self._send(out, "response.output_item.done", output_index=block.output, item=item)


def _content(item: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content: Sequence[Mapping[str, Any]] = item.get("content") or ()
    return content if item.get("type") == "message" else ()


def _shell(block: _Block) -> tuple[bytes, bytes]:
    """What stands around ``sequence_number`` and the words of each delta of a block: the frame's constant bytes."""
    kind, place = {
        "text": ("response.output_text.delta", ',"content_index":0'),
        "refusal": ("response.refusal.delta", ',"content_index":0'),
        "thinking": ("response.reasoning_summary_text.delta", ',"summary_index":0'),
        "tool_call": ("response.function_call_arguments.delta", ""),
        "opaque": ("", ""),
    }[block.kind]
    if block.kind == "tool_call" and block.raw is not None and block.raw.get("type") == "custom_tool_call":
        kind = "response.custom_tool_call_input.delta"
    before = (
        f'event: {kind}\ndata: {{"type":"{kind}","item_id":{_encode(block.item_id).decode()},'
        f'"output_index":{block.output}{place},"sequence_number":'
    )
    return before.encode(), b',"logprobs":[]}\n\n' if block.kind == "text" else b"}\n\n"


def _logprobs(given: Any) -> Any:
    """This protocol has the list alone; chat completions has it as ``content`` of an object."""
    return given.get("content") or [] if isinstance(given, Mapping) else given
