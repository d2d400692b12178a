"""Whole answers of Anthropic's protocol, and the words for how an answer ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    Answer,
    Choice,
    Finish,
    JsonObject,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.wire.anthropic_usage import read_usage, write_usage

_FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "length",
}
_STOP_REASONS: dict[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "stop_sequence": "stop_sequence",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "error": "end_turn",
}
_CITATIONS = frozenset(
    {"char_location", "page_location", "content_block_location", "web_search_result_location", "search_result_location"}
)
SIGNING = ("anthropic", "bedrock")
"""Protocols whose signatures of thinking are Claude's, and hold on every platform ("Extended thinking", signatures)."""


def read_finish(stop_reason: object) -> Finish:
    """How an answer ended; words that came after this was written count as a plain end."""
    return _FINISHES.get(stop_reason, "stop") if isinstance(stop_reason, str) else "stop"


def write_finish(finish: Finish, *, calls: bool) -> str:
    """``stop_reason``.

    Some providers end a turn that calls tools with a plain ``stop``; clients of this protocol look only at the reason
    to see that it is their turn to run them.
    """
    return "tool_use" if calls and finish == "stop" else _STOP_REASONS[finish]


def parsed_arguments(arguments: str) -> JsonObject | None:
    """Arguments as the object that this protocol has them as; ``None`` when they are none."""
    if not arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def citations_of(values: Iterable[Any]) -> list[JsonObject]:
    """Those citations that this protocol has."""
    return [one for one in values if isinstance(one, Mapping) and one.get("type") in _CITATIONS]


def read_answer(body: Mapping[str, Any]) -> Answer:
    """A provider's answer. Raises :class:`ValueError` for what is none."""
    content = body.get("content")
    if body.get("type") != "message" or not isinstance(content, list):
        raise ValueError("not a message of Anthropic's protocol")
    try:
        parts = tuple(_part(block) for block in content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a block of the message is not one of Anthropic's protocol") from error
    sequence = body.get("stop_sequence")
    choice = Choice(
        parts=parts,
        finish=read_finish(body.get("stop_reason")),
        stop_sequence=sequence if isinstance(sequence, str) else None,
    )
    known = ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage")
    return Answer(
        id=str(body.get("id", "")),
        model=str(body.get("model", "")),
        created=0,
        choices=(choice,),
        usage=read_usage(body.get("usage")),
        extra={name: value for name, value in body.items() if name not in known and value is not None},
    )


def _part(block: Mapping[str, Any]) -> Part:
    kind = _string(block["type"])
    if kind == "text":
        return Text(text=_string(block["text"]), citations=tuple(block.get("citations") or ()))
    if kind == "tool_use":
        arguments = msgspec.json.encode(block.get("input") or {}).decode()
        return ToolCall(id=_string(block["id"]), name=_string(block["name"]), arguments=arguments)
    if kind == "thinking":
        signature = _string(block.get("signature") or "")
        return Thinking(text=_string(block["thinking"]), signature=signature, protocol="anthropic", raw=block)
    if kind == "redacted_thinking":
        return Thinking(protocol="anthropic", raw=block)
    return Opaque(protocol="anthropic", raw=block)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("should be a string")
    return value


def write_answer(answer: Answer, told: Told) -> dict[str, Any]:
    """An answer for a client. Of several choices there is only the first: the request could not ask for more."""
    choice = answer.choices[0] if answer.choices else Choice()
    content = list(_blocks(choice.parts))
    calls = any(block["type"] == "tool_use" for block in content)
    return {
        "id": f"msg_{told.id}",
        "type": "message",
        "role": "assistant",
        "model": told.model,
        "content": content,
        "stop_reason": write_finish(choice.finish, calls=calls),
        "stop_sequence": choice.stop_sequence,
        "usage": write_usage(answer.usage),
    }


def _blocks(parts: Iterable[Part]) -> Iterator[dict[str, Any]]:
    for part in parts:
        if isinstance(part, Text):
            if part.text:
                block: dict[str, Any] = {"type": "text", "text": part.text}
                citations = citations_of(part.citations)
                yield {**block, "citations": citations} if citations else block
        elif isinstance(part, Refusal):
            if part.text:
                yield {"type": "text", "text": part.text}
        elif isinstance(part, ToolCall):
            given = parsed_arguments(part.arguments)
            value = {"invalid_json": part.arguments} if given is None else given
            yield {"type": "tool_use", "id": part.id, "name": part.name, "input": value}
        elif isinstance(part, Thinking):
            if part.protocol == "anthropic" and part.raw is not None:
                yield dict(part.raw)
            elif part.text:
                # Without a signature that holds; the writer of requests knows it by that and takes it out again.
                signature = (part.signature or "") if part.protocol in SIGNING else ""
                yield {"type": "thinking", "thinking": part.text, "signature": signature}
        elif isinstance(part, Opaque) and part.protocol == "anthropic":
            yield dict(part.raw)
