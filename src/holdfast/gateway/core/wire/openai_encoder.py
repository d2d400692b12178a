"""Streams of OpenAI's chat completions, written to a client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    BlockKind,
    BlockStarted,
    Chat,
    Delta,
    Ended,
    Event,
    Finished,
    Started,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.openai_answer import finish_word
from holdfast.gateway.core.wire.openai_errors import error_frames
from holdfast.gateway.core.wire.openai_outgoing import is_legacy
from holdfast.gateway.core.wire.openai_usage import write_usage
from holdfast.gateway.errors import Refused

__all__ = ["DONE", "KEEP_ALIVE", "ChatEncoder"]

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"

_encode = msgspec.json.encode
_FIELD: dict[BlockKind, bytes] = {
    "text": b'{"content":',
    "thinking": b'{"reasoning_content":',
    "refusal": b'{"refusal":',
}


class ChatEncoder:
    """One chunk for each event that the protocol has a word for; most of a chunk is the same bytes each time.

    The first chunk of a choice has its role, the last its finish_reason, which is null in all others. ``usage`` is
    null in all chunks but the last one, if the client asked for it, and nowhere if not.
    """

    __slots__ = (
        "_around",
        "_blocks",
        "_calls",
        "_head",
        "_include_usage",
        "_legacy",
        "_over",
        "_roles",
        "_tail",
        "_usage",
    )

    def __init__(self, chat: Chat, told: Told) -> None:
        self._head = (
            b'data: {"id":'
            + _encode(f"chatcmpl-{told.id}")
            + b',"object":"chat.completion.chunk","created":%d,"model":' % told.created
            + _encode(told.model)
            + b',"choices":['
        )
        self._include_usage = chat.include_usage
        self._legacy = is_legacy(chat)
        self._tail = b'],"usage":null}\n\n' if chat.include_usage else b"]}\n\n"
        self._around: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        """Choice and block of words -> what stands before and behind them in each chunk but the first."""
        self._blocks: dict[tuple[int, int], tuple[BlockKind, int]] = {}
        """Choice and block -> what it is, and which of the choice's tool calls."""
        self._calls: dict[int, int] = {}
        """Choice -> tool calls begun."""
        self._roles: set[int] = set()
        self._usage: Usage | None = None
        self._over = False

    def write(self, events: Sequence[Event]) -> bytes:
        """Chunks; ``Ended`` writes the usage, if it was asked for, and ``[DONE]``."""
        if self._over:
            return b""
        if len(events) == 1 and type(event := events[0]) is Delta and event.logprobs is None:
            around = self._around.get((event.choice, event.index))
            if around is not None:
                return around[0] + _encode(event.text) + around[1]
        return b"".join([self._event(event) for event in events])

    def fail(self, error: Refused) -> bytes:
        """An error that OpenAI's clients raise on, and ``[DONE]``; nothing after the end."""
        if self._over:
            return b""
        self._over = True
        return error_frames(error)

    def keep_alive(self) -> bytes:
        """A comment."""
        return KEEP_ALIVE

    def _event(self, event: Event) -> bytes:
        match event:
            case Delta():
                return self._role(event.choice) + self._delta(event)
            case Started():
                return self._role(0)
            case BlockStarted():
                return self._role(event.choice) + self._block(event)
            case Finished(choice=choice):
                word = finish_word(event.finish, legacy=self._legacy)
                return self._role(choice) + self._chunk(choice, b"{}", b"null", b'"%s"' % word.encode())
            case UsageSeen(usage=usage):
                self._usage = usage
                return b""
            case Ended():
                self._over = True
                return self._last() + DONE
            case _:
                return b""  # ends of blocks, signatures: this protocol does not tell them

    def _chunk(self, choice: int, delta: bytes, logprobs: bytes = b"null", finish: bytes = b"null") -> bytes:
        return b'%b{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}%b' % (
            self._head,
            choice,
            delta,
            logprobs,
            finish,
            self._tail,
        )

    def _role(self, choice: int) -> bytes:
        if choice in self._roles:
            return b""
        self._roles.add(choice)
        return self._chunk(choice, b'{"role":"assistant","content":"","refusal":null}')

    def _block(self, event: BlockStarted) -> bytes:
        call = self._calls.get(event.choice, 0)
        self._blocks[event.choice, event.index] = (event.kind, call)
        self._around.pop((event.choice, event.index), None)
        if event.kind != "tool_call":
            return b""
        self._calls[event.choice] = call + 1
        function = {"name": event.name, "arguments": ""}
        if self._legacy:
            return self._chunk(event.choice, _encode({"function_call": function})) if call == 0 else b""
        begun: Mapping[str, Any] = {"index": call, "id": event.id, "type": "function", "function": function}
        return self._chunk(event.choice, _encode({"tool_calls": [begun]}))

    def _delta(self, event: Delta) -> bytes:
        kind, call = self._blocks.get((event.choice, event.index), ("text", 0))
        text = _encode(event.text)
        if kind == "tool_call":
            if self._legacy:
                return self._chunk(event.choice, b'{"function_call":{"arguments":%b}}' % text) if call == 0 else b""
            return self._chunk(
                event.choice, b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (call, text)
            )
        if kind == "opaque":
            return b""
        if event.logprobs is None:
            before, after = self._chunk(event.choice, _FIELD[kind] + b"\x00}").rsplit(b"\x00", 1)
            self._around[event.choice, event.index] = before, after
            return before + text + after
        return self._chunk(event.choice, _FIELD[kind] + text + b"}", _encode(event.logprobs))

    def _last(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return b""
        return self._head + b'],"usage":' + _encode(write_usage(self._usage)) + b"}\n\n"
