"""The HTTP check against servers that do not behave: each ends in time, with the right class, and holds no memory."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.shell.probes.prober import OVERDUE_S
from tests.integration.netpulse.probes.targets import answer, get, repeating, reset, saying, target

pytestmark = pytest.mark.anyio

QUICK = 0.3
"""Timeout in seconds where the target never ends."""


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_target_that_never_answers_times_out_waiting_for_the_answer() -> None:
    async with target(silent) as port:
        start = time.monotonic()
        found = await get(port, within=QUICK)
        took = time.monotonic() - start
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.TIMEOUT)
    assert found.detail == "not over within 300ms: waited for the answer to begin"
    assert took < QUICK + 0.5
    assert found.phases.connect is not None
    assert found.phases.first_byte is None


async def test_an_agent_that_is_too_busy_does_not_blame_its_target() -> None:
    async with target(silent) as port:
        asyncio.get_running_loop().call_later(QUICK / 2, time.sleep, QUICK + OVERDUE_S)
        found = await get(port, within=QUICK)
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT), found
    assert "too busy" in found.detail


async def test_a_target_that_takes_no_connection_times_out_waiting_for_that() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        filling = [socket.socket() for _ in range(4)]
        try:
            for each in filling:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            found = await get(port, within=QUICK)
        finally:
            for each in filling:
                each.close()
    assert found.failure is Failure.TIMEOUT
    assert "the connection to be taken" in found.detail


@pytest.mark.parametrize(
    ("start", "piece", "pause_s", "failure"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.01, Failure.TIMEOUT),
        (b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 1000 + b"\r\n", 0.0, Failure.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 10_000, 0.0, Failure.PROTOCOL),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.0, Failure.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x", 0.01, Failure.TIMEOUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"e=x;" * 1000, 0.0, Failure.PROTOCOL),
        (b"\x00\xff\x13garbage", b"garbage", 0.01, Failure.PROTOCOL),
        (b"<html>HTTP/0.9 is enough for everybody", b".", 0.01, Failure.PROTOCOL),
        (b"SSH-2.0-OpenSSH_9.6\r\n", b".", 0.01, Failure.PROTOCOL),
    ],
)
async def test_a_target_that_goes_on_for_ever_is_ended(
    start: bytes, piece: bytes, pause_s: float, failure: Failure
) -> None:
    async with target(repeating(start, piece, pause_s=pause_s)) as port:
        found = await get(port, within=QUICK)
    assert (found.outcome, found.failure) == (Outcome.DOWN, failure), found
    assert found.total_ms < (QUICK + 0.5) * 1e3


async def test_of_an_endless_body_only_the_limit_is_read_and_nothing_is_wrong_with_it() -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with target(serve) as port:
        found = await get(port, body_limit=100_000)
    assert found.outcome is Outcome.UP, found
    assert sent < 20_000_000, "the kernel's buffers, not the gigabyte"


async def test_a_flood_of_one_byte_chunks_does_not_keep_the_loop_from_others() -> None:
    flood = repeating(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 5_000)
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            start = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - start)

    async with target(flood) as port:
        watcher = asyncio.ensure_future(watch())
        found = await get(port, within=QUICK, body_limit=100_000_000)
        watcher.cancel()
    assert found.failure is Failure.TIMEOUT, found
    assert longest < 0.25


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nConte", answer(b"half of it")[:-5]])
async def test_a_reset_is_a_reset_wherever_it_comes(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if said:
            writer.write(said)
            await writer.drain()
        reset(writer)

    async with target(serve) as port:
        found = await get(port)
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.RESET), found


async def test_a_reset_before_the_request_is_a_reset() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async with target(serve) as port:
        found = await get(port)
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.RESET), found


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nConte",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 999 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBroken header\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
    ],
)
async def test_what_http_does_not_allow_is_a_protocol_failure(said: bytes) -> None:
    async with target(saying(said)) as port:
        found = await get(port, within=2.0)
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.PROTOCOL), found
    assert found.detail.isprintable()


async def test_nobody_listening_is_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = await get(unused.getsockname()[1])
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.REFUSED)
    assert found.detail == "the target refused the connection"
