"""A conversation as a request to ``POST /v1/responses`` of a provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.gateway.core.conversation import (
    Chat,
    Format,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from holdfast.gateway.core.dialect import Outgoing
from holdfast.gateway.errors import Refused

_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_CITATIONS = frozenset({"url_citation", "file_citation", "container_file_citation", "file_path"})
_LOW, _MEDIUM = 1024, 8192
"""Budgets for thinking up to which an effort is meant, as Gemini's OpenAI-compatible interface has it:
https://ai.google.dev/gemini-api/docs/openai#thinking"""


def write_request(chat: Chat, model: str) -> Outgoing:
    """The request. Raises :class:`Refused` (``unsupported``) for what would change the answer by being left out."""
    if chat.stop:
        raise _unsupported("stop", "stop sequences")
    if chat.n != 1:
        raise _unsupported("n", "more than one answer")
    dropped = [
        name for name in ("top_k", "seed", "frequency_penalty", "presence_penalty") if getattr(chat, name) is not None
    ]
    items: list[dict[str, Any]] = []
    messages = chat.messages
    body: dict[str, Any] = {"model": model}
    if messages and messages[0].role == "system" and all(isinstance(part, Text) for part in messages[0].parts):
        body["instructions"] = _joined(messages[0].parts)
        messages = messages[1:]
    custom: set[str] = set()
    for n, message in enumerate(messages, len(chat.messages) - len(messages)):
        items.extend(_items(message, f"messages.{n}", custom, dropped))
    body["input"] = items
    body.update(settings(chat))
    if chat.reasoning_effort is None and chat.reasoning_tokens is not None:
        dropped.append("reasoning_tokens")
    if chat.stream:
        body["stream"] = True
    if chat.protocol == "responses":
        body.update(
            {
                key: {**value, **body.get(key, {})} if key in {"text", "reasoning"} else value
                for key, value in chat.extra.items()
            }
        )
    else:
        # Nobody who speaks another protocol asked for his words to be kept there, or could refer to them.
        body["store"] = False
        dropped.extend(chat.extra)
    return Outgoing(path="/responses", body=body, dropped=tuple(dict.fromkeys(dropped)))


def _unsupported(param: str, what: str) -> Refused:
    return Refused("unsupported", f"The Responses API has no {what}; leave out '{param}'.", param=param)


def settings(chat: Chat) -> dict[str, Any]:
    """What of a request an answer repeats, as this protocol writes it."""
    body: dict[str, Any] = {}
    if chat.tools:
        body["tools"] = [_tool(tool, n, chat) for n, tool in enumerate(chat.tools)]
    if chat.tool_choice is not None:
        body.update(_tool_choice(chat.tool_choice))
    if chat.format is not None:
        body["text"] = {"format": _format(chat.format)}
    effort = chat.reasoning_effort
    if effort is None and chat.reasoning_tokens is not None:
        effort = "low" if chat.reasoning_tokens <= _LOW else "medium" if chat.reasoning_tokens <= _MEDIUM else "high"
    if effort is not None:
        body["reasoning"] = {"effort": effort}
    plain = {
        "max_output_tokens": chat.max_tokens,
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "user": chat.user,
        "metadata": chat.metadata,
    }
    body.update({name: value for name, value in plain.items() if value is not None})
    return body


# ------------------------------------------------------------ the conversation


def _joined(parts: Sequence[Part]) -> str:
    return "\n\n".join(part.text for part in parts if isinstance(part, Text))


def _items(message: Message, at: str, custom: set[str], dropped: list[str]) -> Iterator[dict[str, Any]]:
    if message.name is not None:
        dropped.append("name")
    said: list[dict[str, Any]] = []
    for n, part in enumerate(message.parts):
        path = f"{at}.content.{n}"
        if message.role != "assistant" and isinstance(part, (Text, Media)):
            said.append(input_part(part, path))
            continue
        if message.role == "assistant" and isinstance(part, (Text, Refusal)):
            said.append(output_part(part))
            continue
        if isinstance(part, Opaque) and part.protocol == "responses" and message.role != "assistant":
            said.append(dict(part.raw))
            continue
        if said:  # an item of its own stands where it stood
            yield {"type": "message", "role": message.role, "content": said}
            said = []
        item = _item(part, path, custom, dropped)
        if item is not None:
            yield item
    if said or not message.parts:
        yield {"type": "message", "role": message.role, "content": said}


def _item(part: Part, at: str, custom: set[str], dropped: list[str]) -> dict[str, Any] | None:
    if isinstance(part, ToolCall):
        item = call_item(part)
        if item["type"] == "custom_tool_call":
            custom.add(part.id)
        return item
    if isinstance(part, ToolResult):
        if part.is_error:
            dropped.append("is_error")
        kind = "custom_tool_call_output" if part.call_id in custom else "function_call_output"
        return {"type": kind, "call_id": part.call_id, "output": _output(part, at)}
    if isinstance(part, Thinking):
        if part.protocol != "responses":
            dropped.append("thinking")
            return None
        return reasoning_item(part)
    if isinstance(part, Opaque) and part.protocol == "responses":
        return dict(part.raw)
    if isinstance(part, Opaque):
        raise _unsupported(at, f"'{part.raw.get('type')}' block of another protocol")
    raise _unsupported(at, f"{type(part).__name__.lower()} in this role")


def input_part(part: Text | Media, at: str) -> dict[str, Any]:
    """Words, an image, a file or a sound that the model is given."""
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    address = f"data:{part.media_type};base64,{part.data}" if part.data is not None else part.url
    if part.kind == "audio":
        form = _FORMATS.get(part.media_type or "")
        if part.data is None or form is None:
            raise _unsupported(at, "sound other than wav and mp3 in the body")
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": form}}
    if part.kind == "image":
        image: dict[str, Any] = {"type": "input_image", "detail": part.detail or "auto"}
        if address is not None:
            image["image_url"] = address
        if part.file_id is not None:
            image["file_id"] = part.file_id
        return image
    given = {"filename": part.name, "file_id": part.file_id}
    file = {"type": "input_file"} | {key: value for key, value in given.items() if value is not None}
    if part.data is not None:
        file.setdefault("filename", "document")  # asked for with data
        file["file_data"] = f"data:{part.media_type};base64,{part.data}"
    elif part.url is not None:
        file["file_url"] = part.url
    return file


def output_part(part: Text | Refusal) -> dict[str, Any]:
    """Words that the model said."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": write_annotations(part.citations)}


def write_annotations(citations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those that this protocol knows; chat completions has the same ones a level deeper."""
    notes = []
    for note in citations:
        kind = note.get("type")
        inner = note.get(kind) if isinstance(kind, str) else None
        flat = {"type": kind, **inner} if isinstance(inner, Mapping) else dict(note)
        if kind in _CITATIONS:
            notes.append(flat)
    return notes


def call_item(call: ToolCall) -> dict[str, Any]:
    """A call of a function, or of a custom tool, whose input is any text."""
    given = {} if call.raw is None else call.raw
    if given.get("type") == "custom_tool_call":
        return {**given, "call_id": call.id, "name": call.name, "input": call.arguments}
    kept = given if given.get("type") == "function_call" else {}
    return {"type": "function_call", **kept, "call_id": call.id, "name": call.name, "arguments": call.arguments}


def reasoning_item(thinking: Thinking) -> dict[str, Any]:
    """As it came."""
    if thinking.raw is not None:
        return dict(thinking.raw)
    item: dict[str, Any] = {"type": "reasoning", "summary": []}
    if thinking.text:
        item["summary"] = [{"type": "summary_text", "text": thinking.text}]
    if thinking.signature is not None:
        item["encrypted_content"] = thinking.signature
    return item


def _output(result: ToolResult, at: str) -> str | list[dict[str, Any]]:
    if not result.parts:
        return ""
    if len(result.parts) == 1 and isinstance(result.parts[0], Text):
        return result.parts[0].text
    return [input_part(part, at) for part in result.parts]


# ------------------------------------------------------------ tools and form


def _tool(tool: Tool, n: int, chat: Chat) -> dict[str, Any]:
    if tool.raw is not None:
        if tool.protocol != "responses":
            raise _unsupported(f"tools.{n}", f"tool '{tool.name}' of another protocol")
        return dict(tool.raw)
    written: dict[str, Any] = {"type": "function", "name": tool.name, "parameters": tool.schema or None}
    if tool.description:
        written["description"] = tool.description
    if tool.strict is not None or chat.protocol != "responses":
        # Not said means strict here and not strict everywhere else; a strict schema is a narrower language.
        written["strict"] = tool.strict or False
    return written


def _tool_choice(choice: ToolChoice) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if choice.mode == "named":
        body["tool_choice"] = {"type": "function", "name": choice.name}
    elif choice.mode != "auto" or choice.parallel is None:
        body["tool_choice"] = choice.mode
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel
    return body


def _format(form: Format) -> dict[str, Any]:
    if form.kind == "text":
        return {"type": "text"}
    if form.kind == "json":
        return {"type": "json_object"}
    written: dict[str, Any] = {"type": "json_schema", "name": form.name, "schema": form.schema}
    if form.strict is not None:
        written["strict"] = form.strict
    if form.description is not None:
        written["description"] = form.description
    return written
