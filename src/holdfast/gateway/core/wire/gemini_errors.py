"""Errors of Google's APIs: ``{"error": {"code", "message", "status", "details"}}`` (AIP-193), also in a list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from holdfast.gateway.core.outcome import Failure, Rejection
from holdfast.gateway.core.wire.openai_errors import masked
from holdfast.gateway.core.wire.retry import bounded_s, retry_after_s
from holdfast.gateway.errors import Refused

__all__ = ["error_of", "read_error", "write_error"]

_STATUS_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FAILURES: dict[str, Failure] = {
    "RESOURCE_EXHAUSTED": "rate_limited",
    "UNAVAILABLE": "overloaded",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "auth",
    "INVALID_ARGUMENT": "rejected",
    "FAILED_PRECONDITION": "rejected",
    "OUT_OF_RANGE": "rejected",
    "NOT_FOUND": "rejected",
    "INTERNAL": "server_error",
    "DEADLINE_EXCEEDED": "server_error",
    "ABORTED": "server_error",
    "UNKNOWN": "server_error",
}
_CODES = {word: code for code, word in reversed(_STATUS_WORDS.items())}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)
_LONGEST_BODY = 1 << 16


def write_error(error: Refused) -> tuple[int, dict[str, Any]]:
    """Status and body; a used-up budget is a used-up quota here."""
    status = 429 if error.reason == "budget_exhausted" else error.status
    word = _STATUS_WORDS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    body: dict[str, Any] = {"code": status, "message": str(error), "status": word}
    if error.retry_after_s is not None:
        delay = f"{error.retry_after_s:g}s"
        body["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    return status, {"error": body}


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
    """What an answer that is not 2xx says; also an HTML page of whatever stands before the provider."""
    try:
        found: object = msgspec.json.decode(body[:_LONGEST_BODY])
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and found:
        found = found[0]
    told = error_of(found, status) if isinstance(found, Mapping) else None
    if told is None:
        message = masked(re.sub(r"<[^>]{0,300}>", " ", body[:4096].decode(errors="replace")))[:300]
        told = Rejection(failure=_by_status(status), status=status, message=message or f"status {status}, no words")
    after_s = retry_after_s(headers)
    return told if after_s is None else replace(told, retry_after_s=max(after_s, told.retry_after_s or 0.0))


def error_of(found: Mapping[str, Any], status: int = 0) -> Rejection | None:
    """What ``{"error": ...}`` says, of an answer or in a stream (then without ``status``); ``None`` if it is none."""
    error = found.get("error")
    if not isinstance(error, Mapping):
        return None
    word = error.get("status") if isinstance(error.get("status"), str) else None
    code = error.get("code")
    if not 400 <= status < 600:
        status = code if type(code) is int and 400 <= code < 600 else _CODES.get(word or "", 500)
    failure = _FAILURES.get(word or "") or _by_status(status)
    retry_s = None
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, Mapping):
            continue
        if detail.get("reason") == "API_KEY_INVALID":  # comes as 400 INVALID_ARGUMENT
            failure = "auth"
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and (match := _DURATION.fullmatch(delay)):
            retry_s = bounded_s(float(match[1]))
    message = error.get("message")
    return Rejection(
        failure=failure,
        status=status,
        message=(masked(message) if isinstance(message, str) else "") or "an error without words",
        code=masked(word)[:100] if word else None,
        retry_after_s=retry_s,
    )


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
    return "server_error" if status >= 500 else "protocol"
