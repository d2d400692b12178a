"""The TCP check, and what all checks have from their connection: addresses, order, blame."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import HeartbeatCheck, HttpCheck, TcpCheck
from holdfast.netpulse.shell.probes import Prober, names
from tests.integration.netpulse.probes.targets import LEAVE, answer, monitor, probe, saying, target

pytestmark = pytest.mark.anyio


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()


@pytest.mark.parametrize(
    ("send", "expect", "failure"),
    [
        ("", "", Failure.NONE),
        ("ping\n", "", Failure.NONE),
        ("ping\n", "PING", Failure.NONE),
        ("ping\n", "PONG", Failure.TIMEOUT),
    ],
)
async def test_a_line_each_way(send: str, expect: str, failure: Failure) -> None:
    async with target(shout) as port:
        check = TcpCheck(address=f"127.0.0.1:{port}", send=send, expect=expect)
        found = await probe(monitor(timeout=0.3, tcp=check))
    assert found.failure is failure, found
    assert (found.phases.first_byte is not None) == bool(expect)


async def test_an_end_before_the_expected_text_is_a_content_failure() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await writer.drain()
        writer.close()

    async with target(serve) as port:
        found = await probe(monitor(tcp=TcpCheck(address=f"127.0.0.1:{port}", expect="250")))
    assert found.failure is Failure.CONTENT
    assert found.detail == 'expected "250", got 11 bytes without it and the end'


async def test_a_flood_without_the_expected_text_is_ended() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with target(serve) as port:
        found = await probe(monitor(tcp=TcpCheck(address=f"127.0.0.1:{port}", expect="y")))
    assert found.failure is Failure.CONTENT


async def test_the_second_address_is_tried_when_the_first_takes_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def several(self: names.Names, host: str) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    monkeypatch.setattr(names.Names, "addresses", several)
    async with target(shout) as port:
        found = await probe(monitor(tcp=TcpCheck(address=f"two.example:{port}")))
    assert (found.outcome, found.address) == (Outcome.UP, "127.0.0.1"), found


async def test_an_address_that_may_not_be_asked_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def several(self: names.Names, host: str) -> list[str]:
        return ["224.0.0.1", "0.0.0.0", "127.0.0.1"]

    monkeypatch.setattr(names.Names, "addresses", several)
    async with target(shout) as port:
        found = await probe(monitor(tcp=TcpCheck(address=f"several.example:{port}")))
        alone = await probe(monitor(allow_private=False, tcp=TcpCheck(address=f"several.example:{port}")))
    assert (found.outcome, found.address) == (Outcome.UP, "127.0.0.1"), found
    assert (alone.outcome, alone.failure) == (Outcome.DOWN, Failure.BLOCKED)


async def test_no_descriptors_left_is_the_agents_fault() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    prober = Prober(LEAVE)
    async with target(saying(answer())) as port:
        spec = monitor(http=HttpCheck(url=f"http://127.0.0.1:{port}/"))
        await prober.probe(spec)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            found = await prober.probe(spec)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        after = await prober.probe(spec)
    await prober.close()
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT)
    assert "LimitNOFILE" in found.detail
    assert after.outcome is Outcome.UP


@pytest.mark.parametrize(
    ("code", "outcome", "failure"),
    [
        (errno.ENETUNREACH, Outcome.UNKNOWN, Failure.AGENT),
        (errno.EADDRNOTAVAIL, Outcome.UNKNOWN, Failure.AGENT),
        (errno.EPERM, Outcome.UNKNOWN, Failure.AGENT),
        (errno.ECONNREFUSED, Outcome.DOWN, Failure.REFUSED),
        (errno.ETIMEDOUT, Outcome.DOWN, Failure.TIMEOUT),
    ],
)
async def test_what_connecting_says_at_once_is_blamed_on_whom_it_concerns(
    code: int, outcome: Outcome, failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(self: socket.socket, address: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket.socket, "connect", connect)
    found = await probe(monitor(tcp=TcpCheck(address="127.0.0.1:1")))
    assert (found.outcome, found.failure) == (outcome, failure), found


async def test_a_mistake_of_ours_is_unknown_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: names.Names, host: str) -> list[str]:
        raise RuntimeError("s3cret")

    monkeypatch.setattr(names.Names, "addresses", broken)
    found = await probe(monitor(tcp=TcpCheck(address="127.0.0.1:1")))
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT)
    assert "s3cret" not in found.detail
    assert "probe failed" in caplog.text


async def test_a_heartbeat_is_nothing_to_probe() -> None:
    found = await probe(monitor(heartbeat=HeartbeatCheck(period=Duration(60.0))))
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT)


@pytest.mark.parametrize("address", ["nohost", "127.0.0.1:0", "127.0.0.1:70000", ":80", "a b:80", "[::1:80"])
async def test_an_address_that_is_none_is_the_monitors_fault(address: str) -> None:
    found = await probe(monitor(tcp=TcpCheck(address=address)))
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT)
