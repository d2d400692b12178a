"""Usage as OpenAI's chat completions, completions and embeddings report it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.usage import Usage

__all__ = ["believable", "read_body_usage", "read_usage", "write_usage"]

_LARGEST = 1 << 40


class _Answer(msgspec.Struct):
    """The one field that is decoded of an answer that is passed through."""

    usage: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Answer)


def believable(value: object) -> int | None:
    """A count that can be: an integer within 0..2**40; missing is 0, anything else ``None``."""
    if value is None:
        return 0
    return value if type(value) is int and 0 <= value <= _LARGEST else None


def read_usage(found: object) -> Usage | None:
    """``None`` when there is none, or when what it says cannot be: nobody is billed for nonsense."""
    if not isinstance(found, Mapping) or found.get("prompt_tokens") is None:
        return None
    read = _part(found, "prompt_tokens_details")
    written = _part(found, "completion_tokens_details")
    given = (
        found["prompt_tokens"],
        found.get("completion_tokens"),
        read.get("cached_tokens", found.get("prompt_cache_hit_tokens")),  # the latter is DeepSeek's
        read.get("audio_tokens"),
        written.get("reasoning_tokens"),
        written.get("audio_tokens"),
        found.get("total_tokens"),
        read.get("image_tokens"),
    )
    counts = [count for count in map(believable, given) if count is not None]
    if len(counts) < len(given):
        return None
    prompt, completion, cached, heard, reasoned, spoken, total, seen = counts
    if reasoned and total == prompt + completion + reasoned:
        completion += reasoned  # xAI counts reasoning beside the completion, OpenAI within it
    if max(cached, heard, seen) > prompt or max(reasoned, spoken) > completion:
        return None
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=cached,
        reasoning_tokens=reasoned,
        audio_input_tokens=heard,
        audio_output_tokens=spoken,
        image_input_tokens=seen,
    )


def read_body_usage(body: bytes) -> Usage | None:
    """Of a whole answer, of which nothing else is decoded."""
    try:
        return read_usage(msgspec.json.decode(_decoder.decode(body).usage))
    except (ValueError, RecursionError):
        return None


def write_usage(usage: Usage) -> dict[str, Any]:
    """As OpenAI reports it today."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "audio_tokens": usage.audio_input_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _part(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = found.get(key)
    return value if isinstance(value, Mapping) else {}
