"""A request to ``POST /v1/responses``, read.

The conversation is a flat list of *items*; :mod:`..conversation` has messages with parts. Items of the assistant that
follow each other (words, calls, reasoning) become one message, and so do results of tools: every other protocol wants
parallel calls side by side. ``instructions`` become the first ``system`` message.

What only this protocol has keeps its form: unknown and built-in items are ``Opaque``, built-in and custom tools have
``raw``, parameters that nobody else has stay in ``extra``. :func:`needs_same_protocol` says which of them make it a
request that no provider of another protocol can answer.

Source of the fields: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
from holdfast.gateway.core.wire import responses_sealed
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

KNOWN = frozenset(
    {
        "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning",
        "max_output_tokens", "temperature", "top_p", "user", "metadata", "stream",
    }
)  # fmt: skip
"""Parameters that have a place in :class:`Chat`; all others are ``extra``."""

STATEFUL = ("previous_response_id", "conversation", "prompt", "background")
"""Parameters that point at something that the provider keeps: without it, the request means something else."""

_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "developer"}
AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def needs_same_protocol(body: Mapping[str, Any]) -> str | None:
    """The parameter for which only a provider of this protocol will do, or ``None``.

    Looks and does not validate: to be asked after :func:`read_request` took the body.
    """
    for name in STATEFUL:
        if body.get(name):
            return name
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") != "function":
        return "tool_choice"
    for n, tool in enumerate(_listed(body.get("tools"))):
        if isinstance(tool, Mapping) and tool.get("type") != "function":
            return f"tools.{n}"
    for n, item in enumerate(_listed(body.get("input"))):
        if isinstance(item, Mapping) and not _known_item(item):
            return f"input.{n}"
    return None


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _known_item(item: Mapping[str, Any]) -> bool:
    kind = item.get("type")
    if kind is None:
        return "role" in item
    return kind in {"message", "function_call", "function_call_output", "reasoning"}


def read_request(body: Mapping[str, Any]) -> Chat:
    """What a client asks for. Raises :class:`Refused` (``invalid_request`` with the path of what is wrong)."""
    model = required(body, "model")
    extra = {key: value for key, value in body.items() if key not in KNOWN and value is not None}
    for key, value in extra.items():
        sendable(value, words(key, "(name of a parameter)"))
    shape = object_(body, "text") or {}
    reasoning = object_(body, "reasoning") or {}
    for name, settings, taken in (("text", shape, "format"), ("reasoning", reasoning, "effort")):
        rest = {key: value for key, value in settings.items() if key != taken and value is not None}
        if rest:
            extra[name] = rest
    stream = boolean(body, "stream") or False
    tools = _tools(body)
    return Chat(
        protocol="responses",
        model=model,
        messages=_messages(body),
        tools=tools,
        tool_choice=_tool_choice(body, extra),
        format=_format(shape),
        max_tokens=integer(body, "max_output_tokens", least=1),
        temperature=number(body, "temperature"),
        top_p=number(body, "top_p"),
        reasoning_effort=string(reasoning, "effort", "reasoning"),
        user=string(body, "user"),
        metadata=object_(body, "metadata"),
        stream=stream,
        # The last event of this protocol tells the usage always, so a provider of another one has to be asked for it.
        include_usage=stream,
        extra=extra,
    )


# ------------------------------------------------------------ the conversation


def _messages(body: Mapping[str, Any]) -> tuple[Message, ...]:
    messages: list[Message] = []
    instructions = string(body, "instructions")
    if instructions:
        messages.append(Message(role="system", parts=(Text(text=instructions),)))
    given = body.get("input")
    if given is None:
        if not any(body.get(name) for name in STATEFUL):
            refuse("input", "a string or a list is required")
    elif isinstance(given, str):
        messages.append(Message(role="user", parts=(Text(text=words(given, "input")),)))
    else:
        messages.extend(_gathered(items(body, "input")))
    return tuple(messages)


def _gathered(given: Iterator[tuple[str, Mapping[str, Any]]]) -> Iterator[Message]:
    """Items as messages, those of one speaker together where other protocols have them together."""
    role: Role | None = None
    parts: list[Part] = []
    custom: set[str] = set()
    for at, item in given:
        speaker, said = _item(item, at, custom)
        if role is not None and (speaker != role or speaker not in {"assistant", "tool"}):
            yield Message(role=role, parts=tuple(parts))
            parts = []
        role = speaker
        parts.extend(said)
    if role is not None:
        yield Message(role=role, parts=tuple(parts))


def _item(item: Mapping[str, Any], at: str, custom: set[str]) -> tuple[Role, list[Part]]:
    """Who says what in one item. ``custom`` collects ids of calls of custom tools, whose results look different."""
    kind = string(item, "type", at)
    if kind is None:
        kind = "message" if "role" in item else "item_reference"
    if kind == "message":
        return _message(item, at)
    if kind == "function_call":
        return "assistant", [_call(item, at, "arguments")]
    if kind == "custom_tool_call":
        call = _call(item, at, "input")
        custom.add(call.id)
        return "assistant", [call]
    if kind == "function_call_output" or (kind == "custom_tool_call_output" and item.get("call_id") in custom):
        return "tool", [_result(item, at)]
    if kind == "reasoning":
        sendable(item, at)
        return "assistant", [read_reasoning(item)]
    if kind == "item_reference":
        required(item, "id", at)
    sendable(item, at)
    return "assistant", [Opaque(protocol="responses", raw=item)]


def _text(body: Mapping[str, Any], key: str, at: str) -> str:
    """A string that has to be there and may be empty."""
    if body.get(key) is None:
        refuse(f"{at}.{key}", "a string is required")
    return words(body[key], f"{at}.{key}")


def _message(item: Mapping[str, Any], at: str) -> tuple[Role, list[Part]]:
    name = required(item, "role", at)
    role = _ROLES.get(name)
    if role is None:
        refuse(f"{at}.role", f"{name!r} is none of {', '.join(_ROLES)}")
    content = item.get("content")
    if isinstance(content, str):
        return role, [Text(text=words(content, f"{at}.content"))]
    if content is None:
        refuse(f"{at}.content", "a string or a list is required")
    parts = [_part(part, where) for where, part in items(item, "content", at)]
    if role == "assistant" and any(isinstance(part, Opaque) for part in parts):
        # In the assistant's turn an opaque part is an item; the whole message is one then.
        return role, [Opaque(protocol="responses", raw=item)]
    return role, parts


def _part(part: Mapping[str, Any], at: str) -> Part:
    kind = required(part, "type", at)
    if kind in {"input_text", "output_text", "text"}:
        return Text(text=_text(part, "text", at), citations=read_annotations(part.get("annotations")))
    if kind == "refusal":
        return Refusal(text=_text(part, "refusal", at))
    if kind == "input_image":
        return _image(part, at)
    if kind == "input_file":
        return _file(part, at)
    if kind == "input_audio":
        sound = object_(part, "input_audio", at) or {}
        form = required(sound, "format", f"{at}.input_audio")
        return Media(
            kind="audio",
            data=_text(sound, "data", f"{at}.input_audio"),
            media_type=AUDIO.get(form, f"audio/{form}"),
        )
    sendable(part, at)
    return Opaque(protocol="responses", raw=part)


def _image(part: Mapping[str, Any], at: str) -> Media:
    address, file_id = string(part, "image_url", at), string(part, "file_id", at)
    if address is None and file_id is None:
        refuse(f"{at}.image_url", "an address or a file_id is required")
    url, data, media_type = split_data_url(address)
    detail = string(part, "detail", at)
    return Media(kind="image", url=url, data=data, media_type=media_type, detail=detail, file_id=file_id)


def _file(part: Mapping[str, Any], at: str) -> Media:
    content, address = string(part, "file_data", at), string(part, "file_url", at)
    file_id, name = string(part, "file_id", at), string(part, "filename", at)
    if content is None and address is None and file_id is None:
        refuse(f"{at}.file_data", "data, an address or a file_id is required")
    bare, data, media_type = split_data_url(content)
    if bare is not None:  # some clients send the base64 alone
        data, media_type = bare, "application/pdf"
    return Media(kind="document", url=address, data=data, media_type=media_type, name=name, file_id=file_id)


def split_data_url(address: str | None) -> tuple[str | None, str | None, str | None]:
    """``(url, None, None)``, or ``(None, base64, media type)`` of a ``data:`` address (RFC 2397)."""
    if address is None or not address.startswith("data:"):
        return address, None, None
    head, comma, data = address.partition(",")
    media_type, _, coding = head[5:].partition(";")
    if not comma or not coding.endswith("base64"):
        return address, None, None
    return None, data, media_type or "text/plain"


def _call(item: Mapping[str, Any], at: str, arguments: str) -> ToolCall:
    plain = item.keys() <= {"type", "call_id", "name", "arguments"}
    if not plain:
        sendable(item, at)
    return ToolCall(
        id=required(item, "call_id", at),
        name=required(item, "name", at),
        arguments=_text(item, arguments, at),
        raw=None if plain else {key: value for key, value in item.items() if key != arguments},
    )


def _result(item: Mapping[str, Any], at: str) -> ToolResult:
    call_id = required(item, "call_id", at)
    output = item.get("output")
    if isinstance(output, str):
        return ToolResult(call_id=call_id, parts=(Text(text=words(output, f"{at}.output")),))
    if output is None:
        refuse(f"{at}.output", "a string or a list is required")
    parts: list[Text | Media] = []
    for where, value in items(item, "output", at):
        part = _part(value, where)
        if not isinstance(part, (Text, Media)):
            refuse(f"{where}.type", "no result of a tool has such a part")
        parts.append(part)
    return ToolResult(call_id=call_id, parts=tuple(parts))


def read_reasoning(item: Mapping[str, Any]) -> Thinking:
    """A reasoning item; one that we made of another protocol's thinking becomes that again."""
    sealed = item.get("encrypted_content")
    if isinstance(sealed, str):
        thinking = responses_sealed.opened(sealed)
        if thinking is not None:
            return thinking
    return Thinking(
        text=reasoning_text(item),
        signature=sealed if isinstance(sealed, str) else None,
        protocol="responses",
        raw=item,
    )


def reasoning_text(item: Mapping[str, Any]) -> str:
    """The summary of a reasoning item, or where there is none the reasoning itself (open-weight models tell it)."""
    for key in ("summary", "content"):
        parts = item.get(key)
        said = [
            part["text"]
            for part in _listed(parts)
            if isinstance(part, Mapping) and isinstance(part.get("text"), str) and part["text"]
        ]
        if said:
            return "\n\n".join(said)
    return ""


def read_annotations(value: object) -> tuple[Mapping[str, Any], ...]:
    """Citations of a text; what is none is left out."""
    return tuple(note for note in _listed(value) if isinstance(note, Mapping))


# ------------------------------------------------------------ tools and form


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    return tuple(_tool(tool, at) for at, tool in items(body, "tools"))


def _tool(tool: Mapping[str, Any], at: str) -> Tool:
    kind = required(tool, "type", at)
    if kind != "function":
        sendable(tool, at)
        return Tool(name=string(tool, "name", at) or kind, raw=tool, protocol="responses")
    return Tool(
        name=required(tool, "name", at),
        description=string(tool, "description", at) or "",
        schema=object_(tool, "parameters", at) or {},
        strict=boolean(tool, "strict", at),
    )


def _tool_choice(body: Mapping[str, Any], extra: dict[str, Any]) -> ToolChoice | None:
    parallel = boolean(body, "parallel_tool_calls")
    given = body.get("tool_choice")
    if given is None:
        return None if parallel is None else ToolChoice(parallel=parallel)
    if isinstance(given, str):
        if given not in {"auto", "none", "required"}:
            refuse("tool_choice", f"{given!r} is none of auto, none, required")
        return ToolChoice(mode=given, parallel=parallel)  # type: ignore[arg-type]  # one of the three
    choice = object_(body, "tool_choice") or {}
    kind = required(choice, "type", "tool_choice")
    if kind == "function":
        return ToolChoice(mode="named", name=required(choice, "name", "tool_choice"), parallel=parallel)
    extra["tool_choice"] = choice
    return None if parallel is None else ToolChoice(parallel=parallel)


def _format(shape: Mapping[str, Any]) -> Format | None:
    given = object_(shape, "format", "text")
    if given is None:
        return None
    kind = required(given, "type", "text.format")
    if kind == "text":
        return Format()
    if kind == "json_object":
        return Format(kind="json")
    if kind != "json_schema":
        refuse("text.format.type", f"{kind!r} is none of text, json_object, json_schema")
    schema = object_(given, "schema", "text.format")
    if schema is None:
        refuse("text.format.schema", "a JSON Schema is required")
    return Format(
        kind="schema",
        name=required(given, "name", "text.format"),
        schema=schema,
        strict=boolean(given, "strict", "text.format"),
        description=string(given, "description", "text.format"),
    )
