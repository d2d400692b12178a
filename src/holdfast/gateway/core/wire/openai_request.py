"""Requests of OpenAI's chat completions: as a client sends them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    Chat,
    Format,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from holdfast.gateway.core.wire.fields import (
    boolean,
    integer,
    items,
    number,
    object_,
    refuse,
    required,
    sendable,
    string,
    words,
)

__all__ = ["read_messages", "read_request", "read_stop"]

_KNOWN = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop",
        "n",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "reasoning_effort",
        "user",
        "metadata",
        "stream",
        "stream_options",
    }
)
_ROLES: dict[str, Role] = {"system": "system", "developer": "developer", "user": "user", "assistant": "assistant"}
_CHOICES = 128
"""``n`` that OpenAI accepts."""
_DATA = re.compile(r"data:([a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+)?(?:;[a-zA-Z0-9=._-]+)*;base64,")


def read_request(body: Mapping[str, Any]) -> Chat:
    """Everything that the protocol has; parameters that it does not have go to ``extra``. Raises ``Refused``.

    ``extra`` also keeps in which form something came when there are two: ``max_completion_tokens`` beside
    ``max_tokens``, ``functions`` beside ``tools``, a ``tool_choice`` of allowed tools.
    """
    extra = {key: value for key, value in body.items() if key not in _KNOWN and value is not None}
    for key, value in extra.items():
        sendable(value, words(key, "(name of a parameter)"))
    options = object_(body, "stream_options") or {}
    if others := {key: value for key, value in options.items() if key != "include_usage"}:
        extra["stream_options"] = others
    tools = _tools(body)
    choice = _tool_choice(body, extra)
    longest = integer(body, "max_completion_tokens")
    return Chat(
        protocol="openai",
        model=required(body, "model"),
        messages=read_messages(body),
        tools=tools,
        tool_choice=choice,
        format=_format(body),
        max_tokens=integer(body, "max_tokens") if longest is None else longest,
        temperature=number(body, "temperature"),
        top_p=number(body, "top_p"),
        top_k=integer(body, "top_k", least=-1),
        stop=read_stop(body),
        n=integer(body, "n", least=1, most=_CHOICES) or 1,
        seed=integer(body, "seed", least=-(1 << 63), most=(1 << 63) - 1),
        frequency_penalty=number(body, "frequency_penalty"),
        presence_penalty=number(body, "presence_penalty"),
        reasoning_effort=string(body, "reasoning_effort"),
        user=string(body, "user"),
        metadata=object_(body, "metadata"),
        stream=boolean(body, "stream") or False,
        include_usage=boolean(options, "include_usage", "stream_options") or False,
        extra=extra,
    )


def read_stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    """``stop``: one string or a list of them."""
    value = body.get("stop")
    if value is None:
        return ()
    if isinstance(value, str):
        return (words(value, "stop"),)
    if not isinstance(value, list):
        refuse("stop", "a string or a list of strings is expected")
    return tuple(words(item, f"stop.{position}") for position, item in enumerate(value))


def read_messages(body: Mapping[str, Any]) -> tuple[Message, ...]:
    """All roles, those of former times too."""
    messages: list[Message] = []
    legacy: dict[str, str] = {}
    """Name of a function -> the id that its last call got here: function calls of former times had none."""
    for path, message in items(body, "messages"):
        role = required(message, "role", path)
        if role == "tool":
            parts = _results(message, path)
            call_id = required(message, "tool_call_id", path)
            result = ToolResult(call_id=call_id, parts=parts, name=string(message, "name", path))
            messages.append(Message(role="tool", parts=(result,)))
        elif role == "function":
            name = required(message, "name", path)
            call_id = legacy.get(name, f"call_{name}")
            result = ToolResult(call_id=call_id, parts=_results(message, path), name=name)
            messages.append(Message(role="tool", parts=(result,)))
        elif role == "assistant":
            messages.append(_assistant(message, path, legacy))
        elif role in _ROLES:
            parts_ = _content(message, path)
            messages.append(Message(role=_ROLES[role], parts=parts_, name=string(message, "name", path)))
        else:
            refuse(f"{path}.role", "one of system, developer, user, assistant, tool, function is expected")
    if not messages:
        refuse("messages", "a list of at least one message is required")
    return tuple(messages)


def _assistant(message: Mapping[str, Any], path: str, legacy: dict[str, str]) -> Message:
    parts: list[Part] = []
    thought = string(message, "reasoning_content", path) or string(message, "reasoning", path)
    if thought:
        parts.append(Thinking(text=thought, protocol="openai"))
    parts += _content(message, path)
    if refused := string(message, "refusal", path):
        parts.append(Refusal(text=refused))
    if spoken := object_(message, "audio", path):
        parts.append(Opaque(protocol="openai", raw={"audio": spoken}))
    for at, call in items(message, "tool_calls", path):
        parts.append(_call(call, at))
    if (called := object_(message, "function_call", path)) is not None:
        name = required(called, "name", f"{path}.function_call")
        legacy[name] = f"call_{name}_{path.rpartition('.')[2]}"
        arguments = string(called, "arguments", f"{path}.function_call") or ""
        parts.append(ToolCall(id=legacy[name], name=name, arguments=arguments))
    return Message(role="assistant", parts=tuple(parts), name=string(message, "name", path))


def _call(call: Mapping[str, Any], path: str) -> ToolCall:
    kind = string(call, "type", path) or "function"
    if kind == "custom":
        custom = object_(call, "custom", path) or refuse(f"{path}.custom", "an object is required")
        name = required(custom, "name", f"{path}.custom")
        given = string(custom, "input", f"{path}.custom") or ""
        return ToolCall(id=required(call, "id", path), name=name, arguments=given, raw=dict(call))
    if kind != "function":
        refuse(f"{path}.type", "function or custom is expected")
    function = object_(call, "function", path) or refuse(f"{path}.function", "an object is required")
    arguments = function.get("arguments")
    if isinstance(arguments, Mapping):  # as Ollama's own clients write them
        arguments = msgspec.json.encode(arguments).decode()
    return ToolCall(
        id=required(call, "id", path),
        name=required(function, "name", f"{path}.function"),
        arguments="" if arguments is None else words(arguments, f"{path}.function.arguments"),
    )


def _results(message: Mapping[str, Any], path: str) -> tuple[Text | Media, ...]:
    return tuple(
        part if isinstance(part, Text | Media) else refuse(f"{path}.content", "words and media are expected")
        for part in _content(message, path)
    )


def _content(message: Mapping[str, Any], path: str) -> tuple[Part, ...]:
    content = message.get("content")
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(text=words(content, f"{path}.content")),) if content else ()
    return tuple(_part(part, at) for at, part in items(message, "content", path))


def _part(part: Mapping[str, Any], path: str) -> Part:
    kind = required(part, "type", path)
    match kind:
        case "text":
            text = words(part.get("text"), f"{path}.text")
            return Text(text=text, cache=object_(part, "cache_control", path))
        case "refusal":
            return Refusal(text=words(part.get("refusal"), f"{path}.refusal"))
        case "image_url":
            if isinstance(part.get("image_url"), str):  # not OpenAI's form, but many send it
                return _image(required(part, "image_url", path), None)
            image = object_(part, "image_url", path) or refuse(f"{path}.image_url", "an object is required")
            at = f"{path}.image_url"
            return _image(required(image, "url", at), string(image, "detail", at))
        case "input_audio":
            sound = object_(part, kind, path) or refuse(f"{path}.{kind}", "an object is required")
            form = required(sound, "format", f"{path}.{kind}")
            return Media(kind="audio", data=required(sound, "data", f"{path}.{kind}"), media_type=f"audio/{form}")
        case "file":
            return _file(object_(part, kind, path) or refuse(f"{path}.{kind}", "an object is required"), path)
        case _:
            sendable(part, path)
            return Opaque(protocol="openai", raw=dict(part))


def _image(url: str, detail: str | None) -> Media:
    found = _DATA.match(url)
    if found is None:
        return Media(kind="image", url=url, detail=detail)
    return Media(kind="image", data=url[found.end() :], media_type=found[1] or "image/png", detail=detail)


def _file(file: Mapping[str, Any], path: str) -> Media:
    at = f"{path}.file"
    name = string(file, "filename", at)
    if file_id := string(file, "file_id", at):
        return Media(kind="document", file_id=file_id, name=name)
    data = required(file, "file_data", at)
    found = _DATA.match(data)
    kind = (found[1] if found else None) or "application/pdf"
    return Media(kind="document", data=data[found.end() :] if found else data, media_type=kind, name=name)


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools = [_tool(tool, path) for path, tool in items(body, "tools")]
    for path, function in items(body, "functions"):
        tools.append(_function(function, path))
    return tuple(tools)


def _tool(tool: Mapping[str, Any], path: str) -> Tool:
    kind = string(tool, "type", path) or "function"
    if kind == "function":
        function = object_(tool, "function", path) or refuse(f"{path}.function", "an object is required")
        return _function(function, f"{path}.function")
    sendable(tool, path)
    inner = tool.get(kind)
    name = string(inner, "name", f"{path}.{kind}") if isinstance(inner, Mapping) else None
    return Tool(name=name or kind, raw=dict(tool), protocol="openai")


def _function(function: Mapping[str, Any], path: str) -> Tool:
    return Tool(
        name=required(function, "name", path),
        description=string(function, "description", path) or "",
        schema=object_(function, "parameters", path) or {},
        strict=boolean(function, "strict", path),
    )


def _tool_choice(body: Mapping[str, Any], extra: dict[str, Any]) -> ToolChoice | None:
    """``extra`` gets the forms that no other protocol has."""
    parallel = boolean(body, "parallel_tool_calls")
    key = "function_call" if body.get("tool_choice") is None else "tool_choice"
    value = body.get(key)
    match value:
        case None:
            return None if parallel is None else ToolChoice(parallel=parallel)
        case "auto" | "none" | "required":
            return ToolChoice(mode=value, parallel=parallel)
        case {"type": "allowed_tools"}:
            extra["tool_choice"] = object_(body, "tool_choice")
            allowed = value.get("allowed_tools")
            mode = allowed.get("mode") if isinstance(allowed, Mapping) else None
            return ToolChoice(mode="required" if mode == "required" else "auto", parallel=parallel)
        case {"type": "custom", "custom": {"name": str() as name}}:
            extra["tool_choice"] = object_(body, "tool_choice")
            return ToolChoice(mode="named", name=name, parallel=parallel)
        case {"function": {"name": str() as name}} | {"name": str() as name}:
            return ToolChoice(mode="named", name=words(name, key), parallel=parallel)
        case _:
            return refuse(key, "auto, none, required or a tool by name is expected")


def _format(body: Mapping[str, Any]) -> Format | None:
    given = object_(body, "response_format")
    if given is None:
        return None
    at = "response_format.json_schema"
    match required(given, "type", "response_format"):
        case "text":
            return Format()
        case "json_object":
            return Format(kind="json")
        case "json_schema":
            form = object_(given, "json_schema", "response_format") or refuse(at, "an object is required")
            return Format(
                kind="schema",
                name=string(form, "name", at) or "answer",
                schema=object_(form, "schema", at) or {},
                strict=boolean(form, "strict", at),
                description=string(form, "description", at),
            )
        case _:
            return refuse("response_format.type", "text, json_object or json_schema is expected")
