"""Names to addresses: the hosts file, then DNS as ``resolv.conf`` says.

``getaddrinfo`` is not used: it blocks a thread that nobody can call back, and a few names whose servers are silent
would take all the threads there are and hold up everybody else's. A lookup here ends with its probe. What that costs:
name services other than these two (mDNS, LDAP) are not asked.

Nothing is remembered from one probe to the next: a name that has stopped resolving is to be seen.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

import dns.exception
import dns.name
import dns.rcode
import dns.resolver

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.shell.probes import lookup
from holdfast.netpulse.shell.probes.finding import Failed, quoted

SECOND_FAMILY_S: Final = 0.5
"""How long the other family's addresses are waited for when there are some of one."""
HOSTS: Final = Path("/etc/hosts")
RESOLV_CONF: Final = Path("/etc/resolv.conf")

_SOMEWHERE_6: Final = ("2001:500:2::c", 53)
"""An address (of a root server) to which a machine with IPv6 has a route. Nothing is sent there."""


class Names:
    """Looks names up. Its files are read again when they have changed."""

    def __init__(self, *, hosts: Path = HOSTS, resolv_conf: Path = RESOLV_CONF, port: int = 53) -> None:
        """``port`` is that of the servers in ``resolv_conf``."""
        self._hosts = hosts
        self._resolv_conf = resolv_conf
        self._port = port
        self._hosts_mtime = self._system_mtime = -1.0
        self._listed: Mapping[str, Sequence[str]] = {}
        self._system: dns.resolver.Resolver | None = None

    async def addresses(self, host: str) -> Sequence[str]:
        """Numbers of a host, IPv4 first: what most of its users are served by. Raises :class:`Failed`."""
        if (number := _literal(host)) is not None:
            return (number,)
        plain = host.rstrip(".").lower()
        known = self._known().get(plain)
        if known is None and plain.rpartition(".")[2] == "localhost":
            known = ("127.0.0.1", "::1")  # RFC 6761: not a question for name servers
        return known or await self._look_up(host)

    def servers(self) -> Sequence[lookup.Server]:
        """The system's name servers. Raises :class:`Failed`."""
        return [(str(server), self._port) for server in self._configured().nameservers]

    def _known(self) -> Mapping[str, Sequence[str]]:
        changed = _mtime(self._hosts)
        if changed != self._hosts_mtime:
            self._hosts_mtime = changed
            with suppress(OSError):
                self._listed = _hosts(self._hosts.read_text(errors="replace"))
        return self._listed

    def _configured(self) -> dns.resolver.Resolver:
        changed = _mtime(self._resolv_conf)
        if self._system is None or changed != self._system_mtime:
            try:
                self._system = dns.resolver.Resolver(str(self._resolv_conf))
            except (dns.exception.DNSException, OSError, ValueError):
                raise Failed(Failure.AGENT, f"the agent has no name server in {self._resolv_conf}") from None
            self._system_mtime = changed
        return self._system

    async def _look_up(self, host: str) -> Sequence[str]:
        """Ask for both families at once; without a route for IPv6 only when there is nothing else."""
        if not _has_ipv6():
            return await self._ask(host, lookup.A) or await self._ask(host, lookup.AAAA) or _nothing(host)
        tasks = [asyncio.ensure_future(self._ask(host, kind)) for kind in (lookup.A, lookup.AAAA)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            enough = any(task.exception() is None and task.result() for task in done)
            await asyncio.wait(tasks, timeout=SECOND_FAMILY_S if enough else None)
            ended = [task for task in tasks if task.done()]
            found = [address for task in ended if task.exception() is None for address in task.result()]
            errors = [error for task in ended if (error := task.exception()) is not None]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not found and errors:
            raise errors[0]
        return found or _nothing(host)

    async def _ask(self, host: str, kind: int) -> Sequence[str]:
        """Addresses of one family, following the search list. Raises :class:`Failed` for a name that is not there."""
        loop = asyncio.get_running_loop()
        servers = self.servers()
        for name in self._candidates(host):
            answer, _ = await lookup.ask(loop, servers, lookup.question(name.to_digestable(), kind))
            if lookup.rcode(answer) != dns.rcode.NXDOMAIN:
                return lookup.addresses(answer, kind)
        raise Failed(Failure.RESOLVE, f"the name {quoted(host)} does not exist")

    def _candidates(self, host: str) -> Sequence[dns.name.Name]:
        """What a short name may be short for (resolv.conf(5), ``search`` and ``ndots``)."""
        try:
            name = dns.name.from_text(host, origin=None)
            whole = name if name.is_absolute() else name.concatenate(dns.name.root)
            if name.is_absolute():
                return (whole,)
            system = self._configured()
            longer = [name.concatenate(domain) for domain in system.search]
        except dns.exception.DNSException:
            raise Failed(Failure.RESOLVE, f"{quoted(host)} is no name that could be looked up") from None
        enough_dots = len(name) > (1 if system.ndots is None else system.ndots)
        return [whole, *longer] if enough_dots else [*longer, whole]


@lru_cache(maxsize=4096)
def _literal(host: str) -> str | None:
    """An address that is written as one."""
    try:
        number = ip_address(host)
    except ValueError:
        return None
    if isinstance(number, IPv6Address) and number.scope_id is not None:
        raise Failed(Failure.RESOLVE, "an address with a zone (%) is good on one machine only")
    return str(number)


def _nothing(host: str) -> Sequence[str]:
    raise Failed(Failure.RESOLVE, f"the name {quoted(host)} has no address")


def _has_ipv6() -> bool:
    """Whether this machine has a route to the IPv6 internet. Asked each time: it changes, and costs microseconds."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect(_SOMEWHERE_6)
    except OSError:
        return False
    return True


def _hosts(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        number, *names = line.partition("#")[0].split() or [""]
        try:
            address = str(ip_address(number))
        except ValueError:
            continue
        for name in names:
            listed = found.setdefault(name.rstrip(".").lower(), [])
            if address not in listed:
                listed.append(address)
    for listed in found.values():
        listed.sort(key=lambda address: ":" in address)
    return found


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
