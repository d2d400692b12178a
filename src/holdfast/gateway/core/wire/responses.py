"""OpenAI's Responses API: ``POST /v1/responses``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import Answer, Chat, ProtocolName
from holdfast.gateway.core.dialect import Outgoing, Told
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire import (
    openai_errors,
    responses_answers,
    responses_reading,
    responses_sealed,
    responses_writing,
)
from holdfast.gateway.core.wire.responses_decoder import ResponsesDecoder
from holdfast.gateway.core.wire.responses_encoder import ResponsesEncoder
from holdfast.gateway.core.wire.responses_tap import ResponsesTap
from holdfast.gateway.errors import Refused

__all__ = ["Responses"]


class _Body(msgspec.Struct):
    """The one field of an answer that is decoded when the rest is passed through."""

    usage: msgspec.Raw = msgspec.Raw(b"null")


_body = msgspec.json.Decoder(_Body)


class Responses:
    """A :class:`~..dialect.Dialect`; its two additions decide whether a request may leave or stay in the protocol."""

    name: ProtocolName = "responses"

    def needs_same_protocol(self, body: Mapping[str, Any]) -> str | None:
        """The parameter for which only a provider of this protocol will do, such as ``previous_response_id``."""
        return responses_reading.needs_same_protocol(body)

    def needs_translation(self, body: bytes) -> bool:
        """Whether a request holds another provider's thinking, which one of this protocol must not be given."""
        return responses_sealed.present(body)

    # the client's side

    def read_request(self, body: Mapping[str, Any]) -> Chat:
        """A client's request. Raises :class:`Refused` (``invalid_request`` with ``param``)."""
        return responses_reading.read_request(body)

    def write_answer(self, answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
        """A whole answer, the object ``response``."""
        return responses_answers.write_answer(answer, chat, told)

    def encoder(self, chat: Chat, told: Told) -> ResponsesEncoder:
        """For one stream."""
        return ResponsesEncoder(chat, told)

    def write_error(self, error: Refused, *, request_id: str) -> tuple[int, dict[str, Any]]:
        """As chat completions has it."""
        return openai_errors.write_error(error, request_id=request_id)

    # the provider's side

    def write_request(self, chat: Chat, model: str) -> Outgoing:
        """The request for a provider. Raises :class:`Refused` (``unsupported`` with ``param``)."""
        return responses_writing.write_request(chat, model)

    def read_answer(self, body: Mapping[str, Any]) -> Answer:
        """A whole answer. Raises :class:`ValueError` for what is not one."""
        return responses_answers.read_answer(body)

    def decoder(self) -> ResponsesDecoder:
        """For one stream."""
        return ResponsesDecoder()

    def tap(self, *, told: Told, include_usage: bool) -> ResponsesTap:
        """For one stream that is passed through; its usage is never optional."""
        return ResponsesTap(told)

    def read_usage(self, body: bytes) -> Usage | None:
        """Of a whole answer that is passed through; ``None`` when it has none that can be believed."""
        try:
            return responses_answers.read_usage(msgspec.json.decode(_body.decode(body).usage))
        except (ValueError, RecursionError):  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
            return None

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
        """What an answer that is not 2xx says."""
        return openai_errors.read_error(status, headers, body)
