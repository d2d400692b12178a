"""The address that a service listens on."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from holdfast.kernel import HoldfastError

BACKLOG: Final = 4096


class AddressError(HoldfastError):
    """An address that cannot be listened on; the text says why and what to do."""

    exit_code = 2


async def listen(address: str, *, setting: str) -> socket.socket:
    """A listening socket for ``HOST:PORT`` or ``[IPV6]:PORT``. Raises :class:`AddressError` naming ``setting``."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise AddressError(f"{setting}: {address!r} is not an address; write HOST:PORT or [IPV6]:PORT")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host.removeprefix("[").removesuffix("]") or None,
            int(port),
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        family, _, _, _, where = found[0]
        return socket.create_server(where[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        text = f"{setting}: cannot listen on {address}: {error.strerror or error}"
        raise AddressError(f"{text}; stop what uses it, or choose another address") from error


def url(sock: socket.socket) -> str:
    """Where a listening socket is reached; its real port."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
