"""Every protocol, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.gateway.core.wire.anthropic import Anthropic
from holdfast.gateway.core.wire.bedrock import Bedrock
from holdfast.gateway.core.wire.completions import Completions
from holdfast.gateway.core.wire.gemini import Gemini
from holdfast.gateway.core.wire.openai_chat import OpenAIChat
from holdfast.gateway.core.wire.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.gateway.core.dialect import Dialect


def dialects() -> Mapping[str, Dialect]:
    """One adapter for each protocol; they keep no state."""
    found: tuple[Dialect, ...] = (OpenAIChat(), Responses(), Completions(), Anthropic(), Gemini(), Bedrock())
    return {each.name: each for each in found}
