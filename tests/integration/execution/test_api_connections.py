"""Slow clients, one at a time; the flood is in ``test_api_process``."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from holdfast.execution.shell.api import front
from holdfast.testing import RawClient, eventually
from tests.integration.execution.harness import running

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"GET /healthz HT",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: ada\r\nContent-Type: application/json\r\n"
        b"Content-Length: 9\r\n\r\n{",
        GET + GET[:-2],
    ],
)
def test_a_request_that_does_not_become_complete_is_cut_off(part: bytes) -> None:
    async def scenario() -> None:
        async with running(request_s=0.2) as api, await RawClient.connect(api.host, api.port) as client:
            if part:
                await client.send(part)
            if part.startswith(GET):
                assert (await client.answer()).status == 200
            assert await client.closed()
            await eventually(lambda: api.front.open == 0, "nobody waits for the body any more")

    asyncio.run(scenario())


def test_a_request_that_trickles_in_has_no_more_time_than_one_that_stalls() -> None:
    async def scenario() -> None:
        async with running(request_s=0.3) as api, await RawClient.connect(api.host, api.port) as client:
            await client.send(b"GET / HTTP/1.1\r\nX-Slow: ")
            trickle = asyncio.create_task(_trickle(client))
            try:
                assert await client.closed()
            finally:
                trickle.cancel()
                await asyncio.gather(trickle, return_exceptions=True)

    asyncio.run(scenario())


async def _trickle(client: RawClient) -> None:
    while True:
        await client.send(b"a")
        await asyncio.sleep(0.02)


def test_a_connection_that_rests_between_requests_is_not_cut_off() -> None:
    async def scenario() -> None:
        async with running(request_s=0.1) as api, await RawClient.connect(api.host, api.port) as client:
            assert (await client.ask(GET)).status == 200
            await asyncio.sleep(0.4)  # four times what a request may take
            assert (await client.ask(GET)).status == 200

    asyncio.run(scenario())


def test_what_is_not_http_is_a_problem_too() -> None:
    async def scenario() -> None:
        async with running() as api, await RawClient.connect(api.host, api.port) as client:
            answer = await client.ask(b"\x16\x03\x01\x02\x00\x01\x00 hello\r\n\r\n")
            assert (answer.status, answer.field(b"content-type")) == (400, b"application/problem+json")
            assert json.loads(answer.body)["type"] == "/problems/malformed-request"
            assert await client.closed()

    asyncio.run(scenario())


def test_a_head_without_an_end_is_refused_before_it_fills_memory() -> None:
    async def scenario() -> None:
        async with running() as api, await RawClient.connect(api.host, api.port) as client:
            await client.send(b"GET /healthz HTTP/1.1\r\nX-Long: ")
            await client.send(b"a" * 50_000)
            await client.send(b"a" * 50_000)
            answer = await client.answer()
            assert (answer.status, json.loads(answer.body)["type"]) == (400, "/problems/malformed-request")
            assert await client.closed()

    asyncio.run(scenario())


def test_a_pipeline_without_an_end_is_cut() -> None:
    async def scenario() -> None:
        async with running() as api, await RawClient.connect(api.host, api.port) as client:
            await client.send(GET * 10)
            for _ in range(10):
                assert (await client.answer()).status == 200
            await client.send(GET * 100)
            assert await client.closed()

    asyncio.run(scenario())


def test_bodies_that_are_on_their_way_take_no_place_among_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "ACTIVE", 1)
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: ada\r\nContent-Type: application/json\r\n"

    async def scenario() -> None:
        async with (
            running() as api,
            await RawClient.connect(api.host, api.port) as one,
            await RawClient.connect(api.host, api.port) as two,
        ):
            for slow in (one, two):
                await slow.send(head + b"Content-Length: 9\r\n\r\n{")
            await eventually(lambda: api.front.open == 2, "two bodies are awaited")
            assert await api.submitted(key="bob")

    asyncio.run(scenario())


def test_a_newcomer_takes_the_place_of_who_owes_a_request_the_longest() -> None:
    async def scenario() -> None:
        async with (
            running(most=3) as api,
            await RawClient.connect(api.host, api.port) as honest,
            await RawClient.connect(api.host, api.port) as first,
        ):
            assert (await honest.ask(GET)).status == 200
            await first.send(b"GET /")
            async with await RawClient.connect(api.host, api.port) as second:
                assert (await second.ask(GET)).status == 200
                assert api.guard.evicted == 0
                async with await RawClient.connect(api.host, api.port) as third:
                    assert (await third.ask(GET)).status == 200
                    assert await first.closed()
                    assert (await second.ask(GET)).status == 200
                    assert (await honest.ask(GET)).status == 200
                    assert api.guard.evicted == 1

    asyncio.run(scenario())


def test_with_nobody_who_owes_a_request_the_one_that_rested_longest_goes() -> None:
    async def scenario() -> None:
        async with (
            running(most=2) as api,
            await RawClient.connect(api.host, api.port) as first,
            await RawClient.connect(api.host, api.port) as second,
        ):
            for client in (first, second):
                assert (await client.ask(GET)).status == 200
            async with await RawClient.connect(api.host, api.port) as third:
                assert (await third.ask(GET)).status == 200
                assert await first.closed()
                assert (await second.ask(GET)).status == 200

    asyncio.run(scenario())


def test_a_client_that_does_not_read_is_cut_off() -> None:
    async def scenario() -> None:
        async with running(stalled_s=0.2, request_s=0.5) as api:
            id = await api.submitted()
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            with sock:
                loop = asyncio.get_running_loop()
                await loop.sock_connect(sock, (api.host, api.port))
                request = f"GET /v1/jobs/{id}/events HTTP/1.1\r\nHost: x\r\nX-API-Key: ada\r\n\r\n"
                await loop.sock_sendall(sock, request.encode())
                await eventually(lambda: api.service.held.total == 1, "the stream is open")
                for _ in range(40):
                    await api.queue.print(id, "stdout", b"x" * 200_000)
                await eventually(lambda: api.service.held.total == 0, "the stream is gone")

    asyncio.run(scenario())
