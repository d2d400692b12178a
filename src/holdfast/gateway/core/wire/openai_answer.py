"""Whole answers of OpenAI's chat completions, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

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
from holdfast.gateway.core.wire.fields import malformed
from holdfast.gateway.core.wire.openai_outgoing import is_legacy
from holdfast.gateway.core.wire.openai_usage import read_usage, write_usage

__all__ = ["FINISHES", "arguments_text", "finish_word", "read_answer", "read_finish", "write_answer"]

FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_WORDS: dict[Finish, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "stop_sequence": "stop",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "error": "stop",
}
_EXTRA = ("system_fingerprint", "service_tier")


def read_finish(word: object, *, called: bool) -> Finish:
    """``called``: tools were called. Ollama and some of vLLM's parsers say ``stop`` then; unknown words mean it too."""
    finish = FINISHES.get(word, "stop") if isinstance(word, str) else "stop"
    return "tool_calls" if called and finish == "stop" else finish


def finish_word(finish: Finish, *, legacy: bool) -> str:
    """``finish_reason``."""
    return "function_call" if legacy and finish == "tool_calls" else _WORDS[finish]


def arguments_text(arguments: object) -> str:
    """Arguments of a call as the model wrote them; an object (Ollama) becomes text. Raises :class:`ValueError`."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def read_answer(body: Mapping[str, Any]) -> Answer:
    """Raises :class:`ValueError` for what is not an answer of this protocol."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        malformed("an answer without choices")
    created = body.get("created")
    id_ = body.get("id")
    model = body.get("model")
    return Answer(
        id=id_ if isinstance(id_, str) else "",
        model=model if isinstance(model, str) else "",
        created=created if type(created) is int and created > 0 else 0,
        choices=tuple(_choice(choice, position, str(id_ or position)) for position, choice in enumerate(choices)),
        usage=read_usage(body.get("usage")),
        extra={key: body[key] for key in _EXTRA if isinstance(body.get(key), str)},
    )


def _choice(choice: object, position: int, id_: str) -> Choice:
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        malformed("a choice without a message")
    index = choice.get("index")
    parts: list[Part] = []
    if thought := _text(message, "reasoning_content") or _text(message, "reasoning"):
        parts.append(Thinking(text=thought, protocol="openai"))
    if said := _said(message):
        citations = message.get("annotations")
        kept = citations if isinstance(citations, list) else ()
        parts.append(Text(text=said, citations=tuple(item for item in kept if isinstance(item, Mapping))))
    if refused := _text(message, "refusal"):
        parts.append(Refusal(text=refused))
    if isinstance(message.get("audio"), Mapping):
        parts.append(Opaque(protocol="openai", raw={"audio": message["audio"]}))
    calls = [*_calls(message, id_)]
    parts += calls
    return Choice(
        index=index if type(index) is int and index >= 0 else position,
        parts=tuple(parts),
        finish=read_finish(choice.get("finish_reason"), called=bool(calls)),
        logprobs=choice.get("logprobs"),
    )


def _text(message: Mapping[str, Any], key: str) -> str:
    value = message.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    return malformed(f"{key} of a message is not text")


def _said(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):  # Mistral and some gateways answer in parts
        return "".join(
            part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)
        )
    return _text(message, "content")


def _calls(message: Mapping[str, Any], id_: str) -> list[ToolCall]:
    given = message.get("tool_calls") or []
    if isinstance(message.get("function_call"), Mapping):
        given = [{"function": message["function_call"]}]
    if not isinstance(given, list):
        malformed("tool_calls is not a list")
    calls: list[ToolCall] = []
    for position, call in enumerate(given):
        custom = isinstance(call, Mapping) and call.get("type") == "custom"
        function = call.get("custom" if custom else "function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            malformed("a tool call without a function's name")
        calls.append(
            ToolCall(
                id=str(call.get("id") or f"call_{id_.removeprefix('chatcmpl-')}_{position}"),
                name=function["name"],
                arguments=arguments_text(function.get("input" if custom else "arguments")),
                raw=call if custom else None,
            )
        )
    return calls


def write_answer(answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
    """As OpenAI writes it; thinking stands in ``reasoning_content``, as DeepSeek and vLLM have it."""
    body: dict[str, Any] = {
        "id": f"chatcmpl-{told.id}",
        "object": "chat.completion",
        "created": told.created,
        "model": told.model,
        "choices": [_write_choice(choice, legacy=is_legacy(chat)) for choice in answer.choices],
    }
    if answer.usage is not None:
        body["usage"] = write_usage(answer.usage)
    body.update((key, answer.extra[key]) for key in _EXTRA if key in answer.extra)
    return body


def _write_choice(choice: Choice, *, legacy: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    calls: list[Any] = []
    for part in choice.parts:
        match part:
            case Text(text=text):
                message["content"] = (message["content"] or "") + text
                if marks := [mark for mark in part.citations if mark.get("type") == "url_citation"]:
                    message["annotations"] = message.get("annotations", []) + marks
            case Refusal(text=text):
                message["refusal"] = (message["refusal"] or "") + text
            case Thinking(text=text) if text:
                message["reasoning_content"] = message.get("reasoning_content", "") + text
            case ToolCall(raw={"type": "custom"}):
                calls.append(part.raw)
            case ToolCall():
                function = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": part.id, "type": "function", "function": function})
            case Opaque(protocol="openai", raw={"audio": audio}):
                message["audio"] = audio
            case _:
                pass  # blocks that only their own protocol has: what they led to stands in the text
    if calls and legacy:
        message["function_call"] = calls[0].get("function")
    elif calls:
        message["tool_calls"] = calls
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": finish_word(choice.finish, legacy=legacy),
    }
