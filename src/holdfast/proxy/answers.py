"""Answers that the proxy gives itself: always well formed, always saying why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holdfast.http1 import ResponseHead

_REASONS: Final = {
    400: b"Bad Request",
    404: b"Not Found",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}


def error_answer(
    status: int,
    reason: str,
    message: str,
    *,
    request_id: bytes,
    date: bytes,
    retry_after_s: int | None = None,
    close: bool,
    bodiless: bool = False,
) -> bytes:
    """A whole response with a small JSON body.

    ``{"error": {"status", "reason", "message", "request_id"}}``; ``reason`` is stable and made for
    programs, ``message`` for people. ``bodiless`` (the request was HEAD) keeps the length and
    leaves out the body.
    """
    body = json.dumps(
        {
            "error": {
                "status": status,
                "reason": reason,
                "message": message,
                "request_id": request_id.decode("ascii", "replace"),
            }
        }
    ).encode()
    lines = [
        b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b"Error")),
        b"Date: " + date,
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"Cache-Control: no-store",
    ]
    if request_id:
        lines.append(b"X-Request-Id: " + request_id)
    if retry_after_s is not None:
        lines.append(b"Retry-After: %d" % retry_after_s)
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if bodiless else body)


FAILURES: Final[dict[str, tuple[int, str, str]]] = {
    "connect": (502, "backend_unreachable", "no connection to a backend could be made"),
    "reset": (502, "backend_reset", "the backend closed the connection before it answered"),
    "protocol": (502, "backend_protocol", "the backend's answer was not valid HTTP"),
    "timeout": (504, "backend_timeout", "the backend did not answer in time"),
}
"""Status, reason and message for a request whose last attempt failed, by how it failed."""


def answer_head(head: ResponseHead, *, chunked: bool) -> bytes:
    """Status line, forwarded fields and framing of a backend's answer; what belongs to this one answer follows it."""
    wire = b"HTTP/1.1 %d %b\r\n%b" % (head.status, head.reason, head.block)
    if chunked:
        return wire + b"Transfer-Encoding: chunked\r\n"
    if head.length is not None and not head.chunked:
        return wire + b"Content-Length: %d\r\n" % head.length
    return wire
