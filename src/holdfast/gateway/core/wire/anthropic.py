"""Anthropic's Messages API, as clients and providers speak it: ``POST /v1/messages`` and its ``count_tokens``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import Answer, Chat, ProtocolName
from holdfast.gateway.core.dialect import Decoder, Encoder, Outgoing, Tap, Told
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire import (
    anthropic_answers,
    anthropic_errors,
    anthropic_reading,
    anthropic_usage,
    anthropic_writing,
)
from holdfast.gateway.core.wire.anthropic_decoder import AnthropicDecoder
from holdfast.gateway.core.wire.anthropic_encoder import AnthropicEncoder
from holdfast.gateway.core.wire.anthropic_tap import AnthropicTap
from holdfast.gateway.errors import Refused

__all__ = ["Anthropic"]


class Anthropic:
    """Implements :class:`~holdfast.gateway.core.dialect.Dialect`.

    Args:
        max_tokens: The model's own bound of its output, in tokens, sent for clients that give none. Without one it is
            4,096, and the budget of thinking on top of that where there is one.
    """

    name: ProtocolName = "anthropic"

    def __init__(self, *, max_tokens: int | None = None) -> None:
        self._max_tokens = max_tokens

    # the client's side

    def read_request(self, body: Mapping[str, Any]) -> Chat:
        """A client's request. Raises :class:`Refused` (``invalid_request`` with ``param``)."""
        return anthropic_reading.read_request(body)

    def read_count_request(self, body: Mapping[str, Any]) -> Chat:
        """A client's request to ``count_tokens``; refused as above."""
        return anthropic_reading.read_request(body, counting=True)

    def write_answer(self, answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
        """A whole answer."""
        return anthropic_answers.write_answer(answer, told)

    def write_count_answer(self, input_tokens: int) -> dict[str, Any]:
        """The answer of ``count_tokens``."""
        return {"input_tokens": input_tokens}

    def encoder(self, chat: Chat, told: Told) -> Encoder:
        """For one stream."""
        return AnthropicEncoder(told)

    def write_error(self, error: Refused, *, request_id: str) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        return anthropic_errors.status_and_type(error)[0], anthropic_errors.write_error(error, request_id=request_id)

    # the provider's side

    def write_request(self, chat: Chat, model: str) -> Outgoing:
        """The request. Raises :class:`Refused` (``unsupported`` with ``param``)."""
        return anthropic_writing.write_request(chat, model, max_tokens=self._max_tokens)

    def write_count_request(self, chat: Chat, model: str) -> Outgoing:
        """The request to ``count_tokens``; refused as above."""
        return anthropic_writing.write_count_request(chat, model)

    def read_answer(self, body: Mapping[str, Any]) -> Answer:
        """A whole answer. Raises :class:`ValueError` for what is not one."""
        return anthropic_answers.read_answer(body)

    def read_count_answer(self, body: Mapping[str, Any]) -> int:
        """Tokens. Raises :class:`ValueError` when there are none that can be believed."""
        usage = anthropic_usage.read_usage({"input_tokens": body.get("input_tokens")})
        if usage is None:
            raise ValueError("no count of tokens")
        return usage.input_tokens

    def decoder(self) -> Decoder:
        """For one stream."""
        return AnthropicDecoder()

    def tap(self, *, told: Told, include_usage: bool) -> Tap:
        """For one stream that is passed through. Usage is a part of every answer here, asked for or not."""
        return AnthropicTap(told)

    def read_usage(self, body: bytes) -> Usage | None:
        """Of a whole answer."""
        try:
            found = _UsageOnly.decode(body)
        except (ValueError, RecursionError):
            return None
        return anthropic_usage.read_usage(found.usage)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
        """What an answer that is not 2xx says."""
        return anthropic_errors.read_error(status, headers, body)


class _Billed(msgspec.Struct):
    """The one field of an answer that is decoded; the others are skipped over, which costs a third."""

    usage: Any = None


_UsageOnly = msgspec.json.Decoder(_Billed)
