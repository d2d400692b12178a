"""Addresses that names lead to, and which of them a tool may have."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from holdfast.kernel.addresses import is_public

if TYPE_CHECKING:
    from collections.abc import Sequence

USER_AGENT: Final = "holdfast-gateway"
CONNECT_S: Final = 5.0


class PrivateAddressError(OSError):
    """A name leads to an address that not everybody reaches."""


async def look_up(host: str, port: int, family: int = socket.AF_UNSPEC) -> list[str]:
    """Addresses of a name as text, each once. Raises ``OSError``."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def judge(addresses: Sequence[str]) -> None:
    """Raise :class:`PrivateAddressError` unless all are public: of a name with both, nobody says which is taken."""
    for address in addresses:
        if not is_public(ip_address(address)):
            raise PrivateAddressError(f"{address} is not a public address; set private: true if this is meant")
