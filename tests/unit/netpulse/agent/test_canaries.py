"""Whether the agent can see."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from holdfast.netpulse.core.settings import CanarySettings
from holdfast.netpulse.shell.agent import canaries as canaries_module
from holdfast.netpulse.shell.agent.canaries import Canaries
from holdfast.netpulse.shell.agent.clock import Clock
from holdfast.testing import eventually
from tests.machine import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def canary() -> AsyncIterator[tuple[str, list[int]]]:
    """Its address, and one entry for each connection."""
    visits: list[int] = []

    def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(1)
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}", visits


@asynccontextmanager
async def made(*canaries: CanarySettings) -> AsyncIterator[tuple[Canaries, list[bool]]]:
    changes: list[bool] = []
    found = Canaries(canaries, Clock(), changed=changes.append)
    try:
        yield found, changes
    finally:
        await found.close()


def dead() -> CanarySettings:
    return CanarySettings(tcp=f"127.0.0.1:{free_port()}")


def test_an_agent_without_canaries_believes_itself() -> None:
    async def scenario() -> None:
        async with made() as (eye, changes):
            assert await eye.doubt(0.0, known=False) == ""
            assert not eye.sight.blind
            assert not changes

    asyncio.run(scenario())


def test_one_canary_that_answers_is_enough() -> None:
    async def scenario() -> None:
        async with canary() as (address, _), made(dead(), CanarySettings(tcp=address)) as (eye, changes):
            assert await eye.doubt(Clock().steady(), known=False) == ""
            assert not changes

    asyncio.run(scenario())


def test_when_none_answers_the_agent_is_blind_and_sees_again_later() -> None:
    async def scenario() -> None:
        async with canary() as (address, _), made(dead(), dead()) as (eye, changes):
            clock = Clock()
            began = clock.steady()
            reason = await eye.doubt(began, known=False)
            assert reason.count("ConnectionRefusedError") == 2
            assert eye.sight.blind
            eye.replace([CanarySettings(tcp=address)])
            assert await eye.doubt(began, known=False) == "the agent was blind", "while the probe was under way"
            assert await eye.doubt(clock.steady(), known=False) == ""
            assert changes == [True, False]

    asyncio.run(scenario())


def test_any_answer_of_a_web_server_will_do() -> None:
    async def scenario() -> None:
        async def answer(request: web.BaseRequest) -> web.Response:
            return web.Response(status=500)

        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with made(CanarySettings(http=url)) as (eye, changes):
            assert await eye.doubt(Clock().steady(), known=False) == ""
        async with made(CanarySettings(http=url.replace("http:", "https:"))) as (eye, changes):
            assert "SSL" in await eye.doubt(Clock().steady(), known=False), "who answers in another's name is none"
            assert changes == [True]
        await runner.cleanup()

    asyncio.run(scenario())


def test_a_canary_that_says_nothing_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canaries_module, "TIMEOUT_S", 0.05)

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            async with made(CanarySettings(http=url)) as (eye, _):
                assert await eye.doubt(Clock().steady(), known=False)

    asyncio.run(scenario())


def test_failures_share_looks_and_each_gets_one_that_began_after_it() -> None:
    async def scenario() -> None:
        async with canary() as (address, visits), made(CanarySettings(tcp=address)) as (eye, _):
            now = Clock().steady()
            assert set(await asyncio.gather(*(eye.doubt(now, known=False) for _ in range(500)))) == {""}
            await eventually(lambda: len(visits) <= 2)
            assert await eye.doubt(now, known=True) == ""
            assert len(visits) <= 2, "a look of a moment ago will do for a target that was down before"
            assert await eye.doubt(now, known=False) == ""
            await eventually(lambda: len(visits) >= 2)

    asyncio.run(scenario())


def test_a_name_that_does_not_resolve_any_more_is_asked_at_its_last_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with canary() as (address, visits), made() as (eye, _):
            eye.replace([CanarySettings(tcp=address.replace("127.0.0.1", "localhost"))])
            assert await eye.doubt(Clock().steady(), known=False) == ""

            def fails(*_: object, **__: object) -> None:
                raise socket.gaierror(socket.EAI_AGAIN, "no resolver")

            monkeypatch.setattr(socket, "getaddrinfo", fails)
            assert await eye.doubt(Clock().steady(), known=False) == ""
            await eventually(lambda: len(visits) == 2)
            eye.replace([CanarySettings(tcp="other.invalid:1")])
            assert "no resolver" in await eye.doubt(Clock().steady(), known=False)

    asyncio.run(scenario())


def test_it_looks_by_itself_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canaries_module, "EVERY_S", 0.01)
    monkeypatch.setattr(canaries_module, "GAP_S", 0.0)

    async def scenario() -> None:
        async with canary() as (address, visits), made(CanarySettings(tcp=address)) as (eye, _):
            running = asyncio.create_task(eye.run())
            await eventually(lambda: len(visits) > 3)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    asyncio.run(scenario())
