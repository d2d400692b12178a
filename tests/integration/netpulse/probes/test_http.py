"""The HTTP check against servers that behave, and judgements of what they say."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import HttpCheck
from holdfast.netpulse.shell.probes import Leave
from tests.integration.netpulse.probes.targets import answer, get, monitor, probe, repeating, saying, target

pytestmark = pytest.mark.anyio


async def test_a_good_answer_is_up_with_every_phase_timed() -> None:
    async with target(saying(answer(b"hello"))) as port:
        found = await get(port)
    assert (found.outcome, found.failure, found.status, found.detail) == (Outcome.UP, Failure.NONE, 200, "")
    assert found.address == "127.0.0.1"
    phases = found.phases
    parts = [phases.resolve, phases.connect, phases.first_byte, phases.transfer]
    assert phases.tls is None
    assert all(part is not None and part >= 0 for part in parts)
    assert sum(part for part in parts if part) <= found.total_ms


async def test_the_request_says_what_it_should_and_asks_for_no_compression() -> None:
    seen = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(4)
        writer.write(answer())

    async with target(serve) as port:
        found = await get(
            port,
            method="post",
            url=f"http://127.0.0.1:{port}/a%20b/ü?x=1&y=a b#z".replace(" b", "%20b"),
            headers={"X-One": "1", "Connection": "keep-alive", "content-length": "99", "User-Agent": "me"},
            body="body",
            username="u",
            password="p:w",
        )
    assert found.outcome is Outcome.UP, found
    head, _, body = seen.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /a%20b/%C3%BC?x=1&y=a%20b HTTP/1.1"
    assert f"Host: 127.0.0.1:{port}" in lines
    assert "Accept-Encoding: identity" in lines
    assert "Connection: close" in lines
    assert "Content-Length: 4" in lines
    assert "User-Agent: me" in lines
    assert "X-One: 1" in lines
    assert "Authorization: Basic " + base64.b64encode(b"u:p:w").decode() in lines
    assert len([line for line in lines if line.lower().startswith(("connection:", "content-length:"))]) == 2
    assert body == b"body"


@pytest.mark.parametrize(
    ("status", "wanted", "up"),
    [
        ("204 No Content", ("2xx",), True),
        ("500 Oh", ("2xx",), False),
        ("404 Not Found", ("404",), True),
        ("201 Created", ("200-204", "301"), True),
        ("205 Reset", ("200-204", "301"), False),
        ("301 Moved", ("3XX",), True),
    ],
)
async def test_the_status_has_to_be_in_the_accepted_set(status: str, wanted: tuple[str, ...], up: bool) -> None:
    async with target(saying(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode())) as port:
        found = await get(port, status=wanted)
    assert (found.outcome is Outcome.UP) == up
    assert found.status == int(status[:3])
    if not up:
        assert found.failure is Failure.STATUS
        assert found.detail == f"expected status {', '.join(wanted)}, got {status[:3]}"


JSON = b'{"state": "ok", "parts": [{"n": 1}, {"n": 2.5}], "deep": {"yes": true}}'


@pytest.mark.parametrize(
    ("check", "up"),
    [
        ({"contains": '"ok"'}, True),
        ({"contains": "fine"}, False),
        ({"regex": r'"n":\s*2\.\d'}, True),
        ({"regex": r"^nothing$"}, False),
        ({"jsonpath": "$.parts[?@.n > 1].n"}, True),
        ({"jsonpath": "$.parts[?@.n > 1].n", "equals": "2.5"}, True),
        ({"jsonpath": "$.deep.yes", "equals": "true"}, True),
        ({"jsonpath": "$.state", "equals": "ok"}, True),
        ({"jsonpath": "$.state", "equals": "well"}, False),
        ({"jsonpath": "$.absent"}, False),
        ({"contains": '"ok"', "regex": "deep", "jsonpath": "$.state", "equals": "ok"}, True),
    ],
)
async def test_the_body_has_to_hold_what_is_asked(check: dict[str, Any], up: bool) -> None:
    async with target(saying(answer(JSON))) as port:
        found = await get(port, **check)
    assert (found.outcome, found.failure) == ((Outcome.UP, Failure.NONE) if up else (Outcome.DOWN, Failure.CONTENT))


async def test_a_body_that_is_no_json_has_nothing_in_it() -> None:
    for body in (b"<html>", b"[" * 100_000, b'{"state":' * 50_000):
        async with target(saying(answer(body))) as port:
            found = await get(port, jsonpath="$.state")
        assert found.failure in {Failure.CONTENT, Failure.AGENT}, found
        assert found.outcome is not Outcome.UP


@pytest.mark.parametrize("check", [{"regex": "("}, {"jsonpath": "nope["}])
async def test_an_expression_that_is_none_says_nothing_about_the_target(check: dict[str, Any]) -> None:
    async with target(saying(answer(JSON))) as port:
        found = await get(port, **check)
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT)
    assert "cannot be searched for" in found.detail


async def test_what_comes_after_the_limit_is_not_looked_at() -> None:
    async with target(saying(answer(b"x" * 5000 + b"needle"))) as port:
        assert (await get(port, contains="needle")).outcome is Outcome.UP
        found = await get(port, contains="needle", body_limit=4096)
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.CONTENT)
    assert "first 4" in found.detail


async def test_head_has_no_body_whatever_its_fields_say() -> None:
    async with target(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", close=False)) as port:
        found = await get(port, method="HEAD")
    assert found.outcome is Outcome.UP, found


async def test_an_interim_answer_is_not_the_answer() -> None:
    async with target(saying(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + answer(b"x"))) as port:
        found = await get(port, method="POST", body="b", headers={"Expect": "100-continue"}, contains="x")
    assert (found.outcome, found.status) == (Outcome.UP, 200)


async def test_server_sent_events_are_up_when_they_have_begun() -> None:
    stream = repeating(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b": ping\n\n", pause_s=0.05)
    async with target(stream) as port:
        assert (await get(port)).outcome is Outcome.UP


async def test_a_body_that_ends_with_the_connection_is_whole() -> None:
    async with target(saying(b"HTTP/1.0 200 OK\r\n\r\nall of it")) as port:
        assert (await get(port, contains="of it")).outcome is Outcome.UP


async def test_a_compressed_body_stays_as_it_is() -> None:
    bomb = b"\x1f\x8b" + b"\0" * 1000
    async with target(saying(answer(bomb, headers="Content-Encoding: gzip\r\n"))) as port:
        assert (await get(port)).outcome is Outcome.UP
        assert (await get(port, contains="hello")).failure is Failure.CONTENT


@pytest.mark.parametrize(
    "check",
    [
        {"headers": {"X": "a\r\nInjected: 1"}},
        {"headers": {"X\r\nInjected": "1"}},
        {"method": "GET / HTTP/1.1\r\nX:"},
        {"bearer_token": "a\nb"},
        {"status": ("okay",)},
        {"url": "gopher://127.0.0.1/"},
        {"url": "http://127.0.0.1:99999/"},
    ],
)
async def test_settings_that_cannot_be_sent_are_the_monitors_fault(check: dict[str, Any]) -> None:
    async with target(saying(answer())) as port:
        found = await get(port, **check)
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT), found


async def test_a_private_address_needs_the_leave_of_monitor_and_agent() -> None:
    async with target(saying(answer())) as port:
        check = HttpCheck(url=f"http://127.0.0.1:{port}/")
        neither = await probe(monitor(http=check, allow_private=False))
        agent_only = await probe(monitor(http=check), Leave())
    for found in (neither, agent_only):
        assert (found.outcome, found.failure, found.address) == (Outcome.DOWN, Failure.BLOCKED, "127.0.0.1")
        assert found.phases.connect is None, "nothing was connected to"
