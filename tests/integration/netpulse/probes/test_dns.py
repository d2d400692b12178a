"""The DNS check, and the names of all other checks, against a name server that answers as told."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import DnsCheck
from holdfast.netpulse.shell.probes import Finding, names
from holdfast.netpulse.shell.probes.finding import Failed
from tests.integration.netpulse.probes.name_server import Reply, Zone, name_server, zone
from tests.integration.netpulse.probes.targets import monitor, probe

pytestmark = pytest.mark.anyio

ZONE: Zone = {
    ("www.example.", "A"): ["192.0.2.1", "192.0.2.2"],
    ("www.example.", "AAAA"): ["2001:db8::1"],
    ("www.example.", "TXT"): ['"v=spf1 -all"'],
    ("www.example.", "MX"): ["10 mail.example."],
    ("www.example.", "CAA"): ['0 issue "ca.example"'],
    ("old.example.", "A"): ["192.0.2.9"],
    ("six.example.", "AAAA"): ["2001:db8::6"],
    ("1.2.0.192.in-addr.arpa.", "PTR"): ["www.example."],
    ("long.example.", "TXT"): [f'"{"x" * 200}{number}"' for number in range(20)],
    ("sub.corp.example.", "A"): ["192.0.2.77"],
}


async def ask(reply: Reply, *, within: float = 3.0, **check: Any) -> Finding:
    async with name_server(reply) as (port, _):
        spec = {"name": "www.example", "resolver": f"127.0.0.1:{port}"} | check
        return await probe(monitor(timeout=within, dns=DnsCheck(**spec)))


@pytest.mark.parametrize(
    ("check", "failure"),
    [
        ({}, Failure.NONE),
        ({"expect": ("192.0.2.1",)}, Failure.NONE),
        ({"expect": ("192.0.2.1", "192.0.2.3")}, Failure.CONTENT),
        ({"type": "AAAA", "expect": ("2001:db8::1",)}, Failure.NONE),
        ({"type": "TXT", "expect": ("v=spf1 -all",)}, Failure.NONE),
        ({"type": "MX", "expect": ("10 MAIL.example",)}, Failure.NONE),
        ({"type": "CAA", "expect": ('0 issue "ca.example"',)}, Failure.NONE),
        ({"type": "PTR", "name": "192.0.2.1", "expect": ("www.example",)}, Failure.NONE),
        ({"type": "NS"}, Failure.CONTENT),
        ({"name": "absent.example"}, Failure.RESOLVE),
        ({"type": "TXT", "name": "long.example", "expect": ("x" * 200 + "19",)}, Failure.NONE),
        ({"name": "a..b"}, Failure.AGENT),
        ({"resolver": "name.example"}, Failure.AGENT),
    ],
)
async def test_the_answer_is_held_against_what_is_expected(check: dict[str, Any], failure: Failure) -> None:
    found = await ask(zone(ZONE), **check)
    assert found.failure is failure, found
    if failure is Failure.NONE:
        assert found.address == "127.0.0.1"
        assert found.phases.resolve is not None


async def test_what_came_is_said_beside_what_was_expected() -> None:
    found = await ask(zone(ZONE), expect=("192.0.2.3",))
    assert found.detail == 'expected "192.0.2.3" among the answers, got "192.0.2.1", "192.0.2.2"'


async def test_a_silent_server_times_out_and_is_asked_again_before() -> None:
    async with name_server(lambda question, tcp: []) as (port, asked):
        check = DnsCheck(name="www.example", resolver=f"127.0.0.1:{port}")
        found = await probe(monitor(timeout=1.3, dns=check))
        assert asked.asked == 2
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.TIMEOUT)


async def test_nobody_at_the_port_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    found = await probe(monitor(dns=DnsCheck(name="www.example", resolver=f"127.0.0.1:{port}")))
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.REFUSED)


async def test_a_forged_or_malformed_answer_is_passed_over() -> None:
    good = zone(ZONE)

    def reply(question: dns.message.Message, tcp: bool) -> list[bytes]:
        (true,) = good(question, tcp)
        other_id = bytes((true[0] ^ 1,)) + true[1:]
        return [b"", b"\0", other_id, true[:20], true]

    assert (await ask(reply)).outcome is Outcome.UP


async def test_servfail_is_what_the_name_server_says() -> None:
    def reply(question: dns.message.Message, tcp: bool) -> list[bytes]:
        answer = dns.message.make_response(question)
        answer.set_rcode(dns.rcode.SERVFAIL)
        return [answer.to_wire()]

    found = await ask(reply)
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.RESOLVE)
    assert "SERVFAIL" in found.detail


async def test_a_private_resolver_needs_leave() -> None:
    found = await probe(monitor(allow_private=False, dns=DnsCheck(name="www.example", resolver="127.0.0.1")))
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.BLOCKED)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    hosts, resolv_conf = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text("192.0.2.50 listed.example listed # comment\n::1 listed.example\nnonsense\n")
    resolv_conf.write_text("nameserver 127.0.0.1\nsearch corp.example other.example\n")
    return hosts, resolv_conf


@pytest.mark.parametrize("ipv6", [True, False])
@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("192.0.2.7", ["192.0.2.7"]),
        ("2001:DB8::7", ["2001:db8::7"]),
        ("listed.example", ["192.0.2.50", "::1"]),
        ("LISTED", ["192.0.2.50"]),
        ("localhost", ["127.0.0.1", "::1"]),
        ("old.example", ["192.0.2.9"]),
        ("six.example", ["2001:db8::6"]),
        ("sub", ["192.0.2.77"]),
        ("sub.corp.example.", ["192.0.2.77"]),
    ],
)
async def test_a_name_is_looked_up_where_the_system_would(
    host: str, found: list[str], ipv6: bool, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "_has_ipv6", lambda: ipv6)
    async with name_server(zone(ZONE)) as (port, _):
        known = names.Names(hosts=files[0], resolv_conf=files[1], port=port)
        assert list(await known.addresses(host)) == found


async def test_a_changed_hosts_file_is_read_again(files: tuple[Path, Path]) -> None:
    known = names.Names(hosts=files[0], resolv_conf=files[1])
    assert list(await known.addresses("listed")) == ["192.0.2.50"]
    files[0].write_text("192.0.2.51 listed\n")
    os.utime(files[0], (1, 1))
    assert list(await known.addresses("listed")) == ["192.0.2.51"]


async def test_one_familys_silence_does_not_keep_the_other_waiting(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "_has_ipv6", lambda: True)
    good = zone(ZONE)

    def reply(question: dns.message.Message, tcp: bool) -> list[bytes]:
        return [] if question.question[0].rdtype.name == "AAAA" else good(question, tcp)

    async with name_server(reply) as (port, _), asyncio.timeout(2.0):
        known = names.Names(hosts=files[0], resolv_conf=files[1], port=port)
        assert set(await known.addresses("www.example")) == {"192.0.2.1", "192.0.2.2"}


async def test_a_hundred_names_that_hang_hold_up_nobody_else(files: tuple[Path, Path]) -> None:
    good = zone(ZONE)

    def reply(question: dns.message.Message, tcp: bool) -> list[bytes]:
        return [] if "hang" in question.question[0].name.to_text() else good(question, tcp)

    async with name_server(reply) as (port, _):
        known = names.Names(hosts=files[0], resolv_conf=files[1], port=port)
        hanging = [asyncio.ensure_future(known.addresses(f"hang{number}.example")) for number in range(100)]
        await asyncio.sleep(0)
        async with asyncio.timeout(2.0):
            assert "192.0.2.1" in await known.addresses("www.example")
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_no_name_server_at_all_is_the_agents_trouble(tmp_path: Path) -> None:
    known = names.Names(hosts=tmp_path / "none", resolv_conf=tmp_path / "absent")
    with pytest.raises(Failed) as failed:
        await known.addresses("www.example")
    assert failed.value.failure is Failure.AGENT
