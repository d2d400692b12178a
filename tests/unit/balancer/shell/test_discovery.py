"""Backends found by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from holdfast.balancer.core.settings import DiscoverySettings
from holdfast.balancer.errors import DiscoveryError
from holdfast.balancer.shell import discovery
from holdfast.balancer.shell.discovery import Answer, DnsDiscovery, DnsResolver, SystemResolver
from holdfast.kernel import Duration


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


class Script:
    """A resolver and a clock: answers in order, notes the pauses, ends with the script."""

    def __init__(self, *answers: Answer | None) -> None:
        self.answers = list(answers)
        self.pauses: list[float] = []

    async def resolve(self, host: str) -> Answer:
        answer = self.answers.pop(0)
        if answer is None:
            raise DiscoveryError("does not resolve", where=host, remedy="wait")
        return answer

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.answers:
            raise EOFError


async def watched(script: Script, dns_name: str = "web.test:80", **settings: Any) -> list[list[str]]:
    found = DiscoverySettings(dns=dns_name, **settings)
    seen: list[list[str]] = []
    with suppress(EOFError):
        async for endpoints in DnsDiscovery("web", found, script, sleep=script.sleep).watch():
            seen.append([endpoint.url for endpoint in endpoints])  # noqa: PERF401 - the loop ends by an exception
    return seen


def test_only_changes_are_told() -> None:
    async def scenario() -> None:
        one, two = Answer(("10.0.0.1",), 5.0), Answer(("10.0.0.1", "::2"), 5.0)
        seen = await watched(Script(one, one, two, two, one))
        assert seen == [["http://10.0.0.1:80"], ["http://10.0.0.1:80", "http://[::2]:80"], ["http://10.0.0.1:80"]]

    run(scenario)


def test_an_id_names_the_name_the_address_and_the_port() -> None:
    async def scenario() -> None:
        script = Script(Answer(("10.0.0.1",), 5.0))
        found = DiscoverySettings(dns="web.test:80", scheme="https")
        endpoints = await anext(aiter(DnsDiscovery("web", found, script, sleep=script.sleep).watch()))
        assert [(e.pool, e.backend, e.url, e.weight) for e in endpoints] == [
            ("web", "web.test-10.0.0.1-80", "https://10.0.0.1:80", 1.0)
        ]

    run(scenario)


def test_the_ttl_is_honoured_within_the_bounds() -> None:
    async def scenario() -> None:
        script = Script(*(Answer(("10.0.0.1",), ttl) for ttl in (0.0, 7.0, 86400.0, None)))
        await watched(script, min_interval=Duration(2.0), max_interval=Duration(30.0))
        assert script.pauses == [2.0, 7.0, 30.0, 30.0]

    run(scenario)


def test_failures_keep_the_last_good_set_and_are_retried_ever_more_slowly() -> None:
    async def scenario() -> None:
        good = Answer(("10.0.0.1",), 5.0)
        script = Script(good, None, None, None, None, good, None)
        seen = await watched(script, min_interval=Duration(1.0), max_interval=Duration(4.0))
        assert seen == [["http://10.0.0.1:80"]]
        assert script.pauses == [4.0, 1.0, 2.0, 4.0, 4.0, 4.0, 1.0]

    run(scenario)


@pytest.mark.parametrize(("name", "url"), [("127.0.0.1:80", "http://127.0.0.1:80"), ("[::1]:80", "http://[::1]:80")])
def test_an_address_needs_no_resolver(name: str, url: str) -> None:
    async def scenario() -> None:
        script = Script()
        assert await watched(script, name) == [[url]]

    run(scenario)


class NameServer(asyncio.DatagramProtocol):
    """Answers from a zone: name and type to records and TTL; what is absent does not exist."""

    def __init__(self, zone: dict[tuple[str, str], tuple[int, list[str]] | str]) -> None:
        self._zone = zone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        name, kind = question.name.to_text().removesuffix("."), question.rdtype.name
        record = self._zone.get((name, kind))
        if record == "SERVFAIL":
            response.set_rcode(dns.rcode.SERVFAIL)
        elif isinstance(record, tuple):
            response.answer.append(dns.rrset.from_text(question.name, record[0], "IN", kind, *record[1]))
        elif not any(known == name for known, _ in self._zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(response.to_wire(), addr)


class Hosts:
    """Stands for the hosts file."""

    async def resolve(self, host: str) -> Answer:
        if host == "listed.test":
            return Answer(("127.0.0.9",), None)
        raise DiscoveryError("does not resolve", where=host, remedy="check the name")


@asynccontextmanager
async def resolver(zone: dict[tuple[str, str], tuple[int, list[str]] | str]) -> AsyncIterator[DnsResolver]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: NameServer(zone), ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]

    def stub() -> dns.asyncresolver.Resolver:
        made = dns.asyncresolver.Resolver(configure=False)
        made.nameservers, made.port = ["127.0.0.1"], port
        return made

    try:
        yield DnsResolver(Hosts(), stub=stub)
    finally:
        transport.close()


def test_both_families_are_asked_and_the_smaller_ttl_counts() -> None:
    async def scenario() -> None:
        zone: dict[tuple[str, str], tuple[int, list[str]] | str] = {
            ("web.test", "A"): (30, ["10.0.0.2", "10.0.0.1"]),
            ("web.test", "AAAA"): (20, ["fd00::1"]),
            ("four.test", "A"): (9, ["10.0.0.4"]),
        }
        async with resolver(zone) as found:
            assert await found.resolve("web.test") == Answer(("10.0.0.1", "10.0.0.2", "fd00::1"), 20.0)
            assert await found.resolve("four.test") == Answer(("10.0.0.4",), 9.0)

    run(scenario)


def test_a_name_that_the_dns_does_not_have_is_looked_up_in_the_system() -> None:
    async def scenario() -> None:
        async with resolver({}) as found:
            assert await found.resolve("listed.test") == Answer(("127.0.0.9",), None)
            with pytest.raises(DiscoveryError, match="check the name"):
                await found.resolve("nowhere.test")

    run(scenario)


def test_the_system_is_asked_where_no_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "RESOLVE_DEADLINE_S", 0.3)

    async def scenario() -> None:
        async with resolver({("listed.test", "A"): "SERVFAIL", ("listed.test", "AAAA"): "SERVFAIL"}) as found:
            assert await found.resolve("listed.test") == Answer(("127.0.0.9",), None)

    run(scenario)


def test_half_an_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "RESOLVE_DEADLINE_S", 0.3)

    async def scenario() -> None:
        async with resolver({("web.test", "A"): (30, ["10.0.0.1"]), ("web.test", "AAAA"): "SERVFAIL"}) as found:
            with pytest.raises(DiscoveryError, match=r"web\.test: does not resolve"):
                await found.resolve("web.test")

    run(scenario)


def test_the_system_resolver_knows_the_hosts_file() -> None:
    async def scenario() -> None:
        answer = await SystemResolver().resolve("localhost")
        assert "127.0.0.1" in answer.addresses or "::1" in answer.addresses
        assert answer.ttl_s is None

    run(scenario)
