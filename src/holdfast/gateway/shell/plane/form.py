"""The one field of a multipart form that the gateway looks at: the name of the model (RFC 7578)."""

from __future__ import annotations

import re
from typing import Final

from holdfast.gateway.errors import Refused

_BOUNDARY: Final = re.compile(r'multipart/form-data\s*;.*?boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_NAME: Final = re.compile(rb'content-disposition:[^\r\n]*;\s*name="?model"?\s*(?:;|\r|$)', re.IGNORECASE)
_PARTS: Final = 64


class Form:
    """A form as it came. Raises :class:`Refused` for one that is none or names no model."""

    __slots__ = ("_body", "_end", "_start", "model")

    def __init__(self, body: bytes, content_type: str) -> None:
        match = _BOUNDARY.match(content_type)
        if match is None:
            raise Refused("invalid_request", "send multipart/form-data with a boundary, a file and a model")
        mark = b"--" + (match[1] or match[2]).encode("latin-1")
        self._body = body
        for head, start, end in _parts(body, mark):
            if _NAME.search(head):
                self._start, self._end = start, end
                self.model = body[start:end].decode("utf-8", "replace").strip()
                if 0 < len(self.model) <= 256:
                    return
        raise Refused("invalid_request", "model: missing from the form", param="model")

    def with_model(self, model: str) -> bytes:
        """The form with another name of the model."""
        return self._body[: self._start] + model.encode() + self._body[self._end :]


def _parts(body: bytes, mark: bytes) -> list[tuple[bytes, int, int]]:
    """Head of each part, and where its content begins and ends."""
    found: list[tuple[bytes, int, int]] = []
    at = body.find(mark)
    while at >= 0 and len(found) < _PARTS:
        head_at = at + len(mark) + 2
        start = body.find(b"\r\n\r\n", head_at)
        end = body.find(b"\r\n" + mark, head_at)
        if start < 0 or end < start:
            break
        found.append((body[head_at:start] + b"\r", start + 4, end))
        at = end + 2
    return found
