"""A request to a provider that speaks Anthropic's protocol, from any client's.

The API wants a conversation in its own form: one system prompt, users and assistants in turns, the results of tools at
the beginning of the turn after the calls, no text without words. What is brought into that form keeps its order and
its words; what has no place in it is refused, or left out and named.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    Chat,
    JsonObject,
    Media,
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
from holdfast.gateway.core.wire.anthropic_answers import SIGNING, parsed_arguments
from holdfast.gateway.core.wire.anthropic_models import (
    DEFAULT_MAX_TOKENS,
    MINIMUM_BUDGET,
    Abilities,
    abilities,
    budget_of,
)
from holdfast.gateway.core.wire.anthropic_schemas import fitted
from holdfast.gateway.errors import Refused

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,", re.ASCII)
_NOT_OF_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
_JSON_ONLY = "Answer with one JSON object and nothing else: no words before or after it, no code fence."


def write_request(chat: Chat, model: str, *, max_tokens: int | None = None) -> Outgoing:
    """The request. ``max_tokens``: the model's own bound of its output, where it is known."""
    return _Request(chat, model, max_tokens).outgoing()


def write_count_request(chat: Chat, model: str) -> Outgoing:
    """The request that counts the tokens of another."""
    whole = _Request(chat, model, None).outgoing()
    counted = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
    body = {name: whole.body[name] for name in counted if name in whole.body}
    return Outgoing(path="/messages/count_tokens", body=body, headers=whole.headers, dropped=whole.dropped)


class _Request:
    """One request while it is written."""

    def __init__(self, chat: Chat, model: str, bound: int | None) -> None:
        self._chat = chat
        self._model = model
        self._bound = bound
        self._own = chat.protocol == "anthropic"
        self._can: Abilities = abilities(model)
        self._dropped: dict[str, None] = {}
        self._system: list[dict[str, Any]] = []

    def outgoing(self) -> Outgoing:
        chat = self._chat
        if chat.n != 1:
            raise Refused("unsupported", "n: this provider gives one answer to a request", param="n")
        body: dict[str, Any] = {"model": self._model, "messages": self._messages()}
        if chat.tools:
            body["tools"] = [self._tool(tool, f"tools.{i}") for i, tool in enumerate(chat.tools)]
            choice = _tool_choice(chat.tool_choice)
            if choice is not None:
                body["tool_choice"] = choice
        body["max_tokens"] = chat.max_tokens
        self._think(body)
        self._sample(body)
        self._shape(body)
        if self._system:
            body["system"] = self._system
        if chat.user is not None:
            body["metadata"] = {"user_id": chat.user}
        elif chat.metadata is not None:
            self._drop("metadata")
        if chat.stream:
            body["stream"] = True
        for name in chat.extra:
            if self._own:
                body.setdefault(name, chat.extra[name])
            else:
                self._drop(name)
        return Outgoing(path="/messages", body=body, dropped=tuple(self._dropped))

    def _drop(self, name: str) -> None:
        self._dropped[name] = None

    # ------------------------------------------------------------ what was said

    def _messages(self) -> list[dict[str, Any]]:
        turns: list[tuple[str, list[dict[str, Any]]]] = []
        for i, message in enumerate(self._chat.messages):
            where = f"messages.{i}"
            if message.name is not None:
                self._drop(f"{where}.name")
            blocks = list(self._blocks(message.parts, where))
            if message.role in ("system", "developer"):
                if not turns or not self._own:
                    # Words of the highest rank stay of the highest rank: among the user's words they would lose it.
                    if turns and blocks:
                        self._drop(f"{where}.position")
                    self._system += blocks
                    continue
                role = "system"
            else:
                role = "assistant" if message.role == "assistant" else "user"
            if not blocks:
                continue
            if turns and turns[-1][0] == role:
                turns[-1][1].extend(blocks)
            else:
                turns.append((role, blocks))
        if not turns and self._system:
            # A request of nothing but instructions, as OpenAI takes it: somebody has to ask.
            turns, self._system = [("user", self._system)], []
        if turns and turns[-1][0] == "assistant":
            _trim(turns[-1][1])
        return [
            {"role": role, "content": _results_first(blocks) if role == "user" else blocks} for role, blocks in turns
        ]

    def _blocks(self, parts: Iterable[Part], where: str) -> Iterator[dict[str, Any]]:
        for j, part in enumerate(parts):
            block = self._block(part, f"{where}.content.{j}")
            if block is not None:
                yield block

    def _block(self, part: Part, where: str) -> dict[str, Any] | None:
        if isinstance(part, Text):
            if not part.text.strip():
                return None  # the API refuses a text without words
            block: dict[str, Any] = {"type": "text", "text": part.text}
            if part.citations and self._own:
                block["citations"] = list(part.citations)
        elif isinstance(part, Media):
            block = self._media(part, where)
        elif isinstance(part, ToolCall):
            block = {
                "type": "tool_use",
                "id": _id(part.id),
                "name": part.name,
                "input": self._arguments(part.arguments, where),
            }
        elif isinstance(part, ToolResult):
            block = {"type": "tool_result", "tool_use_id": _id(part.call_id)}
            content = list(self._blocks(part.parts, where))
            if content:
                block["content"] = content
            if part.is_error:
                block["is_error"] = True
        elif isinstance(part, Thinking):
            return self._thought(part)
        elif isinstance(part, Refusal):
            return {"type": "text", "text": part.text} if part.text.strip() else None
        else:
            return self._opaque(part, where)
        if part.cache is not None:
            block["cache_control"] = part.cache
        return block

    def _arguments(self, arguments: str, where: str) -> JsonObject:
        value = parsed_arguments(arguments)
        if value is not None:
            return value
        # A model wrote what is no object, and the conversation goes on about that: its words, in the form that the
        # API demands.
        self._drop(f"{where}.arguments")
        return {"invalid_json": arguments}

    def _thought(self, part: Thinking) -> dict[str, Any] | None:
        redacted = part.raw is not None and part.raw.get("type") == "redacted_thinking"
        if part.protocol == "anthropic" and part.raw is not None and (part.signature or redacted):
            return dict(part.raw)
        # What has no signature was thought by a model of another protocol, and shown to an Anthropic client.
        if part.protocol in SIGNING and part.signature:
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        self._drop("thinking")
        return None

    def _opaque(self, part: Opaque, where: str) -> dict[str, Any] | None:
        if part.protocol == "anthropic":
            return dict(part.raw)
        self._drop(where)
        return None

    def _media(self, part: Media, where: str) -> dict[str, Any]:
        if part.kind == "audio":
            raise Refused("unsupported", f"{where}: this provider's models do not hear", param=where)
        block: dict[str, Any] = {"type": part.kind, "source": self._source(part, where)}
        if part.kind == "document" and part.name is not None:
            block["title"] = part.name
        return block

    def _source(self, part: Media, where: str) -> dict[str, Any]:
        data, media_type = part.data, part.media_type
        if data is None and part.url is not None:
            found = _DATA_URL.match(part.url)
            if found is None:
                if part.url.startswith("data:"):
                    raise Refused("invalid_request", f"{where}: a data URL has to be in base64", param=where)
                return {"type": "url", "url": part.url}
            data, media_type = part.url[found.end() :], found[1] or media_type
        if data is None:
            if part.file_id is not None and self._own:
                return {"type": "file", "file_id": part.file_id}
            raise Refused("unsupported", f"{where}: files of another provider cannot be read here", param=where)
        if part.kind == "document" and (media_type or "").startswith("text/"):
            try:
                return {"type": "text", "media_type": "text/plain", "data": b64decode(data, validate=True).decode()}
            except ValueError as error:
                raise Refused("invalid_request", f"{where}: not text in base64", param=where) from error
        if media_type is None:
            media_type = "application/pdf" if part.kind == "document" else "image/png"
        if part.kind == "document" and media_type != "application/pdf":
            raise Refused("unsupported", f"{where}: documents are PDF or plain text here", param=where)
        return {"type": "base64", "media_type": media_type, "data": data}

    # ------------------------------------------------------------ what may be done about it

    def _tool(self, tool: Tool, where: str) -> dict[str, Any]:
        if tool.raw is not None:
            if tool.protocol == "anthropic":
                return dict(tool.raw)
            raise Refused("unsupported", f"{where}: {tool.name} is a tool of another provider", param=where)
        schema: dict[str, Any] = dict(tool.schema)
        schema.setdefault("type", "object")
        result: dict[str, Any] = {"name": tool.name, "input_schema": schema}
        if tool.description:
            result["description"] = tool.description
        if tool.strict and self._own:
            result["strict"] = True
        elif tool.strict:
            closed = fitted(schema) if self._can.schemas else None
            if closed is None:
                self._drop(f"{where}.strict")
            else:
                result.update(strict=True, input_schema=closed)
        if tool.cache is not None:
            result["cache_control"] = tool.cache
        return result

    def _think(self, body: dict[str, Any]) -> None:
        """``thinking``, the effort, and the bound of the output that has room for both."""
        chat = self._chat
        most = chat.max_tokens if chat.max_tokens is not None else self._bound
        body["max_tokens"] = DEFAULT_MAX_TOKENS if most is None else most
        if self._own:
            return  # `thinking` and `output_config` are in `extra` as the client wrote them
        effort = chat.reasoning_effort
        if (effort is None or effort == "none") and not chat.reasoning_tokens:
            if effort == "none" and self._can.thinking == "adaptive":
                body["thinking"] = {"type": "disabled"}
            return
        forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
        if self._can.thinking == "none" or forced or _calls_without_thoughts(body["messages"]):
            # The API refuses thinking with a forced tool, and in the middle of a turn that began without it.
            self._drop("reasoning_effort")
        elif self._can.thinking == "adaptive":
            # Without `display` the newest models think in silence, and clients that show thoughts have none to show.
            body["thinking"] = {"type": "adaptive", "display": "summarized"}
            if effort is not None:
                named = {"minimal": "low", "xhigh": self._can.top_effort}.get(effort, effort)
                body["output_config"] = {"effort": named}
        else:
            budget = max(MINIMUM_BUDGET, chat.reasoning_tokens or budget_of(effort or "medium"))
            if most is None:
                body["max_tokens"] = DEFAULT_MAX_TOKENS + budget
            else:
                budget = min(budget, most - 1)
            if budget < MINIMUM_BUDGET:
                self._drop("reasoning_effort")
            else:
                body["thinking"] = {"type": "enabled", "budget_tokens": budget}

    def _sample(self, body: dict[str, Any]) -> None:
        chat = self._chat
        stop = [word for word in chat.stop if self._own or word.strip()]
        if len(stop) < len(chat.stop):
            self._drop("stop")  # the API refuses a stop sequence of nothing but white space
        if stop:
            body["stop_sequences"] = stop
        thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(chat, name)
            if value is None:
                continue
            if self._own:
                body[name] = value
            elif not self._can.sampling or thinks or (name == "top_p" and "temperature" in body):
                # Refused by the newest models, with thinking, and (temperature and top_p) together.
                if value != 1:
                    self._drop(name)
            elif name == "temperature" and value > 1:
                body[name] = 1.0  # OpenAI's goes to 2
                self._drop(name)
            else:
                body[name] = value
        for name, neutral in (("seed", None), ("frequency_penalty", 0), ("presence_penalty", 0)):
            if getattr(chat, name) not in (None, neutral):
                self._drop(name)

    def _shape(self, body: dict[str, Any]) -> None:
        """The form of the answer."""
        form = self._chat.format
        if form is None or form.kind == "text":
            return
        if form.kind == "json" or form.schema is None:
            self._system.append({"type": "text", "text": _JSON_ONLY})
            return
        schema = form.schema if self._own else fitted(form.schema) if self._can.schemas else None
        if schema is None:
            described = msgspec.json.encode(form.schema).decode()
            self._system.append(
                {"type": "text", "text": f"{_JSON_ONLY} It has to match this JSON Schema:\n{described}"}
            )
            self._drop("response_format.json_schema.strict")
            return
        given = self._chat.extra.get("output_config") if self._own else body.get("output_config")
        body["output_config"] = {**(given or {}), "format": {"type": "json_schema", "schema": schema}}


def _id(name: str) -> str:
    """A call's id in the letters that the API takes; the same for the call and for its result."""
    return _NOT_OF_AN_ID.sub("_", name)


def _results_first(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The API refuses a turn in which anything stands before the results of tools."""
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")


def _trim(blocks: list[dict[str, Any]]) -> None:
    """The API refuses an answer to be continued that ends with white space."""
    if blocks[-1]["type"] == "text":
        blocks[-1] = {**blocks[-1], "text": blocks[-1]["text"].rstrip()}


def _calls_without_thoughts(messages: list[dict[str, Any]]) -> bool:
    """Whether the turn that goes on has called tools, and its thoughts are gone."""
    turn: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "assistant":
            turn += message["content"]
        elif not any(block["type"] == "tool_result" for block in message["content"]):
            turn = []
    kinds = [block["type"] for block in turn]
    return "tool_use" in kinds and not {"thinking", "redacted_thinking"} & set(kinds)


def _tool_choice(choice: ToolChoice | None) -> dict[str, Any] | None:
    if choice is None:
        return None
    result: dict[str, Any] = {"type": _CHOICES[choice.mode]}
    if choice.name is not None:
        result["name"] = choice.name
    if choice.parallel is not None and choice.mode != "none":
        result["disable_parallel_tool_use"] = not choice.parallel
    return result
