"""What of a service's log is left out."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
from collections.abc import Iterator

import pytest
from aiohttp import web

from holdfast.cli.logs import log_to_stderr


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    root, server = logging.getLogger(), logging.getLogger("aiohttp.server")
    before, level, filters = root.handlers[:], root.level, server.filters[:]
    stream = io.StringIO()
    handler = log_to_stderr(stream, interactive=False)
    yield stream
    handler.close()
    root.handlers[:], server.filters[:] = before, filters
    root.setLevel(level)


@pytest.mark.anyio
async def test_what_is_no_http_is_refused_and_not_told_as_an_error_of_ours(said: io.StringIO) -> None:
    async def breaks(_: web.Request) -> web.Response:
        raise RuntimeError("ours")

    app = web.Application()
    app.router.add_get("/", breaks)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        await web.SockSite(runner, sock).start()
        for head in (b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
            writer.write(head)
            status = await reader.readline()
            assert status.split()[1] == (b"500" if b"Host" in head else b"400")
            writer.close()
            await writer.wait_closed()
        await runner.cleanup()
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [line["logger"] for line in lines] == ["aiohttp.server"]
    assert "ours" in said.getvalue()


def test_setting_up_twice_leaves_them_out_once(said: io.StringIO) -> None:
    log_to_stderr(said, interactive=False)
    assert len(logging.getLogger("aiohttp.server").filters) == 1
