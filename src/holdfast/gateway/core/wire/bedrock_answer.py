"""Answers of Bedrock's Converse: content blocks, stop reasons, usage, exceptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    Answer,
    Choice,
    Finish,
    Media,
    Opaque,
    Part,
    ProtocolName,
    Text,
    Thinking,
    ToolCall,
)
from holdfast.gateway.core.outcome import Failure, Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.openai_errors import masked
from holdfast.gateway.core.wire.retry import retry_after_s

__all__ = ["exception", "finish_of", "read_answer", "read_error", "read_usage"]

_LARGEST = 1 << 40
_BEDROCK: ProtocolName = "bedrock"

_FINISH: dict[str, Finish] = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "model_context_window_exceeded": "length",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}

_EXCEPTIONS: dict[str, tuple[Failure, int]] = {
    "throttlingexception": ("rate_limited", 429),
    "servicequotaexceededexception": ("rate_limited", 400),
    "modelnotreadyexception": ("overloaded", 429),
    "serviceunavailableexception": ("overloaded", 503),
    "modeltimeoutexception": ("server_error", 408),
    "modelerrorexception": ("server_error", 424),
    "modelstreamerrorexception": ("server_error", 424),
    "internalserverexception": ("server_error", 500),
    "validationexception": ("rejected", 400),
    "resourcenotfoundexception": ("rejected", 404),
    "accessdeniedexception": ("auth", 403),
    "unrecognizedclientexception": ("auth", 403),
    "invalidsignatureexception": ("auth", 403),
    "expiredtokenexception": ("auth", 403),
    "incompletesignatureexception": ("auth", 400),
    "missingauthenticationtokenexception": ("auth", 403),
}
"""Amazon Bedrock API Reference, "Converse", Errors, and the errors that are common to AWS's services."""


def finish_of(reason: object) -> Finish:
    """A reason that is not known is an error of the model: it stopped, and nobody knows why."""
    return _FINISH.get(reason, "error") if isinstance(reason, str) else "error"


def read_usage(found: object) -> Usage | None:
    """``usage``; ``None`` without one, or when it cannot be.

    ``inputTokens`` has neither cache reads nor cache writes in it, as Anthropic's has not; both are added here.
    """
    if not isinstance(found, Mapping) or "inputTokens" not in found:
        return None
    names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    counts = [found.get(name) or 0 for name in names]
    if any(type(count) is not int or not 0 <= count <= _LARGEST for count in counts):
        return None
    given, output, read, written = counts
    long = 0
    details = found.get("cacheDetails")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and detail.get("ttl") == "1h":
            tokens = detail.get("inputTokens")
            long += tokens if type(tokens) is int and 0 <= tokens <= _LARGEST else 0
    long = min(long, written)
    return Usage(
        input_tokens=given + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written - long,
        cache_write_long_tokens=long,
    )


def read_answer(body: Mapping[str, Any]) -> Answer:
    """A whole answer. Raises :class:`ValueError` for what is not one. It has neither an id nor a model's name."""
    output = body.get("output")
    message = output.get("message") if isinstance(output, Mapping) else None
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list) or not isinstance(body.get("stopReason"), str):
        msg = "an answer without a message"
        raise ValueError(msg)  # noqa: TRY004 - what a provider sends, not what a caller passes
    extra = {key: body[key] for key in ("trace", "additionalModelResponseFields") if body.get(key) is not None}
    return Answer(
        id="",
        model="",
        created=0,
        choices=(Choice(parts=tuple(_block(block) for block in content), finish=finish_of(body["stopReason"])),),
        usage=read_usage(body.get("usage")),
        extra=extra,
    )


def _block(block: Any) -> Part:
    match block:
        case {"text": str(text)}:
            return Text(text=text)
        case {"toolUse": {"toolUseId": str(call), "name": str(name), **rest}}:
            return ToolCall(id=call, name=name, arguments=msgspec.json.encode(rest.get("input", {})).decode())
        case {"reasoningContent": {"reasoningText": {"text": str(text), **rest}}}:
            signature = rest.get("signature")
            return Thinking(
                text=text, signature=signature if isinstance(signature, str) else None, protocol=_BEDROCK, raw=block
            )
        case {"reasoningContent": {**_rest}}:
            return Thinking(protocol=_BEDROCK, raw=block)
        case {"image": {"format": str(form), "source": {"bytes": str(data)}}}:
            return Media(kind="image", data=data, media_type=f"image/{form}")
        case {**_rest}:
            return Opaque(protocol=_BEDROCK, raw=block)
    msg = "a content block that is no object"
    raise ValueError(msg)


def exception(name: str, payload: bytes, status: int = 0) -> Rejection:
    """An exception by its name, as an event of a stream or as an answer (then with ``status``)."""
    failure, usual = _EXCEPTIONS.get(name.lower(), (_by_status(status), 500))
    message = ""
    try:
        found = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, Mapping):
        said = found.get("message", found.get("Message"))
        message = said if isinstance(said, str) else ""
        original = found.get("originalStatusCode")  # modelStreamErrorException: what the model's own server said
        if failure == "server_error" and original in (429, 503, 529):
            failure = "rate_limited" if original == 429 else "overloaded"
    return Rejection(
        failure=failure,
        status=status or usual,
        message=masked(message) or name or "an error without words",
        code=masked(name)[:100] or None,
    )


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
    """What an answer that is not 2xx says. Its name is in a header, or in the body as ``__type``."""
    name = headers.get("x-amzn-errortype", "")
    if not name:
        try:
            found = msgspec.json.decode(body[: 1 << 16])
        except (ValueError, RecursionError):
            found = None
        kind = found.get("__type", "") if isinstance(found, Mapping) else ""
        name = kind if isinstance(kind, str) else ""
    # The name may be followed by a colon and an address, or follow a namespace and "#".
    name = re.split(r"[:#]", name.partition(":http")[0])[-1].strip()
    told = exception(name, body[: 1 << 16], status)
    after_s = retry_after_s(headers)
    return told if after_s is None else replace(told, retry_after_s=after_s)


def _by_status(status: int) -> Failure:
    match status:
        case 401 | 403:
            return "auth"
        case 429:
            return "rate_limited"
        case 503 | 529:
            return "overloaded"
    if 400 <= status < 500:
        return "rejected"
    return "server_error" if status >= 500 or status == 0 else "protocol"
