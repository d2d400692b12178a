"""Clients that vanish, in every phase: nothing stays behind, and no backend is blamed."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Literal

import pytest

from holdfast.proxy import Address, PoolPolicy
from holdfast.testing import RawClient, ScriptedUpstream, Visit, always, answer, eventually, proxied

if TYPE_CHECKING:
    from holdfast.testing import ProxyUnderTest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
WISH = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCH = b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
KIB = 1024
MIB = 1024 * KIB

Way = Literal["end", "reset"]
WAYS: tuple[Way, ...] = ("end", "reset")


async def vanish(client: RawClient, way: Way, proxy: ProxyUnderTest) -> None:
    if way == "end":
        client.end()
    else:
        client.reset()
    await eventually(lambda: not proxy.engine.clients, "the proxy noticed")
    await proxy.settled()
    await client.close()


def assert_nobody_blamed(proxy: ProxyUnderTest) -> None:
    for backend in proxy.pool.backends:
        assert backend.failures == {}
        assert backend.success == 1.0


async def hang(visit: Visit) -> None:
    await visit.hang()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET[:-2]], ids=["nothing", "half a line", "half a head"])
async def test_before_the_request(sent: bytes, way: Way) -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy:
        client = await proxy.connect()
        await client.send(sent)
        await eventually(lambda: proxy.engine.clients)
        await vanish(client, way, proxy)
        assert backend.connections == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "sent",
    [b"Content-Length: 10\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"],
    ids=["fixed", "chunked"],
)
async def test_in_the_middle_of_a_body(sent: bytes, way: Way) -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy:
        client = await proxy.connect()
        await client.send(POST + sent)
        visit = await backend.visited()
        await vanish(client, way, proxy)
        await eventually(lambda: not backend.open_connections, "the backend is told")
        assert not visit.complete, "half a body is never passed off as a whole one"
        assert_nobody_blamed(proxy)


@pytest.mark.parametrize("way", WAYS)
async def test_while_it_waits_for_an_answer(way: Way) -> None:
    async with ScriptedUpstream(hang) as backend, proxied(backend) as proxy:
        client = await proxy.connect()
        await client.send(GET)
        await backend.visited()
        await vanish(client, way, proxy)
        await eventually(lambda: not backend.open_connections)
        assert_nobody_blamed(proxy)
        assert proxy.pool.codes == {499: 1}


@pytest.mark.parametrize("way", WAYS)
async def test_in_the_middle_of_an_answer(way: Way) -> None:
    async def half(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await visit.hang()

    async with ScriptedUpstream(half) as backend, proxied(backend) as proxy:
        client = await proxy.connect()
        await client.send(GET)
        await client.read(20)
        await vanish(client, way, proxy)
        await eventually(lambda: not backend.open_connections)
        assert_nobody_blamed(proxy)


async def test_in_the_middle_of_a_large_answer_that_it_does_not_read() -> None:
    async with ScriptedUpstream(always(answer(body=b"x" * (16 * MIB)))) as backend, proxied(backend) as proxy:
        client = await proxy.connect(receive_buffer=64 * KIB)
        await client.send(GET)
        await eventually(lambda: any(c.write_paused for c in proxy.engine.clients))
        await vanish(client, "reset", proxy)
        await eventually(lambda: not backend.open_connections)
        assert_nobody_blamed(proxy)


@pytest.mark.parametrize("way", WAYS)
async def test_in_a_tunnel(way: Way) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(SWITCH)
        await visit.hang()

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy:
        client = await proxy.connect()
        assert (await client.ask(WISH)).status == 101
        await vanish(client, way, proxy)
        await eventually(lambda: not backend.open_connections)
        assert_nobody_blamed(proxy)


@pytest.mark.parametrize("way", WAYS)
async def test_while_it_waits_for_a_place(way: Way) -> None:
    policy = PoolPolicy(max_in_flight=1)
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer())

    async with ScriptedUpstream(script) as backend, proxied(backend, policy=policy) as proxy:
        async with await proxy.connect() as first:
            await first.send(GET)
            await backend.visited()
            second = await proxy.connect()
            await second.send(GET)
            await eventually(lambda: len(proxy.pool.queue) == 1)
            second.reset()
            await eventually(lambda: not proxy.pool.queue)
            assert proxy.pool.in_flight == 1
            release.set()
            assert (await first.answer()).status == 200
            await second.close()
        assert len(backend.visits) == 1


async def test_between_two_attempts() -> None:
    async def reset(visit: Visit) -> None:
        visit.reset()

    policy = PoolPolicy(attempts=1000, budget_floor_per_s=1000.0)
    async with ScriptedUpstream(reset) as backend, proxied(backend, policy=policy) as proxy:
        client = await proxy.connect()
        await client.send(GET)
        await backend.visited(3)
        await vanish(client, "reset", proxy)
        count = len(backend.visits)
        sweeps = proxy.engine._sweeps
        await eventually(lambda: proxy.engine._sweeps > sweeps + 15)
        assert len(backend.visits) == count


async def test_while_a_connection_is_made() -> None:
    """At every point of it: cancelled, the connection is either never made or closed, and counted as neither."""
    async with ScriptedUpstream(hang) as backend, proxied(backend) as proxy:
        for number in range(200):
            client = await proxy.connect()
            await client.send(GET)
            for _ in range(number % 20):
                await asyncio.sleep(0)
            client.reset()
            await client.close()
        await eventually(lambda: not proxy.engine.clients)
        await proxy.settled()
        await eventually(lambda: not backend.open_connections)
        assert_nobody_blamed(proxy)


async def test_while_nobody_answers_the_connection() -> None:
    # A listener whose queue is full leaves further connections in the middle of their handshake.
    listener = await asyncio.to_thread(_full_listener)
    try:
        address = Address(host="127.0.0.1", port=listener[0].getsockname()[1])
        policy = PoolPolicy(connect_timeout_s=0.1, attempts=2)
        async with proxied(address, policy=policy) as proxy:
            client = await proxy.connect()
            await client.send(GET)
            await eventually(lambda: proxy.engine.active)
            await vanish(client, "reset", proxy)
            async with await proxy.connect() as other:
                assert (await other.ask(GET)).status == 502
    finally:
        for sock in listener:
            sock.close()


def _full_listener() -> list[socket.socket]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    return [listener, *fillers]


async def test_many_at_once_in_all_phases() -> None:
    async def script(visit: Visit) -> None:
        if visit.target == b"/slow":
            await visit.hang()
        elif visit.target == b"/half":
            await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            await visit.hang()
        elif visit.target == b"/ws":
            await visit.send(SWITCH)
            await visit.hang()
        else:
            await visit.read_body()
            await visit.send(answer())

    sent = (
        b"",
        b"GET",
        GET,
        GET * 5,
        GET.replace(b" / ", b" /slow "),
        GET.replace(b" / ", b" /half "),
        WISH.replace(b" / ", b" /ws "),
        POST + b"Content-Length: 5\r\n\r\nhe",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    )
    async with ScriptedUpstream(script) as a, ScriptedUpstream(script) as b, proxied(a, b) as proxy:
        for wave in range(3):
            clients = [await proxy.connect() for _ in range(90)]
            for number, client in enumerate(clients):
                await client.send(sent[number % len(sent)])
            for _ in range(wave * 10):
                await asyncio.sleep(0)
            for number, client in enumerate(clients):
                if number % 2:
                    client.reset()
                await client.close()
        await eventually(lambda: not proxy.engine.clients)
        await proxy.settled()
        await eventually(
            lambda: a.open_connections + b.open_connections == sum(len(t.idle) for t in proxy.pool.backends)
        )
        assert_nobody_blamed(proxy)
