"""Amazon Bedrock's Converse, as its API reference gives it (``/model/NAME/converse`` and ``converse-stream``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from holdfast.gateway.shell.mock import eventstream
from holdfast.gateway.shell.mock.answers import Asked, Finish, Frame, Turn, Unreadable, tokens_of, weight_of
from holdfast.gateway.shell.mock.wire import (
    IMAGE_TOKENS,
    encode,
    listed,
    parsed,
    texts,
    whole_number,
)

_FINISH: Final[dict[Finish, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool": "tool_use",
    "refusal": "content_filtered",
}
_ERRORS: Final = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_JSON: Final = "application/json"
_PADDING: Final = "abcdefghijklmnop"
"""Bedrock pads each event in a field ``p``, which clients must not mind."""
_SIGNATURE: Final = "bW9jay1zaWduYXR1cmU="


class BedrockConverse:
    """Converse. Requests are not held to their signature, only to its access key."""

    name = "bedrock"
    stream_type = b"application/vnd.amazon.eventstream"
    lines = False

    def read(self, body: dict[str, Any], model: str) -> Asked:
        """See :class:`~.wire.Wire`."""
        messages = listed(body.get("messages"), "messages")
        if not messages:
            raise Unreadable("messages must not be empty")
        asked = Asked(model=model, body=body)
        count = tokens_of(texts(body.get("system")))
        for message in messages:
            asked.tool_result = None
            blocks = listed(message.get("content"), "content")
            text = texts(blocks)
            count += tokens_of(text)
            for block in blocks:
                if "toolResult" in block:
                    asked.tool_result = _told(block["toolResult"])
                    count += tokens_of(asked.tool_result)
                elif "image" in block:
                    count += IMAGE_TOKENS
                elif "text" not in block:
                    count += weight_of(block)
            if message.get("role") == "user" and text:
                asked.text = text
        given = body.get("toolConfig") or {}
        if tools := given.get("tools"):
            specs = [tool.get("toolSpec") for tool in listed(tools, "tools")]
            asked.tools = [str(spec.get("name")) for spec in specs if isinstance(spec, dict)]
            count += weight_of(tools)
        choice = given.get("toolChoice") or {}
        if "any" in choice or "tool" in choice:
            asked.forced = str((choice.get("tool") or {}).get("name", ""))
        asked.max_tokens = whole_number((body.get("inferenceConfig") or {}).get("maxTokens"))
        asked.prompt_tokens = count
        return asked

    def whole(self, turn: Turn) -> bytes:
        """See :class:`~.wire.Wire`."""
        content: list[dict[str, Any]] = []
        if turn.thoughts:
            thought = {"text": turn.thought, "signature": _SIGNATURE}
            content.append({"reasoningContent": {"reasoningText": thought}})
        if turn.pieces:
            content.append({"text": turn.text})
        content += [
            {"toolUse": {"toolUseId": call.id, "name": call.name, "input": parsed(call.arguments)}}
            for call in turn.calls
        ]
        answer = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": _FINISH[turn.finish]}
        return encode(answer | self._metadata(turn))

    def frames(self, turn: Turn) -> Iterator[Frame]:
        """See :class:`~.wire.Wire`. One delta is one token; a tool's name is one too. Only tools have a start."""
        yield self._event("messageStart", {"role": "assistant"}), 0
        index = 0
        if turn.thoughts:
            for thought in turn.thoughts:
                yield self._delta(index, {"reasoningContent": {"text": thought}}), 1
            yield self._delta(index, {"reasoningContent": {"signature": _SIGNATURE}}), 0
            yield self._stop(index), 0
            index += 1
        if turn.pieces:
            for piece in turn.spoken:
                yield self._delta(index, {"text": piece}), 1
            yield self._stop(index), 0
            index += 1
        for call in turn.calls:
            start = {"toolUse": {"toolUseId": call.id, "name": call.name}}
            yield self._event("contentBlockStart", {"contentBlockIndex": index, "start": start}), 1
            for part in call.pieces:
                yield self._delta(index, {"toolUse": {"input": part}}), 1
            yield self._stop(index), 0
            index += 1
        yield self._event("messageStop", {"stopReason": _FINISH[turn.finish]}), 0
        yield self._event("metadata", self._metadata(turn)), 0

    def error(self, status: int, message: str, retry_after: float | None = None) -> bytes:
        """See :class:`~.wire.Wire`. Which error it is stands in the head."""
        return encode({"message": message})

    def fields(self, number: int, status: int) -> bytes:
        """See :class:`~.wire.Wire`."""
        lines = b"x-amzn-RequestId: req_%08d\r\n" % number
        if status == 200:
            return lines
        kind = _ERRORS.get(status, "InternalServerException" if status >= 500 else "ValidationException")
        return lines + b"x-amzn-ErrorType: %b\r\n" % kind.encode()

    def broken(self) -> bytes:
        """See :class:`~.wire.Wire`."""
        payload = encode({"message": "the mock ends this stream with an error"})
        kind = "modelStreamErrorException"
        return eventstream.message(payload, exception_type=kind, content_type=_JSON, message_type="exception")

    def spoilt(self, frame: bytes) -> bytes:
        """See :class:`~.wire.Wire`."""
        return eventstream.halved(frame)

    @staticmethod
    def _event(name: str, payload: dict[str, Any]) -> bytes:
        padded = encode(payload | {"p": _PADDING})
        return eventstream.message(padded, event_type=name, content_type=_JSON, message_type="event")

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return self._event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})

    def _stop(self, index: int) -> bytes:
        return self._event("contentBlockStop", {"contentBlockIndex": index})

    @staticmethod
    def _metadata(turn: Turn) -> dict[str, Any]:
        metadata: dict[str, Any] = {"metrics": {"latencyMs": 1}}
        told = turn.usage
        if told is not None:
            usage = {
                # As at Anthropic, the three parts of the input add up to all of it.
                "inputTokens": told.prompt - told.cached - told.cache_write,
                "outputTokens": told.output,
                "totalTokens": told.prompt + told.output,
            }
            if told.cached or told.cache_write:
                usage |= {"cacheReadInputTokens": told.cached, "cacheWriteInputTokens": told.cache_write}
            metadata["usage"] = usage
        return metadata


def _told(result: dict[str, Any]) -> str:
    blocks = listed(result.get("content"), "content of a toolResult")
    return " ".join([block["text"] if "text" in block else encode(block.get("json")).decode() for block in blocks])
