"""Amazon Bedrock's Converse and ConverseStream, the provider's side.

Clients do not speak it to us: they would have to sign for AWS with keys that a gateway's clients do not have. So
reading a client's request is refused by name, as is writing an answer to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from holdfast.gateway.core.conversation import Answer, Chat, ProtocolName
from holdfast.gateway.core.dialect import Encoder, Outgoing, Told
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire import bedrock_answer, bedrock_writing
from holdfast.gateway.core.wire.bedrock_stream import BedrockDecoder, BedrockTap
from holdfast.gateway.errors import Refused

__all__ = ["Bedrock"]


class _Usage(msgspec.Struct):
    """The one field that is decoded of an answer that is passed through."""

    usage: dict[str, Any] | None = None


_usage = msgspec.json.Decoder(_Usage)


class Bedrock:
    """See :class:`~holdfast.gateway.core.dialect.Dialect`."""

    name: ProtocolName = "bedrock"

    def read_request(self, body: Mapping[str, Any]) -> Chat:
        """Refused: clients speak another protocol."""
        del body
        _refuse()

    def write_answer(self, answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
        """Refused, as above."""
        del answer, chat, told
        _refuse()

    def encoder(self, chat: Chat, told: Told) -> Encoder:
        """Refused, as above."""
        del chat, told
        _refuse()

    def write_error(self, error: Refused, *, request_id: str) -> tuple[int, dict[str, Any]]:
        """Status and body; the id of the request is in the headers."""
        del request_id
        return error.status, {"message": str(error)}

    def write_request(self, chat: Chat, model: str) -> Outgoing:
        """A request to a provider. It has to be signed (:mod:`.sigv4`) or to carry a Bedrock API key."""
        return bedrock_writing.write_request(chat, model)

    def read_answer(self, body: Mapping[str, Any]) -> Answer:
        """A whole answer."""
        return bedrock_answer.read_answer(body)

    def decoder(self) -> BedrockDecoder:
        """For one stream, whose messages :class:`.eventstream.Frames` tells apart."""
        return BedrockDecoder()

    def tap(self, *, told: Told, include_usage: bool) -> BedrockTap:
        """For one stream that is passed through."""
        del told, include_usage
        return BedrockTap()

    def read_usage(self, body: bytes) -> Usage | None:
        """Of a whole answer that is passed through."""
        try:
            return bedrock_answer.read_usage(_usage.decode(body).usage)
        except (ValueError, RecursionError):
            return None

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
        """What an answer that is not 2xx says."""
        return bedrock_answer.read_error(status, headers, body)


def _refuse() -> NoReturn:
    msg = "clients do not speak Converse here: use the OpenAI, Anthropic or Gemini protocol"
    raise Refused("unsupported", msg)
