"""Usage between Anthropic's sense and ours.

Anthropic's ``input_tokens`` are those that no cache had to do with; what was read from and written to caches stands
beside them, and all three together are what was read (Anthropic, "Prompt caching", tracking cache performance). In a
stream ``message_start`` tells the input, and each ``message_delta`` totals that take the place of what was told before.
"""

from __future__ import annotations

from typing import Any

from holdfast.gateway.core.conversation import JsonObject
from holdfast.gateway.core.usage import Usage

MOST = 1 << 30
"""Tokens that one answer cannot have: a thousand times the longest context in the field."""

_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Counts:
    """What one answer told so far. Keeps the last believable number of each kind."""

    __slots__ = ("_detailed", "_told", "believable")

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._detailed: dict[str, int] = {}
        self.believable = True
        """Whether everything that was told can be."""

    def take(self, usage: object) -> None:
        """One ``usage`` object."""
        if usage is None:
            return
        if not isinstance(usage, dict):
            self.believable = False
            return
        for name in _COUNTS:
            self._put(self._told, name, usage.get(name))
        written = usage.get("cache_creation")
        if isinstance(written, dict):
            self._put(self._detailed, "long", written.get("ephemeral_1h_input_tokens"))
        details = usage.get("output_tokens_details")
        if isinstance(details, dict):
            self._put(self._detailed, "thinking", details.get("thinking_tokens"))

    def _put(self, counts: dict[str, int], name: str, value: object) -> None:
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
            self.believable = False
            return
        counts[name] = value

    def usage(self) -> Usage | None:
        """In our sense; ``None`` when nothing was told, or something that cannot be."""
        if not self.believable or not self._told:
            return None
        told = self._told
        read = told.get("cache_read_input_tokens", 0)
        written = told.get("cache_creation_input_tokens", 0)
        # The split by lifetime comes with the first event only; a later total is never less than it.
        long = min(self._detailed.get("long", 0), written)
        output = told.get("output_tokens", 0)
        return Usage(
            input_tokens=told.get("input_tokens", 0) + read + written,
            output_tokens=output,
            cache_read_tokens=read,
            cache_write_tokens=written - long,
            cache_write_long_tokens=long,
            reasoning_tokens=min(self._detailed.get("thinking", 0), output),
        )


def read_usage(usage: object) -> Usage | None:
    """Of a whole answer."""
    counts = Counts()
    counts.take(usage)
    return counts.usage()


def write_usage(usage: Usage | None) -> dict[str, Any]:
    """What a client of Anthropic's protocol is told. Nothing known is told as 0: the field may not be absent."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    written = usage.cache_write_tokens + usage.cache_write_long_tokens
    result: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - usage.cache_read_tokens - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }
    if written:
        result["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_long_tokens,
        }
    if usage.reasoning_tokens:
        result["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return result


def cumulative(written: dict[str, Any]) -> JsonObject:
    """The part of :func:`write_usage` that ``message_delta`` has."""
    return {name: value for name, value in written.items() if name != "cache_creation"}
