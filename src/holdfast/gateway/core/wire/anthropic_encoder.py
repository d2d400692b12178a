"""Writes a stream of Anthropic's protocol.

::

    message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop

with ``ping`` anywhere, and ``error`` instead of what would follow. Official clients keep blocks in a list and find
them by their index, so indexes count from 0 without gaps, and one block ends before the next begins: what another
protocol interleaves is held back until its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockStarted,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    JsonObject,
    Signed,
    Started,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.anthropic_answers import SIGNING, citations_of, write_finish
from holdfast.gateway.core.wire.anthropic_errors import error_frame
from holdfast.gateway.core.wire.anthropic_usage import cumulative, write_usage
from holdfast.gateway.errors import Refused

PING = b'event: ping\ndata: {"type": "ping"}\n\n'

_encode = msgspec.json.Encoder().encode


def frame(name: str, data: JsonObject) -> bytes:
    """One event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))


@dataclass(slots=True)
class _Block:
    """A block that has begun and has not been written to its end."""

    begun: BlockStarted
    shown: bool = False
    """Whether its ``content_block_start`` was written. Blocks of words wait for their first one: an empty one would
    come back with the next request, and be refused by the provider."""
    waiting: list[Delta | Signed | BlockEnded] = field(default_factory=list)


class AnthropicEncoder:
    """One stream."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._blocks: dict[int, _Block] = {}
        """By their own index, in the order in which they began; only the first is written, the others wait."""
        self._next = 0
        self._started = False
        self._done = False
        self._called = False
        self._usage: Usage | None = None
        self._finish: Finish = "stop"
        self._stop_sequence: str | None = None

    def write(self, events: Sequence[Event]) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Encoder`."""
        out: list[bytes] = []
        for event in events:
            if self._done:
                break
            if isinstance(event, Delta | BlockStarted | Signed | BlockEnded | Finished) and event.choice:
                continue  # one answer to a request: nothing else can be asked for here
            if isinstance(event, Started):
                self._usage = event.usage or self._usage
                self._start(out)
            elif isinstance(event, BlockStarted):
                self._start(out)
                self._blocks[event.index] = _Block(event)
                if len(self._blocks) == 1:
                    self._open(out)
            elif isinstance(event, Delta | Signed | BlockEnded):
                self._more(event, out)
            elif isinstance(event, Finished):
                self._finish, self._stop_sequence = event.finish, event.stop_sequence
                self._drain(out)
            elif isinstance(event, UsageSeen):
                self._usage = event.usage
            elif isinstance(event, Ended):
                self._end(out)
        return b"".join(out)

    def fail(self, error: Refused) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Encoder`. Open blocks stay open: clients raise at once."""
        if self._done:
            return b""
        self._done = True
        return error_frame(error)

    def keep_alive(self) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Encoder`."""
        return b"" if self._done else PING

    def _start(self, out: list[bytes]) -> None:
        if self._started:
            return
        self._started = True
        message: dict[str, Any] = {
            "id": f"msg_{self._told.id}",
            "type": "message",
            "role": "assistant",
            "model": self._told.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage),
        }
        out.append(frame("message_start", {"type": "message_start", "message": message}))

    def _more(self, event: Delta | Signed | BlockEnded, out: list[bytes]) -> None:
        block = self._blocks.get(event.index)
        if block is None:
            return
        if block is not next(iter(self._blocks.values())):
            block.waiting.append(event)
        elif isinstance(event, Delta):
            self._words(block, event.text, out)
        elif isinstance(event, Signed):
            if block.begun.protocol in SIGNING:
                self._delta(block, {"type": "signature_delta", "signature": event.signature}, out)
        else:
            self._close(event, out)

    def _open(self, out: list[bytes]) -> None:
        """The first block is to be written now."""
        block = next(iter(self._blocks.values()))
        begun = block.begun
        if begun.kind == "tool_call":
            self._called = True
            self._show(block, {"type": "tool_use", "id": begun.id, "name": begun.name, "input": {}}, out)
        elif begun.kind == "thinking" and begun.protocol == "anthropic":
            self._show(block, begun.raw or {"type": "thinking", "thinking": "", "signature": ""}, out)
        waiting, block.waiting = block.waiting, []
        for event in waiting:
            self._more(event, out)

    def _show(self, block: _Block, content: JsonObject, out: list[bytes]) -> None:
        block.shown = True
        out.append(
            frame(
                "content_block_start",
                {"type": "content_block_start", "index": self._next, "content_block": content},
            )
        )

    def _words(self, block: _Block, text: str, out: list[bytes]) -> None:
        kind = block.begun.kind
        if not text or kind == "opaque":
            return
        if kind == "tool_call":
            self._delta(block, {"type": "input_json_delta", "partial_json": text}, out)
        elif kind == "thinking":
            self._delta(block, {"type": "thinking_delta", "thinking": text}, out)
        else:
            self._delta(block, {"type": "text_delta", "text": text}, out)

    def _delta(self, block: _Block, delta: JsonObject, out: list[bytes]) -> None:
        if not block.shown:
            thinks = block.begun.kind == "thinking"
            self._show(
                block,
                {"type": "thinking", "thinking": "", "signature": ""} if thinks else {"type": "text", "text": ""},
                out,
            )
        out.append(frame("content_block_delta", {"type": "content_block_delta", "index": self._next, "delta": delta}))

    def _close(self, event: BlockEnded, out: list[bytes]) -> None:
        """The first block is complete; the next one's turn."""
        block = self._blocks.pop(next(iter(self._blocks)))
        if block.begun.kind == "opaque":
            raw = event.raw or block.begun.raw
            if block.begun.protocol == "anthropic" and raw is not None:
                self._opaque(block, raw, out)
        elif block.begun.kind == "text" and event.raw is not None:
            for citation in citations_of(event.raw.get("citations") or ()):
                self._delta(block, {"type": "citations_delta", "citation": citation}, out)
        if block.shown:
            out.append(frame("content_block_stop", {"type": "content_block_stop", "index": self._next}))
            self._next += 1
        if self._blocks:
            self._open(out)

    def _opaque(self, block: _Block, raw: JsonObject, out: list[bytes]) -> None:
        """A block of the provider's own tools, as the provider itself streams it: the input comes in deltas."""
        given: Any = raw.get("input")
        if raw.get("type") == "server_tool_use" and given:
            self._show(block, {**raw, "input": {}}, out)
            self._delta(block, {"type": "input_json_delta", "partial_json": _encode(given).decode()}, out)
        else:
            self._show(block, raw, out)

    def _drain(self, out: list[bytes]) -> None:
        """Whatever has begun is brought to its end."""
        while self._blocks:
            self._close(BlockEnded(index=next(iter(self._blocks))), out)

    def _end(self, out: list[bytes]) -> None:
        self._start(out)
        self._drain(out)
        reason = write_finish(self._finish, calls=self._called)
        delta = {"stop_reason": reason, "stop_sequence": self._stop_sequence}
        usage = cumulative(write_usage(self._usage))
        out.append(frame("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}))
        out.append(frame("message_stop", {"type": "message_stop"}))
        self._done = True
