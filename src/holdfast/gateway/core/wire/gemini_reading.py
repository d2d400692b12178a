"""A client's request in Gemini's protocol (``GenerateContentRequest``).

Names are taken in camel case and in snake case, as Google's JSON mapping has it. Calls without ids get ids by their
order; a result without one belongs to the first open call of its name.
"""

from __future__ import annotations

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
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from holdfast.gateway.core.wire import fields

__all__ = ["camel", "read_request"]

_KNOWN = {"model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "stream"}
_KNOWN_CONFIG = {
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
    "stopSequences",
    "candidateCount",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
}
_MODES = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto", "MODE_UNSPECIFIED": "auto"}


def read_request(body: Mapping[str, Any]) -> Chat:
    """See :meth:`~holdfast.gateway.core.dialect.Dialect.read_request`. ``model`` and ``stream`` come from the path."""
    body = camel(body)
    config = camel(fields.object_(body, "generationConfig") or {})
    at = "generationConfig"
    thinking = camel(fields.object_(config, "thinkingConfig", at) or {})
    extra = {key: value for key, value in body.items() if key not in _KNOWN}
    rest = {key: value for key, value in config.items() if key not in _KNOWN_CONFIG}
    if rest:
        extra["generationConfig"] = rest
    fields.sendable(extra, "")
    effort = fields.string(thinking, "thinkingLevel", f"{at}.thinkingConfig")
    return Chat(
        protocol="gemini",
        model=fields.required(body, "model"),
        messages=_messages(body),
        tools=_tools(body),
        tool_choice=_choice(body, extra),
        format=_format(config),
        max_tokens=fields.integer(config, "maxOutputTokens", at),
        temperature=fields.number(config, "temperature", at),
        top_p=fields.number(config, "topP", at),
        top_k=fields.integer(config, "topK", at),
        stop=_words(config, "stopSequences", at),
        n=fields.integer(config, "candidateCount", at, least=1, most=8) or 1,
        seed=fields.integer(config, "seed", at, least=-(1 << 31), most=(1 << 31) - 1),
        frequency_penalty=fields.number(config, "frequencyPenalty", at),
        presence_penalty=fields.number(config, "presencePenalty", at),
        reasoning_effort=effort.lower() if effort else None,
        reasoning_tokens=_budget(thinking),
        stream=fields.boolean(body, "stream") or False,
        include_usage=True,
        extra=extra,
    )


def camel(body: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its own keys in camel case; what is in them stays."""
    return {_camel(key) if "_" in key else key: value for key, value in body.items()}


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _budget(thinking: Mapping[str, Any]) -> int | None:
    """-1 leaves the budget to the model: as good as not said; it travels in ``extra``."""
    budget = fields.integer(thinking, "thinkingBudget", "generationConfig.thinkingConfig", least=-1)
    return None if budget == -1 else budget


def _messages(body: Mapping[str, Any]) -> tuple[Message, ...]:
    messages: list[Message] = []
    system = body.get("systemInstruction")
    if isinstance(system, str):
        system = {"parts": [{"text": fields.words(system, "systemInstruction")}]}
        body = {**body, "systemInstruction": system}
    instruction = fields.object_(body, "systemInstruction")
    if instruction is not None:
        ids = _Ids()
        parts = [_part(p, path, ids) for path, p in fields.items(instruction, "parts", "systemInstruction")]
        if parts:
            messages.append(Message(role="system", parts=tuple(parts)))
    ids = _Ids()
    for path, content in fields.items(body, "contents"):
        said = fields.string(content, "role", path) or "user"
        if said not in ("user", "model", "function"):
            fields.refuse(f"{path}.role", "user or model is expected")
        results: list[Part] = []
        others: list[Part] = []
        for where, part in fields.items(content, "parts", path):
            read = _part(part, where, ids)
            (results if isinstance(read, ToolResult) else others).append(read)
        if results:
            messages.append(Message(role="tool", parts=tuple(results)))
        role: Role = "assistant" if said == "model" else "user"
        if others or not results:
            messages.append(Message(role=role, parts=tuple(others)))
    if not any(message.role != "system" for message in messages):
        fields.refuse("contents", "at least one content is required")
    return tuple(messages)


class _Ids:
    """Ids of calls whose protocol has none."""

    def __init__(self) -> None:
        self._count = 0
        self._open: list[tuple[str, str]] = []

    def called(self, name: str, given: str | None) -> str:
        """The id of a call."""
        made = given or f"call_{self._count}"
        self._count += 1
        self._open.append((name, made))
        return made

    def answered(self, name: str, given: str | None) -> str | None:
        """The id of the call that a result is for: its own, else the first open one of the name."""
        for at, (called, made) in enumerate(self._open):
            if made == given if given else called == name:
                del self._open[at]
                return made
        return given


def _part(part: Mapping[str, Any], path: str, ids: _Ids) -> Part:
    part = camel(part)
    signature = fields.string(part, "thoughtSignature", path)
    if "functionCall" in part:
        call = fields.object_(part, "functionCall", path) or {}
        name = fields.required(call, "name", f"{path}.functionCall")
        arguments = fields.object_(call, "args", f"{path}.functionCall") or {}
        return ToolCall(
            id=ids.called(name, fields.string(call, "id", f"{path}.functionCall")),
            name=name,
            arguments=msgspec.json.encode(arguments).decode(),
            raw={"thoughtSignature": signature} if signature else None,
        )
    if "functionResponse" in part:
        return _result(camel(fields.object_(part, "functionResponse", path) or {}), f"{path}.functionResponse", ids)
    if "inlineData" in part:
        data = camel(fields.object_(part, "inlineData", path) or {})
        return _media(data, f"{path}.inlineData")
    if "fileData" in part:
        data = camel(fields.object_(part, "fileData", path) or {})
        kind = fields.string(data, "mimeType", f"{path}.fileData")
        return Media(kind=_kind(kind or ""), url=fields.required(data, "fileUri", f"{path}.fileData"), media_type=kind)
    text = fields.string(part, "text", path)
    if text is None:
        fields.sendable(part, path)
        return Opaque(protocol="gemini", raw=part)
    if fields.boolean(part, "thought", path):
        return Thinking(text=text, signature=signature, protocol="gemini")
    if signature and not text:
        return Thinking(signature=signature, protocol="gemini")
    return Text(text=text)


def _result(result: Mapping[str, Any], path: str, ids: _Ids) -> ToolResult:
    name = fields.required(result, "name", path)
    given = ids.answered(name, fields.string(result, "id", path))
    if given is None:
        fields.refuse(path, f"there is no call of {name} before it")
    response = fields.object_(result, "response", path) or {}
    # Google's advice is "output" or "result" for what came out and "error" for what went wrong.
    only = next(iter(response.values())) if len(response) == 1 else None
    is_error = set(response) == {"error"}
    plain = isinstance(only, str) and set(response) <= {"output", "result", "error"}
    text = only if plain and isinstance(only, str) else msgspec.json.encode(response).decode()
    parts: list[Text | Media] = [Text(text=text)]
    for where, part in fields.items(result, "parts", path):
        data = camel(fields.object_(camel(part), "inlineData", where) or {})
        parts.append(_media(data, f"{where}.inlineData"))
    return ToolResult(call_id=given, parts=tuple(parts), is_error=is_error, name=name)


def _media(data: Mapping[str, Any], path: str) -> Media:
    kind = fields.required(data, "mimeType", path)
    return Media(kind=_kind(kind), data=fields.required(data, "data", path), media_type=kind)


def _kind(media_type: str) -> Any:
    kind = media_type.partition("/")[0]
    return kind if kind in ("image", "audio") else "document"


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for path, tool in fields.items(body, "tools"):
        tool = camel(tool)  # noqa: PLW2901
        for where, declared in fields.items(tool, "functionDeclarations", path):
            function = camel(declared)
            schema = fields.object_(function, "parametersJsonSchema", where)
            if schema is None:
                schema = json_schema(fields.object_(function, "parameters", where) or {})
            tools.append(
                Tool(
                    name=fields.required(function, "name", where),
                    description=fields.string(function, "description", where) or "",
                    schema=schema,
                )
            )
        others = {key: value for key, value in tool.items() if key != "functionDeclarations"}
        fields.sendable(others, path)
        tools += [Tool(name=key, raw={key: value}, protocol="gemini") for key, value in others.items()]
    return tuple(tools)


def json_schema(schema: Any) -> Any:
    """Gemini's ``Schema`` (OpenAPI 3.0: types in capitals, ``nullable``) as JSON Schema."""
    if isinstance(schema, list):
        return [json_schema(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, Mapping):
            found[key] = {name: json_schema(inner) for name, inner in value.items()}
        elif key in ("items", "anyOf", "any_of"):
            found["anyOf" if key == "any_of" else key] = json_schema(value)
        elif key == "type" and isinstance(value, str):
            found[key] = value.lower()
        elif key not in ("nullable", "propertyOrdering", "property_ordering"):
            found[key] = value
    if schema.get("nullable") is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


def _choice(body: Mapping[str, Any], extra: dict[str, Any]) -> ToolChoice | None:
    config = camel(fields.object_(body, "toolConfig") or {})
    calling = fields.object_(config, "functionCallingConfig", "toolConfig")
    rest = {key: value for key, value in config.items() if key != "functionCallingConfig"}
    if rest:
        extra["toolConfig"] = rest
    if calling is None:
        return None
    calling = camel(calling)
    path = "toolConfig.functionCallingConfig"
    mode = (fields.string(calling, "mode", path) or "AUTO").upper()
    if mode not in _MODES:
        fields.refuse(f"{path}.mode", "AUTO, ANY, NONE or VALIDATED is expected")
    allowed = _words(calling, "allowedFunctionNames", path)
    if mode == "ANY" and len(allowed) == 1:
        return ToolChoice(mode="named", name=allowed[0])
    if mode == "VALIDATED" or allowed:
        extra.setdefault("toolConfig", {})["functionCallingConfig"] = calling
    kinds: Mapping[str, Any] = _MODES
    return ToolChoice(mode=kinds[mode])


def _format(config: Mapping[str, Any]) -> Format | None:
    at = "generationConfig"
    kind = fields.string(config, "responseMimeType", at)
    schema = fields.object_(config, "responseJsonSchema", at)
    if schema is None and (native := fields.object_(config, "responseSchema", at)) is not None:
        schema = json_schema(native)
    if schema is not None:
        return Format(kind="schema", schema=schema)
    return Format(kind="json") if kind == "application/json" else None


def _words(body: Mapping[str, Any], key: str, path: str) -> tuple[str, ...]:
    found = body.get(key)
    if found is None:
        return ()
    if not isinstance(found, list) or len(found) > 1000:
        fields.refuse(f"{path}.{key}", "a list of strings is expected")
    return tuple(fields.words(word, f"{path}.{key}.{at}") for at, word in enumerate(found))
