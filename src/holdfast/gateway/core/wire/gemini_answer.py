"""Answers of Gemini (``GenerateContentResponse``): what stands in one, whole or a piece of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    Answer,
    Chat,
    Choice,
    Finish,
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage

__all__ = [
    "arguments_of",
    "call_id",
    "finish_of",
    "read_answer",
    "read_part",
    "read_parts",
    "read_usage",
    "write_answer",
    "write_part",
    "write_usage",
]

_LARGEST = 1 << 40

_FINISH: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""All others (``MALFORMED_FUNCTION_CALL``, ``UNEXPECTED_TOOL_CALL``, ``OTHER``, ...) are errors of the model."""

_REASONS: dict[Finish, str] = {
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "error": "OTHER",
}


def finish_of(reason: object, *, called: bool) -> Finish:
    """Gemini says ``STOP`` also when it wants tools to be called."""
    finish = _FINISH.get(reason, "error") if isinstance(reason, str) else "stop"
    return "tool_calls" if called and finish == "stop" else finish


def call_id(response_id: str, index: int) -> str:
    """For calls that come without an id: the same for the same answer, different over a conversation.

    At most 40 characters of ``[A-Za-z0-9_-]``, which is what other providers accept when they get it back.
    """
    safe = "".join(c for c in response_id[:28] if c.isascii() and (c.isalnum() or c in "-_"))
    return f"call_{safe}_{index}" if safe else f"call_{index}"


def read_usage(found: object) -> Usage | None:
    """``usageMetadata``; ``None`` without one, or when it cannot be: nobody is billed for nonsense.

    ``promptTokenCount`` has the cached ones in it, ``candidatesTokenCount`` has no thoughts in it.
    """
    if not isinstance(found, Mapping) or "promptTokenCount" not in found:
        return None
    names = (
        "promptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "cachedContentTokenCount",
        "toolUsePromptTokenCount",
    )
    counts = [found.get(name) or 0 for name in names]
    if any(type(count) is not int or not 0 <= count <= _LARGEST for count in counts):
        return None
    prompt, candidates, thoughts, cached, tools = counts
    heard = _of(found.get("promptTokensDetails"), "AUDIO")
    seen = _of(found.get("promptTokensDetails"), "IMAGE")
    spoken = _of(found.get("candidatesTokensDetails"), "AUDIO")
    if cached > prompt or heard + seen > prompt or spoken > candidates:
        return None
    return Usage(
        input_tokens=prompt + tools,
        output_tokens=candidates + thoughts,
        cache_read_tokens=cached,
        reasoning_tokens=thoughts,
        audio_input_tokens=heard,
        audio_output_tokens=spoken,
        image_input_tokens=seen,
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """As ``usageMetadata``."""
    written = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": max(0, usage.output_tokens - usage.reasoning_tokens),
        "totalTokenCount": usage.total_tokens,
    }
    if usage.reasoning_tokens:
        written["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.cache_read_tokens:
        written["cachedContentTokenCount"] = usage.cache_read_tokens
    return written


def read_answer(body: Mapping[str, Any]) -> Answer:
    """A whole answer. Raises :class:`ValueError` for what is not one.

    A prompt that was blocked has no candidate: it is one choice that the filter took.
    """
    response_id = _text(body.get("responseId"))
    feedback = body.get("promptFeedback")
    blocked = isinstance(feedback, Mapping) and bool(feedback.get("blockReason"))
    candidates = body.get("candidates")
    if not isinstance(candidates, list):
        candidates = []
    if not candidates and not blocked:
        msg = "an answer without candidates"
        raise ValueError(msg)
    choices = tuple(_choice(candidate, at, response_id) for at, candidate in enumerate(candidates))
    return Answer(
        id=response_id,
        model=_text(body.get("modelVersion")),
        created=0,
        choices=choices or (Choice(finish="content_filter"),),
        usage=read_usage(body.get("usageMetadata")),
        extra={"promptFeedback": feedback} if isinstance(feedback, Mapping) else {},
    )


def write_answer(answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
    """A whole answer, to a client of Gemini's protocol."""
    del chat
    candidates = []
    for choice in answer.choices:
        parts: list[dict[str, Any]] = []
        reason = _REASONS.get(choice.finish, "STOP")
        for part in choice.parts:
            written = write_part(part)
            if written is None and isinstance(part, ToolCall):
                reason = "MALFORMED_FUNCTION_CALL"
            elif written is not None:
                parts.append(written)
        candidates.append({"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": choice.index})
    body: dict[str, Any] = {"candidates": candidates, "modelVersion": told.model, "responseId": told.id}
    if answer.usage is not None:
        body["usageMetadata"] = write_usage(answer.usage)
    return body


def write_part(part: Part) -> dict[str, Any] | None:
    """A part of an answer; ``None`` for what cannot be said here: arguments that are no object, others' blocks."""
    match part:
        case Text() | Refusal():
            return {"text": part.text}
        case Thinking():
            thought: dict[str, Any] = {"text": part.text}
            if part.text:
                thought["thought"] = True
            if part.protocol == "gemini" and part.signature:
                thought["thoughtSignature"] = part.signature
            return thought if part.text or "thoughtSignature" in thought else None
        case ToolCall():
            arguments = arguments_of(part.arguments)
            if arguments is None:
                return None
            call: dict[str, Any] = {"functionCall": {"id": part.id, "name": part.name, "args": arguments}}
            return {**(part.raw or {}), **call} if set(part.raw or ()) <= {"thoughtSignature"} else call
        case Media() if part.data is not None:
            return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
        case Opaque() if part.protocol == "gemini":
            return dict(part.raw)
    return None


def arguments_of(text: str) -> Mapping[str, Any] | None:
    """Arguments as the object that this protocol wants; ``None`` when it is none. Nothing is no argument."""
    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _choice(candidate: object, at: int, response_id: str) -> Choice:
    if not isinstance(candidate, Mapping):
        msg = "a candidate that is no object"
        raise ValueError(msg)  # noqa: TRY004 - what a provider sends, not what a caller passes
    index = candidate.get("index")
    parts = tuple(read_parts(candidate, response_id))
    called = any(isinstance(part, ToolCall) for part in parts)
    return Choice(
        index=index if type(index) is int and 0 <= index < 1024 else at,
        parts=parts,
        finish=finish_of(candidate.get("finishReason"), called=called),
        logprobs=candidate.get("logprobsResult"),
    )


def read_parts(candidate: Mapping[str, Any], response_id: str, calls: int = 0) -> list[Part]:
    """What a candidate says; ``calls`` came before in its stream. Raises :class:`ValueError`."""
    content = candidate.get("content")
    found = content.get("parts") if isinstance(content, Mapping) else None
    if found is None:
        return []
    if not isinstance(found, list):
        msg = "parts that are no list"
        raise ValueError(msg)  # noqa: TRY004
    parts: list[Part] = []
    for part in found:
        if not isinstance(part, Mapping):
            msg = "a part that is no object"
            raise ValueError(msg)  # noqa: TRY004
        read = read_part(part, response_id, calls)
        calls += sum(isinstance(one, ToolCall) for one in read)
        parts += read
    return parts


def read_part(part: Mapping[str, Any], response_id: str, calls: int) -> Sequence[Part]:
    """One part: often one, and one more where a text is signed. Raises :class:`ValueError`."""
    signature = part.get("thoughtSignature", part.get("thought_signature"))
    signature = signature if isinstance(signature, str) and signature else None
    if "functionCall" in part:
        call = part["functionCall"]
        if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
            msg = "a function call without a name"
            raise ValueError(msg)
        given = call.get("id")
        return (
            ToolCall(
                id=given if isinstance(given, str) and given else call_id(response_id, calls),
                name=call["name"],
                arguments=msgspec.json.encode(call.get("args") or {}).decode(),
                raw={"thoughtSignature": signature} if signature else None,
            ),
        )
    text = part.get("text")
    if isinstance(text, str):
        if part.get("thought") is True:
            return (Thinking(text=text, signature=signature, protocol="gemini"),)
        said = (Text(text=text),) if text else ()
        # Gemini signs texts too, also an empty one at the end; the signature goes back in a part of its own.
        return (*said, Thinking(signature=signature, protocol="gemini")) if signature else said
    inline = part.get("inlineData")
    if isinstance(inline, Mapping) and isinstance(inline.get("data"), str):
        kind = _text(inline.get("mimeType"))
        medium = kind.partition("/")[0]
        return (
            Media(
                kind="image" if medium == "image" else "audio" if medium == "audio" else "document",
                data=inline["data"],
                media_type=kind,
            ),
        )
    return (Opaque(protocol="gemini", raw=part),)


def _of(details: object, modality: str) -> int:
    if not isinstance(details, list):
        return 0
    count = 0
    for one in details:
        if isinstance(one, Mapping) and one.get("modality") == modality:
            tokens = one.get("tokenCount")
            count += tokens if type(tokens) is int and 0 <= tokens <= _LARGEST else 0
    return count


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
