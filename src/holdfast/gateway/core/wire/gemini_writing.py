"""A request to Gemini, v1beta (``models.generateContent``).

Schemas go as they are:
``parametersJsonSchema`` and ``responseJsonSchema`` take JSON Schema with ``$ref``, ``anyOf`` and
``additionalProperties``, which the older ``parameters`` and ``responseSchema`` (a part of OpenAPI 3.0) refuse.
"""

from __future__ import annotations

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
    ToolChoice,
    ToolResult,
)
from holdfast.gateway.core.dialect import Outgoing
from holdfast.gateway.core.wire.gemini_answer import arguments_of
from holdfast.gateway.errors import Refused

__all__ = ["model_path", "write_request"]

_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576}
"""Tokens of thinking for an effort (Google, "OpenAI compatibility", Thinking). Gemini 3 takes budgets as well, and the
levels that it prefers are an error to Gemini 2.5."""

_UNSIGNED = "skip_thought_signature_validator"
"""For calls that another model made, or whose signature a client lost (Google, "Thought signatures"): Gemini 3 refuses
a conversation in which the first call of a step has none."""

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_BY_SUFFIX = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "pdf": "application/pdf",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
}


def model_path(model: str) -> str:
    """``/models/NAME``; names such as ``tunedModels/NAME`` stand for themselves."""
    parts = model.strip("/").split("/")
    return "/" + "/".join(quote(part, safe="") for part in (parts if len(parts) > 1 else ["models", *parts]))


def write_request(chat: Chat, model: str) -> Outgoing:
    """See :meth:`~holdfast.gateway.core.dialect.Dialect.write_request`."""
    dropped = [name for name, given in (("user", chat.user), ("metadata", chat.metadata)) if given is not None]
    own = chat.protocol == "gemini"
    if not own:
        dropped += sorted(chat.extra)
    body: dict[str, Any] = {}
    if own:
        body.update({key: value for key, value in chat.extra.items() if key not in ("generationConfig", "toolConfig")})
    system, contents = _contents(chat, strict="gemini-3" in model)
    if system:
        body["systemInstruction"] = {"parts": system}
    body["contents"] = contents
    tools = _tools(chat)
    if tools:
        body["tools"] = tools
    config = dict(chat.extra.get("toolConfig") or {}) if own else {}
    if chat.tool_choice is not None and (chat.tools or own):
        config.setdefault("functionCallingConfig", _choice(chat.tool_choice))
        if chat.tool_choice.parallel is False:
            dropped.append("parallel_tool_calls")
    if config:
        body["toolConfig"] = config
    generation = _generation(chat)
    if own:
        generation.update(chat.extra.get("generationConfig") or {})
    if generation:
        body["generationConfig"] = generation
    verb = ":streamGenerateContent?alt=sse" if chat.stream else ":generateContent"
    return Outgoing(path=model_path(model) + verb, body=body, dropped=tuple(dropped))


def _generation(chat: Chat) -> dict[str, Any]:
    given = {
        "maxOutputTokens": chat.max_tokens,
        "temperature": chat.temperature,
        "topP": chat.top_p,
        "topK": chat.top_k,
        "stopSequences": list(chat.stop) or None,
        "candidateCount": chat.n if chat.n > 1 else None,
        "seed": chat.seed,
        "frequencyPenalty": chat.frequency_penalty,
        "presencePenalty": chat.presence_penalty,
    }
    config: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if chat.format is not None and chat.format.kind != "text":
        config["responseMimeType"] = "application/json"
        if chat.format.schema is not None:
            config["responseJsonSchema"] = chat.format.schema
    budget = chat.reasoning_tokens
    if budget is not None:
        config["thinkingConfig"] = {"thinkingBudget": budget, "includeThoughts": budget > 0}
    elif chat.reasoning_effort is not None and chat.reasoning_effort in _BUDGETS:
        config["thinkingConfig"] = {"thinkingBudget": _BUDGETS[chat.reasoning_effort]}
    return config


def _tools(chat: Chat) -> list[dict[str, Any]]:
    declared: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for at, tool in enumerate(chat.tools):
        if tool.raw is not None:
            if tool.protocol != "gemini":
                msg = f"tools.{at}: {tool.name} is a tool that {tool.protocol} runs itself"
                raise Refused("unsupported", msg, param=f"tools.{at}")
            others.append(dict(tool.raw))
            continue
        function: dict[str, Any] = {"name": tool.name, "description": tool.description}
        if tool.schema:
            function["parametersJsonSchema"] = tool.schema
        declared.append(function)
    return [*([{"functionDeclarations": declared}] if declared else []), *others]


def _choice(choice: ToolChoice) -> dict[str, Any]:
    config: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        config["allowedFunctionNames"] = [choice.name]
    return config


def _contents(chat: Chat, *, strict: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Parts of the system instruction, and contents in which the roles alternate."""
    system: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for at, message in enumerate(chat.messages):
        parts = _parts(message, f"messages.{at}", names, strict=strict)
        if message.role in ("system", "developer"):
            system += parts
            continue
        if not parts:
            continue
        role = "model" if message.role == "assistant" else "user"
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return system, contents


def _parts(message: Message, path: str, names: dict[str, str], *, strict: bool) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    unsigned = strict
    for at, part in enumerate(message.parts):
        where = f"{path}.content.{at}"
        if isinstance(part, ToolCall):
            names[part.id] = part.name
            call = _call(part, where)
            if unsigned and "thoughtSignature" not in call:
                call["thoughtSignature"] = _UNSIGNED
            unsigned = False
            written.append(call)
        elif isinstance(part, ToolResult):
            written.append(_result(part, where, names))
        else:
            written += _part(part, where)
    return written


def _part(part: Part, where: str) -> list[dict[str, Any]]:
    match part:
        case Text() | Refusal():
            return [{"text": part.text}] if part.text else []
        case Media():
            return [_media(part, where)]
        case Thinking() if part.protocol == "gemini" and (part.text or part.signature):
            thought: dict[str, Any] = {"text": part.text}
            if part.text:
                thought["thought"] = True
            if part.signature:
                thought["thoughtSignature"] = part.signature
            return [thought]
        case Opaque() if part.protocol == "gemini":
            return [dict(part.raw)]
        case Opaque():
            msg = f"{where}: a block that only {part.protocol} knows"
            raise Refused("unsupported", msg, param=where)
    return []  # what another provider thought is given to no one else


def _call(call: ToolCall, where: str) -> dict[str, Any]:
    arguments = arguments_of(call.arguments)
    if arguments is None:
        msg = f"{where}: arguments of {call.name} are no JSON object, which Gemini needs"
        raise Refused("unsupported", msg, param=where)
    signature = (call.raw or {}).get("thoughtSignature")
    written: dict[str, Any] = {"functionCall": {"name": call.name, "args": arguments}}
    if isinstance(signature, str):
        written["thoughtSignature"] = signature
    return written


def _result(result: ToolResult, where: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Without ids, as Gemini's own calls mostly are: calls and results belong together by name and order."""
    name = names.get(result.call_id) or result.name
    if name is None:
        msg = f"{where}: there is no call {result.call_id} before its result"
        raise Refused("invalid_request", msg, param=where)
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    response = None if result.is_error else _object(text)
    if response is None:
        response = {"error" if result.is_error else "result": text}
    written: dict[str, Any] = {"name": name, "response": response}
    media = [_media(part, where) for part in result.parts if isinstance(part, Media)]
    if media:
        written["parts"] = media
    return {"functionResponse": written}


def _object(text: str) -> Mapping[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _media(part: Media, where: str) -> dict[str, Any]:
    if part.data is not None and part.media_type:
        return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
    url = part.url
    if url is None:
        msg = f"{where}: a file that another provider keeps"
        raise Refused("unsupported", msg, param=where)
    if url.startswith("data:"):
        kind, found, data = url[5:].partition(";base64,")
        if not found or not kind:
            msg = f"{where}: a data URL has to be data:TYPE;base64,..."
            raise Refused("invalid_request", msg, param=where)
        return {"inlineData": {"mimeType": kind.partition(";")[0], "data": data}}
    written = {"fileUri": url}
    suffix = url.partition("?")[0].rpartition(".")[2].lower()
    kind = part.media_type or _BY_SUFFIX.get(suffix, "")
    if kind:
        written["mimeType"] = kind
    return {"fileData": written}
