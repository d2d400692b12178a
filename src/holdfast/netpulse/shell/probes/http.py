"""The HTTP check: ask, follow redirects, read so much of the answer, judge it.

Every request has a connection of its own (that is what a probe is for) and says so with ``Connection: close``. The
body is asked for as it is (``Accept-Encoding: identity``) and never unpacked: a small answer cannot become a large
one. What is over ``body_limit`` is not read.

Redirects: each hop is resolved and judged anew. Headers of the monitor go to other origins only when they are among
those that carry no secret. A hop to where the probe has already been, or one too many, is a failure of its own.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from holdfast.http1 import BadMessage, Limits, ResponseHead, ResponseReader
from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.core.settings import HttpCheck
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.probes import content
from holdfast.netpulse.shell.probes.finding import Failed
from holdfast.netpulse.shell.probes.place import Place, following, place
from holdfast.netpulse.shell.probes.secure import dial_secure
from holdfast.netpulse.shell.probes.trip import Trip
from holdfast.netpulse.shell.probes.wire import Wire, dial

USER_AGENT: Final = "holdfast-netpulse"
LIMITS: Final = Limits(header_block=64 * 1024, headers=256)
"""Of the answer: twice the header block that our own proxy takes from a backend: what it passes is not refused."""

_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_OWN: Final = frozenset(("connection", "content-length", "transfer-encoding", "accept-encoding"))
"""Fields that are about our end of the connection; a monitor's are left out."""
_HARMLESS: Final = frozenset(("accept", "accept-language", "cache-control", "pragma", "user-agent"))
"""Fields of a monitor that may be shown to the origin that a redirect leads to."""
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CODE: Final = re.compile(r"[1-9][0-9]{2}")
_CLASS: Final = re.compile(r"[1-5]xx")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


async def probe_http(check: HttpCheck, trip: Trip) -> None:
    """Raises :class:`Failed` when the target is not up."""
    where = start = _place(check.url)
    method, body = check.method.upper(), check.body.encode()
    seen = {(method, where)}
    while True:
        answer = await ask(trip, check, where, _request(check, start, where, method, body), to_head=method == "HEAD")
        head = answer.head
        trip.status = head.status
        if head.status not in _REDIRECTS or not check.redirects or (to := field(head, b"location")) is None:
            break
        if len(seen) > check.redirects:
            raise Failed(Failure.REDIRECT, f"more than {check.redirects} redirects, the last one from {where}")
        try:
            where = following(where, to)
        except Invalid as problem:
            raise Failed(Failure.REDIRECT, f"{where} redirects to where a probe cannot go: {problem}") from None
        if head.status == 303 or (head.status in {301, 302} and method == "POST"):
            method, body = "HEAD" if method == "HEAD" else "GET", b""
        if (method, where) in seen:
            raise Failed(Failure.REDIRECT, f"redirects in a loop, after {len(seen)} of them back to {where}")
        seen.add((method, where))
        trip.restart()
    if head.status not in accepted(check.status):
        raise Failed(Failure.STATUS, f"expected status {', '.join(check.status)}, got {head.status}")
    await content.judge(check, answer.body, cut=answer.cut, trip=trip)


class Answer:
    """What came, as far as it was read."""

    __slots__ = ("body", "cut", "head")

    def __init__(self, head: ResponseHead, body: bytes, *, cut: bool) -> None:
        self.head = head
        self.body = body
        self.cut = cut
        """Whether there is more than was read."""


async def ask(trip: Trip, check: HttpCheck, where: Place, request: bytes, *, to_head: bool) -> Answer:
    """One request and its answer on one connection. Raises :class:`Failed`."""
    if where.scheme == "https":
        wire = await dial_secure(
            trip, where.host, where.port, name=where.host, verify=check.verify, ca_file=check.ca_file
        )
    else:
        wire = await dial(trip, where.host, where.port)
    try:
        return await _exchange(trip, check, wire, request, to_head=to_head)
    finally:
        wire.close()


async def _exchange(trip: Trip, check: HttpCheck, wire: Wire, request: bytes, *, to_head: bool) -> Answer:
    reader = ResponseReader(LIMITS)
    try:
        reader.expect(to_head=to_head)
        trip.doing = "the request to be taken"
        await wire.send(request)
        sent = trip.clock()
        trip.doing = "the answer to begin"
        body = Body(check.body_limit, kept=content.wanted(check))
        began = 0.0
        while not reader.complete and not body.cut:
            data = await wire.receive()
            if not began:
                began = trip.clock()
                trip.first_byte_ms = round((began - sent) * 1e3, 3)
                trip.doing = "the answer to end"
            if not data:
                _ended(reader)
                break
            reader.feed(data)
            if reader.pieces:
                body.take(reader.pieces)
                reader.pieces = []
            reader.interim.clear()
            head = reader.head
            if head is not None and not body.kept and _is_stream(head):
                break  # server-sent events have no end; that they have begun is all there is to see
        if reader.pieces:
            body.take(reader.pieces)
        trip.transfer_ms = trip.since(began)
        if reader.head is None:
            raise Failed(Failure.PROTOCOL, "the target closed the connection before its answer was complete")
        return Answer(reader.head, body.bytes(), cut=body.cut)
    except BadMessage as broken:
        raise Failed(Failure.PROTOCOL, str(broken).replace("the backend", "the target")) from None
    finally:
        reader.close()


class Body:
    """The body, up to a limit: kept when something is looked for in it, else only counted."""

    __slots__ = ("_left", "_pieces", "cut", "kept")

    def __init__(self, limit: int, *, kept: bool) -> None:
        self._left = limit
        self._pieces: list[bytes] = []
        self.kept = kept
        self.cut = False

    def take(self, pieces: list[bytes | memoryview]) -> None:
        """More of it."""
        for piece in pieces:
            if len(piece) > self._left:
                self.cut = True
                piece = piece[: self._left]  # noqa: PLW2901
            self._left -= len(piece)
            if self.kept:
                self._pieces.append(bytes(piece))

    def bytes(self) -> bytes:
        """What was kept."""
        return b"".join(self._pieces)


def _ended(reader: ResponseReader) -> None:
    if reader.eof():
        return
    if reader.head is None:
        raise Failed(
            Failure.PROTOCOL,
            "the target closed the connection within the head of its answer"
            if reader.mid_message
            else "the target closed the connection without an answer",
        )
    raise Failed(Failure.PROTOCOL, "the target closed the connection before the end of the body that it announced")


def _is_stream(head: ResponseHead) -> bool:
    kind = field(head, b"content-type")
    return kind is not None and kind.lower().startswith(b"text/event-stream")


def field(head: ResponseHead, name: bytes) -> bytes | None:
    """The first field of that name (in lower case)."""
    for line in head.block.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip()
    return None


def _place(url: str) -> Place:
    try:
        return place(url)
    except Invalid as problem:
        raise Failed(Failure.AGENT, f"the monitor's URL cannot be probed: {problem}") from None


def _request(check: HttpCheck, start: Place, where: Place, method: str, body: bytes) -> bytes:
    """The request as it goes on the wire. Raises :class:`Failed` for what would break its lines."""
    at_home = where.origin == start.origin
    if not _TOKEN.fullmatch(method):
        raise Failed(Failure.AGENT, "the monitor's method is no word that HTTP allows")
    lines = [f"{method} {where.path} HTTP/1.1"]
    given = {name.lower(): (name, value) for name, value in check.headers.items()}
    host = given.pop("host", ("", ""))[1] if at_home else ""
    lines.append(f"Host: {host or where.authority}")
    if "user-agent" not in given:
        lines.append(f"User-Agent: {USER_AGENT}")
    if "accept" not in given:
        lines.append("Accept: */*")
    if at_home and "authorization" not in given and (token := _authorization(check, start)):
        lines.append(f"Authorization: {token}")
    lines += _given(given, at_home=at_home)
    lines += ("Accept-Encoding: identity", "Connection: close")
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    if _CONTROL.search("".join(lines)):
        raise Failed(Failure.AGENT, "a header of the monitor has a control character in it")
    return "\r\n".join((*lines, "", "")).encode() + body


def _given(given: Mapping[str, tuple[str, str]], *, at_home: bool) -> list[str]:
    lines = []
    for key, (name, value) in given.items():
        if key in _OWN or not (at_home or key in _HARMLESS):
            continue
        if not _TOKEN.fullmatch(name):
            raise Failed(Failure.AGENT, "the name of a header of the monitor is no word that HTTP allows")
        lines.append(f"{name}: {value}")
    return lines


def _authorization(check: HttpCheck, start: Place) -> str:
    if check.bearer_token:
        return f"Bearer {check.bearer_token}"
    username, password = check.username or start.username, check.password or start.password
    if not username and not password:
        return ""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@lru_cache(maxsize=256)
def accepted(status: tuple[str, ...]) -> frozenset[int]:
    """Codes that are well. Raises :class:`Failed` for what is neither a code, a class nor a range."""
    codes: set[int] = set()
    for part in status:
        first, dash, last = part.strip().lower().partition("-")
        if _CLASS.fullmatch(first) and not dash:
            codes.update(range(int(first[0]) * 100, int(first[0]) * 100 + 100))
        elif _CODE.fullmatch(first) and (not dash or _CODE.fullmatch(last)):
            codes.update(range(int(first), int(last or first) + 1))
        else:
            raise Failed(Failure.AGENT, "the monitor's status is none of 200, 2xx and 200-204")
    return frozenset(codes)
