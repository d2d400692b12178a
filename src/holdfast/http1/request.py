"""Requests: bytes in, heads and body pieces out. No I/O.

Framing is llhttp's (through httptools) in its strict mode, which refuses bare CR or LF,
folded lines, white space before a colon, NUL, signs or repetition in ``Content-Length``,
``Content-Length`` beside ``Transfer-Encoding``, and malformed chunks. This module adds what
llhttp leaves to its user: limits, exactly one valid ``Host``, the forms of a target, the methods
and protocols we do not speak, and that ``chunked`` is the only transfer coding.

One connection has one :class:`RequestReader`. Its states:

====================  =========================================================
between messages      ``mid_head`` is false and the last message is complete
in a head             ``mid_head`` is true: the header timeout runs
in a body             ``current`` is an incomplete :class:`Request`
tunnel                ``early`` is set: what follows is not HTTP any more
====================  =========================================================

Invariant: everything in ``arrived`` is in the order of the wire, and only its last member
can be incomplete.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

import httptools

from holdfast.http1 import fields
from holdfast.http1.errors import BadMessage
from holdfast.http1.limits import Limits

_KIND: Final = fields.REQUEST_FIELDS
# llhttp also knows the methods of RTSP and ICE, and PRI; none of them is HTTP/1.1.
_METHODS: Final = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE MKCALENDAR PURGE LINK UNLINK QUERY SUBSCRIBE UNSUBSCRIBE "
    b"NOTIFY M-SEARCH".split()
)
_PLAIN_OPTIONS: Final = ([b"close"], [b"keep-alive"])
_VERSIONS: Final = frozenset(("1.0", "1.1"))
_WITH_BODY: Final = frozenset((b"POST", b"PUT", b"PATCH"))
# Clients on a kept connection mostly send the same fields again and again, under another request
# line. So the fields of the last request without a body are remembered up to this size; when the
# bytes after the request line are the same, only that line is parsed. Comparing costs a twentieth
# of parsing.
_REPEAT_BYTES: Final = 1024
_REPEAT_METHODS: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"DELETE"))
# Strictly fewer lines than llhttp and _target() accept; everything else takes the long way, so
# that a dot, encoded or not, is looked at there.
_REPEAT_LINE: Final = re.compile(
    rb"(GET|HEAD|OPTIONS|DELETE) (?!\S*%2[eE])(/[A-Za-z0-9/_~%?&=+:;,@!$'()*-]*) HTTP/1\.1"
)


class RequestHead:
    """A parsed and checked request head. Treated as immutable, and shared by repeated requests.

    ``block`` holds the fields to forward, each with CRLF; hop-by-hop fields, framing, ``Host`` and
    the fields that a proxy makes itself are not in it. ``owned`` has the received values of the
    latter by lower-cased name. ``length`` is ``None`` without ``Content-Length``.
    ``memo`` belongs to the user of the head, for what it derives from it.
    """

    __slots__ = (
        "block",
        "chunked",
        "expect_continue",
        "host",
        "http10",
        "idempotent",
        "keep_alive",
        "length",
        "memo",
        "method",
        "owned",
        "target",
        "upgrade",
    )

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.host = b""
        self.http10 = False
        self.keep_alive = True
        self.idempotent = False
        self.block = b""
        self.owned: dict[bytes, bytes] = {}
        self.length: int | None = None
        self.chunked = False
        self.upgrade: bytes | None = None
        self.expect_continue = False
        self.memo: object = None

    def under(self, method: bytes, target: bytes) -> RequestHead:
        """The same fields under another request line. ``memo`` is handed on."""
        head = RequestHead.__new__(RequestHead)
        head.method = method
        head.target = target
        head.host = self.host
        head.http10 = False
        head.keep_alive = True
        head.idempotent = True
        head.block = self.block
        head.owned = self.owned
        head.length = None
        head.chunked = False
        head.upgrade = None
        head.expect_continue = self.expect_continue
        head.memo = self.memo
        return head

    @property
    def has_body(self) -> bool:
        """Whether body bytes may follow the head."""
        return self.chunked or bool(self.length)


_NOTHING: Final = RequestHead()


class Request:
    """A head and the body as far as it has arrived. ``pieces`` are for the user to take away."""

    __slots__ = ("complete", "head", "pieces")

    def __init__(self, head: RequestHead, *, complete: bool) -> None:
        self.head = head
        self.pieces: list[bytes] = []
        self.complete = complete


class RequestReader:
    """Turns the bytes of one client connection into requests."""

    __slots__ = (
        "_body_bytes",
        "_extra_fields",
        "_fields",
        "_head_bytes",
        "_limits",
        "_line",
        "_parser",
        "_repeat",
        "_repeat_head",
        "_repeat_most",
        "_url",
        "arrived",
        "current",
        "early",
        "mid_head",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._url = b""
        self._line: bytes | None = b""
        self._head_bytes = 0
        """Bytes since the last piece of a body: of a head, a trailer, or the extensions of a chunk."""
        self._body_bytes = 0
        self._extra_fields = 0
        self._repeat: bytes | None = None
        self._repeat_head = _NOTHING
        self._repeat_most = 0
        self.arrived: deque[Request] = deque()
        self.current: Request | None = None
        self.mid_head = False
        self.early: bytes | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes from the wire. New requests are appended to ``arrived``.

        Raises :class:`BadMessage`; requests that were complete before the fault stay in
        ``arrived`` and deserve their answers. After that the reader is of no more use.
        """
        repeat = self._repeat
        if repeat is not None and self.current is None and not self.mid_head and data.endswith(repeat):
            # llhttp sits between two messages, and would come back to exactly that state.
            line = _REPEAT_LINE.fullmatch(data, 0, len(data) - len(repeat))
            if line is not None and len(data) <= self._repeat_most:
                method, target = line.groups()
                head = self._repeat_head
                if target != head.target or method != head.method:
                    head = head.under(method, target)
                self.arrived.append(Request(head, complete=True))
                return
        if self.early is not None:
            self.early += data
            return
        fresh = self.current is None and not self.mid_head
        if self.current is None:
            self._check_line(data, fresh=fresh)
        self._head_bytes += len(data)
        before = len(self.arrived)
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._follow(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, BadMessage):
                raise error.__context__ from None
            raise BadMessage(400, "bad_request", "the request could not be read") from error
        except httptools.HttpParserError as error:
            raise BadMessage(400, "bad_request", f"malformed request: {error}") from None
        if self.mid_head or self.current is not None:
            if self._head_bytes > self._limits.header_block + self._limits.request_line:
                raise BadMessage(431, "header_block_too_large", "the header block or trailer is longer than the limit")
        elif fresh and len(self.arrived) == before + 1 and data.endswith(b"\r\n\r\n"):
            self._remember(data, self.arrived[-1].head)

    def _follow(self, rest: bytes) -> None:
        """Read what follows a request that asks for an upgrade.

        llhttp takes all of it, a body included, for the other protocol. That is so only when the wish is
        passed on; a declined one changes nothing (RFC 9110 section 7.8), so HTTP is read on by a fresh parser.
        """
        while (request := self.arrived[-1]).head.upgrade is None:
            self._parser = httptools.HttpRequestParser(self)
            head = request.head
            try:
                if head.has_body:
                    request.complete, self.current = False, request
                    length = b"Content-Length: %d" % (head.length or 0)
                    framing = b"Transfer-Encoding: chunked" if head.chunked else length
                    self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            else:
                return
        self.early = rest

    def close(self) -> None:
        """Break the reference cycle with the parser."""
        del self._parser

    def _remember(self, data: bytes, head: RequestHead) -> None:
        """Keep the fields of this request, if the next one could be like it."""
        start = data.find(b"\r\n")
        if (
            start > 0
            and len(data) - start <= _REPEAT_BYTES
            and head.method in _REPEAT_METHODS
            and head.keep_alive
            and not head.http10
            and head.upgrade is None
            and head.length is None
            and not head.chunked
            and self._url.startswith(b"/")
            and not self._parser.should_upgrade()
        ):
            self._repeat = data[start:]
            self._repeat_head = head
            self._repeat_most = self._limits.request_line + len(self._repeat)

    def _check_line(self, data: bytes, *, fresh: bool) -> None:
        """Bound the request line and insist on HTTP/1.x before llhttp sees its end.

        llhttp reads ``GET / RTSP/1.0`` as well, and reports it as version 1.0. Requests that a
        client pipelines into the same read are not looked at: they would be forwarded as
        HTTP/1.1, whatever they called themselves.
        """
        if fresh:
            data = data.lstrip(b"\r\n")
            self._line = b""
            if not data:
                return
        elif self._line is None:
            return
        end = data.find(b"\n")
        piece = data[:end] if end >= 0 else data
        line = self._line + piece if self._line else piece
        if len(line) > self._limits.request_line:
            raise BadMessage(414, "request_line_too_long", "the request line is longer than the limit")
        if end < 0:
            self._line = line
            return
        self._line = None
        if b" HTTP/1." not in line or b"  " in line:  # llhttp takes any number of spaces before the version
            if b" HTTP/" in line and b" HTTP/1." not in line:
                raise BadMessage(505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here")
            raise BadMessage(400, "bad_request_line", "the request line is not METHOD SP TARGET SP HTTP/1.x")

    # What httptools calls.

    def on_message_begin(self) -> None:
        """A head starts."""
        self.mid_head = True
        self._url = b""
        self._fields = []
        self._body_bytes = 0
        self._extra_fields = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of the trailer section (which is dropped)."""
        if self.current is None:
            self._fields.append((name, value))
            return
        self._extra_fields += 1
        if self._extra_fields > self._limits.headers:
            raise BadMessage(431, "too_many_trailers", "the trailer section has more fields than the limit")

    def on_headers_complete(self) -> None:
        """The head is complete: check it and make it available."""
        self._head_bytes = 0
        if self.current is not None:
            self.mid_head = False  # the stand-in of _follow()
            return
        request = Request(self._head(), complete=False)
        self.mid_head = False
        self.current = request
        self.arrived.append(request)

    def on_body(self, data: bytes) -> None:
        """A piece of the body, without chunk framing."""
        request = self.current
        if request is None:  # pragma: no cover - llhttp announces a head first
            raise BadMessage(400, "bad_request", "body without a head")
        self._head_bytes = 0
        limit = self._limits.body
        if limit is not None:
            self._body_bytes += len(data)
            if self._body_bytes > limit:
                raise BadMessage(413, "body_too_large", "the body is longer than the limit")
        request.pieces.append(data)

    def on_message_complete(self) -> None:
        """The message ends."""
        self._head_bytes = 0
        if self.current is not None:
            self.current.complete = True
            self.current = None

    def _head(self) -> RequestHead:  # noqa: C901 - one branch per kind of field, in the order of their frequency
        parser, limits = self._parser, self._limits
        received = self._fields
        if len(received) > limits.headers:
            raise BadMessage(431, "too_many_headers", "the head has more fields than the limit")
        head = RequestHead()
        head.method = method = parser.get_method()
        if method not in _METHODS:
            raise BadMessage(501, "method_not_supported", "this method is not forwarded")
        version = parser.get_http_version()
        if version not in _VERSIONS:
            raise BadMessage(505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here")
        head.http10 = version == "1.0"
        head.keep_alive = parser.should_keep_alive()
        head.idempotent = method in fields.IDEMPOTENT
        kinds = _KIND
        parts: list[bytes] = []
        size = 0
        host: bytes | None = None
        options: list[bytes] = []
        upgrade: bytes | None = None
        for name, raw in received:
            value = raw.rstrip(b" \t")
            size += len(name) + len(value) + 4
            kind = kinds.of(name)
            if kind == fields.PLAIN:
                parts.append(b"%b: %b\r\n" % (name, value))
            elif kind == fields.HOST:
                if host is not None:
                    raise BadMessage(400, "repeated_host", "there is more than one Host")
                host = value
            elif kind == fields.CONNECTION:
                options += fields.tokens(value)
            elif kind == fields.LENGTH:
                head.length = _length(value)
            elif kind == fields.ENCODING:
                if head.chunked or value.lower() != b"chunked":
                    raise BadMessage(501, "transfer_coding_not_supported", "the only transfer coding is chunked, once")
                head.chunked = True
            elif kind == fields.UPGRADE:
                upgrade = value
            elif kind == fields.EXPECT:
                if value.lower() != b"100-continue":
                    raise BadMessage(417, "expectation_failed", "the only expectation is 100-continue")
                head.expect_continue = not head.http10
            elif kind == fields.OWNED:
                key = name.lower()
                held = head.owned.get(key)
                head.owned[key] = value if held is None else held + b", " + value
        if size > limits.header_block:
            raise BadMessage(431, "header_block_too_large", "the header block is longer than the limit")
        if head.chunked and (head.http10 or head.length is not None):
            raise BadMessage(400, "ambiguous_length", "Transfer-Encoding with HTTP/1.0 or beside Content-Length")
        if head.length is None and not head.chunked and method in _WITH_BODY:
            head.length = 0
        if head.length is not None and limits.body is not None and head.length > limits.body:
            raise BadMessage(413, "body_too_large", "the body is longer than the limit")
        if options and options not in _PLAIN_OPTIONS:
            parts = _without(parts, options)
        # h2c is declined, whatever else is on offer: what follows would be requests that nobody here has checked.
        if upgrade and parser.should_upgrade() and not head.http10 and b"h2c" not in _members(upgrade):
            if head.has_body:
                raise BadMessage(400, "upgrade_with_body", "a request that asks for an upgrade must not have a body")
            head.upgrade = upgrade
            head.keep_alive = False  # should the backend decline: what came after the head was not read as HTTP
        head.block = b"".join(parts)
        self._target(head, host)
        return head

    def _target(self, head: RequestHead, host: bytes | None) -> None:
        """Check the target and ``Host`` (RFC 9112 section 3.2) and set the path to route by."""
        target = self._url
        if len(target) > self._limits.request_line:
            raise BadMessage(414, "request_line_too_long", "the request line is longer than the limit")
        if host is None and not head.http10:
            raise BadMessage(400, "missing_host", "HTTP/1.1 needs a Host")
        if host is not None and not fields.valid_host(host):
            raise BadMessage(400, "bad_host", "Host is not a name or an address with an optional port")
        if not target.startswith(b"/") and target != b"*":
            scheme, _, rest = target.partition(b"://")
            if scheme.lower() not in (b"http", b"https") or not rest:
                raise BadMessage(400, "bad_target", "the target is neither a path nor an http URL")
            cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
            host, target = rest[:cut], rest[cut:]
            if not host or not fields.valid_host(host):
                raise BadMessage(400, "bad_target", "the target names no valid host")
            if not target.startswith(b"/"):
                target = b"/" + target
        if target == b"*" and head.method != b"OPTIONS":
            raise BadMessage(400, "bad_target", "the target * belongs to OPTIONS")
        if b"#" in target or not target.isascii():
            raise BadMessage(400, "bad_target", "the target has a fragment or a byte that must be percent-encoded")
        path = target.partition(b"?")[0]
        if (b"." in path or b"%2" in path) and _climbs(path):
            # A backend that resolves it would see another path than the one that was routed.
            raise BadMessage(400, "dot_segment", "the path has a . or .. segment; clients resolve them before sending")
        head.target = target
        head.host = host or b""


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise BadMessage(400, "bad_content_length", "Content-Length is not a number of at most 18 digits")
    return int(value)


def _climbs(path: bytes) -> bool:
    """Whether a backend that decodes before it splits, or also splits at a backslash, could find a dot segment."""
    path = path.lower().replace(b"%2e", b".").replace(b"%2f", b"/").replace(b"%5c", b"/").replace(b"\\", b"/")
    segments = path.split(b"/")
    return b".." in segments or b"." in segments


def _members(value: bytes) -> list[bytes]:
    return [member.strip(b" \t") for member in value.lower().split(b",")]


def _without(parts: list[bytes], options: list[bytes]) -> list[bytes]:
    """Drop the fields that ``Connection`` names (RFC 9110 section 7.6.1)."""
    named = frozenset(options)
    return [part for part in parts if part.partition(b":")[0].lower() not in named]
