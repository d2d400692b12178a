"""Addresses are taken by the master before any worker starts.

Each worker binds and listens for itself with ``SO_REUSEPORT``. The master holds a bound
socket that never listens beside them: the kernel gives it no connection, but the port
stays reserved while workers come and go, an address that is in use is found at once, and
port 0 becomes one concrete port that all workers share.
"""

from __future__ import annotations

import asyncio
import socket
from typing import NamedTuple

from holdfast.balancer.errors import AddressError


class Reserved(NamedTuple):
    """A socket that holds an address."""

    sock: socket.socket
    address: str
    """As configured, with the real port."""


def split_address(address: str) -> tuple[str, str, int]:
    """``(scheme or "", host, port)`` of ``HOST:PORT``, ``[v6]:PORT`` or ``https://HOST:PORT``.

    Raises :class:`AddressError`.
    """
    scheme, separator, rest = address.rpartition("://")
    host, colon, port = rest.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise AddressError("is not an address", where=address, remedy="write HOST:PORT or [IPV6]:PORT")
    return scheme + separator, host.removeprefix("[").removesuffix("]"), int(port)


async def reserve(address: str, *, listen: bool) -> Reserved:
    """Take an address; ``listen`` for a socket that this process serves itself.

    Raises :class:`AddressError`.
    """
    scheme, host, port = split_address(address)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as failed:
        raise AddressError(str(failed), where=address, remedy="listen on an address of this machine") from failed
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Connections inherit it from their listener. Without it, those in TIME_WAIT would keep the
        # address from everybody who comes after us and does not share ports.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not listen:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(where)
        if listen:
            sock.listen(128)
    except OSError as failed:
        sock.close()
        raise AddressError(
            failed.strerror or str(failed), where=address, remedy="stop what uses it, or choose another port"
        ) from failed
    bound = sock.getsockname()[1]
    return Reserved(sock, f"{scheme}[{host}]:{bound}" if ":" in host else f"{scheme}{host}:{bound}")
