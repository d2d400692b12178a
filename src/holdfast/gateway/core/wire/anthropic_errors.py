"""Errors of Anthropic's protocol: ``{"type": "error", "error": {"type", "message"}, "request_id"}``.

Types and their statuses are Anthropic's ("Errors", HTTP errors), whose official clients raise by the status, and retry
408, 409, 429 and 5xx.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.outcome import Failure, Rejection
from holdfast.gateway.core.wire import openai_errors
from holdfast.gateway.core.wire.openai_errors import masked
from holdfast.gateway.core.wire.retry import retry_after_s
from holdfast.gateway.errors import Reason, Refused

_TYPES: dict[Reason, tuple[int, str]] = {
    "invalid_request": (400, "invalid_request_error"),
    "unauthenticated": (401, "authentication_error"),
    "forbidden": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "conflict": (409, "conflict_error"),
    "too_large": (413, "request_too_large"),
    "unsupported": (400, "invalid_request_error"),
    "blocked": (400, "invalid_request_error"),
    "rate_limited": (429, "rate_limit_error"),
    "budget_exhausted": (402, "billing_error"),
    "overloaded": (529, "overloaded_error"),
    "upstream_rejected": (400, "invalid_request_error"),
    "upstream_rate_limited": (429, "rate_limit_error"),
    "upstream_failed": (500, "api_error"),
    "timeout": (504, "timeout_error"),
    "cut": (500, "api_error"),
    "internal": (500, "api_error"),
}

_LONGEST_BODY = 1 << 18
"""Bytes of an error that are read at all."""

_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""For the status of a provider of another protocol that is passed on."""

_FAILURES: dict[str, tuple[Failure, int]] = {
    "invalid_request_error": ("rejected", 400),
    "authentication_error": ("auth", 401),
    "billing_error": ("auth", 402),
    "permission_error": ("auth", 403),
    "not_found_error": ("rejected", 404),
    "conflict_error": ("rejected", 409),
    "request_too_large": ("rejected", 413),
    "rate_limit_error": ("rate_limited", 429),
    "api_error": ("server_error", 500),
    "timeout_error": ("server_error", 504),
    "overloaded_error": ("overloaded", 529),
}
"""``billing_error`` is about our account there, as a key that is no good is."""


def status_and_type(error: Refused) -> tuple[int, str]:
    """Status and ``error.type``. A provider's own status is passed on with the type that belongs to it."""
    status, kind = _TYPES[error.reason]
    if error.reason == "upstream_rejected" and 400 <= error.status < 500:
        return error.status, _BY_STATUS.get(error.status, "invalid_request_error")
    return status, kind


def write_error(error: Refused, *, request_id: str | None) -> dict[str, Any]:
    """The body; also the data of the ``error`` event of a stream."""
    body: dict[str, Any] = {
        "type": "error",
        "error": {"type": status_and_type(error)[1], "message": str(error)},
    }
    if request_id is not None:
        body["request_id"] = request_id
    return body


def error_frame(error: Refused) -> bytes:
    """The end of a stream that broke. Blocks stay open: clients raise at once."""
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(write_error(error, request_id=None))


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
    """What an answer that is not 2xx says; ``headers`` have names in lower case."""
    try:
        found = msgspec.json.decode(body[:_LONGEST_BODY])
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, Mapping) or not isinstance(found.get("error"), Mapping):
        # A page of what stands before the provider, or a likeness that has OpenAI's errors.
        return openai_errors.read_error(status, headers, body)
    return _rejection(found["error"], status, retry_after_s(headers))


def read_error_event(event: Mapping[str, Any]) -> Rejection:
    """The ``error`` event of a stream. Its status is the one that the type would have had."""
    error = event.get("error")
    return _rejection(error if isinstance(error, Mapping) else {}, None, None)


def _rejection(error: Mapping[str, Any], status: int | None, retry_s: float | None) -> Rejection:
    kind = error.get("type")
    message = error.get("message")
    code = masked(kind)[:100] if isinstance(kind, str) and kind else None
    said = masked(message) if isinstance(message, str) else ""
    failure, usual = _FAILURES.get(code or "", (None, 500))
    if status is None:
        status = usual
    if failure is None:
        failure = _failure(status)
    if failure == "rejected" and "credit balance is too low" in said:
        # A 400 by status and type, but about our account: the next deployment may well answer.
        failure = "auth"
    return Rejection(
        failure=failure,
        status=status,
        message=said or f"status {status} without words",
        code=code,
        retry_after_s=retry_s,
    )


def _failure(status: int) -> Failure:
    if status in (401, 402, 403):
        return "auth"
    if status == 429:
        return "rate_limited"
    if status in (503, 529):
        return "overloaded"
    if 400 <= status < 500:
        return "rejected"
    return "server_error" if status >= 500 else "protocol"
