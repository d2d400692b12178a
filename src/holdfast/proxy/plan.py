"""What a request head becomes on its way to a backend; made once and kept with the head."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from holdfast.resilience import hash_key

if TYPE_CHECKING:
    from holdfast.http1 import RequestHead
    from holdfast.proxy.client import ClientConnection

_VIA: Final = b"Via: 1.1 holdfast\r\n"


class Routed(Protocol):
    """The pool of a request, and the target that it has there."""

    @property
    def name(self) -> str:
        """What the access log calls the route."""
        ...

    @property
    def pool(self) -> str:
        """Name of the pool."""
        ...

    def forwarded(self, target: str) -> str:
        """The target to send to the backend."""
        ...


class Plan:
    """The parts of the head for the backend; ids are added per attempt.

    ``epoch`` is the configuration that it was made under; another one makes it void.
    """

    __slots__ = ("epoch", "has_body", "head", "host", "host_line", "key", "line", "pool", "rest", "route")

    def __init__(self, head: RequestHead, client: ClientConnection, routed: Routed, epoch: object) -> None:
        self.epoch = epoch
        self.pool = routed.pool
        self.route = routed.name
        self.head = head
        self.host = head.host.decode("latin-1")
        self.line = _request_line(head, routed)
        self.host_line = b"Host: %b\r\n" % head.host
        self.has_body = head.has_body
        if head.chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        elif head.length is not None:
            framing = b"Content-Length: %d\r\n" % head.length
        else:
            framing = b""
        if head.upgrade is not None:
            framing += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % head.upgrade
        if head.expect_continue and head.has_body:
            framing += b"Expect: 100-continue\r\n"
        self.rest = b"%b%b%b%b" % (head.block, client.forwarding(head), _VIA, framing)
        self.key: int | None = None

    def under(self, head: RequestHead, routed: Routed) -> Plan:
        """The plan for the same fields under another request line (see :meth:`RequestHead.under`)."""
        plan = Plan.__new__(Plan)
        plan.head = head
        plan.epoch = self.epoch
        plan.pool = routed.pool
        plan.route = routed.name
        plan.host = self.host
        plan.line = _request_line(head, routed)
        plan.host_line = self.host_line
        plan.has_body = False
        plan.rest = self.rest
        plan.key = None
        return plan


def _request_line(head: RequestHead, routed: Routed) -> bytes:
    target = head.target.decode("ascii")
    forwarded = routed.forwarded(target)
    if forwarded is target:
        return b"%b %b HTTP/1.1\r\n" % (head.method, head.target)
    return b"%b %b HTTP/1.1\r\n" % (head.method, forwarded.encode("ascii"))


def affinity_key(hash_on: str, head: RequestHead, address: str) -> int:
    """The key of consistent hashing: ``client``, ``path``, ``header:NAME`` or ``cookie:NAME``.

    A request without that header or cookie follows its client's address.
    """
    kind, _, name = hash_on.partition(":")
    if kind == "path":
        return hash_key(head.target.partition(b"?")[0])
    if kind == "header":
        found = re.search(rb"(?im)^" + re.escape(name.encode()) + rb": (.*)\r$", head.block)
        if found:
            return hash_key(found[1])
    elif kind == "cookie":
        found = re.search(rb"(?im)^cookie: (?:.*;[ ]?)?" + re.escape(name.encode()) + rb"=([^;\r]*)", head.block)
        if found:
            return hash_key(found[1])
    return hash_key(address.encode())


def forwarding_block(head: RequestHead, address: str, *, secure: bool, trusted: bool) -> bytes:
    """``X-Forwarded-*`` and ``Forwarded`` (RFC 7239) for a request that came from ``address``.

    What the client said itself is kept (and our part appended) only from a trusted proxy;
    otherwise anybody could choose the address that a backend sees.
    """
    peer = address.partition("%")[0].encode("ascii")
    proto = b"https" if secure else b"http"
    node = b'"[%b]"' % peer if b":" in peer else peer
    own = b'for=%b;host="%b";proto=%b' % (node, head.host, proto)
    chain, host, forwarded = peer, head.host, own
    if trusted and head.owned:
        owned = head.owned
        if held := owned.get(b"x-forwarded-for"):
            chain = held + b", " + peer
        if held := owned.get(b"forwarded"):
            forwarded = held + b", " + own
        proto = owned.get(b"x-forwarded-proto", proto)
        host = owned.get(b"x-forwarded-host", host)
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nForwarded: %b\r\n" % (
        chain,
        proto,
        host,
        forwarded,
    )
