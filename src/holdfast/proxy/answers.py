"""Answers that the proxy gives itself: always well formed, always saying why."""

from __future__ import annotations

import json
from typing import Final

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
