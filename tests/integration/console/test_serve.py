"""The process: ready when it listens, gone when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping

import pytest

from holdfast.console import AddressError, ConsoleSettings, serve
from tests.integration.console.visitor import visitor


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_listens_and_ends_in_order(number: signal.Signals) -> None:
    ready: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(ConsoleSettings(listen="127.0.0.1:0"), ready=ready.set_result))
    url = (await asyncio.wait_for(ready, 10))["console"]
    async with visitor(url) as who:
        assert (await who.get("/healthz")).status == 200
        assert (await who.get("/readyz")).status == 200
        os.kill(os.getpid(), signal.SIGHUP)
        assert (await who.get("/healthz")).status == 200, "a reload is no reason to end"
    os.kill(os.getpid(), number)
    assert await asyncio.wait_for(task, 10) == 0


async def test_an_address_that_is_taken_is_an_error_with_a_remedy() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(AddressError, match=rf"console\.listen: 127.0.0.1:{port}: .*; stop what uses it"):
            await serve(ConsoleSettings(listen=f"127.0.0.1:{port}"), ready=lambda _: None)


@pytest.mark.parametrize("listen", ["", "nowhere", "192.0.2.1:0", "127.0.0.1:99999"])
async def test_an_address_that_is_none_is_an_error_with_a_remedy(listen: str) -> None:
    with pytest.raises(AddressError, match=r"console\.listen: "):
        await serve(ConsoleSettings(listen=listen), ready=lambda _: None)


async def test_it_listens_on_ipv6() -> None:
    ready: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(ConsoleSettings(listen="[::1]:0"), ready=ready.set_result))
    url = (await asyncio.wait_for(ready, 10))["console"]
    assert url.startswith("http://[::1]:")
    async with visitor(url) as who:
        assert (await who.get("/healthz")).status == 200
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
