"""The ICMP check on loopback, by whatever kind of socket this machine allows."""

from __future__ import annotations

import socket

import pytest

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import IcmpCheck
from holdfast.netpulse.shell.probes import icmp
from tests.integration.netpulse.probes.targets import monitor, probe

pytestmark = pytest.mark.anyio


def allowed() -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
        except PermissionError:
            continue
        return True
    return False


needs_icmp = pytest.mark.skipif(not allowed(), reason=icmp.REMEDY)


@needs_icmp
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_loopback_answers(host: str) -> None:
    found = await probe(monitor(icmp=IcmpCheck(host=host)))
    assert (found.outcome, found.failure) == (Outcome.UP, Failure.NONE), found
    assert found.phases.first_byte is not None


@needs_icmp
async def test_no_answer_to_any_request_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    true_request = icmp._Echo.request

    def request(self: icmp._Echo, sequence: int) -> bytes:
        sent.append(sequence)
        return b"\x0d" + true_request(self, sequence)[1:]  # a timestamp request with a wrong checksum: nobody answers

    monkeypatch.setattr(icmp._Echo, "request", request)
    monkeypatch.setattr(icmp, "_open", _raw)
    found = await probe(monitor(timeout=0.3, icmp=IcmpCheck(host="127.0.0.1", count=3)))
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.TIMEOUT), found
    assert sent == [1, 2, 3]


def _raw(*, six: bool) -> socket.socket:
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
    except PermissionError:
        pytest.skip("raw sockets need CAP_NET_RAW")


async def test_without_permission_the_agent_says_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    class Forbidden(real):  # type: ignore[valid-type,misc]
        def __init__(self, *args: object, **named: object) -> None:
            if args[2:3] == (socket.IPPROTO_ICMP,):
                raise PermissionError(1, "Operation not permitted")
            super().__init__(*args, **named)

    monkeypatch.setattr(socket, "socket", Forbidden)
    found = await probe(monitor(icmp=IcmpCheck(host="127.0.0.1")))
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT)
    assert "net.ipv4.ping_group_range" in found.detail


async def test_a_private_host_needs_leave() -> None:
    found = await probe(monitor(allow_private=False, icmp=IcmpCheck(host="127.0.0.1")))
    assert found.failure is Failure.BLOCKED
