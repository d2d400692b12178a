"""The line of status: what the admin plane says, in a few words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.app import demo
from holdfast.app.config import load
from holdfast.console import jobs as pages
from holdfast.execution.shell.api import jobs as api

ENVIRON = dict.fromkeys((demo.DEMO_KEY, *demo.DEMO_SECRETS), "hf_" + "x" * 20)


def test_the_counts_come_first() -> None:
    heartbeat = demo.Heartbeat(sent=412, answered=411, errors=1)
    assert heartbeat.line() == "requests 412, answered 411, errors 1"
    heartbeat.backends = "all 3 backends up"
    assert heartbeat.line() == "requests 412, answered 411, errors 1; all 3 backends up"


def test_an_answer_that_waits_for_a_job_is_neither_cut_off_nor_held_against_its_backend(tmp_path: Path) -> None:
    ports = demo.Ports.from_base(18080)
    file = tmp_path / "holdfast.yaml"
    file.write_text(demo.configuration(ports, (1001, 1002, 1003), (1004, 1005), directory=str(tmp_path), workers=1))
    balancer = load(file, environ=ENVIRON, ports=False).config.balancer
    assert balancer is not None
    for name, longest_s in (("execution", api.LONGEST_WAIT_S), ("console", pages.LONGEST_WAIT_S)):
        pool = balancer.pools[name]
        assert min(pool.timeout, pool.retry.per_try_timeout) > longest_s


@pytest.mark.parametrize(
    ("backends", "explanation", "line"),
    [
        ([("a", "up"), ("b", "up")], {}, "all 2 backends up"),
        ([("a", "up"), ("c", "down")], {"until_s": None}, "backend c: down"),
        ([("c", "open")], {"until_s": 4.2}, "backend c: open, retry in 4 s"),
        ([("c", "ramping")], {"until_s": 2.6}, "backend c: ramping, full weight in 3 s"),
        ([("b", "half_open"), ("c", "down")], {}, "backend b: half-open, backend c: down"),
        ([], {}, ""),
    ],
)
def test_backends_in_trouble_are_named(
    monkeypatch: pytest.MonkeyPatch, backends: list[tuple[str, str]], explanation: dict[str, Any], line: str
) -> None:
    async def get(port: int, path: str) -> bytes:
        assert port == 8081
        if path.startswith("/admin/explain"):
            return json.dumps(explanation).encode()
        listed = [{"backend": name, "state": state} for name, state in backends]
        return json.dumps({"pools": {"demo": listed}}).encode()

    monkeypatch.setattr(demo, "get", get)
    assert asyncio.run(demo.states(8081)) == line


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", None),
        (b"nonsense\r\n\r\n", None),
        (b"", None),
    ],
)
def test_an_answer_counts_only_if_it_is_whole(answer: bytes, body: bytes | None) -> None:
    async def scenario() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, demo.HOST, 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            if body is None:
                with pytest.raises((OSError, ValueError, EOFError)):
                    await demo.get(port, "/")
            else:
                assert await demo.get(port, "/") == body

    asyncio.run(scenario())


def test_a_busy_port_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {8081: ("port 8081 is in use", "")}
    monkeypatch.setattr(demo, "bind_problem", lambda _, port: taken.get(port))
    with pytest.raises(
        demo.DemoError, match="in use; stop that program, or run `holdfast up --port-base 18080`"
    ) as error:
        demo.check_ports(8080)
    assert error.value.exit_code == 2
