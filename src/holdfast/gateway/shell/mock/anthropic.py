"""Anthropic's messages, as its API reference gives them (``/v1/messages``, version 2023-06-01)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from holdfast.gateway.shell.mock.answers import Asked, Finish, Frame, Turn, Unreadable, tokens_of, weight_of
from holdfast.gateway.shell.mock.wire import (
    IMAGE_TOKENS,
    ServerSentEvents,
    encode,
    event,
    listed,
    parsed,
    texts,
    whole_number,
)

_FINISH: Final[dict[Finish, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool": "tool_use",
    "refusal": "refusal",
}
_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_SIGNATURE: Final = "bW9jay1zaWduYXR1cmU="


def _usage(turn: Turn, output: int) -> dict[str, Any]:
    told = turn.usage
    if told is None:
        return {}
    return {
        # The three parts of the input add up to all of it.
        "input_tokens": told.prompt - told.cached - told.cache_write,
        "cache_creation_input_tokens": told.cache_write,
        "cache_read_input_tokens": told.cached,
        "output_tokens": output,
        "service_tier": "standard",
    }


class AnthropicMessages(ServerSentEvents):
    """Messages, and counting their tokens."""

    name = "anthropic"

    def read(self, body: dict[str, Any], model: str) -> Asked:
        """See :class:`~.wire.Wire`."""
        messages = listed(body.get("messages"), "messages")
        if not messages:
            raise Unreadable("messages: at least one message is required")
        asked = Asked(model=model, stream=body.get("stream") is True, body=body)
        count = tokens_of(texts(body.get("system")))
        for message in messages:
            content = message.get("content")
            text = texts(content)
            count += tokens_of(text)
            asked.tool_result = None
            if isinstance(content, list):
                for block in listed(content, "content"):
                    kind = block.get("type")
                    if kind == "tool_result":
                        asked.tool_result = texts(block.get("content"))
                        count += tokens_of(asked.tool_result)
                    elif kind == "image":
                        count += IMAGE_TOKENS
                    elif kind != "text":
                        count += weight_of(block)
            if message.get("role") == "user" and text:
                asked.text = text
        if tools := body.get("tools"):
            asked.tools = [str(tool.get("name")) for tool in listed(tools, "tools")]
            count += weight_of(tools)
        choice = body.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
            asked.forced = str(choice.get("name", ""))
        thinking = body.get("thinking")
        asked.thinks = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
        shape = body.get("output_format") or (body.get("output_config") or {}).get("format")
        if isinstance(shape, dict):
            asked.schema = shape.get("schema")
        asked.max_tokens = whole_number(body.get("max_tokens"))
        asked.prompt_tokens = count
        return asked

    def whole(self, turn: Turn) -> bytes:
        """See :class:`~.wire.Wire`."""
        content: list[dict[str, Any]] = []
        if turn.thoughts:
            content.append({"type": "thinking", "thinking": turn.thought, "signature": _SIGNATURE})
        if turn.pieces:
            content.append({"type": "text", "text": turn.text})
        content += [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": parsed(call.arguments)}
            for call in turn.calls
        ]
        answer = self._message(turn) | {"content": content, "stop_reason": _FINISH[turn.finish]}
        if turn.usage is None:
            del answer["usage"]
        else:
            answer["usage"] = _usage(turn, turn.usage.output)
        return encode(answer)

    def frames(self, turn: Turn) -> Iterator[Frame]:
        """See :class:`~.wire.Wire`. One delta is one token; a tool's name is one too, told by its block's start."""
        yield event(b"message_start", {"type": "message_start", "message": self._message(turn)}), 0
        index = 0
        if turn.thoughts:
            yield self._start(index, {"type": "thinking", "thinking": "", "signature": ""}), 0
            yield event(b"ping", {"type": "ping"}), 0
            for thought in turn.thoughts:
                yield self._delta(index, {"type": "thinking_delta", "thinking": thought}), 1
            yield self._delta(index, {"type": "signature_delta", "signature": _SIGNATURE}), 0
            yield self._stop(index), 0
            index += 1
        if turn.pieces:
            yield self._start(index, {"type": "text", "text": ""}), 0
            if not turn.thoughts:
                yield event(b"ping", {"type": "ping"}), 0
            left = (
                b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
                b'"delta":{"type":"text_delta","text":' % index
            )
            for piece in turn.spoken:
                yield left + encode(piece) + b"}}\n\n", 1
            yield self._stop(index), 0
            index += 1
        for call in turn.calls:
            yield self._start(index, {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}), 1
            for part in call.pieces:
                yield self._delta(index, {"type": "input_json_delta", "partial_json": part}), 1
            yield self._stop(index), 0
            index += 1
        end: dict[str, Any] = {"stop_reason": _FINISH[turn.finish], "stop_sequence": None}
        last: dict[str, Any] = {"type": "message_delta", "delta": end}
        if turn.usage is not None:
            last["usage"] = _usage(turn, turn.usage.output)
        yield event(b"message_delta", last), 0
        yield event(b"message_stop", {"type": "message_stop"}), 0

    def error(self, status: int, message: str, retry_after: float | None = None) -> bytes:
        """See :class:`~.wire.Wire`."""
        kind = _ERRORS.get(status, "api_error")
        return encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_mock"})

    def broken(self) -> bytes:
        """See :class:`~.wire.Wire`."""
        error = {"type": "overloaded_error", "message": "the mock ends this stream with an error"}
        return event(b"error", {"type": "error", "error": error})

    @staticmethod
    def _message(turn: Turn) -> dict[str, Any]:
        return {
            "id": f"msg_{turn.number:08d}",
            "type": "message",
            "role": "assistant",
            "model": turn.asked.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            # The official client insists on these two, whatever else is missing.
            "usage": _usage(turn, 1) or {"input_tokens": 0, "output_tokens": 0},
        }

    @staticmethod
    def _start(index: int, block: dict[str, Any]) -> bytes:
        return event(b"content_block_start", {"type": "content_block_start", "index": index, "content_block": block})

    @staticmethod
    def _delta(index: int, delta: dict[str, Any]) -> bytes:
        return event(b"content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})

    @staticmethod
    def _stop(index: int) -> bytes:
        return event(b"content_block_stop", {"type": "content_block_stop", "index": index})
