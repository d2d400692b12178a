"""Requests of OpenAI's chat completions: as a provider gets them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from holdfast.gateway.core.conversation import (
    Chat,
    Format,
    JsonObject,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from holdfast.gateway.core.dialect import Outgoing
from holdfast.gateway.errors import Refused

__all__ = ["is_legacy", "write_request"]

_OWN_MODELS = re.compile(r"(?:.*/)?(?:gpt-|o\d|chatgpt-)")
"""OpenAI's own want ``max_completion_tokens`` (reasoning models refuse the other); its likenesses, ``max_tokens``."""
_EFFORTS = ((2048, "low"), (8192, "medium"))
"""Budgets for thinking below which an effort is meant; OpenAI publishes none, Anthropic's guide begins at 1024."""


def is_legacy(chat: Chat) -> bool:
    """The client speaks of ``functions``, as until 2023: it gets ``function_call``, and never more than one."""
    return chat.protocol == "openai" and "functions" in chat.extra


def write_request(chat: Chat, model: str) -> Outgoing:
    """The usage of a stream is always asked for: the ledger needs it, and the tap keeps it from who did not ask."""
    dropped: list[str] = []
    own = chat.protocol == "openai"
    legacy = is_legacy(chat)
    body: dict[str, Any] = {"model": model, "messages": _messages(chat, dropped)}
    plain = {
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "seed": chat.seed,
        "frequency_penalty": chat.frequency_penalty,
        "presence_penalty": chat.presence_penalty,
        "reasoning_effort": chat.reasoning_effort or _effort(chat.reasoning_tokens),
        "user": chat.user,
        "stop": list(chat.stop) or None,
        "n": chat.n if chat.n > 1 else None,
        _longest(chat, model): chat.max_tokens,
        "response_format": _format(chat.format),
    }
    body.update((key, value) for key, value in plain.items() if value is not None)
    for key, value in (("top_k", chat.top_k), ("metadata", chat.metadata)):
        if value is not None and own:
            body[key] = value
        elif value is not None:
            dropped.append(key)
    if chat.tools and not legacy:
        body["tools"] = [_tool(tool, f"tools.{position}") for position, tool in enumerate(chat.tools)]
        if chat.tool_choice is not None:
            mode, name = chat.tool_choice.mode, chat.tool_choice.name
            body["tool_choice"] = {"type": "function", "function": {"name": name}} if mode == "named" else mode
            if chat.tool_choice.parallel is not None:
                body["parallel_tool_calls"] = chat.tool_choice.parallel
    if own:
        body.update((key, value) for key, value in chat.extra.items() if key not in body)
        if "tool_choice" in chat.extra:
            body["tool_choice"] = chat.extra["tool_choice"]
    else:
        dropped += chat.extra
    if chat.stream:
        body["stream"] = True
        options = chat.extra.get("stream_options", {}) if own else {}
        body["stream_options"] = {**options, "include_usage": True}
    return Outgoing(path="/chat/completions", body=body, dropped=tuple(dict.fromkeys(dropped)))


def _longest(chat: Chat, model: str) -> str:
    if chat.protocol == "openai":
        return "max_completion_tokens" if "max_completion_tokens" in chat.extra else "max_tokens"
    return "max_completion_tokens" if _OWN_MODELS.match(model) else "max_tokens"


def _effort(tokens: int | None) -> str | None:
    if tokens is None:
        return None
    return next((effort for below, effort in _EFFORTS if tokens < below), "high")


def _format(form: Format | None) -> dict[str, Any] | None:
    if form is None:
        return None
    if form.kind == "schema":
        given = {"name": form.name, "schema": form.schema, "strict": form.strict, "description": form.description}
        return {"type": "json_schema", "json_schema": {k: v for k, v in given.items() if v is not None}}
    return {"type": "json_object" if form.kind == "json" else "text"}


def _tool(tool: Tool, path: str) -> JsonObject:
    if tool.raw is not None:
        if tool.protocol == "openai":
            return tool.raw
        raise Refused("unsupported", f"{path}: {tool.name} is run by a provider that is not this one", param=path)
    function: dict[str, Any] = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    if not tool.description:
        del function["description"]
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _messages(chat: Chat, dropped: list[str]) -> list[dict[str, Any]]:
    """Results of tools stand alone and one after the other; what they show follows them as the user's."""
    written: list[dict[str, Any]] = []
    shown: list[JsonObject] = []

    def show() -> None:
        if shown:
            written.append({"role": "user", "content": [*shown]})
            shown.clear()

    for position, message in enumerate(chat.messages):
        path = f"messages.{position}"
        for part in message.parts:
            if isinstance(part, ToolResult):
                written.append(_result(part, legacy=is_legacy(chat)))
                shown += [_media(seen, path) for seen in part.parts if isinstance(seen, Media)]
                if part.is_error:
                    dropped.append("is_error")
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if message.role != "tool" and (rest or not message.parts):
            show()
            written.append(_said(message, rest, path, chat=chat, dropped=dropped))
    show()
    return written


def _said(message: Message, parts: Sequence[Part], path: str, *, chat: Chat, dropped: list[str]) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role}
    if message.name is not None:
        written["name"] = message.name
    content: list[Text | Media | Opaque] = []
    calls: list[JsonObject] = []
    for part in parts:
        match part:
            case ToolCall():
                calls.append(_call(part))
            case Thinking(protocol="openai", text=text) if text:
                written["reasoning_content"] = written.get("reasoning_content", "") + text
            case Thinking():
                dropped.append("thinking")
            case Refusal(text=text):
                written["refusal"] = written.get("refusal", "") + text
            case Opaque(protocol="openai", raw={"audio": audio}):
                written["audio"] = audio
            case Opaque(protocol="completions"):
                raise Refused("unsupported", "prompt: only legacy completions take tokens or several", param="prompt")
            case Opaque(protocol=protocol) if protocol != "openai":
                dropped.append(path)
            case Text() | Media() | Opaque():
                content.append(part)
    marked = chat.protocol == "openai"  # who speaks this protocol and says cache_control means it for this provider
    if len(content) == 1 and isinstance(content[0], Text) and not (marked and content[0].cache):
        written["content"] = content[0].text
    elif content:
        written["content"] = [_content(part, path, marked=marked) for part in content]
    else:
        written["content"] = None if message.role == "assistant" else ""
    if calls and is_legacy(chat):
        written["function_call"] = calls[0]["function"]
    elif calls:
        written["tool_calls"] = calls
    return written


def _call(call: ToolCall) -> JsonObject:
    if call.raw is not None and call.raw.get("type") == "custom" and "custom" in call.raw:
        return call.raw
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _result(result: ToolResult, *, legacy: bool) -> dict[str, Any]:
    texts = [part.text for part in result.parts if isinstance(part, Text)]
    content: Any = texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
    if legacy:
        return {"role": "function", "name": result.name or result.call_id, "content": "".join(texts)}
    return {"role": "tool", "tool_call_id": result.call_id, "content": content or ""}


def _content(part: Text | Media | Opaque, path: str, *, marked: bool = False) -> JsonObject:
    match part:
        case Text(text=text, cache=cache):
            return {"type": "text", "text": text} | ({"cache_control": cache} if marked and cache is not None else {})
        case Media():
            return _media(part, path)
        case Opaque(raw=raw):
            return raw


def _media(media: Media, path: str) -> JsonObject:
    inline = f"data:{media.media_type};base64,{media.data}" if media.data is not None else None
    match media.kind:
        case "image" if inline or media.url:
            image = {"url": inline or media.url}
            return {"type": "image_url", "image_url": image | ({"detail": media.detail} if media.detail else {})}
        case "audio" if media.data is not None:
            form = (media.media_type or "audio/wav").partition("/")[2]
            form = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}.get(form, form)
            return {"type": "input_audio", "input_audio": {"data": media.data, "format": form}}
        case "document" if inline and media.media_type == "text/plain":
            pass
        case "document" if inline or media.file_id:
            name = {"filename": media.name} if media.name else {} if media.file_id else {"filename": "document.pdf"}
            source = {"file_id": media.file_id} if media.file_id else {"file_data": inline}
            return {"type": "file", "file": source | name}
    raise Refused("unsupported", f"{path}: this protocol cannot send this kind of {media.kind}", param=path)
