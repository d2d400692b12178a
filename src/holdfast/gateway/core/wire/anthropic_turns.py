"""Conversations in the form in which Anthropic's API takes them.

One system prompt, users and assistants in turns, the results of tools at the beginning of the turn after the calls, no
text without words. What is brought into that form keeps its order and its words; what has no place in it is refused, or
left out and named.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from holdfast.gateway.core.conversation import (
    JsonObject,
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
from holdfast.gateway.core.wire.anthropic_answers import SIGNING, parsed_arguments
from holdfast.gateway.errors import Refused

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,", re.ASCII)
_NOT_OF_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")


class Turns:
    """The messages of one request while they are written.

    Args:
        own: The client speaks this protocol too: what it said in its own words is kept.
        drop: Told the path of what is left out.
    """

    def __init__(self, *, own: bool, drop: Callable[[str], None]) -> None:
        self._own = own
        self._drop = drop
        self.system: list[dict[str, Any]] = []
        """Blocks of the system prompt."""

    def turns(self, messages: Iterable[Message]) -> list[dict[str, Any]]:
        """Users and assistants in turns; ``system`` is known after this."""
        turns: list[tuple[str, list[dict[str, Any]]]] = []
        for i, message in enumerate(messages):
            where = f"messages.{i}"
            if message.name is not None:
                self._drop(f"{where}.name")
            blocks = list(self._blocks(message.parts, where))
            if message.role in ("system", "developer"):
                if not turns or not self._own:
                    # Words of the highest rank stay of the highest rank: among the user's words they would lose it.
                    if turns and blocks:
                        self._drop(f"{where}.position")
                    self.system += blocks
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
        if not turns and self.system:
            # A request of nothing but instructions, as OpenAI takes it: somebody has to ask.
            turns, self.system = [("user", self.system)], []
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
        elif media_type == "image/jpg":
            media_type = "image/jpeg"  # a common slip, which the API does not forgive
        if part.kind == "document" and media_type != "application/pdf":
            raise Refused("unsupported", f"{where}: documents are PDF or plain text here", param=where)
        return {"type": "base64", "media_type": media_type, "data": data}


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
