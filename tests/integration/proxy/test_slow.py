"""Peers that take their time: who is cut off, who is waited for, and what waiting costs in memory.

Limits of clients are looked at twice a second, so nothing here is quicker than that.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from holdfast.proxy import EdgePolicy, PoolPolicy
from holdfast.proxy.exchange import Exchange
from holdfast.testing import Answer, ScriptedUpstream, Visit, always, answer, eventually, proxied

if TYPE_CHECKING:
    from holdfast.testing import ProxyUnderTest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
KIB = 1024
MIB = 1024 * KIB
QUICK = EdgePolicy(header_timeout_s=0.2, body_timeout_s=0.2, write_timeout_s=0.3, idle_timeout_s=0.3)


def reason(got: Answer) -> tuple[int, str]:
    error = json.loads(got.body)["error"]
    assert error["status"] == got.status
    return got.status, error["reason"]


def buffered(proxy: ProxyUnderTest) -> int:
    """Bytes that wait in this process to be written to anybody."""
    clients = [client.transport for client in proxy.engine.clients if not client.lost]
    upstreams = [e.upstream.transport for e in proxy.engine.active if e.upstream is not None and not e.upstream.lost]
    return sum(transport.get_write_buffer_size() for transport in (*clients, *upstreams))


# Slow clients.


async def test_a_head_that_does_not_come_is_408_and_others_do_not_notice() -> None:
    async with ScriptedUpstream() as backend, proxied(backend, edge=QUICK) as proxy:
        async with await proxy.connect() as slow, await proxy.connect() as other:
            await slow.send(b"GET / HT")
            assert (await other.ask(GET)).status == 200
            assert reason(await slow.answer()) == (408, "header_timeout")
            slow.end()
            assert await slow.closed()
        assert len(backend.visits) == 1


async def test_a_head_that_drips_is_408_all_the_same() -> None:
    async with ScriptedUpstream() as backend, proxied(backend, edge=QUICK) as proxy, await proxy.connect() as slow:

        async def drip() -> None:
            while True:
                await slow.send(b"X: y\r\n")
                await asyncio.sleep(0.02)

        await slow.send(b"GET / HTTP/1.1\r\n")
        dripping = asyncio.create_task(drip())
        assert reason(await slow.answer()) == (408, "header_timeout")
        dripping.cancel()
        assert backend.visits == []


async def test_the_time_for_a_head_begins_with_its_first_byte_not_with_the_connection() -> None:
    """The second head begins while the first request is still being answered."""
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer())

    edge = EdgePolicy(header_timeout_s=5.0)
    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, edge=edge) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(GET + GET[:10])
        await backend.visited()
        release.set()
        assert (await client.answer()).status == 200
        sweeps = proxy.engine._sweeps
        await eventually(lambda: proxy.engine._sweeps > sweeps + 25, "a look at all clients")
        await client.send(GET[10:])
        assert (await client.answer()).status == 200


async def test_a_body_that_stops_is_408_and_blames_no_backend() -> None:
    async with ScriptedUpstream() as backend, proxied(backend, edge=QUICK) as proxy, await proxy.connect() as client:
        await client.send(POST + b"Content-Length: 10\r\n\r\nhello")
        assert reason(await client.answer()) == (408, "body_timeout")
        client.end()
        assert await client.closed()
        [target] = proxy.pool.backends
        assert target.failures == {}
        assert len(backend.visits) == 1


async def test_a_broken_body_is_400_and_blames_no_backend() -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy, await proxy.connect() as client:
        await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await backend.visited()
        await client.send(b"x\r\n")
        assert reason(await client.answer()) == (400, "bad_request")
        client.end()
        assert await client.closed()
        [target] = proxy.pool.backends
        assert target.failures == {}


async def test_a_slow_upload_is_not_the_backends_fault() -> None:
    """Slower than a try may take, but never silent: the clock of the backend starts when it has the request."""
    policy = PoolPolicy(per_try_timeout_s=0.15, timeout_s=0.3)

    async def script(visit: Visit) -> None:
        await visit.send(answer(body=await visit.read_body()))

    async with ScriptedUpstream(script) as backend, proxied(backend, policy=policy) as proxy:
        async with await proxy.connect() as client:
            await client.send(POST + b"Content-Length: 8\r\n\r\n")
            for _ in range(8):
                await asyncio.sleep(0.06)
                await client.send(b"x")
            got = await client.answer()
            assert (got.status, got.body) == (200, b"xxxxxxxx")
        [target] = proxy.pool.backends
        assert target.failures == {}
        assert len(backend.visits) == 1


async def test_after_the_last_byte_of_a_slow_upload_the_backend_has_its_time_and_no_more() -> None:
    policy = PoolPolicy(per_try_timeout_s=0.1, timeout_s=0.2)

    async def script(visit: Visit) -> None:
        await visit.read_body()
        await visit.hang()

    async with ScriptedUpstream(script) as backend, proxied(backend, policy=policy) as proxy:
        async with await proxy.connect() as client:
            await client.send(POST + b"Content-Length: 2\r\n\r\nx")
            await asyncio.sleep(0.3)
            await client.send(b"x")
            assert reason(await client.answer()) == (504, "backend_timeout")
        assert len(backend.visits) == 1


async def test_a_backend_that_never_says_100_is_given_up() -> None:
    async def hang(visit: Visit) -> None:
        await visit.hang()

    policy = PoolPolicy(per_try_timeout_s=0.1)
    async with ScriptedUpstream(hang) as backend, proxied(backend, policy=policy) as proxy:
        async with await proxy.connect() as client:
            await client.send(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert reason(await client.answer()) == (504, "backend_timeout")
        assert len(backend.visits) == 1


async def test_a_client_that_got_its_100_and_sends_nothing_is_408() -> None:
    async def script(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await visit.read_body()

    policy = PoolPolicy(per_try_timeout_s=0.05)
    async with ScriptedUpstream(script) as backend, proxied(backend, policy=policy, edge=QUICK) as proxy:
        async with await proxy.connect() as client:
            await client.send(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert (await client.answer()).status == 100
            assert reason(await client.answer()) == (408, "body_timeout")
        [target] = proxy.pool.backends
        assert target.failures == {}


async def test_a_client_that_never_ends_a_refused_request_is_closed() -> None:
    edge = EdgePolicy(write_timeout_s=0.2)
    async with ScriptedUpstream() as backend, proxied(backend, edge=edge) as proxy, await proxy.connect() as client:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.answer()).status == 400
        assert await client.closed()  # our half; the client keeps its own
        await eventually(lambda: not proxy.engine.clients, "the rest of the connection closed")
        assert backend.visits == []


@pytest.mark.parametrize("pause_s", [0.0, 0.1], ids=["at once", "later"])
async def test_a_post_with_a_body_may_take_all_the_time_there_is(pause_s: float) -> None:
    """No other attempt can follow it, so giving up after the time of one try would help nobody."""
    policy = PoolPolicy(per_try_timeout_s=0.1, timeout_s=2.0)

    async def script(visit: Visit) -> None:
        await visit.read_body()
        await asyncio.sleep(0.3)
        await visit.send(answer())

    async with ScriptedUpstream(script) as backend, proxied(backend, policy=policy) as proxy:
        async with await proxy.connect() as client:
            await client.send(POST + b"Content-Length: 2\r\n\r\nx")
            await asyncio.sleep(pause_s)
            assert (await client.ask(b"x")).status == 200
        assert len(backend.visits) == 1


async def test_an_idle_client_is_closed_without_a_word() -> None:
    async with ScriptedUpstream() as backend, proxied(backend, edge=QUICK) as proxy, await proxy.connect() as client:
        assert (await client.ask(GET)).status == 200
        assert await client.closed()
        assert proxy.engine.client_errors == {}


async def test_a_slow_reader_costs_little_memory_and_gets_everything() -> None:
    body = b"x" * (64 * MIB)
    async with ScriptedUpstream(always(answer(body=body))) as backend, proxied(backend) as proxy:
        async with await proxy.connect(receive_buffer=64 * KIB) as client:
            await client.send(GET)
            await eventually(lambda: any(c.write_paused for c in proxy.engine.clients))
            head = await client._reader.readuntil(b"\r\n\r\n")
            assert b"Content-Length: %d" % len(body) in head
            most = left = 0
            left = len(body)
            while left:
                left -= len(await client.read(min(left, MIB)))
                most = max(most, buffered(proxy))
            assert most < 512 * KIB
        assert proxy.engine.client_errors == {}


async def test_a_reader_that_stops_is_cut_off() -> None:
    async with (
        ScriptedUpstream(always(answer(body=b"x" * (16 * MIB)))) as backend,
        proxied(backend, edge=QUICK) as proxy,
        await proxy.connect(receive_buffer=64 * KIB) as client,
    ):
        await client.send(GET)
        await eventually(lambda: any(c.write_paused for c in proxy.engine.clients))
        assert buffered(proxy) < 512 * KIB
        await eventually(lambda: not proxy.engine.clients, "the client cut off")
        assert proxy.engine.client_errors == {"write_timeout": 1}
        [target] = proxy.pool.backends
        assert target.failures == {}


async def test_a_client_that_asks_and_never_reads_costs_little_memory() -> None:
    """Answers of ordinary size, but any number of them: the next request waits until the last answer left."""
    body = b"x" * (100 * KIB)
    async with (
        ScriptedUpstream(always(answer(body=body))) as backend,
        proxied(backend) as proxy,
        await proxy.connect(receive_buffer=64 * KIB) as client,
    ):
        await client.send(GET * 300)
        await eventually(lambda: any(c.write_paused for c in proxy.engine.clients))
        sweeps = proxy.engine._sweeps
        await eventually(lambda: proxy.engine._sweeps > sweeps + 4)
        assert buffered(proxy) < 512 * KIB
        assert len(backend.visits) < 100
        for _ in range(300):
            assert (await client.answer()).body == body


async def test_answers_of_our_own_wait_for_the_reader_too() -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy:
        async with await proxy.connect(receive_buffer=4 * KIB) as client:
            lost = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
            sending = asyncio.create_task(client.send(lost * 40_000))
            await eventually(lambda: any(c.write_paused for c in proxy.engine.clients))
            sweeps = proxy.engine._sweeps
            await eventually(lambda: proxy.engine._sweeps > sweeps + 4)
            assert buffered(proxy) < 512 * KIB
            sending.cancel()
        assert backend.visits == []


# Slow backends.


async def test_a_backend_that_does_not_read_stops_the_client_and_not_the_memory() -> None:
    go = asyncio.Event()

    async def script(visit: Visit) -> None:
        await go.wait()
        await visit.send(answer(body=b"%d" % len(await visit.read_body())))

    policy = PoolPolicy(per_try_timeout_s=10.0)
    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, policy=policy) as proxy,
        await proxy.connect() as client,
    ):
        size = 64 * MIB
        sending = asyncio.create_task(client.send(POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size))
        await eventually(lambda: any(c.reading_paused for c in proxy.engine.clients))
        assert buffered(proxy) < 512 * KIB
        go.set()
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, buffered(proxy))
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        assert (await client.answer()).body == b"%d" % size
        await sending
        watching.cancel()
        assert most < MIB


async def test_a_backend_that_never_reads_is_given_up() -> None:
    async def script(visit: Visit) -> None:
        visit._reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    policy = PoolPolicy(per_try_timeout_s=0.2)
    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, policy=policy) as proxy,
        await proxy.connect() as client,
    ):
        size = 32 * MIB
        sending = asyncio.create_task(client.send(POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size))
        assert reason(await client.answer()) == (504, "backend_timeout")
        sending.cancel()
        await asyncio.wait([sending])


async def test_a_backend_that_falls_silent_in_an_answer_cuts_the_client() -> None:
    async def script(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await visit.hang()

    policy = PoolPolicy(stall_timeout_s=0.1)
    async with ScriptedUpstream(script) as backend, proxied(backend, policy=policy) as proxy:
        async with await proxy.connect() as client:
            await client.send(GET)
            try:
                await client.answer()
            except (EOFError, ConnectionResetError) as error:
                cut = error
            assert isinstance(cut, ConnectionResetError), "half an answer never ends properly"
        [target] = proxy.pool.backends
        assert target.failures == {"timeout": 1}
        assert len(backend.visits) == 1


async def test_a_slow_answer_that_never_stalls_is_relayed() -> None:
    async def script(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.04)
            await visit.send(b"x")

    policy = PoolPolicy(stall_timeout_s=0.2, per_try_timeout_s=0.1, timeout_s=0.2)
    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, policy=policy) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.ask(GET)).body == b"x" * 10


async def test_a_client_slower_than_the_stall_timeout_blames_no_backend() -> None:
    body = b"x" * (8 * MIB)
    policy = PoolPolicy(stall_timeout_s=0.1)
    async with ScriptedUpstream(always(answer(body=body))) as backend, proxied(backend, policy=policy) as proxy:
        async with await proxy.connect(receive_buffer=64 * KIB) as client:
            await client.send(GET)
            await eventually(lambda: any(c.write_paused for c in proxy.engine.clients))
            sweeps = proxy.engine._sweeps
            await eventually(lambda: proxy.engine._sweeps > sweeps + 12, "longer than the stall timeout")
            assert (await client.answer()).body == body
        [target] = proxy.pool.backends
        assert target.failures == {}


async def test_an_exchange_that_breaks_does_not_stop_the_clock_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    expired = Exchange.expired

    def breaks(exchange: Exchange, now: float) -> None:
        if exchange.number == 1:
            raise ZeroDivisionError
        expired(exchange, now)

    monkeypatch.setattr(Exchange, "expired", breaks)
    policy = PoolPolicy(timeout_s=0.1, attempts=1)
    async with (
        ScriptedUpstream(Visit.hang) as backend,
        proxied(backend, policy=policy) as proxy,
        await proxy.connect() as first,
        await proxy.connect() as second,
    ):
        await first.send(GET)
        await eventually(lambda: proxy.engine.requests == 1)
        assert (await second.ask(GET)).status == 504
        assert [type(error) for error in proxy.errors] == [ZeroDivisionError]
        proxy.errors.clear()
