"""Addresses as people write them in a configuration: ``HOST:PORT``, ``[v6]:PORT``, ``https://HOST:PORT``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?"
_HOSTNAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_AUTHORITY: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:/@?#\s]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener is bound."""

    host: str
    """IP literal without brackets, or a name."""
    port: int
    tls: bool = False

    def __str__(self) -> str:
        """``HOST:PORT``, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def wildcard(self) -> bool:
        """Whether it stands for every address of its family."""
        return self.host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound

    def overlaps(self, other: Address) -> bool:
        """Whether both cannot be bound at once."""
        if self.port != other.port:
            return False
        if self.host == other.host or "localhost" in {self.host, other.host}:
            return self.host == other.host or (self.loopback and other.loopback) or self.wildcard or other.wildcard
        same_family = (":" in self.host) == (":" in other.host)
        return same_family and (self.wildcard or other.wildcard)


def parse_authority(text: str, *, lowest_port: int = 1) -> tuple[str, int]:
    """Read ``HOST:PORT`` or ``[v6]:PORT``. Raises ``ValueError`` that says what is wrong."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError("not HOST:PORT")
    port = int(match["port"])
    if not lowest_port <= port <= 65535:
        raise ValueError(f"port is not from {lowest_port} to 65535")
    if match["v6"] is not None:
        try:
            return str(ipaddress.IPv6Address(match["v6"])), port
        except ValueError:
            raise ValueError("not an IPv6 address in brackets") from None
    host = match["host"]
    if not valid_host(host):
        raise ValueError("not a host name or IP address")
    return host, port


def parse_listen(text: str) -> Address:
    """Read an address to listen on: ``HOST:PORT``, ``[v6]:PORT`` or ``https://HOST:PORT``.

    Port 0 lets the kernel choose. Raises ``ValueError`` that says what is wrong.
    """
    rest = text.removeprefix("https://")
    host, port = parse_authority(rest, lowest_port=0)
    return Address(host, port, tls=rest != text)


def valid_host(text: str) -> bool:
    """Whether it is an IPv4 address or a host name (RFC 1123, and underscores, which containers use)."""
    if re.fullmatch(r"[0-9.]+", text):
        try:
            ipaddress.IPv4Address(text)
        except ValueError:
            return False
        return True
    return _HOSTNAME.fullmatch(text) is not None
