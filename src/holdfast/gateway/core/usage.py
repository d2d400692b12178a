"""What an attempt used, and what that costs. Money is integer nano-dollars (10**-9 US dollars)."""

from __future__ import annotations

from dataclasses import dataclass, fields

NANO = 1_000_000_000
"""Nano-dollars in a dollar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one attempt, the same whichever protocol reported them. All counts are 0 or more.

    ``input_tokens`` is everything that was read, cached or not (OpenAI's sense; Anthropic reports the parts, and its
    adapter adds them). ``output_tokens`` is everything that was written, reasoning included.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    """Of the input: read from the provider's cache."""
    cache_write_tokens: int = 0
    """Of the input: written to the provider's cache for five minutes."""
    cache_write_long_tokens: int = 0
    """Of the input: written to the provider's cache for an hour."""
    reasoning_tokens: int = 0
    """Of the output: thought, not said."""
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    """Of the input, where the provider tells."""
    images: int = 0
    """Images that were made."""
    characters: int = 0
    """Of text that was spoken."""
    seconds: float = 0.0
    """Of sound that was transcribed."""
    estimated: bool = False
    """Whether any of it is our estimate: the provider did not say, or what it said cannot be."""

    @property
    def total_tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """Both together; estimated if either is."""
        values = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "estimated"}
        return Usage(**values, estimated=self.estimated or other.estimated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Nano-dollars per million tokens; per piece where a name says so. ``None``: this provider has no such price."""

    input: int
    output: int
    cache_read: int | None = None
    """``None``: as input."""
    cache_write: int | None = None
    cache_write_long: int | None = None
    reasoning: int | None = None
    """``None``: as output."""
    audio_input: int | None = None
    audio_output: int | None = None
    per_image: int | None = None
    """Nano-dollars for one image."""
    per_million_characters: int | None = None
    per_second: int | None = None
    """Nano-dollars for a second of sound."""
    per_request: int = 0
    """Nano-dollars."""
    above: int | None = None
    """Input tokens from which ``long`` holds instead."""
    long: Price | None = None
    source: str = "configuration"
    """Where it is from, and of when: ``genai-prices 0.0.30 openai/gpt-4o-mini``."""
