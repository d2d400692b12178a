"""The ICMP check: echo requests (RFC 792, RFC 4443).

Without privileges where the system allows it: a datagram socket for echo, open to the groups in
``net.ipv4.ping_group_range``. Else a raw socket, for which CAP_NET_RAW is needed. Else the agent says what would help.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
from typing import Final

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.core.settings import IcmpCheck
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.probes.finding import Failed, from_os_error
from holdfast.netpulse.shell.probes.place import host_name
from holdfast.netpulse.shell.probes.trip import Trip
from holdfast.netpulse.shell.probes.wire import Wire, addresses

REMEDY: Final = (
    "the agent may not send ICMP; run: sysctl -w net.ipv4.ping_group_range='0 2147483647', or give it CAP_NET_RAW"
)
_HEAD: Final = struct.Struct("!BBHHH")
_TOKEN_BYTES: Final = 16
_READ_BYTES: Final = 2048
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
"""Linux: tell of errors that came back (host unreachable) instead of keeping silent."""


async def probe_icmp(check: IcmpCheck, trip: Trip) -> None:
    """Raises :class:`Failed` when none of the requests is answered."""
    try:
        host = host_name(check.host)
    except Invalid as problem:
        raise Failed(Failure.AGENT, f"the monitor's host cannot be asked: {problem}") from None
    address = (await addresses(trip, host))[0]
    trip.address = address
    trip.doing = "an echo"
    count = max(1, check.count)
    with _open(six=":" in address) as sock:
        echo = _Echo(sock, address)
        wire = Wire(sock, trip.loop)
        try:
            sock.connect((address, 0))
            for sequence in range(1, count + 1):
                start = trip.clock()
                sock.send(echo.request(sequence))
                if sequence == count:
                    await echo.answer(wire)
                else:
                    try:
                        async with asyncio.timeout(trip.left() / (count - sequence + 1)):
                            await echo.answer(wire)
                    except TimeoutError:
                        continue
                trip.first_byte_ms = trip.since(start)
                return
        except OSError as error:
            raise from_os_error(error) from None


def _open(*, six: bool) -> socket.socket:
    family = socket.AF_INET6 if six else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        except PermissionError:
            continue
        except OSError as error:
            raise from_os_error(error) from None
        level, option = (socket.IPPROTO_IPV6, _IPV6_RECVERR) if six else (socket.IPPROTO_IP, _IP_RECVERR)
        sock.setsockopt(level, option, 1)
        return sock
    raise Failed(Failure.AGENT, REMEDY)


class _Echo:
    """Requests and answers of one probe. A token of its own tells its answers from those of anybody else."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self._six = ":" in address
        self._raw = sock.type == socket.SOCK_RAW
        self._id = secrets.randbelow(0x10000)
        self._token = secrets.token_bytes(_TOKEN_BYTES)

    def request(self, sequence: int) -> bytes:
        """One request; the kernel fills in the checksum of ICMPv6, and the id on a datagram socket."""
        kind = 128 if self._six else 8
        bare = _HEAD.pack(kind, 0, 0, self._id, sequence) + self._token
        return bare if self._six else _HEAD.pack(kind, 0, checksum(bare), self._id, sequence) + self._token

    async def answer(self, wire: Wire) -> None:
        """Wait for an answer to any of the requests. Raises ``OSError`` for an error that came back."""
        while True:
            await wire.readable()
            try:
                data = wire.sock.recv(_READ_BYTES)
            except BlockingIOError:
                if code := wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(code, os.strerror(code)) from None
                continue
            if self._raw and not self._six and data:
                data = data[(data[0] & 15) * 4 :]  # a raw socket shows the IP header, too
            if len(data) < _HEAD.size:
                continue
            kind = data[0]
            if kind == (129 if self._six else 0) and data[_HEAD.size :] == self._token:
                return


def checksum(data: bytes) -> int:
    """Of the internet (RFC 1071), for data of even length."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
