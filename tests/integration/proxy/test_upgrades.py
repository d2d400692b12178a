"""Connections that stop being HTTP: WebSockets and other protocols, and those that are declined."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import websockets.asyncio.client
import websockets.asyncio.server

from holdfast.proxy import Address, EdgePolicy
from holdfast.testing import ScriptedUpstream, Visit, always, answer, eventually, proxied

WISH = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
KIB = 1024
MIB = 1024 * KIB


async def echo(visit: Visit) -> None:
    await visit.send(SWITCH)
    while data := await visit.read(65536):
        await visit.send(data)
    visit.close()


async def test_a_websocket_passes_messages_both_ways_and_closes_properly() -> None:
    async def upper(connection: websockets.asyncio.server.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message.upper())

    async with websockets.asyncio.server.serve(upper, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with proxied(Address(host="127.0.0.1", port=port)) as proxy:
            url = f"ws://127.0.0.1:{proxy.port}/chat"
            async with websockets.asyncio.client.connect(url, proxy=None, max_size=None) as socket:
                for message in ("hello", "x" * 300_000, "bye"):
                    await socket.send(message)
                    assert await socket.recv() == message.upper()
                assert proxy.engine.tunnels() == 1
            await proxy.settled()
            [target] = proxy.pool.backends
            assert target.failures == {}


async def test_bytes_sent_with_the_wish_or_with_the_switch_reach_the_other_side() -> None:
    async def script(visit: Visit) -> None:
        await visit.send(SWITCH + b"welcome")
        while data := await visit.read(65536):
            await visit.send(data)
        visit.close()

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        got = await client.ask(WISH + b"early")
        assert (got.status, got.field(b"upgrade"), got.field(b"connection")) == (101, b"echo", b"Upgrade")
        assert await client.read(12) == b"welcomeearly"
        [visit] = backend.visits
        assert (visit.field(b"upgrade"), visit.field(b"connection")) == (b"echo", b"Upgrade")
        await client.send(GET)
        assert await client.read(len(GET)) == GET, "in a tunnel this is no request"
        assert len(backend.visits) == 1


@pytest.mark.parametrize("first", ["client", "backend"])
async def test_the_end_of_one_side_ends_the_other(first: str) -> None:
    async def script(visit: Visit) -> None:
        await visit.send(SWITCH)
        if first == "backend":
            await visit.read(1)
            await visit.send(b"last words")
            visit.close()
        else:
            await visit.hang()

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        assert (await client.ask(WISH)).status == 101
        if first == "backend":
            await client.send(b"x")
            assert await client.rest() == b"last words"
        else:
            await client.send(b"last words")
            client.end()
            assert await client.closed()
        await proxy.settled()
        await eventually(lambda: not backend.open_connections)
        if first == "client":
            assert backend.connections[0].endswith(b"last words")


async def test_a_tunnel_holds_little_for_a_slow_end() -> None:
    async def script(visit: Visit) -> None:
        await visit.send(SWITCH)
        with contextlib.suppress(ConnectionError):
            await visit.send(b"x" * (32 * MIB))
        visit.close()

    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend) as proxy,
        await proxy.connect(receive_buffer=64 * KIB) as client,
    ):
        assert (await client.ask(WISH)).status == 101
        await eventually(lambda: any(c.write_paused for c in proxy.engine.clients))
        [connection] = proxy.engine.clients
        most = 0
        for _ in range(32):
            await client.read(MIB)
            most = max(most, connection.transport.get_write_buffer_size())
        assert most < 512 * KIB
        assert await client.closed()


async def test_an_upload_through_a_tunnel_waits_for_the_backend() -> None:
    go = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.send(SWITCH)
        await go.wait()
        total = 0
        while total < 32 * MIB:
            total += len(await visit.read(MIB))
        await visit.send(b"%d" % total)
        visit.close()

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        assert (await client.ask(WISH)).status == 101
        sending = asyncio.create_task(client.send(b"x" * (32 * MIB)))
        await eventually(lambda: any(c.reading_paused for c in proxy.engine.clients))
        [exchange] = proxy.engine.active
        assert exchange.upstream is not None
        assert exchange.upstream.transport.get_write_buffer_size() < 512 * KIB
        go.set()
        assert await client.rest() == b"%d" % (32 * MIB)
        await sending


async def test_a_backend_that_does_not_take_the_rest_of_a_tunnel_is_cut_off() -> None:
    go = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.send(SWITCH)
        await go.wait()

    edge = EdgePolicy(tunnel_timeout_s=0.1)
    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, edge=edge) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.ask(WISH)).status == 101
        sending = asyncio.create_task(client.send(b"x" * (32 * MIB)))
        await asyncio.wait([sending])
        assert isinstance(sending.exception(), ConnectionError)
        [target] = proxy.pool.backends
        await eventually(lambda: not target.connections, "the connection to the backend closed")
        go.set()


async def test_a_tunnel_whose_backend_takes_nothing_is_closed_even_when_the_client_is_gone() -> None:
    go = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.send(SWITCH)
        await go.wait()

    edge = EdgePolicy(write_timeout_s=0.2)
    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, edge=edge) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.ask(WISH)).status == 101
        sending = asyncio.create_task(client.send(b"x" * (32 * MIB)))
        await eventually(lambda: any(c.reading_paused for c in proxy.engine.clients))
        client.reset()
        await asyncio.wait([sending])
        await proxy.settled()
        go.set()


async def test_an_idle_tunnel_is_closed() -> None:
    edge = EdgePolicy(tunnel_timeout_s=0.15)
    async with ScriptedUpstream(echo) as backend, proxied(backend, edge=edge) as proxy, await proxy.connect() as client:
        assert (await client.ask(WISH)).status == 101
        for _ in range(5):
            await asyncio.sleep(0.05)
            await client.send(b"x")
            assert await client.read(1) == b"x"
        assert await client.closed()


async def test_a_declined_upgrade_is_answered_and_closed() -> None:
    """What the client sent after its wish was not read as HTTP, so it cannot be read as that now."""
    async with ScriptedUpstream(always(answer(426, b"no"))) as backend, proxied(backend) as proxy:
        async with await proxy.connect() as client:
            got = await client.ask(WISH + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (got.status, got.field(b"connection")) == (426, b"close")
            assert await client.closed()
        assert [visit.target for visit in backend.visits] == [b"/ws"]


async def test_a_client_that_floods_before_its_wish_is_granted_is_not_read() -> None:
    go = asyncio.Event()

    async def script(visit: Visit) -> None:
        await go.wait()
        await visit.send(SWITCH)
        total = 0
        while total < 32 * MIB:
            total += len(await visit.read(MIB))
        await visit.send(b"%d" % total)
        visit.close()

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        await client.send(WISH)
        await backend.visited()
        sending = asyncio.create_task(client.send(b"x" * (32 * MIB)))
        await eventually(lambda: any(c.reading_paused for c in proxy.engine.clients), within_s=2)
        [connection] = proxy.engine.clients
        assert len(connection.reader.early or b"") < 512 * KIB
        go.set()
        assert (await client.answer()).status == 101
        assert await client.rest() == b"%d" % (32 * MIB)
        await sending


async def test_101_that_nobody_asked_for_is_no_answer() -> None:
    async with ScriptedUpstream(always(SWITCH + b"GET /evil HTTP/1.1\r\n\r\n")) as backend, proxied(backend) as proxy:
        async with await proxy.connect() as client:
            assert (await client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).status == 502
        assert len(backend.visits) == 1


async def test_h2c_is_not_passed_on_and_the_request_answered() -> None:
    async def script(visit: Visit) -> None:
        await visit.send(answer(body=await visit.read_body()))

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        for _ in range(2):
            got = await client.ask(
                b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                b"HTTP2-Settings: x\r\nContent-Length: 5\r\n\r\nhello"
            )
            assert (got.status, got.body) == (200, b"hello")
        for visit in backend.visits:
            assert visit.field(b"upgrade") is visit.field(b"http2-settings") is visit.field(b"connection") is None
