"""Where a check goes: URLs and ``HOST:PORT``, read strictly, from the configuration and from redirects. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, unquote, urljoin, urlsplit

from holdfast.netpulse.errors import Invalid

URL_LIMIT: Final = 8192
"""Characters of a URL; twice of what most servers take."""
PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?")
_WRONG: Final = re.compile(r"[\x00-\x20\x7f\\]")
_KEPT: Final = "!#$%&'()*+,/:;=?@[]~"
"""What :func:`quote` leaves alone in a path and query: all that RFC 3986 allows, and ``%`` that is there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A URL in parts, every part checked and as it goes on the wire."""

    scheme: str
    host: str
    """In lower case and ASCII, without brackets."""
    port: int
    path: str
    """With the query; begins with ``/``."""
    username: str = ""
    password: str = ""

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials belong to (RFC 6454)."""
        return (self.scheme, self.host, self.port)

    @property
    def authority(self) -> str:
        """For the ``Host`` field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """Scheme, host and port: what may be said of it. A path can be as secret as a query."""
        return f"{self.scheme}://{self.authority}"


@lru_cache(maxsize=4096)
def place(url: str, schemes: tuple[str, ...] = ("http", "https")) -> Place:
    """Read a URL. Raises :class:`Invalid`, whose message does not repeat the URL (it may hold a password)."""
    if len(url) > URL_LIMIT or _WRONG.search(url):
        raise Invalid(f"a URL has at most {URL_LIMIT} characters, none of them a space, a control character or \\")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Invalid(f"the URL cannot be read ({error}); write scheme://host[:port]/path") from None
    if parts.scheme not in schemes:
        raise Invalid(f"the URL does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    path = quote(parts.path or "/", safe=_KEPT)
    if parts.query:
        path += "?" + quote(parts.query, safe=_KEPT)
    return Place(
        scheme=parts.scheme,
        host=host_name(parts.hostname or ""),
        port=PORTS[parts.scheme] if port is None else checked_port(port),
        path=path,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def following(base: Place, location: bytes) -> Place:
    """Where a ``Location`` leads. Raises :class:`Invalid`."""
    try:
        text = location.decode()
    except UnicodeDecodeError:
        text = location.decode("latin-1")
    try:
        joined = urljoin(f"{base}{base.path}", text.strip().replace(" ", "%20"))
    except ValueError as error:
        raise Invalid(f"it cannot be read: {error}") from None
    return place(joined)


@lru_cache(maxsize=4096)
def host_and_port(address: str, default_port: int | None = None) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``[IPv6]:PORT``. Raises :class:`Invalid`."""
    host, colon, port = address.rpartition(":")
    if default_port is not None and (not colon or port.endswith("]") or address.count(":") > 1 > address.count("[")):
        host, port = address, str(default_port)
    if not host or not (port.isascii() and port.isdigit() and len(port) < 6):
        raise Invalid("an address is HOST:PORT, for example example.com:443 or [2001:db8::1]:443")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host_name(host), checked_port(int(port))


def checked_port(port: int) -> int:
    """Raises :class:`Invalid` when it is none."""
    if not 1 <= port <= 65535:
        raise Invalid("a port is between 1 and 65535")
    return port


def host_name(host: str) -> str:
    """A host in lower case and ASCII; international names in their ``xn--`` form. Raises :class:`Invalid`."""
    if ":" in host:
        try:
            return str(ip_address(host))
        except ValueError:
            raise Invalid("the host has a colon and is no IPv6 address") from None
    if not host.isascii():
        try:
            host = host[:253].encode("idna").decode("ascii")
        except UnicodeError:
            raise Invalid("the host is no domain name") from None
    host = host.lower()
    if not host or len(host) > 253 or not _HOST.fullmatch(host):
        raise Invalid("the host is no domain name and no address")
    return host
