"""How a service says that it is up: to the supervisor that started it, and to systemd.

The supervisor passes the write end of a pipe in ``HOLDFAST_READY_FD``. The service writes one
line, ``READY`` and a JSON object of addresses by what they are, and closes it::

    READY {"front door": "http://127.0.0.1:8080"}

End of file without that line means that it never became ready.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from typing import Final

READY_FD: Final = "HOLDFAST_READY_FD"
NOTIFY_SOCKET: Final = "NOTIFY_SOCKET"
MAX_LINE_BYTES: Final = 64 * 1024
"""Longest readiness line; a pipe takes it in one write when nobody reads yet."""


def supervised() -> bool:
    """Whether this process was started by the supervisor, which has tried the ports already."""
    return READY_FD in os.environ


def announce(addresses: Mapping[str, str]) -> None:
    """Say that this process is ready, once. Without anybody to tell it does nothing."""
    descriptor = os.environ.pop(READY_FD, None)
    if descriptor is not None:
        with contextlib.suppress(OSError, ValueError), os.fdopen(int(descriptor), "wb", buffering=0) as pipe:
            pipe.write(encode(addresses))
    notify("READY=1")


def encode(addresses: Mapping[str, str]) -> bytes:
    """The readiness line."""
    return b"READY " + json.dumps(dict(addresses)).encode() + b"\n"


def decode(line: bytes) -> dict[str, str] | None:
    """The addresses in a readiness line; ``None`` if it is none."""
    word, _, rest = line.partition(b" ")
    if word.rstrip(b"\n") != b"READY" or not line.endswith(b"\n"):
        return None
    try:
        addresses = json.loads(rest or b"{}")
    except ValueError:
        return None
    return {str(name): str(url) for name, url in addresses.items()} if isinstance(addresses, dict) else None


def notify(state: str) -> bool:
    """Send ``READY=1`` or ``STOPPING=1`` to systemd (sd_notify(3)); false when it does not listen."""
    target = os.environ.get(NOTIFY_SOCKET, "")
    if not target.startswith(("/", "@")):
        return False
    address = "\0" + target[1:] if target.startswith("@") else target
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(1.0)
            channel.sendto(state.encode(), address)
    except OSError:
        return False
    return True
