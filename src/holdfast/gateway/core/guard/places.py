"""The texts of a request that guardrails read, and the request with other texts in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from holdfast.gateway.core.conversation import Chat, Message, Part, Refusal, Text, Tool, ToolCall, ToolResult
from holdfast.gateway.core.guard.judging import Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One text of a request."""

    where: str
    """Its path: ``messages.2.parts.0.text``."""
    text: str
    is_json: bool = False
    from_outside: bool = False
    """Whether strangers write it: users and tools."""

    def failing(self, judge: Judge) -> Callable[[], None]:
        """What is called when a detector fails here."""
        return partial(judge.failed, self.where)


def places(chat: Chat) -> Iterator[Place]:
    """All texts that are read."""
    for number, message in enumerate(chat.messages):
        for place, part in enumerate(message.parts):
            where = f"messages.{number}.parts.{place}"
            if isinstance(part, Text):
                yield Place(where=f"{where}.text", text=part.text, from_outside=message.role in {"user", "tool"})
            elif isinstance(part, ToolResult):
                for inner, result in enumerate(part.parts):
                    if isinstance(result, Text):
                        yield Place(where=f"{where}.parts.{inner}.text", text=result.text, from_outside=True)
            elif isinstance(part, ToolCall):
                yield Place(where=f"{where}.arguments", text=part.arguments, is_json=True)
            elif isinstance(part, Refusal):
                yield Place(where=f"{where}.text", text=part.text)
    for number, tool in enumerate(chat.tools):
        if tool.description and tool.raw is None:
            yield Place(where=f"tools.{number}.description", text=tool.description)


def with_texts(chat: Chat, texts: Mapping[str, str]) -> Chat:
    """The request with some of its texts replaced, by their paths."""

    def message(number: int, old: Message) -> Message:
        parts = tuple(part(f"messages.{number}.parts.{place}", inner) for place, inner in enumerate(old.parts))
        return old if parts == old.parts else replace(old, parts=parts)

    def part(where: str, old: Part) -> Part:
        if isinstance(old, Text | Refusal) and f"{where}.text" in texts:
            return replace(old, text=texts[f"{where}.text"])
        if isinstance(old, ToolCall) and f"{where}.arguments" in texts:
            return replace(old, arguments=texts[f"{where}.arguments"])
        if isinstance(old, ToolResult):
            inner = tuple(
                replace(result, text=texts[f"{where}.parts.{place}.text"])
                if isinstance(result, Text) and f"{where}.parts.{place}.text" in texts
                else result
                for place, result in enumerate(old.parts)
            )
            return replace(old, parts=inner)
        return old

    def tool(number: int, old: Tool) -> Tool:
        text = texts.get(f"tools.{number}.description")
        return old if text is None else replace(old, description=text)

    return replace(
        chat,
        messages=tuple(message(number, old) for number, old in enumerate(chat.messages)),
        tools=tuple(tool(number, old) for number, old in enumerate(chat.tools)),
    )
