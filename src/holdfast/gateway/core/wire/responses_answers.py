"""Whole answers of the Responses API: the object ``response``, its output items, and its usage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.gateway.core.conversation import (
    Answer,
    Chat,
    Choice,
    Finish,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire import responses_sealed
from holdfast.gateway.core.wire.openai_usage import believable
from holdfast.gateway.core.wire.responses_reading import read_annotations, read_reasoning
from holdfast.gateway.core.wire.responses_writing import (
    call_item,
    output_part,
    reasoning_item,
    settings,
)

_ECHOED = (
    "background", "conversation", "include", "max_tool_calls", "previous_response_id", "prompt", "prompt_cache_key",
    "safety_identifier", "service_tier", "top_logprobs",
)  # fmt: skip


class NotAnAnswer(ValueError):
    """A provider's answer is not of this protocol."""


# ------------------------------------------------------------ writing


def write_answer(answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
    """A whole answer; the first choice, there being only one in this protocol."""
    choice = answer.choices[0] if answer.choices else Choice()
    items: list[dict[str, Any]] = []
    for part in choice.parts:
        item = write_item(part, f"{told.id}_{len(items)}")
        if item is not None:
            items.append(item)
    body = response(chat, told)
    body["output"] = items
    body["usage"] = write_usage(answer.usage)
    body.update(ending(choice.finish, refused=any(isinstance(part, Refusal) for part in choice.parts)))
    return body


def response(chat: Chat, told: Told) -> dict[str, Any]:
    """The object of an answer that has just begun, with what the request asked for, as clients get it back."""
    said = settings(chat)
    first = chat.messages[0] if chat.messages else None
    instructions = None
    if first is not None and first.role == "system":
        instructions = "\n\n".join(part.text for part in first.parts if isinstance(part, Text))
    extra = chat.extra if chat.protocol == "responses" else {}
    body: dict[str, Any] = {
        "id": f"resp_{told.id}",
        "object": "response",
        "created_at": told.created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": instructions or None,
        "max_output_tokens": chat.max_tokens,
        "model": told.model,
        "output": [],
        "parallel_tool_calls": said.get("parallel_tool_calls", True),
        "reasoning": {"effort": None, "summary": None, **extra.get("reasoning", {}), **said.get("reasoning", {})},
        "store": False,
        "temperature": chat.temperature,
        "text": {"format": {"type": "text"}, **extra.get("text", {}), **said.get("text", {})},
        "tool_choice": extra.get("tool_choice", said.get("tool_choice", "auto")),
        "tools": said.get("tools", []),
        "top_p": chat.top_p,
        "truncation": extra.get("truncation", "disabled"),
        "usage": None,
        "user": chat.user,
        "metadata": chat.metadata or {},
    }
    for name in _ECHOED:
        if name in extra:
            body[name] = extra[name]
    return body


def ending(finish: Finish, *, refused: bool) -> dict[str, Any]:
    """How it ended. A refusal without words of its own is a filter's doing, which this protocol calls incomplete."""
    if finish == "length":
        return {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    if finish == "content_filter" or (finish == "refusal" and not refused):
        return {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    if finish == "error":
        return {"status": "failed", "error": {"code": "server_error", "message": "The provider failed to answer."}}
    if finish == "pause":
        return {"status": "incomplete", "incomplete_details": {"reason": None}}
    return {"status": "completed"}


def write_item(part: Part, name: str) -> dict[str, Any] | None:
    """One output item; ``None`` for what a client of this protocol cannot be told. ``name`` makes its id."""
    if isinstance(part, (Text, Refusal)):
        said = output_part(part)
        if isinstance(part, Text):
            said["logprobs"] = []
        return {"id": f"msg_{name}", "type": "message", "status": "completed", "role": "assistant", "content": [said]}
    if isinstance(part, ToolCall):
        item = call_item(part)
        prefix = "ctc" if item["type"] == "custom_tool_call" else "fc"
        return {"id": f"{prefix}_{name}", **item, "status": "completed"}
    if isinstance(part, Thinking):
        return {"id": f"rs_{name}", **write_thinking(part)}
    if isinstance(part, Opaque) and part.protocol == "responses":
        return dict(part.raw)
    return None


def write_thinking(thinking: Thinking) -> dict[str, Any]:
    """A reasoning item: unmodified when it was one, or else one that holds the other protocol's block."""
    if thinking.protocol == "responses":
        return reasoning_item(thinking)
    said = [{"type": "summary_text", "text": thinking.text}] if thinking.text else []
    return {"type": "reasoning", "summary": said, "encrypted_content": responses_sealed.sealed(thinking)}


def write_usage(usage: Usage | None) -> dict[str, Any] | None:
    """``null`` when nobody knows it."""
    if usage is None:
        return None
    written = usage.cache_write_tokens + usage.cache_write_long_tokens
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": written},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


# ------------------------------------------------------------ reading


def read_answer(body: Mapping[str, Any]) -> Answer:
    """A whole answer. Raises :class:`ValueError` for what is not one."""
    identity, model, output = body.get("id"), body.get("model"), body.get("output")
    if not isinstance(identity, str) or not isinstance(output, list) or body.get("object", "response") != "response":
        raise NotAnAnswer("not an object of the Responses API: no 'id', or no 'output'")
    parts: list[Part] = []
    for item in output:
        if not isinstance(item, Mapping):
            raise NotAnAnswer("an output item that is no object")
        parts.extend(read_item(item))
    created = body.get("created_at")
    choice = Choice(parts=tuple(parts), finish=finish(body, parts))
    return Answer(
        id=identity,
        model=model if isinstance(model, str) else "",
        created=int(created) if isinstance(created, (int, float)) and 0 <= created < 1 << 40 else 0,
        choices=(choice,),
        usage=read_usage(body.get("usage")),
    )


def read_item(item: Mapping[str, Any]) -> list[Part]:
    """What one output item says. Raises :class:`ValueError` for an item without what its type has to have."""
    kind = item.get("type")
    if kind == "message":
        return _read_content(item.get("content"))
    if kind in {"function_call", "custom_tool_call"}:
        return [read_call(item)]
    if kind == "reasoning":
        return [read_reasoning(item)]
    return [Opaque(protocol="responses", raw=item)]


def _read_content(content: object) -> list[Part]:
    if not isinstance(content, list):
        raise NotAnAnswer("a message without 'content'")
    parts: list[Part] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "output_text" and isinstance(part.get("text"), str):
            parts.append(Text(text=part["text"], citations=read_annotations(part.get("annotations"))))
        elif kind == "refusal" and isinstance(part.get("refusal"), str):
            parts.append(Refusal(text=part["refusal"]))
        else:
            raise NotAnAnswer(f"a message with content of type {kind!r}")
    return parts


def read_call(item: Mapping[str, Any]) -> ToolCall:
    """A call. Raises :class:`ValueError`."""
    arguments = "input" if item.get("type") == "custom_tool_call" else "arguments"
    call_id, name, said = item.get("call_id"), item.get("name"), item.get(arguments)
    if not isinstance(call_id, str) or not isinstance(name, str) or not isinstance(said, str):
        raise NotAnAnswer(f"a call of a tool without 'call_id', 'name' or '{arguments}'")
    return ToolCall(id=call_id, name=name, arguments=said, raw=call_raw(item))


def call_raw(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a call other than its words the provider wants to see again."""
    return {key: value for key, value in item.items() if key not in {"arguments", "input"}}


def finish(body: Mapping[str, Any], parts: Sequence[Part]) -> Finish:
    """Why the answer ended."""
    status = body.get("status")
    if status == "incomplete":
        details = body.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        return (
            "content_filter" if reason == "content_filter" else "length" if reason == "max_output_tokens" else "pause"
        )
    if status in {"failed", "cancelled"}:
        return "error"
    if any(isinstance(part, ToolCall) for part in parts):
        return "tool_calls"
    return "refusal" if any(isinstance(part, Refusal) for part in parts) else "stop"


def read_usage(given: object) -> Usage | None:
    """The usage; ``None`` for none, and for one that cannot be: negative, absurd, or a part larger than its whole."""
    if not isinstance(given, Mapping) or given.get("input_tokens") is None:
        return None
    read, written = _count(given, "input_tokens"), _count(given, "output_tokens")
    if read is None or written is None:
        return None
    inner, outer = given.get("input_tokens_details"), given.get("output_tokens_details")
    cached, kept, thought = (
        _count(inner, "cached_tokens"),
        _count(inner, "cache_write_tokens"),
        _count(outer, "reasoning_tokens"),
    )
    if cached is None or kept is None or thought is None or cached + kept > read or thought > written:
        return None
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cache_read_tokens=cached,
        cache_write_tokens=kept,
        reasoning_tokens=thought,
    )


def _count(given: object, key: str) -> int | None:
    """A number of tokens; 0 when it is not told, ``None`` when it cannot be believed."""
    return believable(given.get(key) if isinstance(given, Mapping) else None)
