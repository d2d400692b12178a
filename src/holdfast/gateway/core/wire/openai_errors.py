"""Errors as OpenAI's protocols say them, and what the errors of OpenAI and its many likenesses mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.outcome import Failure, Rejection
from holdfast.gateway.core.wire.retry import retry_after_s
from holdfast.gateway.errors import Reason, Refused

__all__ = ["error_frames", "masked", "read_error", "read_error_object", "write_error"]

_WORDS: dict[Reason, tuple[str, str | None]] = {
    "invalid_request": ("invalid_request_error", None),
    "unauthenticated": ("invalid_request_error", "invalid_api_key"),
    "forbidden": ("permission_error", "permission_denied"),
    "not_found": ("invalid_request_error", "model_not_found"),
    "conflict": ("invalid_request_error", "idempotency_conflict"),
    "too_large": ("invalid_request_error", "request_too_large"),
    "unsupported": ("invalid_request_error", "unsupported_parameter"),
    "blocked": ("invalid_request_error", "content_policy_violation"),
    "rate_limited": ("rate_limit_error", "rate_limit_exceeded"),
    "budget_exhausted": ("insufficient_quota", "insufficient_quota"),
    "overloaded": ("server_error", "overloaded"),
    "upstream_rejected": ("invalid_request_error", None),
    "upstream_rate_limited": ("rate_limit_error", "rate_limit_exceeded"),
    "upstream_failed": ("server_error", "upstream_failed"),
    "timeout": ("server_error", "timeout"),
    "cut": ("server_error", "stream_cut"),
    "internal": ("server_error", "internal_error"),
}
"""Type and code. OpenAI's clients choose their exception by status (400 BadRequestError, 401 AuthenticationError,
403 PermissionDeniedError, 404 NotFoundError, 409 ConflictError, 422 UnprocessableEntityError, 429 RateLimitError, from
500 InternalServerError), and programs then look at ``code``."""

_LONGEST_MESSAGE = 1000
_LONGEST_BODY = 1 << 18
"""Bytes of an error that are read at all."""
_LONGEST_CODE = 100

_KEYS = re.compile(
    r"\b(?:sk|rk|pk|gsk|xai|hf|nvapi|r8|pplx|hfk)[-_][A-Za-z0-9_*.\-]{6,}"
    r"|\bAIza[A-Za-z0-9_\-]{10,}|\bAKIA[A-Z0-9]{12,}|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_.\-]+"
    r"|(?<=Bearer )\S{6,}"
)
_TAGS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f]+")

_FILTERED = ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "content_management_policy")
_OVERLOADED = ("overloaded", "overloaded_error", "engine_overloaded", "service_unavailable")
_LIMITED = ("rate_limit", "too_many_requests", "toomanyrequests", "insufficient_quota", "throttl")
_AUTH = ("invalid_api_key", "authentication", "permission", "unauthorized")


def write_error(error: Refused, *, request_id: str) -> tuple[int, dict[str, Any]]:
    """Status and body. A used-up budget is 429 with ``insufficient_quota``: that is how OpenAI says it."""
    kind, code = _WORDS[error.reason]
    status = 429 if error.reason == "budget_exhausted" and error.status == 402 else error.status
    if error.reason == "upstream_rejected" and status >= 500:
        kind = "server_error"
    body = {"message": str(error), "type": kind, "param": error.param, "code": error.code or code}
    if request_id:
        body["request_id"] = request_id
    return status, {"error": body}


def error_frames(error: Refused) -> bytes:
    """The error as the last frames of a stream: clients raise on ``error``, and others wait for ``[DONE]``."""
    return b"data: " + msgspec.json.encode(write_error(error, request_id="")[1]) + b"\n\ndata: [DONE]\n\n"


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
    """What an answer that is not 2xx says. ``headers`` have names in lower case."""
    found: object = None
    try:
        found = msgspec.json.decode(body[:_LONGEST_BODY])
    except (ValueError, RecursionError):  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
        pass
    retry_s = retry_after_s(headers)
    if isinstance(found, list) and found:  # Gemini's likeness of OpenAI wraps its errors in a list
        found = found[0]
    if isinstance(found, Mapping):
        return read_error_object(found, status=status, retry_s=retry_s)
    text = body[: _LONGEST_BODY >> 4].decode("utf-8", "replace")
    if not 400 <= status <= 599 or status in (404, 405):
        # Not the provider but what stands at its address: a proxy's page, a redirect, a wrong base URL.
        failure: Failure = "protocol"
    else:
        failure = _failure(status, "")
    message = masked(_TAGS.sub(" ", text)) or f"status {status} without a body"
    return Rejection(failure=failure, status=status, message=message[:300], retry_after_s=retry_s)


def read_error_object(found: Mapping[str, Any], *, status: int, retry_s: float | None = None) -> Rejection:
    """Of ``{"error": {...}}``, ``{"error": "text"}`` (Ollama), ``{"object": "error", ...}`` (vLLM), ``{"detail": ...}``
    (FastAPI). ``status`` below 400, as inside a stream, is inferred from the words.
    """  # noqa: D205
    inner = found.get("error")
    said: Mapping[str, Any] = inner if isinstance(inner, Mapping) else found
    message = inner if isinstance(inner, str) else said.get("message", said.get("detail"))
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode() if message is not None else "an error without words"
    code, kind, param = said.get("code"), said.get("type"), said.get("param")
    within = said.get("innererror")
    inner_code = within.get("code") if isinstance(within, Mapping) else None
    words = " ".join(word.lower() for word in (code, kind, inner_code, said.get("status")) if isinstance(word, str))
    if status < 400:
        status = code if type(code) is int and 400 <= code <= 599 else _inferred(words)
    named = next((word for word in (code, kind) if isinstance(word, str) and word), None)
    return Rejection(
        failure=_failure(status, words),
        status=status,
        message=masked(message) or "an error without words",
        code=masked(named)[:_LONGEST_CODE] if named else None,
        param=masked(param)[:_LONGEST_CODE] if isinstance(param, str) else None,
        retry_after_s=retry_s,
    )


def masked(text: str) -> str:
    """One bounded line, without what looks like a key: it is shown to clients and written to logs."""
    line = _BLANKS.sub(" ", text[: 4 * _LONGEST_MESSAGE]).strip()
    line = line.encode("utf-8", "replace").decode()  # an unpaired surrogate cannot be sent on
    return _KEYS.sub("***", line)[:_LONGEST_MESSAGE]


def _inferred(words: str) -> int:
    """The status that an error inside a stream would have had."""
    for marks, status in ((_FILTERED, 400), (_LIMITED, 429), (_OVERLOADED, 503), (_AUTH, 401)):
        if any(mark in words for mark in marks):
            return status
    return 400 if "invalid_request" in words or "badrequest" in words or "context_length" in words else 500


def _failure(status: int, words: str) -> Failure:
    if any(mark in words for mark in _FILTERED) and status < 500:
        return "filtered"
    match status:
        case 401 | 403:
            return "auth"
        case 408:
            return "timeout"
        case 429:
            return "rate_limited"
        case 503 | 529:
            return "overloaded"
    if any(mark in words for mark in _OVERLOADED):
        return "overloaded"
    if 400 <= status <= 499:
        return "rejected"
    return "server_error" if status >= 500 else "protocol"
