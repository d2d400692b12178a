"""A request to a provider that speaks Anthropic's protocol, from any client's.

The messages are :mod:`.anthropic_turns`'; here are the parameters around them, said as far as the model can be told
them (:mod:`.anthropic_models`). What changes nothing for the answer, or less than its refusal would, is left out and
named.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.gateway.core.conversation import Chat, JsonObject, Tool, ToolChoice
from holdfast.gateway.core.dialect import Outgoing
from holdfast.gateway.core.wire.anthropic_models import (
    DEFAULT_MAX_TOKENS,
    MINIMUM_BUDGET,
    Abilities,
    abilities,
    budget_of,
    effort_of,
)
from holdfast.gateway.core.wire.anthropic_schemas import fitted
from holdfast.gateway.core.wire.anthropic_turns import Turns
from holdfast.gateway.errors import Refused

_CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_VERSION = "2023-06-01"
"""Of the API. The header is demanded with each request; there has been no later one ("API versioning")."""
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
        self._turns = Turns(own=self._own, drop=self._drop)
        self._output: dict[str, Any] = dict(chat.extra.get("output_config") or {}) if self._own else {}

    def outgoing(self) -> Outgoing:
        chat = self._chat
        if chat.n != 1:
            raise Refused("unsupported", "n: this provider gives one answer to a request", param="n")
        body: dict[str, Any] = {"model": self._model, "messages": self._turns.turns(chat.messages)}
        if chat.tools:
            body["tools"] = [self._tool(tool, f"tools.{i}") for i, tool in enumerate(chat.tools)]
            choice = _tool_choice(chat.tool_choice)
            if choice is not None:
                body["tool_choice"] = choice
        body["max_tokens"] = chat.max_tokens
        self._think(body)
        self._sample(body)
        self._shape()
        if self._turns.system:
            body["system"] = self._turns.system
        if chat.user is not None:
            body["metadata"] = {"user_id": chat.user}
        if chat.metadata is not None:
            self._drop("metadata")
        if chat.stream:
            body["stream"] = True
        if self._output:
            body["output_config"] = self._output
        for name in chat.extra:
            if not self._own:
                self._drop(name)
            elif name not in ("thinking", "output_config"):
                body.setdefault(name, chat.extra[name])
        return Outgoing(
            path="/messages", body=body, headers={"anthropic-version": _VERSION}, dropped=tuple(self._dropped)
        )

    def _drop(self, name: str) -> None:
        self._dropped[name] = None

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
        given = chat.extra.get("thinking") if self._own else None
        if given is not None and self._can_think_as(given.get("type")):
            body["thinking"] = given
            return
        if given is not None:
            # Said for a model of another generation: the same in the words of this one.
            self._output.pop("effort", None)
            self._drop(f"thinking.{given.get('type')}")
        elif self._own:
            return  # an effort alone stands in the client's own `output_config`
        effort = chat.reasoning_effort
        if (effort is None or effort == "none") and not chat.reasoning_tokens and given is None:
            if effort == "none" and self._can.thinking == "adaptive":
                body["thinking"] = {"type": "disabled"}
            return
        forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
        budgeted = self._can.thinking == "budget"
        if self._can.thinking == "none" or forced or (budgeted and _calls_without_thoughts(body["messages"])):
            # The API refuses thinking with a forced tool and, with a budget, in a turn that has gone on without it.
            self._drop("reasoning_effort")
        elif self._can.thinking == "adaptive":
            # Without `display` the newest models think in silence, and clients that show thoughts have none to show.
            body["thinking"] = {"type": "adaptive", "display": "summarized"}
            if effort is None and chat.reasoning_tokens:
                effort = effort_of(chat.reasoning_tokens)
            if effort in _EFFORTS:
                self._output["effort"] = self._can.top_effort if effort == "xhigh" else _EFFORTS[effort]
            elif effort is not None:
                self._drop("reasoning_effort")
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
            if self._own and self._can.sampling:
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

    def _shape(self) -> None:
        """The form of the answer."""
        form = self._chat.format
        if form is None or form.kind == "text":
            return
        if form.kind == "json" or form.schema is None:
            self._turns.system.append({"type": "text", "text": _JSON_ONLY})
            return
        schema: JsonObject | None = None
        if self._can.schemas:
            schema = form.schema if self._own else fitted(form.schema)
        if schema is None:
            described = msgspec.json.encode(form.schema).decode()
            self._turns.system.append(
                {"type": "text", "text": f"{_JSON_ONLY} It has to match this JSON Schema:\n{described}"}
            )
            self._drop("response_format.json_schema.strict")
            return
        self._output["format"] = {"type": "json_schema", "schema": schema}

    def _can_think_as(self, kind: object) -> bool:
        """Whether the model knows a client's own word for thinking."""
        if kind == "enabled":
            return self._can.thinking == "budget" or (self._can.thinking == "adaptive" and self._can.sampling)
        return kind != "adaptive" or self._can.thinking == "adaptive" or not self._can.certain


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
