"""Whether an address can be listened on, and who holds it if not (Linux)."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path


def bind_problem(host: str, port: int) -> tuple[str, str] | None:
    """Why a listener could not be bound, and the remedy; ``None`` when it could.

    Binds without ``SO_REUSEPORT``: with it, the kernel would let us share the port with another
    program of the same user and split its traffic. ``SO_REUSEADDR`` ignores connections in
    TIME_WAIT, never a listener.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        return f"{host} does not resolve", "write an IP address of this machine"
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
        except OSError as error:
            return _explain(host, port, error)
    return None


def _explain(host: str, port: int, error: OSError) -> tuple[str, str]:
    if error.errno == errno.EADDRINUSE:
        owner = holder(port)
        return f"port {port} is in use" + (f" by {owner}" if owner else ""), "stop that program or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine", "write one that `ip address` shows, or 0.0.0.0 or [::]"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} needs a privilege", "choose a port from 1024, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EAFNOSUPPORT:
        return f"this machine has no {'IPv6' if ':' in host else 'IPv4'}", "choose an address of the other family"
    return f"cannot be bound: {(error.strerror or str(error)).lower()}", "choose another address"


def holder(port: int) -> str | None:
    """``NAME (pid N)`` of a process that listens on the port, as far as ``/proc`` lets this user see."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    links = {f"socket:[{inode}]" for inode in inodes}
    for process in sorted((entry for entry in Path("/proc").glob("[0-9]*")), key=lambda entry: int(entry.name)):
        try:
            descriptors = os.scandir(process / "fd")
        except OSError:
            continue
        with descriptors:
            for descriptor in descriptors:
                try:
                    if os.readlink(descriptor.path) in links:  # noqa: PTH115 - one Path less per descriptor of the machine
                        return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
                except OSError:
                    continue
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            listening = columns[3] == "0A"  # TCP_LISTEN
            if listening and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody holds right now, all different. They are not reserved."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
