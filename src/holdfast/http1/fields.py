"""Header fields: which ones end at this hop, which ones frame the message, which ones we own.

RFC 9110 section 7.6.1 (hop-by-hop), RFC 9112 section 6 (framing), RFC 7239 (``Forwarded``).
"""

from __future__ import annotations

import re
from typing import Final

from holdfast.http1.errors import BadMessage

# What a proxy does with a field. PLAIN is forwarded as it came.
PLAIN: Final = 0
DROP: Final = 1
CONNECTION: Final = 2
LENGTH: Final = 3
ENCODING: Final = 4
HOST: Final = 5
UPGRADE: Final = 6
EXPECT: Final = 7
OWNED: Final = 8
"""Made or rewritten by the proxy; the received value is kept aside for it."""

_REQUEST: Final[dict[bytes, int]] = {
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"transfer-encoding": ENCODING,
    b"host": HOST,
    b"upgrade": UPGRADE,
    b"expect": EXPECT,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authorization": DROP,
    b"te": OWNED,
    b"trailer": DROP,
    b"x-request-id": OWNED,
    b"traceparent": OWNED,
    b"forwarded": OWNED,
    b"x-forwarded-for": OWNED,
    b"x-forwarded-proto": OWNED,
    b"x-forwarded-host": OWNED,
}
_RESPONSE: Final[dict[bytes, int]] = {
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"transfer-encoding": ENCODING,
    b"upgrade": UPGRADE,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authenticate": DROP,
    b"trailer": DROP,
    b"x-request-id": DROP,
}

# Names arrive in a handful of spellings; remembering them saves lower() on every request.
# Bounded in number and length, because a client chooses the names.
_SPELLINGS_KEPT: Final = 1024
_SPELLING_BYTES: Final = 64


class FieldKinds:
    """Maps a field name in any spelling to what is done with it."""

    __slots__ = ("_kinds", "_spellings")

    def __init__(self, kinds: dict[bytes, int]) -> None:
        self._kinds = kinds
        self._spellings: dict[bytes, int] = {}

    def of(self, name: bytes) -> int:
        """The kind of ``name``."""
        kind = self._spellings.get(name)
        if kind is None:
            kind = self._kinds.get(name.lower(), PLAIN)
            if len(self._spellings) < _SPELLINGS_KEPT and len(name) <= _SPELLING_BYTES:
                self._spellings[name] = kind
        return kind


REQUEST_FIELDS: Final = FieldKinds(_REQUEST)
RESPONSE_FIELDS: Final = FieldKinds(_RESPONSE)

# RFC 9110 section 9.2.2. TRACE is left out: it is refused.
IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PROPFIND", b"REPORT", b"SEARCH"))

_HOST: Final = re.compile(rb"(?:(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{1,5})?)?")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def valid_host(value: bytes) -> bool:
    """Whether ``value`` is an authority without user information (RFC 3986 section 3.2), or empty."""
    return _HOST.fullmatch(value) is not None


def valid_request_id(value: bytes) -> bool:
    """Whether a received ``X-Request-Id`` is short and harmless enough to pass on and to log."""
    return _REQUEST_ID.fullmatch(value) is not None


def valid_traceparent(value: bytes) -> bool:
    """Whether a received ``traceparent`` has the form of W3C Trace Context, level 1."""
    return _TRACEPARENT.fullmatch(value) is not None


def tokens(value: bytes) -> list[bytes]:
    """The lower-cased members of a comma-separated list of tokens.

    Raises :class:`BadMessage` when a member is not a token.
    """
    members = [member.strip(b" \t").lower() for member in value.split(b",")]
    for member in members:
        if member and not _TOKEN.fullmatch(member):
            raise BadMessage(400, "bad_connection_option", "Connection names something that is not a token")
    return [member for member in members if member]
