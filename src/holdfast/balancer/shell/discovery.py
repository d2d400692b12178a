"""Backends found by name.

:class:`Discovery` is the seam: whatever yields the full set of endpoints on each change
can feed a pool. Listed backends need none, they are in the settings. DNS is here; a
catalogue such as Consul's (a blocking query per service) fits the same shape.

The last good answer stays in force. A name that stops resolving says more about the
resolver than about the backends, whose own health is checked anyway; so neither an error,
nor NXDOMAIN, nor an empty answer ever takes a backend away.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from typing import Final, NamedTuple, Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver

from holdfast.balancer.core.messages import Endpoint
from holdfast.balancer.core.settings import DiscoverySettings
from holdfast.balancer.errors import DiscoveryError

log = logging.getLogger(__name__)

RESOLVE_DEADLINE_S: Final = 5.0
"""What the stub resolver of glibc gives each server by default (resolv.conf(5), ``timeout``)."""


class Answer(NamedTuple):
    """What a name resolves to now."""

    addresses: tuple[str, ...]
    """IPv4 and IPv6, sorted, without repetition; never empty."""
    ttl_s: float | None
    """The smallest TTL of the records; ``None`` if the source tells none."""


class Resolver(Protocol):
    """Turns a host name into addresses."""

    async def resolve(self, host: str) -> Answer:
        """Raises :class:`DiscoveryError`."""
        ...


class Discovery(Protocol):
    """A source of backends for one pool."""

    def watch(self) -> AsyncIterator[tuple[Endpoint, ...]]:
        """The full set, first as soon as it is known and then on each change; never empty, never raises."""
        ...


class SystemResolver:
    """``getaddrinfo``: knows the hosts file and whatever nsswitch.conf names, but no TTL."""

    async def resolve(self, host: str) -> Answer:
        """Resolve in a thread. Raises :class:`DiscoveryError`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_DEADLINE_S):
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError) as failed:
            raise _unresolved(host, str(failed) or type(failed).__name__) from failed
        return _answer(host, {str(entry[4][0]) for entry in found}, None)


class DnsResolver:
    """The servers of ``/etc/resolv.conf``, asked for A and AAAA; TTLs are known.

    A name for which they have no address, or no answer, is looked up with ``fallback``, so
    that names of the hosts file work too, also where no server can be reached. Addresses of
    one family beside an error in the other are an error: half an answer would take every
    backend of the other family away.
    """

    def __init__(
        self, fallback: Resolver, *, stub: Callable[[], dns.asyncresolver.Resolver] = dns.asyncresolver.Resolver
    ) -> None:
        """``fallback`` is asked for names that the DNS has no addresses for; ``stub`` makes the client."""
        self._fallback = fallback
        self._stub = stub

    async def resolve(self, host: str) -> Answer:
        """Raises :class:`DiscoveryError`."""
        # Made anew each time, at most once per second: resolv.conf changes under DHCP and VPNs.
        try:
            resolver = self._stub()
        except dns.resolver.NoResolverConfiguration:
            return await self._fallback.resolve(host)
        families = await asyncio.gather(
            *(resolver.resolve(host, family, lifetime=RESOLVE_DEADLINE_S, search=True) for family in ("A", "AAAA")),
            return_exceptions=True,
        )
        addresses: set[str] = set()
        ttls: list[float] = []
        failure: Exception | None = None
        for found in families:
            if isinstance(found, dns.resolver.NXDOMAIN | dns.resolver.NoAnswer):
                continue
            if isinstance(found, dns.exception.DNSException | OSError | ValueError):
                failure = found
            elif isinstance(found, BaseException):
                raise found
            else:
                addresses.update(str(record.address) for record in found)
                ttls.append(float(found.ttl if found.rrset is None else found.rrset.ttl))
        if not addresses:
            return await self._fallback.resolve(host)
        if failure is not None:
            raise _unresolved(host, str(failure)) from failure
        return _answer(host, addresses, min(ttls))


class DnsDiscovery:
    """Every address of a name is a backend; asked again when the TTL has passed."""

    def __init__(
        self,
        pool: str,
        settings: DiscoverySettings,
        resolver: Resolver,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``sleep`` is replaced in tests."""
        self._pool = pool
        self._settings = settings
        self._resolver = resolver
        self._sleep = sleep

    async def watch(self) -> AsyncIterator[tuple[Endpoint, ...]]:
        """See :meth:`Discovery.watch`."""
        host, _, port = self._settings.dns.rpartition(":")
        host = host.strip("[]")
        shortest, longest = float(self._settings.min_interval), float(self._settings.max_interval)
        known: tuple[str, ...] = ()
        retry_s = shortest
        while True:
            try:
                addresses, ttl_s = await self._lookup(host)
            except DiscoveryError as failed:
                log.warning("discovery failed", extra={"action": "discovery", "pool": self._pool, "why": str(failed)})
                pause, retry_s = retry_s, min(longest, retry_s * 2)
            else:
                if addresses != known:
                    known = addresses
                    yield tuple(self._endpoint(host, address, port) for address in addresses)
                pause, retry_s = min(longest, max(shortest, longest if ttl_s is None else ttl_s)), shortest
            await self._sleep(pause)

    async def _lookup(self, host: str) -> Answer:
        try:
            ip_address(host)
        except ValueError:
            return await self._resolver.resolve(host)
        return Answer((host,), None)

    def _endpoint(self, host: str, address: str, port: str) -> Endpoint:
        netloc = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        return Endpoint(self._pool, f"{host}-{address}-{port}", f"{self._settings.scheme}://{netloc}", 1.0)


def _answer(host: str, addresses: set[str], ttl_s: float | None) -> Answer:
    if not addresses:
        raise _unresolved(host, "no addresses")
    return Answer(tuple(sorted(addresses)), ttl_s)


def _unresolved(host: str, why: str) -> DiscoveryError:
    return DiscoveryError(
        f"does not resolve ({why})", where=host, remedy="check the name and the servers in /etc/resolv.conf"
    )
