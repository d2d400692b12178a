"""Which requests are the same, and which may be answered from memory.

The key of a request is the SHA-256 of everything that its answer can depend on, in one canonical form, and of the
tenant: two tenants never share a key, whatever they ask. What does not change the answer is left out: how it is sent
(``stream``), who asked (``user``, ``metadata``), and ids of tool calls, which are drawn anew for each conversation.

A request is keyed *after* guardrails redacted it, and the provider's answer is kept *before* they put values back: two
people whose addresses became ``<EMAIL_1>`` share an answer, and each reads their own address in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import Answer, Chat, Media, Message, Part, ToolCall, ToolResult

_FORM = "1"
"""Of the canonical form: part of each key, so that another form never reads what this one wrote."""
_HARMLESS = frozenset(
    {"store", "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user"}
)
"""Parameters that change how a request is treated, not what is answered."""
_STATEFUL = frozenset(
    {"previous_response_id", "conversation", "background", "web_search_options", "modalities", "audio", "container"}
)
"""Parameters with which an answer depends on more than the request, or is more than words."""
_encode = msgspec.json.Encoder(order="sorted").encode


def reason_against(chat: Chat, *, only_deterministic: bool) -> str | None:
    """Why this request is not to be answered from memory; ``None``: nothing speaks against it.

    Functions that the client runs are no reason: the answer only asks for them. Tools that the provider runs are.
    """
    if chat.n != 1:
        return "several answers are asked for"
    if only_deterministic and chat.temperature != 0 and chat.seed is None:
        return "temperature is not 0, and there is no seed"
    if any(tool.raw is not None for tool in chat.tools):
        return "the provider runs tools"
    if chat.extra.get("store") is True or not _STATEFUL.isdisjoint(chat.extra):
        return "the answer depends on what the provider keeps"
    if any(_is_elsewhere(part) for message in chat.messages for part in message.parts):
        return "a picture or a file stands elsewhere and may change"
    return None


def may_keep(answer: Answer) -> bool:
    """Whether an answer is whole: each choice ended by itself, with something in it."""
    return bool(answer.choices) and all(
        choice.parts and choice.finish in {"stop", "stop_sequence", "tool_calls"} for choice in answer.choices
    )


def chat_key(chat: Chat, *, tenant: str, route: str) -> bytes:
    """The key of a request for an answer: 32 bytes.

    Args:
        chat: As it would be sent: redacted.
        tenant: Who asks.
        route: The model's name in the configuration: another one may have other deployments behind the same name.
    """
    ids: dict[str, str] = {}
    same = replace(
        chat,
        model=route,
        messages=tuple(_without_ids(message, ids) for message in chat.messages),
        stream=False,
        include_usage=False,
        user=None,
        metadata=None,
        extra={name: value for name, value in chat.extra.items() if name not in _HARMLESS},
    )
    return _digest("chat", tenant, route, _encode(same))


def body_key(body: Mapping[str, Any], *, tenant: str, route: str, kind: str) -> bytes:
    """The key of another request, such as ``embeddings``, from its body as it came: 32 bytes."""
    same = {name: value for name, value in body.items() if name not in _HARMLESS | {"model", "stream", "metadata"}}
    return _digest(kind, tenant, route, _encode(same))


def _digest(kind: str, tenant: str, route: str, text: bytes) -> bytes:
    # Names as JSON, in an array: no tenant can be named so that it ends where another's request begins.
    return sha256(_encode((_FORM, kind, tenant, route)) + text).digest()


def _is_elsewhere(part: Part) -> bool:
    if isinstance(part, Media):
        return part.data is None
    return isinstance(part, ToolResult) and any(_is_elsewhere(inner) for inner in part.parts)


def _without_ids(message: Message, ids: dict[str, str]) -> Message:
    def part(old: Part) -> Part:
        if isinstance(old, ToolCall):
            return replace(old, id=ids.setdefault(old.id, f"call-{len(ids)}"))
        if isinstance(old, ToolResult):
            return replace(old, call_id=ids.setdefault(old.call_id, f"call-{len(ids)}"))
        return old

    return replace(message, parts=tuple(map(part, message.parts)))
