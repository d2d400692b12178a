"""A connection to a target: a non-blocking socket, waited for by readiness, with or without TLS.

A probe is a straight line (connect, shake hands, ask, read, close) on a connection of its own. Transports and
protocols are made for connections that live, and hide where connecting ends and the handshake begins. So the socket is
used directly, and each phase is timed where it happens.

The addresses of a name are tried one after the other, each with an equal share of the time that is left. A dead first
address therefore shows as a slow connect, which is what a simple client would see, too. Every address is judged
before it is connected to, and connected to by number: what was judged is what is asked.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from holdfast.kernel.addresses import is_host, is_public
from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.shell.probes.finding import Failed, from_os_error

if TYPE_CHECKING:
    from holdfast.netpulse.shell.probes.trip import Trip

ADDRESSES: Final = 4
"""Of a name, that are tried."""
READ_BYTES: Final = 64 * 1024
"""Most that one read takes; one record of TLS is at most 16 KiB."""

# What only this machine can have caused, when connect() says it at once: it has no route, or no such protocol.
_NO_WAY: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT})


def judge(address: str, *, allow_private: bool) -> None:
    """Raise :class:`Failed` when this address may not be asked."""
    public, host = _kind(address)
    if public:
        return
    if not host:
        raise Failed(Failure.BLOCKED, f"{address} is no address of a machine (multicast, broadcast, or none at all)")
    if not allow_private:
        raise Failed(
            Failure.BLOCKED,
            f"{address} is a private address; allow_private has to be set for the monitor and for the agents",
        )


@lru_cache(maxsize=4096)
def _kind(address: str) -> tuple[bool, bool]:
    """Whether an address is public, and whether it is one machine's: the same addresses come again and again."""
    number = ip_address(address)
    return is_public(number), is_host(number)


async def addresses(trip: Trip, host: str) -> list[str]:
    """Addresses of a host that may be asked, in the order of trying. Raises :class:`Failed` when there are none."""
    start = trip.clock()
    trip.doing = "its name to resolve"
    found = await trip.names.addresses(host)
    trip.resolve_ms = trip.since(start)
    blocked: Failed | None = None
    allowed: list[str] = []
    for address in found:
        try:
            judge(address, allow_private=trip.allow_private)
        except Failed as refusal:
            trip.address = trip.address or address
            blocked = blocked or refusal
        else:
            allowed.append(address)
    if not allowed:
        raise blocked or Failed(Failure.RESOLVE, "the name has no address")
    return allowed[:ADDRESSES]


async def dial(trip: Trip, host: str, port: int) -> Wire:
    """Connect to the first address of a host that takes the connection. Raises :class:`Failed`."""
    candidates = await addresses(trip, host)
    start = trip.clock()
    trip.doing = "the connection to be taken"
    worst: Failed | None = None
    for index, address in enumerate(candidates):
        trip.address = address
        last = index == len(candidates) - 1
        try:
            if last:
                wire = await connect(trip.loop, address, port)
            else:
                async with asyncio.timeout(trip.left() / (len(candidates) - index)):
                    wire = await connect(trip.loop, address, port)
        except TimeoutError:
            # The share of this address is over. (The last one has no share: the probe's deadline is its own.)
            worst = Failed(Failure.TIMEOUT, f"{address} did not take the connection")
        except Failed as failed:
            # A machine without IPv6 is no excuse for a target whose IPv4 address refused.
            if worst is None or failed.failure is not Failure.AGENT:
                worst = failed
        else:
            trip.connect_ms = trip.since(start)
            return wire
    if worst is None:
        raise Failed(Failure.RESOLVE, "the name has no address")
    raise worst


async def connect(loop: asyncio.AbstractEventLoop, address: str, port: int) -> Wire:
    """Connect to one address, which has been judged. Raises :class:`Failed`."""
    try:
        sock = socket.socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        )
    except OSError as error:
        raise from_os_error(error) from None
    wire = Wire(sock, loop)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect((address, port))
        except BlockingIOError:
            await wire.writable()
            if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise from_os_error(OSError(code, os.strerror(code))) from None
        except OSError as error:
            if error.errno in _NO_WAY:
                raise Failed(Failure.AGENT, f"this agent has no route to {address}") from None
            raise from_os_error(error) from None
    except BaseException:
        wire.close()
        raise
    return wire


class Wire:
    """One connection. Whoever has it closes it."""

    __slots__ = ("_fd", "_loop", "_read", "_write", "sock")

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._use(sock)

    def _use(self, sock: socket.socket) -> None:
        self.sock = sock
        self._fd = sock.fileno()
        self._read: Callable[[int], bytes] = sock.recv
        self._write: Callable[[bytes | memoryview], int] = sock.send

    async def readable(self) -> None:
        """Wait until a read would not block."""
        await readable(self._loop, self._fd)

    async def writable(self) -> None:
        """Wait until a write would not block."""
        future = self._loop.create_future()
        self._loop.add_writer(self._fd, _wake, future)
        try:
            await future
        finally:
            self._loop.remove_writer(self._fd)

    async def receive(self, size: int = READ_BYTES) -> bytes:
        """Up to ``size`` bytes; none at the end of the stream. Raises :class:`Failed`."""
        waited = False
        while True:
            try:
                data = self._read(size)
            except (BlockingIOError, ssl.SSLWantReadError):
                waited = True
                await self.readable()
            except ssl.SSLWantWriteError:
                waited = True
                await self.writable()
            except OSError as error:
                raise from_os_error(error) from None
            else:
                if not waited:  # a sender that is quicker than we are must not keep the loop to itself
                    await asyncio.sleep(0)
                return data

    async def send(self, data: bytes) -> None:
        """Write all of it. Raises :class:`Failed`."""
        rest: bytes | memoryview = data
        while True:
            try:
                sent = self._write(rest)
            except (BlockingIOError, ssl.SSLWantWriteError):
                await self.writable()
            except ssl.SSLWantReadError:
                await self.readable()
            except OSError as error:
                raise from_os_error(error) from None
            else:
                if sent == len(rest):
                    return
                rest = memoryview(rest)[sent:]

    async def secure(self, trip: Trip, context: ssl.SSLContext, server_name: str) -> ssl.SSLSocket:
        """Shake hands. Raises :class:`Failed`."""
        start = trip.clock()
        trip.doing = "the TLS handshake to end"
        try:
            sock = context.wrap_socket(self.sock, do_handshake_on_connect=False, server_hostname=server_name)
        except (OSError, ValueError) as error:
            # The peer was gone before the first byte, or the name is none that a certificate could have.
            raise from_os_error(error) if isinstance(error, OSError) else Failed(Failure.TLS, str(error)) from None
        self._use(sock)
        while True:
            try:
                sock.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.readable()
            except ssl.SSLWantWriteError:
                await self.writable()
            except OSError as error:
                raise from_os_error(error) from None
        trip.tls_ms = trip.since(start)
        return sock

    def close(self) -> None:
        """Give the socket back. What was not read is answered with RST by the kernel, which ends endless senders."""
        self.sock.close()


async def readable(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    """Wait until a descriptor can be read from."""
    future = loop.create_future()
    loop.add_reader(fd, _wake, future)
    try:
        await future
    finally:
        loop.remove_reader(fd)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():  # level-triggered: it may come again before the waiter has run
        future.set_result(None)
