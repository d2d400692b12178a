"""The end of a process: no new clients, no answer cut short, no idle connection waited for."""

from __future__ import annotations

import asyncio
import socket

import pytest

from holdfast.proxy import EdgePolicy
from holdfast.testing import RawClient, ScriptedUpstream, Visit, answer, eventually, proxied

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WISH = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


async def test_draining_finishes_what_is_in_flight_and_closes_the_idle() -> None:
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        if visit.target == b"/slow":
            await release.wait()
        await visit.send(answer())

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy:
        idle, busy, half = [await proxy.connect() for _ in range(3)]
        assert (await idle.ask(GET)).status == 200
        await busy.send(GET.replace(b" / ", b" /slow "))
        await half.send(GET[:10])
        await backend.visited(2)
        await eventually(lambda: any(client.reader.mid_head for client in proxy.engine.clients))
        draining = asyncio.create_task(proxy.engine.drain(5.0))
        assert await idle.closed()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await RawClient.connect(proxy.host, proxy.port)
        await half.send(GET[10:])
        got = await half.answer()
        assert (got.status, got.field(b"connection")) == (200, b"close")
        assert not draining.done()
        release.set()
        got = await busy.answer()
        assert (got.status, got.field(b"connection")) == (200, b"close")
        assert await draining == 0
        assert not proxy.engine.clients
        for client in (idle, busy, half):
            await client.close()


async def test_pipelined_requests_behind_the_one_in_flight_are_not_begun() -> None:
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer())

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        await client.send(GET * 2)
        await backend.visited()
        draining = asyncio.create_task(proxy.engine.drain(5.0))
        await eventually(lambda: proxy.engine.draining)
        release.set()
        assert (await client.answer()).field(b"connection") == b"close"
        assert await client.closed()
        assert await draining == 0
        assert len(backend.visits) == 1, "closing tells the client which requests were not begun"


async def test_draining_ends_at_its_bound_and_counts_what_it_cuts() -> None:
    async def script(visit: Visit) -> None:
        if visit.field(b"upgrade"):
            await visit.send(b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        await visit.hang()

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy:
        waiting, tunnel = await proxy.connect(), await proxy.connect()
        await waiting.send(GET)
        assert (await tunnel.ask(WISH)).status == 101
        await backend.visited(2)
        assert await proxy.engine.drain(0.1) == 2
        assert await waiting.closed()
        assert await tunnel.closed()
        await waiting.close()
        await tunnel.close()


async def test_draining_without_clients_is_over_at_once() -> None:
    async with (
        ScriptedUpstream() as backend,
        proxied(backend) as proxy,
        asyncio.timeout(1.0),
    ):
        assert await proxy.engine.drain(60.0) == 0


async def test_a_client_in_the_kernels_queue_is_served() -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy, await proxy.connect() as served:
        await served.ask(GET)  # the loop is past its own accepts
        # Connected and written to before the loop runs again, so that only the kernel knows of it.
        late = socket.create_connection((proxy.host, proxy.port))
        late.sendall(GET)
        proxy.engine.draining = True
        proxy.engine.stop_listening()
        reader, writer = await asyncio.open_connection(sock=late)
        client = RawClient(reader, writer)
        got = await client.answer()
        assert (got.status, got.field(b"connection")) == (200, b"close")
        await client.close()
        assert await proxy.engine.drain(5.0) == 0


async def test_a_drained_proxy_does_not_wait_for_heads_that_never_come() -> None:
    edge = EdgePolicy(header_timeout_s=0.2)
    async with ScriptedUpstream() as backend, proxied(backend, edge=edge) as proxy, await proxy.connect() as client:
        await client.send(GET[:10])
        await eventually(lambda: any(c.reader.mid_head for c in proxy.engine.clients))
        draining = asyncio.create_task(proxy.engine.drain(10.0))
        assert (await client.answer()).status == 408
        client.end()
        async with asyncio.timeout(5.0):
            assert await draining == 0
