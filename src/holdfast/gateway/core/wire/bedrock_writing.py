"""A request to Bedrock's Converse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from holdfast.gateway.core.conversation import (
    Chat,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from holdfast.gateway.core.dialect import Outgoing
from holdfast.gateway.errors import Refused

__all__ = ["model_path", "write_request"]

_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_UNNAMED = re.compile(r"[^A-Za-z0-9\-\(\)\[\] ]+|\s{2,}")
"""What the name of a document may not have."""


def model_path(model: str) -> str:
    """``/model/ID``, an ARN with its colons and slashes encoded, as AWS's own clients send and sign it."""
    return "/model/" + quote(model, safe="")


def write_request(chat: Chat, model: str) -> Outgoing:
    """See :meth:`~holdfast.gateway.core.dialect.Dialect.write_request`."""
    if chat.n > 1:
        msg = "n: Converse gives one answer"
        raise Refused("unsupported", msg, param="n")
    unsaid = {
        "seed": chat.seed,
        "frequency_penalty": chat.frequency_penalty,
        "presence_penalty": chat.presence_penalty,
        "user": chat.user,
        "metadata": chat.metadata,
    }
    dropped = [name for name, given in unsaid.items() if given is not None]
    dropped += sorted(chat.extra)
    system, messages = _messages(chat)
    body: dict[str, Any] = {"messages": messages}
    if system:
        body["system"] = system
    inference = {
        "maxTokens": chat.max_tokens,
        "temperature": chat.temperature,
        "topP": chat.top_p,
        "stopSequences": list(chat.stop) or None,
    }
    inference = {name: given for name, given in inference.items() if given is not None}
    if inference:
        body["inferenceConfig"] = inference
    tools = _tools(chat, dropped)
    if tools:
        body["toolConfig"] = tools
    output = _format(chat)
    if output:
        body["outputConfig"] = output
    more = _model_fields(chat, model, dropped)
    if more:
        body["additionalModelRequestFields"] = more
    verb = "/converse-stream" if chat.stream else "/converse"
    return Outgoing(path=model_path(model) + verb, body=body, dropped=tuple(dropped))


def _model_fields(chat: Chat, model: str, dropped: list[str]) -> dict[str, Any]:
    """What Converse hands to the model unread: each family has its own names for it."""
    more: dict[str, Any] = {}
    claude = "anthropic" in model or "claude" in model
    if chat.top_k is not None:
        if claude:
            more["top_k"] = chat.top_k
        else:
            dropped.append("top_k")
    if chat.reasoning_tokens and claude:
        more["thinking"] = {"type": "enabled", "budget_tokens": chat.reasoning_tokens}
    elif chat.reasoning_tokens or chat.reasoning_effort not in (None, "none"):
        dropped.append("reasoning")
    return more


def _format(chat: Chat) -> dict[str, Any] | None:
    if chat.format is None or chat.format.kind == "text":
        return None
    if chat.format.schema is None:
        msg = "response_format: Converse knows JSON only with a schema"
        raise Refused("unsupported", msg, param="response_format")
    schema = {"schema": msgspec.json.encode(chat.format.schema).decode(), "name": chat.format.name}
    if chat.format.description:
        schema["description"] = chat.format.description
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _tools(chat: Chat, dropped: list[str]) -> dict[str, Any] | None:
    choice = chat.tool_choice
    if choice is not None and choice.mode == "none":
        if any(isinstance(part, ToolCall | ToolResult) for message in chat.messages for part in message.parts):
            # Converse demands the tools of a conversation that has calls, and cannot forbid to call them.
            msg = "tool_choice: Converse has no none after tools were called"
            raise Refused("unsupported", msg, param="tool_choice")
        return None
    tools: list[dict[str, Any]] = []
    for at, tool in enumerate(chat.tools):
        if tool.raw is not None and tool.protocol != "bedrock":
            msg = f"tools.{at}: {tool.name} is a tool that {tool.protocol} runs itself"
            raise Refused("unsupported", msg, param=f"tools.{at}")
        if tool.raw is not None:
            tools.append(dict(tool.raw))
            continue
        spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.schema or {"type": "object"}}}
        if tool.description:
            spec["description"] = tool.description
        if tool.strict:
            spec["strict"] = True
        tools.append({"toolSpec": spec})
        if tool.cache is not None:
            tools.append(_cache_point(tool.cache))
    if not tools:
        return None
    config: dict[str, Any] = {"tools": tools}
    if choice is not None:
        if choice.mode == "named":
            config["toolChoice"] = {"tool": {"name": choice.name}}
        elif choice.mode == "required":
            config["toolChoice"] = {"any": {}}
        if choice.parallel is False:
            dropped.append("parallel_tool_calls")
    return config


def _messages(chat: Chat) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """System blocks, and messages in which user and assistant alternate, as Converse demands."""
    system: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    for at, message in enumerate(chat.messages):
        content = _content(message, f"messages.{at}")
        if message.role in ("system", "developer"):
            system += content
        elif content:
            role = "assistant" if message.role == "assistant" else "user"
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += content
            else:
                messages.append({"role": role, "content": content})
    return system, messages


def _content(message: Message, path: str) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    for at, part in enumerate(message.parts):
        block = _block(part, f"{path}.content.{at}")
        if block is None:
            continue
        content.append(block)
        cache = getattr(part, "cache", None)
        if cache is not None:
            content.append(_cache_point(cache))
    return content


def _block(part: Part, where: str) -> dict[str, Any] | None:
    match part:
        case Text() | Refusal():
            return {"text": part.text} if part.text.strip() else None  # Converse refuses blank text
        case Media():
            return _media(part, where)
        case ToolCall():
            return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": _arguments(part, where)}}
        case ToolResult():
            content = [block for one in part.parts if (block := _block(one, where)) is not None]
            result: dict[str, Any] = {"toolUseId": part.call_id, "content": content or [{"text": "(empty)"}]}
            if part.is_error:
                result["status"] = "error"
            return {"toolResult": result}
        case Thinking() if part.protocol == "bedrock":
            if part.raw is not None:
                return dict(part.raw)
            reasoning = {"text": part.text}
            if part.signature:
                reasoning["signature"] = part.signature
            return {"reasoningContent": {"reasoningText": reasoning}}
        case Opaque() if part.protocol == "bedrock":
            return dict(part.raw)
        case Opaque():
            msg = f"{where}: a block that only {part.protocol} knows"
            raise Refused("unsupported", msg, param=where)
    return None  # what another provider thought is given to no one else


def _arguments(call: ToolCall, where: str) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(call.arguments) if call.arguments.strip() else {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        msg = f"{where}: arguments of {call.name} are no JSON object, which Converse needs"
        raise Refused("unsupported", msg, param=where)
    return found


def _cache_point(cache: Mapping[str, Any]) -> dict[str, Any]:
    point: dict[str, Any] = {"type": "default"}
    if cache.get("ttl") in ("5m", "1h"):
        point["ttl"] = cache["ttl"]
    return {"cachePoint": point}


def _media(part: Media, where: str) -> dict[str, Any]:
    kind, data = part.media_type, part.data
    if data is None and part.url is not None and part.url.startswith("data:"):
        head, found, data = part.url[5:].partition(";base64,")
        kind, data = head.partition(";")[0], data if found else None
    if data is None:
        s3 = part.url is not None and part.url.startswith("s3://")
        if not s3:
            msg = f"{where}: Converse takes bytes or s3:// addresses, and nothing is fetched for it"
            raise Refused("unsupported", msg, param=where)
    source: dict[str, Any] = {"bytes": data} if data is not None else {"s3Location": {"uri": part.url}}
    if kind in _IMAGES:
        return {"image": {"format": _IMAGES[kind], "source": source}}
    if kind in _DOCUMENTS:
        name = _UNNAMED.sub(" ", part.name or "document").strip()[:200] or "document"
        return {"document": {"format": _DOCUMENTS[kind], "name": name, "source": source}}
    if part.kind == "audio" and kind:
        return {"audio": {"format": kind.rpartition("/")[2], "source": source}}
    msg = f"{where}: Converse does not know {kind or 'media without a type'}"
    raise Refused("unsupported", msg, param=where)
