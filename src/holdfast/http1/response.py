"""Responses: bytes in, heads and body pieces out. No I/O.

The counterpart of :mod:`.request` for what backends send. One connection has one
:class:`ResponseReader`; before each request :meth:`ResponseReader.expect` says whether the answer
can have a body. States after that: waiting for a head (``head`` is ``None``), in a body, ``complete``.

A backend gets no benefit of the doubt either: an answer whose end cannot be known for sure
(two lengths, an unknown transfer coding, bytes after the end) makes the connection unusable.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from holdfast.http1 import fields
from holdfast.http1.errors import BadMessage
from holdfast.http1.limits import Limits

_KIND: Final = fields.RESPONSE_FIELDS
# Backends on a kept connection send the same head again and again (its Date changes once a second).
# So the last head of a plain answer is remembered up to this size. An answer that begins with the
# same bytes, Content-Length included, has the same head, and its body is simply the bytes after it.
_REPEAT_BYTES: Final = 2048
_VIEW_BYTES: Final = 2048
"""Bodies from this size are handed on as views of what was read instead of copies."""

Piece = bytes | memoryview
"""A piece of a body."""

_PLAIN_OPTIONS: Final = ([b"close"], [b"keep-alive"])
_INTERIMS: Final = 16
_VERSIONS: Final = frozenset(("1.0", "1.1"))
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NO_BODY: Final = frozenset((204, 304))


class _HeadAnswerEnds(Exception):
    """Stops llhttp after the head of an answer to HEAD."""


class ResponseHead:
    """A parsed and checked response head. Treated as immutable, and shared by repeated responses.

    ``block`` holds the fields to forward, each with CRLF, without framing and hop-by-hop fields.
    ``until_close`` says that only the end of the connection ends the body. ``memo`` belongs to the user.
    """

    __slots__ = ("block", "chunked", "keep_alive", "length", "memo", "reason", "status", "until_close", "upgrade")

    def __init__(self, status: int, reason: bytes) -> None:
        self.status = status
        self.reason = reason
        self.block = b""
        self.length: int | None = None
        self.chunked = False
        self.until_close = False
        self.keep_alive = True
        self.upgrade: bytes | None = None
        self.memo: object = None


class ResponseReader:
    """Turns the bytes of one backend connection into responses, one at a time."""

    __slots__ = (
        "_bodiless",
        "_fields",
        "_head_bytes",
        "_interims",
        "_left",
        "_limits",
        "_parser",
        "_reason",
        "_repeat",
        "_repeat_head",
        "_repeat_length",
        "complete",
        "dirty",
        "head",
        "interim",
        "mid_message",
        "pieces",
        "tunnel",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._reason = b""
        self._bodiless = False
        self._head_bytes = 0
        """Bytes since the last piece of a body: of a head, a trailer, or the extensions of a chunk."""
        self._interims = 0
        self._repeat: bytes | None = None
        self._repeat_head: ResponseHead | None = None
        self._repeat_length = 0
        self._left = 0
        """Bytes to come of a body whose head was remembered; llhttp knows nothing of that answer."""
        self.head: ResponseHead | None = None
        self.interim: list[ResponseHead] = []
        """Heads with a 1xx status that came before the final one, for the user to take away."""
        self.pieces: list[Piece] = []
        self.complete = False
        self.mid_message = False
        self.dirty = False
        """The end of this message and the state of the parser disagree: close, do not reuse."""
        self.tunnel: bytes | None = None
        """After 101: what followed the head."""

    def expect(self, *, to_head: bool) -> None:
        """Prepare for the answer to a new request (``to_head``: its method was HEAD)."""
        self._bodiless = to_head
        self._interims = 0
        self._left = 0
        self.head = None
        self.complete = False
        if self.pieces:
            self.pieces = []

    def feed(self, data: bytes) -> None:  # noqa: C901 - what llhttp may say, case by case
        """Take bytes from the wire. Raises :class:`BadMessage` when they are not a valid answer."""
        if self._left:
            self._continue_known(data)
            return
        repeat = self._repeat
        if (
            repeat is not None
            and data.startswith(repeat)
            and self.head is None
            and not self.mid_message
            and not self._bodiless
        ):
            # llhttp sits between two messages, and would come back to exactly that state.
            self.head = self._repeat_head
            self._left = self._repeat_length
            self.mid_message = True
            self._continue_known(data, len(repeat))
            return
        if self.tunnel is not None:
            self.tunnel += data
            return
        if self.complete:
            raise BadMessage(502, "answered_twice", "the backend sent more than its answer")
        fresh = not self.mid_message
        if self.head is None and fresh and data[:5] != b"HTTP/"[: len(data[:5])]:
            raise BadMessage(502, "not_http", "the backend answered with something that is not HTTP")
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.head is None or self.head.status != 101:
                raise BadMessage(502, "bad_upgrade", "the backend switched protocols without 101") from None
            self.tunnel = data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if isinstance(cause, _HeadAnswerEnds):
                self._parser = httptools.HttpResponseParser(self)
                self.dirty = data.find(b"\r\n\r\n") != len(data) - 4
            elif self.complete:
                self.dirty = True
            elif isinstance(cause, BadMessage):
                raise cause from None
            else:
                raise BadMessage(502, "bad_response", "the answer could not be read") from error
            return
        except httptools.HttpParserError as error:
            if self.complete and not self.mid_message:
                # Bytes after the end of a good answer: that one counts, the connection does not.
                self.dirty = True
                return
            raise BadMessage(502, "bad_response", f"malformed answer: {error}") from None
        head = self.head
        if not self.complete:
            if self._head_bytes > self._limits.header_block:
                raise BadMessage(502, "header_block_too_large", "the answer's header block or trailer is too long")
        elif (
            fresh
            and head is not None
            and not self._bodiless
            and not self.dirty
            and head.length
            and head.keep_alive
            and not self.interim
            and head.status not in _NO_BODY  # 304 may say a length, and has no body all the same
            and head.status != 101
        ):
            self._remember(data, head)

    def _remember(self, data: bytes, head: ResponseHead) -> None:
        """Keep the head of this answer; it is complete, so its end is the first empty line."""
        end = data.find(b"\r\n\r\n") + 4
        if 4 <= end <= _REPEAT_BYTES and head.length:
            self._repeat, self._repeat_head, self._repeat_length = data[:end], head, head.length

    def _continue_known(self, data: bytes, start: int = 0) -> None:
        """Take bytes of a body of known length, from ``start`` on."""
        size = len(data) - start
        left = self._left
        if size < left:
            self._left = left - size
            if not size:
                return
        else:
            self._left = 0
            self.complete = True
            self.mid_message = False
            if size > left:
                # Bytes after the end of a good answer: that one counts, the connection does not.
                self.dirty = True
                data = data[: start + left]
                size = left
        if size >= _VIEW_BYTES:
            self.pieces.append(memoryview(data)[start:] if start else data)
        else:
            self.pieces.append(data[start:] if start else data)

    def eof(self) -> bool:
        """The connection ended. Whether that is a proper end of the answer."""
        if self.head is not None and self.head.until_close and not self.complete:
            self.complete = True
            self.mid_message = False
        return self.complete

    def close(self) -> None:
        """Break the reference cycle with the parser."""
        del self._parser

    # What httptools calls.

    def on_message_begin(self) -> None:
        """A head starts."""
        if self.complete:
            raise BadMessage(502, "answered_twice", "the backend sent more than its answer")
        self.mid_message = True
        self._fields = []
        self._reason = b""

    def on_status(self, reason: bytes) -> None:
        """A piece of the reason phrase."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of the trailer section (which is dropped)."""
        self._fields.append((name, value))
        if len(self._fields) > 2 * self._limits.headers:
            raise BadMessage(502, "too_many_headers", "the answer has more fields than the limit")

    def on_headers_complete(self) -> None:
        """The head is complete: check it and make it available."""
        self._head_bytes = 0
        head = self._head()
        if 100 <= head.status < 200 and head.status != 101:
            self.interim.append(head)
            self._interims += 1
            if self._interims > _INTERIMS:
                raise BadMessage(502, "too_many_interim", "the backend sent too many 1xx answers")
            return
        self.head = head
        if self._bodiless and (head.chunked or head.until_close or head.length):
            # llhttp does not know that the request was HEAD and waits for a body.
            self.complete = True
            self.mid_message = False
            raise _HeadAnswerEnds

    def on_body(self, data: bytes) -> None:
        """A piece of the body, without chunk framing."""
        self._head_bytes = 0
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        """The message ends; after a 1xx head the next one follows."""
        self.mid_message = False
        self._head_bytes = 0
        if self.head is not None:
            self.complete = True

    def _head(self) -> ResponseHead:  # noqa: C901 - one branch per kind of field
        parser = self._parser
        received = self._fields
        if len(received) > self._limits.headers:
            raise BadMessage(502, "too_many_headers", "the answer has more fields than the limit")
        status = parser.get_status_code()
        if not 100 <= status <= 599:
            raise BadMessage(502, "bad_status", f"the backend answered with status {status}")
        version = parser.get_http_version()
        if version not in _VERSIONS:
            raise BadMessage(502, "version_not_supported", f"the backend answered with HTTP/{version}")
        if _CONTROL.search(self._reason):
            raise BadMessage(502, "bad_reason", "the answer's reason phrase has a control character")
        http10 = version == "1.0"
        head = ResponseHead(status, self._reason)
        parts: list[bytes] = []
        size = 0
        options: list[bytes] = []
        upgrade: bytes | None = None
        kinds = _KIND
        for name, raw in received:
            value = raw.rstrip(b" \t")
            size += len(name) + len(value) + 4
            kind = kinds.of(name)
            if kind == fields.PLAIN:
                parts.append(b"%b: %b\r\n" % (name, value))
            elif kind == fields.LENGTH:
                if not value.isdigit() or len(value) > 18 or head.length is not None:
                    raise BadMessage(502, "bad_content_length", "the answer's Content-Length is not one number")
                head.length = int(value)
            elif kind == fields.ENCODING:
                if head.chunked or http10 or value.lower() != b"chunked":
                    raise BadMessage(502, "bad_transfer_coding", "the answer has a transfer coding other than chunked")
                head.chunked = True
            elif kind == fields.CONNECTION:
                options += fields.tokens(value)
            elif kind == fields.UPGRADE:
                upgrade = value
        if size > self._limits.header_block:
            raise BadMessage(502, "header_block_too_large", "the answer's header block is longer than the limit")
        if head.chunked and head.length is not None:
            raise BadMessage(502, "ambiguous_length", "the answer has Content-Length beside Transfer-Encoding")
        if options and options not in _PLAIN_OPTIONS:
            named = frozenset(options)
            parts = [part for part in parts if part.partition(b":")[0].lower() not in named]
        if status == 101:
            if not upgrade or b"upgrade" not in options:
                raise BadMessage(502, "bad_upgrade", "the backend answered 101 without naming the protocol")
            head.upgrade = upgrade
        bodiless = status in _NO_BODY or status < 200
        if bodiless and status != 304:
            # llhttp would read the body of a 1xx, and it would stand before that of the answer.
            if head.length:
                raise BadMessage(502, "body_not_allowed", f"the backend announced a body with status {status}")
            head.length = None
        if bodiless and head.chunked:
            raise BadMessage(502, "body_not_allowed", f"the backend announced a body with status {status}")
        head.until_close = not (bodiless or head.chunked or head.length is not None)
        head.keep_alive = not head.until_close and b"close" not in options and (not http10 or b"keep-alive" in options)
        head.block = b"".join(parts)
        return head
