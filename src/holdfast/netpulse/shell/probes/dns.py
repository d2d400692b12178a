"""The DNS check: a question to a resolver, and what has to be among the answers."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.txtbase
import dns.reversename

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.core.settings import DnsCheck
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.probes import lookup
from holdfast.netpulse.shell.probes.finding import Failed, quoted
from holdfast.netpulse.shell.probes.place import checked_port
from holdfast.netpulse.shell.probes.trip import Trip
from holdfast.netpulse.shell.probes.wire import judge

PORT: Final = 53
_SHOWN: Final = 3
"""Answers that a detail repeats."""


async def probe_dns(check: DnsCheck, trip: Trip) -> None:
    """Raises :class:`Failed` when the answer is not there, or not as expected."""
    servers = _servers(check.resolver, trip)
    start = trip.clock()
    trip.doing = "the name server's answer"
    trip.address = servers[0][0]
    question = dns.message.make_query(_name(check), check.type, use_edns=0)
    data, server = await lookup.ask(trip.loop, servers, question.to_wire())
    trip.address = server[0]
    trip.resolve_ms = trip.since(start)
    try:
        answer = dns.message.from_wire(data, ignore_trailing=True)
    except dns.exception.DNSException:
        raise Failed(Failure.PROTOCOL, "the name server's answer is malformed") from None
    if answer.rcode() == dns.rcode.NXDOMAIN:
        raise Failed(Failure.RESOLVE, f"the name {quoted(check.name)} does not exist")
    wanted = dns.rdatatype.from_text(check.type)
    found = sorted(_text(record) for rrset in answer.answer if rrset.rdtype == wanted for record in rrset)
    if not found:
        raise Failed(Failure.CONTENT, f"the name {quoted(check.name)} has no {check.type} record")
    there = set(map(_plain, found))
    for expected in check.expect:
        if _plain(expected) not in there:
            more = ", ..." if len(found) > _SHOWN else ""
            raise Failed(
                Failure.CONTENT,
                f"expected {quoted(expected)} among the answers, got {', '.join(map(quoted, found[:_SHOWN]))}{more}",
            )


def _servers(resolver: str, trip: Trip) -> Sequence[lookup.Server]:
    """The stated resolver, judged; the system's own need no leave."""
    if not resolver:
        return trip.names.servers()
    try:
        server = resolver_address(resolver)
    except Invalid as problem:
        raise Failed(Failure.AGENT, f"the monitor's resolver cannot be asked: {problem}") from None
    trip.address = server[0]
    judge(server[0], allow_private=trip.allow_private)
    return (server,)


def resolver_address(resolver: str) -> lookup.Server:
    """``IP``, ``IP:PORT`` or ``[IPv6]:PORT``. Raises :class:`Invalid`."""
    host, port = resolver, str(PORT)
    if resolver.startswith("[") or resolver.count(":") == 1:
        host, _, port = resolver.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
    try:
        return str(ip_address(host)), checked_port(int(port) if port.isascii() and port.isdigit() else 0)
    except ValueError:
        raise Invalid("a resolver is given by number: IP, IP:PORT or [IPv6]:PORT") from None


def _name(check: DnsCheck) -> dns.name.Name:
    try:
        if check.type == "PTR" and not check.name.rstrip(".").lower().endswith(".arpa"):
            return dns.reversename.from_address(check.name)
        return dns.name.from_text(check.name)
    except (dns.exception.DNSException, UnicodeError):
        raise Failed(Failure.AGENT, f"the monitor's name {quoted(check.name)} cannot be asked for") from None


def _text(record: dns.rdata.Rdata) -> str:
    """An answer as people write it: text without its quotes, everything else as in a zone file."""
    if isinstance(record, dns.rdtypes.txtbase.TXTBase):
        return b"".join(record.strings).decode(errors="replace")
    return record.to_text()


def _plain(text: str) -> str:
    return " ".join(word.rstrip(".").lower() for word in text.split())
