"""The demo's own HTTP server, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from holdfast.app import demo
from holdfast.app.config import load
from holdfast.app.demo_backend import BODY_BYTES, DemoBackend, serve

BACKEND = DemoBackend(id="c", port=0, front="http://f:1", admin="http://a:2", cycle_s=20.0, bad_s=6.0)


def exchange(request: bytes) -> bytes:
    """What the server answers to these bytes before it closes."""

    async def scenario() -> bytes:
        read, write = os.pipe()
        os.environ["HOLDFAST_READY_FD"] = str(write)
        serving = asyncio.create_task(serve(BACKEND))
        line = await asyncio.to_thread(os.read, read, 4096)
        os.close(read)
        port = int(line.rpartition(b":")[2].rstrip(b'"}\n'))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = b""
        with contextlib.suppress(ConnectionError):  # closed with our bytes unread
            answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(serving, 10) == 0
        return answer

    return asyncio.run(scenario())


CLOSE = b"Host: x\r\nConnection: close\r\n"


def test_a_person_gets_a_page_and_a_program_gets_text() -> None:
    page = exchange(b"GET / HTTP/1.1\r\n" + CLOSE + b"Accept: text/html,*/*\r\n\r\n")
    text = exchange(b"GET / HTTP/1.1\r\n" + CLOSE + b"Accept: */*\r\n\r\n")
    for answer, kind in ((page, b"text/html"), (text, b"text/plain")):
        assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind)
        assert b"http://a:2/admin/backends" in answer
    assert b"Hello from backend c" in text
    assert b"explain?pool=demo&amp;backend=c" in page


def test_a_connection_is_kept_and_bodies_are_skipped() -> None:
    answer = exchange(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + b"HEAD /health HTTP/1.1\r\n" + CLOSE + b"\r\n"
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.endswith(b"\r\n\r\n"), "HEAD has no body"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: %d\r\n" % (BODY_BYTES + 1),
    ],
)
def test_what_it_does_not_understand_is_refused_and_the_connection_closed(head: bytes) -> None:
    assert exchange(head + b"\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_an_endless_head_ends_the_connection() -> None:
    assert exchange(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000) == b""


def test_it_fails_in_the_last_part_of_each_cycle_health_included() -> None:
    for elapsed_s, status in ((0.0, 200), (13.9, 200), (14.0, 503), (19.9, 503), (20.0, 200), (34.5, 503)):
        for path in ("/", "/health"):
            assert BACKEND.respond("GET", path, "", elapsed_s).startswith(b"HTTP/1.1 %d " % status)


def test_the_demo_configuration_is_sound(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.yaml"
    ports = demo.Ports.from_base(8080)
    file.write_text(demo.configuration(ports, [1, 2, 3], [4, 5], directory=str(tmp_path), workers=1))
    config = load(
        file, environ={demo.DEMO_KEY: "hf_demo", **dict.fromkeys(demo.DEMO_SECRETS, "x" * 32)}, ports=False
    ).config
    assert config.balancer is not None
    assert config.execution is not None
    assert config.netpulse is not None
    assert {"front", "code", "console", "backend-a", "backend-b", "backend-c"} < set(config.netpulse.monitors)
    assert config.console is not None
    assert config.console.demo_api_key == "hf_demo"
    assert [backend.id for backend in config.balancer.pools["demo"].backends] == ["a", "b", "c"]
