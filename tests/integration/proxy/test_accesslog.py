"""One line of JSON for each request, and none that holds up the traffic."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from holdfast.balancer.shell.stats import worker_stats
from holdfast.proxy import AccessLog, EdgePolicy
from holdfast.testing import ScriptedUpstream, Visit, always, answer, proxied, replies

if TYPE_CHECKING:
    from pathlib import Path

GET = b"GET /x?y HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def reset(visit: Visit) -> None:
    visit.reset()


async def test_a_line_says_what_happened(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog.open(str(path))
    script = replies(reset, always(answer(body=b"hello")))
    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, log=log) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.ask(GET)).status == 200
        assert (await client.ask(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")).status == 200
    log.close()
    first, second = lines(path)
    assert (
        first.items()
        >= {
            "id": "mine",
            "client": "127.0.0.1",
            "method": "GET",
            "host": "a",
            "target": "/x?y",
            "status": 200,
            "route": "*/",
            "pool": "web",
            "backend": "b0",
            "attempts": 2,
            "bytes_in": 0,
            "bytes_out": 5,
        }.items()
    )
    [[failed, reason]] = first["retries"]
    assert (failed, reason.partition(":")[0]) == ("b0", "reset")
    assert first["ts"].endswith("Z")
    assert first["total_ms"] >= first["first_byte_ms"] > 0
    assert (second["bytes_in"], second["attempts"], second.get("retries", [])) == (3, 1, [])


async def test_a_refusal_says_why_no_further_attempt_was_made(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog.open(str(path))
    async with (
        ScriptedUpstream(reset) as backend,
        proxied(backend, log=log) as proxy,
        await proxy.connect() as client,
    ):
        await client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    log.close()
    [line] = lines(path)
    assert (line["status"], line["backend"], line["why"]) == (502, None, "backend_reset: not_idempotent")


async def test_uneventful_requests_are_sampled_and_others_always_written(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog.open(str(path))
    script = replies(always(answer()), always(answer()), always(answer(500, b"bug")), always(answer()))
    edge = EdgePolicy(log_sample=0.0)
    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, log=log, edge=edge) as proxy,
        await proxy.connect() as client,
    ):
        for _ in range(5):
            await client.ask(GET)
        proxy.configure(edge=EdgePolicy(log_sample=None))
        backend.script = always(answer(500, b"bug"))
        await client.ask(GET)
    log.close()
    assert [line["status"] for line in lines(path)] == [500]


async def test_a_log_that_cannot_be_written_does_not_stop_the_traffic() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = AccessLog(writing)
    async with ScriptedUpstream() as backend, proxied(backend, log=log) as proxy, await proxy.connect() as client:
        for _ in range(5):
            assert (await client.ask(GET)).status == 200
    log.close()
    assert log.dropped == 5


async def test_a_reader_of_the_log_that_stops_makes_lines_drop_and_says_so() -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    async with ScriptedUpstream() as backend, proxied(backend, log=log) as proxy, await proxy.connect() as client:
        await client.ask(GET)
        log.dropped += 7
        await client.ask(GET)
    log.close()
    with os.fdopen(reading) as stream:
        written = [json.loads(line) for line in stream]
    assert {"action": "access_log_dropped", "lines": 7} in written
    assert len(written) == 3


async def test_a_log_is_replaced_without_waiting_for_its_reader() -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    os.set_blocking(writing, True)
    async with ScriptedUpstream() as backend, proxied(backend, log=log) as proxy, await proxy.connect() as client:
        log._lines.append(b"x" * 1_000_000)  # more than a pipe holds: its thread hangs in a write
        log.dropped += 7
        await client.ask(GET)
        began = proxy.engine.loop.time()
        proxy.engine.log_to(None)
        assert proxy.engine.loop.time() - began < 1.0
        assert worker_stats(1, proxy.engine).counters["holdfast_access_log_dropped_total"] == {"": 7.0}
    with os.fdopen(reading, "rb") as stream:
        assert b'"status":200' in stream.read()
    log.close()
