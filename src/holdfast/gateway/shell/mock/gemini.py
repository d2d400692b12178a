"""Google's Gemini, as its API reference gives it (``/v1beta/models/NAME:generateContent`` and its like).

Each chunk of a stream is a whole ``GenerateContentResponse`` with the usage so far. The finish reason of a tool call is
``STOP``, a call comes in one piece, and ``candidatesTokenCount`` has no thoughts in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from holdfast.gateway.shell.mock.answers import Asked, Finish, Frame, Turn, Unreadable, tokens_of, weight_of
from holdfast.gateway.shell.mock.wire import (
    IMAGE_TOKENS,
    ServerSentEvents,
    encode,
    listed,
    parsed,
    texts,
    whole_number,
)

_FINISH: Final[dict[Finish, str]] = {"stop": "STOP", "length": "MAX_TOKENS", "tool": "STOP", "refusal": "SAFETY"}
_ERRORS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_SIGNATURE: Final = "bW9jay1zaWduYXR1cmU="


class Gemini(ServerSentEvents):
    """Generating content, and counting its tokens."""

    name = "gemini"

    def read(self, body: dict[str, Any], model: str) -> Asked:
        """See :class:`~.wire.Wire`."""
        contents = listed(body.get("contents"), "contents")
        if not contents:
            raise Unreadable("contents must not be empty")
        asked = Asked(model=model, body=body)
        count = tokens_of(texts((body.get("systemInstruction") or {}).get("parts")))
        for content in contents:
            asked.tool_result = None
            parts = listed(content.get("parts"), "parts")
            text = texts(parts)
            count += tokens_of(text)
            for part in parts:
                if "functionResponse" in part:
                    asked.tool_result = _told(part["functionResponse"])
                    count += tokens_of(asked.tool_result)
                elif "inlineData" in part or "fileData" in part:
                    count += IMAGE_TOKENS
                elif "text" not in part:
                    count += weight_of(part)
            if content.get("role", "user") == "user" and text:
                asked.text = text
        if tools := body.get("tools"):
            declared = [tool.get("functionDeclarations") or [] for tool in listed(tools, "tools")]
            asked.tools = [str(function.get("name")) for functions in declared for function in functions]
            count += weight_of(tools)
        calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        if calling.get("mode") == "ANY":
            asked.forced = str((calling.get("allowedFunctionNames") or [""])[0])
        options = body.get("generationConfig") or {}
        asked.schema = options.get("responseJsonSchema") or options.get("responseSchema")
        asked.json_object = options.get("responseMimeType") == "application/json"
        asked.choices = min(whole_number(options.get("candidateCount")) or 1, 8)
        asked.max_tokens = whole_number(options.get("maxOutputTokens"))
        asked.prompt_tokens = count
        return asked

    def whole(self, turn: Turn) -> bytes:
        """See :class:`~.wire.Wire`."""
        parts: list[dict[str, Any]] = []
        if turn.thoughts:
            parts.append({"text": turn.thought, "thought": True})
        if turn.pieces:
            parts.append({"text": turn.text})
        parts += self._calls(turn)
        output = 0 if turn.usage is None else turn.usage.output
        return encode(self._chunk(turn, range(turn.asked.choices), parts, output, finish=_FINISH[turn.finish]))

    def frames(self, turn: Turn) -> Iterator[Frame]:
        """See :class:`~.wire.Wire`. One chunk is one token, or one call; the last has the finish reason."""
        sent = 0
        choices = range(turn.asked.choices)
        spoken = ({"text": piece} for piece in turn.spoken)
        thought = ({"text": thought, "thought": True} for thought in turn.thoughts)
        for parts in (thought, spoken):
            for part in parts:
                for choice in choices:
                    sent += 1
                    yield self._event(self._chunk(turn, (choice,), [part], sent)), 1
        for part, call in zip(self._calls(turn), turn.calls, strict=True):
            for choice in choices:
                sent += call.tokens
                yield self._event(self._chunk(turn, (choice,), [part], sent)), call.tokens
        output = 0 if turn.usage is None else turn.usage.output
        yield self._event(self._chunk(turn, choices, [{"text": ""}], output, finish=_FINISH[turn.finish])), 0

    def error(self, status: int, message: str, retry_after: float | None = None) -> bytes:
        """See :class:`~.wire.Wire`."""
        return encode(self._error(status, message, retry_after))

    def broken(self) -> bytes:
        """See :class:`~.wire.Wire`."""
        return self._event(self._error(503, "the mock ends this stream with an error", None))

    @staticmethod
    def _event(data: Any) -> bytes:
        return b"data: %b\r\n\r\n" % encode(data)  # Google ends its lines so

    @staticmethod
    def _error(status: int, message: str, retry_after: float | None) -> dict[str, Any]:
        kind = _ERRORS.get(status, "INTERNAL")
        error: dict[str, Any] = {"code": status, "message": message, "status": kind}
        if retry_after is not None:
            delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_after:g}s"}
            error["details"] = [delay]
        return {"error": error}

    @staticmethod
    def _calls(turn: Turn) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = [
            {"functionCall": {"id": call.id, "name": call.name, "args": parsed(call.arguments)}} for call in turn.calls
        ]
        if turn.thoughts and calls:
            calls[0]["thoughtSignature"] = _SIGNATURE
        return calls

    @staticmethod
    def _chunk(
        turn: Turn, choices: Any, parts: list[dict[str, Any]], sent: int, *, finish: str | None = None
    ) -> dict[str, Any]:
        end = {} if finish is None else {"finishReason": finish}
        candidates = [{"content": {"parts": parts, "role": "model"}, **end, "index": n} for n in choices]
        chunk: dict[str, Any] = {
            "candidates": candidates,
            "modelVersion": turn.asked.model,
            "responseId": f"resp_{turn.number:08d}",
        }
        told = turn.usage
        if told is not None:
            reasoning = told.reasoning if finish is not None else min(told.reasoning, sent)
            # A lie is told from the first chunk on.
            output = told.output if told.output != turn.tokens * turn.asked.choices else sent
            usage = {
                "promptTokenCount": told.prompt,
                "candidatesTokenCount": output - reasoning,
                "totalTokenCount": told.prompt + output,
            }
            if reasoning:
                usage["thoughtsTokenCount"] = reasoning
            if told.cached:
                usage["cachedContentTokenCount"] = told.cached
            chunk["usageMetadata"] = usage
        return chunk


def _told(response: dict[str, Any]) -> str:
    """What a tool told: the only field of its answer when that is a text, else all of it."""
    inner = response.get("response")
    if isinstance(inner, dict) and len(inner) == 1:
        only = next(iter(inner.values()))
        if isinstance(only, str):
            return only
    return encode(inner).decode()
