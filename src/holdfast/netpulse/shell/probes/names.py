"""Names to addresses: the hosts file, then DNS as ``resolv.conf`` says.

``getaddrinfo`` is not used: it blocks a thread that nobody can call back, and a few names whose servers are silent
would take all the threads there are and hold up everybody else's. A lookup here is cancelled with its probe. What
that costs: name services other than these two (mDNS, LDAP) are not asked.

Nothing is remembered from one probe to the next: a name that stopped resolving is a failure to be seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.shell.probes.finding import Failed, quoted

SECOND_FAMILY_S: Final = 0.5
"""How long the answer for IPv6 is waited for when that for IPv4 is there, and the other way round."""

_HOSTS: Final = Path("/etc/hosts")
_RESOLV_CONF: Final = Path("/etc/resolv.conf")


class Names:
    """Looks names up. Its files are read again when they have changed."""

    def __init__(self, *, hosts: Path = _HOSTS, resolv_conf: Path = _RESOLV_CONF) -> None:
        self._hosts = hosts
        self._resolv_conf = resolv_conf
        self._hosts_mtime = self._resolver_mtime = -1.0
        self._known: Mapping[str, Sequence[str]] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def addresses(self, host: str) -> Sequence[str]:
        """Numbers of a host, IPv4 first: what most of its users are served by. Raises :class:`Failed`."""
        with suppress(ValueError):
            number = ip_address(host)
            if isinstance(number, IPv6Address) and number.scope_id is not None:
                raise Failed(Failure.RESOLVE, "an address with a zone (%) is good on one machine only")
            return (str(number),)
        known = self._listed().get(host.rstrip(".").lower())
        return known or await self._ask(host)

    def resolver(self) -> dns.asyncresolver.Resolver:
        """The system's. Raises :class:`Failed`."""
        changed = _mtime(self._resolv_conf)
        if self._resolver is None or changed != self._resolver_mtime:
            try:
                self._resolver = dns.asyncresolver.Resolver(str(self._resolv_conf))
            except (dns.exception.DNSException, OSError, ValueError):
                raise Failed(Failure.AGENT, f"the agent has no name server in {self._resolv_conf}") from None
            self._resolver_mtime = changed
        return self._resolver

    def _listed(self) -> Mapping[str, Sequence[str]]:
        changed = _mtime(self._hosts)
        if changed != self._hosts_mtime:
            self._hosts_mtime = changed
            with suppress(OSError):
                self._known = _hosts(self._hosts.read_text(errors="replace"))
        return self._known

    async def _ask(self, host: str) -> Sequence[str]:
        resolver = self.resolver()
        tasks = [asyncio.ensure_future(_records(resolver, host, kind)) for kind in ("A", "AAAA")]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if any(task.done() and task.exception() is None and task.result() for task in tasks):
                await asyncio.wait(tasks, timeout=SECOND_FAMILY_S)
            else:
                await asyncio.wait(tasks)
            found = [address for task in tasks if task.done() and task.exception() is None for address in task.result()]
            if found:
                return found
            for task in tasks:
                if task.done() and (error := task.exception()) is not None:
                    raise error
            raise Failed(Failure.RESOLVE, f"the name {quoted(host)} has no address")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _records(resolver: dns.asyncresolver.Resolver, host: str, kind: str) -> Sequence[str]:
    try:
        # The probe's deadline ends this; a lifetime of the resolver's own would end good probes early.
        answer = await resolver.resolve(host, kind, search=True, lifetime=3600.0, raise_on_no_answer=False)
    except dns.exception.DNSException as error:
        raise from_dns_error(error, host) from None
    except OSError as error:
        raise Failed(Failure.AGENT, f"the agent cannot ask its name server: {error.strerror or error}") from None
    return [record.address for record in answer.rrset or ()]


def from_dns_error(error: dns.exception.DNSException, name: str) -> Failed:
    """The verdict in what a resolver could not do."""
    if isinstance(error, dns.resolver.NXDOMAIN):
        return Failed(Failure.RESOLVE, f"the name {quoted(name)} does not exist")
    if isinstance(error, dns.resolver.NoAnswer):
        return Failed(Failure.RESOLVE, f"the name {quoted(name)} has no such record")
    if isinstance(error, dns.exception.Timeout):
        return Failed(Failure.TIMEOUT, "no name server answered in time")
    if isinstance(error, dns.resolver.NoNameservers):
        causes = [each[3] for each in error.kwargs.get("errors", ())]
        if causes and all(isinstance(cause, OSError) for cause in causes):
            return Failed(Failure.AGENT, f"the agent reaches none of its name servers: {causes[0]}")
        return Failed(Failure.RESOLVE, f"the name servers cannot say what {quoted(name)} is (SERVFAIL or the like)")
    return Failed(Failure.RESOLVE, f"{quoted(name)} is no name that could be looked up")


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
