"""OpenAI's chat completions, as its API reference gives them (``/v1/chat/completions``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from holdfast.gateway.shell.mock.answers import Asked, Finish, Frame, Turn, Unreadable, tokens_of, weight_of
from holdfast.gateway.shell.mock.wire import (
    IMAGE_TOKENS,
    ServerSentEvents,
    encode,
    listed,
    texts,
    whole_number,
)

FINISH: Final[dict[Finish, str]] = {
    "stop": "stop",
    "length": "length",
    "tool": "tool_calls",
    "refusal": "content_filter",
}
_ERRORS: Final = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def usage_of(turn: Turn) -> dict[str, Any] | None:
    """The usage object of chat and of completions."""
    told = turn.usage
    if told is None:
        return None
    return {
        "prompt_tokens": told.prompt,
        "completion_tokens": told.output,
        "total_tokens": told.prompt + told.output,
        "prompt_tokens_details": {
            "cached_tokens": told.cached,
            "cache_write_tokens": told.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": told.reasoning, "audio_tokens": 0},
    }


def error_of(status: int, message: str) -> bytes:
    """An error as all endpoints of OpenAI tell it."""
    type_, code = _ERRORS.get(status, ("server_error", None))
    return encode({"error": {"message": message, "type": type_, "param": None, "code": code}})


def broken_of() -> bytes:
    """The frame that ends a stream of chat or of completions with an error."""
    return b"data: %b\n\n" % error_of(500, "the mock ends this stream with an error")


class OpenAIChat(ServerSentEvents):
    """Chat completions."""

    name = "openai"

    def read(self, body: dict[str, Any], model: str) -> Asked:
        """See :class:`~.wire.Wire`."""
        messages = listed(body.get("messages"), "messages")
        if not messages:
            raise Unreadable("messages must not be empty")
        asked = Asked(model=model, stream=body.get("stream") is True, body=body)
        count = 0
        for message in messages:
            text = texts(message.get("content"))
            count += tokens_of(text)
            if message.get("role") == "user":
                asked.text = text
            if isinstance(message.get("content"), list):
                count += IMAGE_TOKENS * sum(part.get("type") == "image_url" for part in message["content"])
            count += weight_of(message.get("tool_calls"))
        if messages[-1].get("role") == "tool":
            asked.tool_result = texts(messages[-1].get("content"))
        tools = body.get("tools")
        if tools:
            functions = [tool.get("function") or {} for tool in listed(tools, "tools")]
            asked.tools = [str(function.get("name")) for function in functions]
            count += weight_of(tools)
        choice = body.get("tool_choice")
        if choice == "required":
            asked.forced = ""
        elif isinstance(choice, dict):
            asked.forced = str((choice.get("function") or {}).get("name", ""))
        shape = body.get("response_format")
        if isinstance(shape, dict):
            asked.json_object = shape.get("type") == "json_object"
            asked.schema = (shape.get("json_schema") or {}).get("schema")
        options = body.get("stream_options")
        asked.include_usage = isinstance(options, dict) and options.get("include_usage") is True
        asked.choices = min(whole_number(body.get("n")) or 1, 16)
        asked.max_tokens = whole_number(body.get("max_completion_tokens")) or whole_number(body.get("max_tokens"))
        asked.prompt_tokens = count
        return asked

    def whole(self, turn: Turn) -> bytes:
        """See :class:`~.wire.Wire`."""
        message: dict[str, Any] = {"role": "assistant", "content": turn.text if not turn.calls else None}
        message["refusal"] = None
        if turn.thoughts:
            message["reasoning_content"] = turn.thought  # as vLLM and DeepSeek name it; OpenAI shows none
        if turn.calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in turn.calls
            ]
        finish = FINISH[turn.finish]
        answer = {
            "id": f"chatcmpl-{turn.number:08d}",
            "object": "chat.completion",
            "created": turn.created,
            "model": turn.asked.model,
            "choices": [
                {"index": n, "message": message, "logprobs": None, "finish_reason": finish}
                for n in range(turn.asked.choices)
            ],
            "usage": usage_of(turn),
            "service_tier": "default",
            "system_fingerprint": "fp_mock",
        }
        if answer["usage"] is None:
            del answer["usage"]
        return encode(answer)

    def frames(self, turn: Turn) -> Iterator[Frame]:
        """See :class:`~.wire.Wire`. One frame is one token, except the first and the last ones of a choice."""
        asked = turn.asked
        start = (
            b'data: {"id":"chatcmpl-%08d","object":"chat.completion.chunk","created":%d,"model":%b,'
            % (
                turn.number,
                turn.created,
                encode(asked.model),
            )
            + b'"service_tier":"default","system_fingerprint":"fp_mock",'
        )
        tail = b',"usage":null}\n\n' if asked.include_usage else b"}\n\n"
        choices = range(asked.choices)

        def frame(index: int, delta: bytes, finish: bytes = b"null") -> bytes:
            return b'%b"choices":[{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b}]%b' % (
                start,
                index,
                delta,
                finish,
                tail,
            )

        content = b"null" if turn.calls else b'""'
        for n in choices:
            yield frame(n, b'{"role":"assistant","content":%b,"refusal":null}' % content), 0
        for thought in turn.thoughts:
            for n in choices:
                yield frame(n, b'{"reasoning_content":%b}' % encode(thought)), 1
        if asked.choices == 1:  # the common case is flat: this loop is what a benchmark of streams runs
            left, right = start + b'"choices":[{"index":0,"delta":{"content":', b"},"
            right += b'"logprobs":null,"finish_reason":null}]' + tail
            for piece in turn.spoken:
                yield left + encode(piece) + right, 1
        else:
            for piece in turn.spoken:
                for n in choices:
                    yield frame(n, b'{"content":%b}' % encode(piece)), 1
        for n in choices:
            for at, call in enumerate(turn.calls):
                opening = {"index": at, "id": call.id, "type": "function"}
                opening["function"] = {"name": call.name, "arguments": ""}
                yield frame(n, encode({"tool_calls": [opening]})), 1
                for part in call.pieces:
                    yield frame(n, encode({"tool_calls": [{"index": at, "function": {"arguments": part}}]})), 1
        finish = encode(FINISH[turn.finish])
        for n in choices:
            yield frame(n, b"{}", finish), 0
        if asked.include_usage and (usage := usage_of(turn)) is not None:
            yield b'%b"choices":[],"usage":%b}\n\n' % (start, encode(usage)), 0
        yield b"data: [DONE]\n\n", 0

    def error(self, status: int, message: str, retry_after: float | None = None) -> bytes:
        """See :class:`~.wire.Wire`."""
        return error_of(status, message)

    def broken(self) -> bytes:
        """See :class:`~.wire.Wire`."""
        return broken_of()
