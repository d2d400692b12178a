"""A client's request for ``POST /v1/messages`` or ``/v1/messages/count_tokens``.

What the API itself would refuse for its type is refused here with the path that is to blame; what only the provider
can know (models, beta fields, kinds of blocks that came later) is carried along.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    Chat,
    Format,
    JsonObject,
    Media,
    Message,
    Opaque,
    Part,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from holdfast.gateway.core.wire.anthropic_fields import (
    array_of,
    flag,
    object_of,
    optional_object,
    optional_text,
    share,
    text_of,
    whole,
    wrong,
)
from holdfast.gateway.core.wire.anthropic_models import effort_of

_SAID = frozenset(
    {"model", "messages", "max_tokens", "system", "metadata", "stop_sequences", "stream", "temperature"}
    | {"tool_choice", "tools", "top_k", "top_p", "output_format"}
)
"""What :class:`Chat` has a field for. ``thinking`` and ``output_config`` say more than its fields hold, and stay."""

_OUTPUT_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"}


def read_request(body: Mapping[str, Any], *, counting: bool = False) -> Chat:
    """The request. ``counting``: for ``count_tokens``, where no bound of the output is given."""
    system = _system(body.get("system"))
    messages = tuple(_messages(array_of(body.get("messages"), "messages")))
    if not messages:
        raise wrong("messages", "at least one message is required")
    metadata = optional_object(body.get("metadata"), "metadata")
    effort, budget = _thinking(body)
    output = optional_object(body.get("output_config"), "output_config")
    extra = {name: value for name, value in body.items() if name not in _SAID}
    if output is not None:
        extra["output_config"] = {name: value for name, value in output.items() if name != "format"}
    form = ("output_config.format", output["format"]) if output and output.get("format") is not None else None
    return Chat(
        protocol="anthropic",
        model=text_of(body.get("model"), "model", filled=True),
        messages=system + messages,
        tools=tuple(_tool(tool, f"tools.{i}") for i, tool in enumerate(array_of(body.get("tools") or [], "tools"))),
        tool_choice=_tool_choice(body.get("tool_choice")),
        format=_format(form[1], form[0]) if form else _format(body.get("output_format"), "output_format"),
        max_tokens=None if counting else whole(body.get("max_tokens"), "max_tokens", least=0),
        temperature=_optional_share(body, "temperature"),
        top_p=_optional_share(body, "top_p"),
        top_k=None if body.get("top_k") is None else whole(body["top_k"], "top_k", least=0),
        stop=tuple(
            text_of(word, f"stop_sequences.{i}")
            for i, word in enumerate(array_of(body.get("stop_sequences") or [], "stop_sequences"))
        ),
        reasoning_effort=effort,
        reasoning_tokens=budget,
        user=optional_text(metadata.get("user_id"), "metadata.user_id") if metadata else None,
        stream=body.get("stream") is not None and flag(body["stream"], "stream"),
        include_usage=True,
        extra=extra,
    )


def _optional_share(body: Mapping[str, Any], name: str) -> float | None:
    return None if body.get(name) is None else share(body[name], name)


def _thinking(body: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Effort and budget that say the same to other protocols.

    Thinking that adapts itself without a word on effort is left to the other provider's default, which does as well.
    """
    output = optional_object(body.get("output_config"), "output_config") or {}
    effort = _OUTPUT_EFFORTS.get(optional_text(output.get("effort"), "output_config.effort") or "")
    thinking = optional_object(body.get("thinking"), "thinking")
    if thinking is None:
        return effort, None
    kind = text_of(thinking.get("type"), "thinking.type")
    if kind == "disabled":
        return "none", None
    if kind == "enabled":
        budget = whole(thinking.get("budget_tokens"), "thinking.budget_tokens", least=1024)
        return effort or effort_of(budget), budget
    return effort, None


def _system(value: object) -> tuple[Message, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (Message(role="system", parts=(Text(text=value),)),)
    parts = tuple(_text(block, f"system.{i}") for i, block in enumerate(array_of(value, "system")))
    return (Message(role="system", parts=parts),) if parts else ()


def _messages(values: list[Any]) -> Iterator[Message]:
    for i, value in enumerate(values):
        message = object_of(value, f"messages.{i}")
        role = message.get("role")
        content = message.get("content")
        where = f"messages.{i}.content"
        if role not in ("user", "assistant", "system"):
            raise wrong(f"messages.{i}.role", "should be 'user', 'assistant' or 'system'")
        parts: list[Part] = (
            [Text(text=content)]
            if isinstance(content, str)
            else [_part(block, f"{where}.{j}") for j, block in enumerate(array_of(content, where))]
        )
        if role != "user":
            yield Message(role=role, parts=tuple(parts))
            continue
        # Results of tools have a role of their own; what the user said before and after them stays where it was.
        for results, group in groupby(parts, lambda part: isinstance(part, ToolResult)):
            spoken: Role = "tool" if results else "user"
            yield Message(role=spoken, parts=tuple(group))


def _part(value: object, param: str) -> Part:
    block = object_of(value, param)
    kind = text_of(block.get("type"), f"{param}.type")
    if kind == "text":
        return _text(block, param)
    if kind in ("image", "document"):
        return _media(block, param)
    if kind == "tool_use":
        return ToolCall(
            id=text_of(block.get("id"), f"{param}.id", filled=True),
            name=text_of(block.get("name"), f"{param}.name", filled=True),
            arguments=msgspec.json.encode(object_of(block.get("input"), f"{param}.input")).decode(),
            cache=_cache(block, param),
        )
    if kind == "tool_result":
        return ToolResult(
            call_id=text_of(block.get("tool_use_id"), f"{param}.tool_use_id", filled=True),
            parts=tuple(_result(block.get("content"), f"{param}.content")),
            is_error=block.get("is_error") is not None and flag(block["is_error"], f"{param}.is_error"),
            cache=_cache(block, param),
        )
    if kind == "thinking":
        return Thinking(
            text=text_of(block.get("thinking"), f"{param}.thinking"),
            signature=text_of(block.get("signature"), f"{param}.signature"),
            protocol="anthropic",
            raw=block,
        )
    if kind == "redacted_thinking":
        text_of(block.get("data"), f"{param}.data")
        return Thinking(protocol="anthropic", raw=block)
    return Opaque(protocol="anthropic", raw=block)


def _text(value: object, param: str) -> Text:
    block = object_of(value, param)
    if block.get("type") != "text":
        raise wrong(f"{param}.type", "should be 'text'")
    citations = array_of(block.get("citations") or [], f"{param}.citations")
    return Text(
        text=text_of(block.get("text"), f"{param}.text"),
        cache=_cache(block, param),
        citations=tuple(object_of(one, f"{param}.citations.{i}") for i, one in enumerate(citations)),
    )


def _media(block: JsonObject, param: str) -> Media:
    source = object_of(block.get("source"), f"{param}.source")
    kind: Any = block["type"]
    origin = text_of(source.get("type"), f"{param}.source.type")
    name = optional_text(block.get("title"), f"{param}.title")
    cache = _cache(block, param)
    if origin == "base64":
        media_type = text_of(source.get("media_type"), f"{param}.source.media_type", filled=True)
        data = text_of(source.get("data"), f"{param}.source.data")
    elif origin == "url":
        address = text_of(source.get("url"), f"{param}.source.url", filled=True)
        return Media(kind=kind, url=address, name=name, cache=cache)
    elif origin == "file":
        file_id = text_of(source.get("file_id"), f"{param}.source.file_id", filled=True)
        return Media(kind=kind, file_id=file_id, name=name, cache=cache)
    elif origin == "text" and kind == "document":
        media_type, data = "text/plain", _base64(text_of(source.get("data"), f"{param}.source.data"))
    elif origin == "content" and kind == "document":
        media_type, data = "text/plain", _base64(_words(source.get("content"), f"{param}.source.content"))
    else:
        raise wrong(f"{param}.source.type", f"'{origin[:40]}' is not a source of a block of type '{kind}'")
    return Media(kind=kind, data=data, media_type=media_type, name=name, cache=cache)


def _base64(words: str) -> str:
    return b64encode(words.encode()).decode()


def _result(content: object, param: str) -> Iterator[Text | Media]:
    if content is None:
        return
    if isinstance(content, str):
        yield Text(text=content)
        return
    for i, value in enumerate(array_of(content, param)):
        block = object_of(value, f"{param}.{i}")
        kind = text_of(block.get("type"), f"{param}.{i}.type")
        if kind in ("image", "document"):
            yield _media(block, f"{param}.{i}")
        elif kind == "text":
            yield _text(block, f"{param}.{i}")
        elif kind == "search_result":
            # The one block of a result besides these that is made of words, which every model can read.
            heading = "\n".join(str(block[key]) for key in ("title", "source") if block.get(key))
            yield Text(text=f"{heading}\n{_words(block.get('content'), f'{param}.{i}.content')}")
        else:
            yield Text(text=msgspec.json.encode(block).decode())


def _words(content: object, param: str) -> str:
    """The words of a string or of text blocks."""
    if isinstance(content, str):
        return content
    blocks = enumerate(array_of(content, param))
    return "\n".join(_text(block, f"{param}.{i}").text for i, block in blocks)


def _cache(block: JsonObject, param: str) -> JsonObject | None:
    return optional_object(block.get("cache_control"), f"{param}.cache_control")


def _tool(value: object, param: str) -> Tool:
    tool = object_of(value, param)
    kind = optional_text(tool.get("type"), f"{param}.type")
    cache = _cache(tool, param)
    if kind is not None and kind != "custom":
        # Computers, searches and toolsets: their shapes are Anthropic's alone, and some have no name.
        name = optional_text(tool.get("name"), f"{param}.name")
        return Tool(name=name or kind, raw=tool, protocol="anthropic", cache=cache)
    strict = tool.get("strict")
    return Tool(
        name=text_of(tool.get("name"), f"{param}.name", filled=True),
        description=optional_text(tool.get("description"), f"{param}.description") or "",
        schema=object_of(tool.get("input_schema"), f"{param}.input_schema"),
        strict=None if strict is None else flag(strict, f"{param}.strict"),
        cache=cache,
    )


def _tool_choice(value: object) -> ToolChoice | None:
    choice = optional_object(value, "tool_choice")
    if choice is None:
        return None
    single = choice.get("disable_parallel_tool_use")
    parallel = None if single is None else not flag(single, "tool_choice.disable_parallel_tool_use")
    kind = text_of(choice.get("type"), "tool_choice.type")
    if kind == "tool":
        name = text_of(choice.get("name"), "tool_choice.name", filled=True)
        return ToolChoice(mode="named", name=name, parallel=parallel)
    if kind == "auto":
        return ToolChoice(mode="auto", parallel=parallel)
    if kind == "any":
        return ToolChoice(mode="required", parallel=parallel)
    if kind == "none":
        return ToolChoice(mode="none", parallel=parallel)
    raise wrong("tool_choice.type", "should be 'auto', 'any', 'tool' or 'none'")


def _format(value: object, param: str) -> Format | None:
    form = optional_object(value, param)
    if form is None:
        return None
    if form.get("type") != "json_schema":
        raise wrong(f"{param}.type", "should be 'json_schema'")
    return Format(kind="schema", schema=object_of(form.get("schema"), f"{param}.schema"), strict=True)
