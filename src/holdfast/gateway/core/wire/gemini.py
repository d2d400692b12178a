"""Google's Gemini API, v1beta: ``generateContent`` and ``streamGenerateContent?alt=sse``, on both sides.

The model of a client's request stands in its path; whoever reads the path puts it into ``body["model"]``, and whether
it is to be streamed into ``body["stream"]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import Answer, Chat, ProtocolName
from holdfast.gateway.core.dialect import Outgoing, Told
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire import gemini_answer, gemini_errors, gemini_reading, gemini_writing
from holdfast.gateway.core.wire.gemini_stream import GeminiDecoder, GeminiEncoder, GeminiTap
from holdfast.gateway.errors import Refused

__all__ = ["Gemini"]


class _Usage(msgspec.Struct, rename="camel"):
    """The one field that is decoded of an answer that is passed through."""

    usage_metadata: dict[str, Any] | None = None


_usage = msgspec.json.Decoder(_Usage)


class Gemini:
    """See :class:`~holdfast.gateway.core.dialect.Dialect`."""

    name: ProtocolName = "gemini"

    def read_request(self, body: Mapping[str, Any]) -> Chat:
        """A client's request."""
        return gemini_reading.read_request(body)

    def write_answer(self, answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
        """A whole answer."""
        return gemini_answer.write_answer(answer, chat, told)

    def encoder(self, chat: Chat, told: Told) -> GeminiEncoder:
        """For one stream."""
        return GeminiEncoder(chat, told)

    def write_error(self, error: Refused, *, request_id: str) -> tuple[int, dict[str, Any]]:
        """Status and body. The id of the request has no place in this protocol's errors; it is in the headers."""
        del request_id
        return gemini_errors.write_error(error)

    def write_request(self, chat: Chat, model: str) -> Outgoing:
        """A request to a provider."""
        return gemini_writing.write_request(chat, model)

    def read_answer(self, body: Mapping[str, Any]) -> Answer:
        """A whole answer."""
        return gemini_answer.read_answer(body)

    def decoder(self) -> GeminiDecoder:
        """For one stream."""
        return GeminiDecoder()

    def tap(self, *, told: Told, include_usage: bool) -> GeminiTap:
        """For one stream that is passed through, the usage with it: every frame of this protocol has it."""
        del told, include_usage
        return GeminiTap()

    def read_usage(self, body: bytes) -> Usage | None:
        """Of a whole answer that is passed through."""
        try:
            return gemini_answer.read_usage(_usage.decode(body).usage_metadata)
        except (ValueError, RecursionError):
            return None

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
        """What an answer that is not 2xx says."""
        return gemini_errors.read_error(status, headers, body)

    @staticmethod
    def write_count(tokens: int) -> dict[str, Any]:
        """The answer to ``:countTokens``."""
        return {"totalTokens": tokens}
