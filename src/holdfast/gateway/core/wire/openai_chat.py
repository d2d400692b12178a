"""OpenAI's chat completions, and what everybody else serves under that name: the protocol in whole.

Source: OpenAI's API reference (chat/create, chat/streaming), read against its Python client; the ways in which vLLM,
Ollama, Azure and DeepSeek differ are named where they are tolerated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.gateway.core.conversation import Answer, Chat, ProtocolName
from holdfast.gateway.core.dialect import Outgoing, Told
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.openai_answer import read_answer, write_answer
from holdfast.gateway.core.wire.openai_decoder import ChatDecoder
from holdfast.gateway.core.wire.openai_encoder import ChatEncoder
from holdfast.gateway.core.wire.openai_errors import read_error, write_error
from holdfast.gateway.core.wire.openai_outgoing import write_request
from holdfast.gateway.core.wire.openai_request import read_request
from holdfast.gateway.core.wire.openai_tap import OpenAITap
from holdfast.gateway.core.wire.openai_usage import read_body_usage
from holdfast.gateway.errors import Refused

__all__ = ["OpenAIChat"]


class OpenAIChat:
    """A :class:`~holdfast.gateway.core.dialect.Dialect`."""

    name: ProtocolName = "openai"

    def read_request(self, body: Mapping[str, Any]) -> Chat:
        """A client's request."""
        return read_request(body)

    def write_answer(self, answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
        """A whole answer."""
        return write_answer(answer, chat, told)

    def encoder(self, chat: Chat, told: Told) -> ChatEncoder:
        """For one stream."""
        return ChatEncoder(chat, told)

    def write_error(self, error: Refused, *, request_id: str) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        return write_error(error, request_id=request_id)

    def write_request(self, chat: Chat, model: str) -> Outgoing:
        """The request under the provider's own name of the model."""
        return write_request(chat, model)

    def read_answer(self, body: Mapping[str, Any]) -> Answer:
        """A whole answer."""
        return read_answer(body)

    def decoder(self) -> ChatDecoder:
        """For one stream."""
        return ChatDecoder()

    def tap(self, *, told: Told, include_usage: bool) -> OpenAITap:
        """For one stream that is passed through; names in it stay the provider's own."""
        return OpenAITap(include_usage=include_usage)

    def read_usage(self, body: bytes) -> Usage | None:
        """Of a whole answer that is passed through."""
        return read_body_usage(body)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
        """What an answer that is not 2xx says."""
        return read_error(status, headers, body)
