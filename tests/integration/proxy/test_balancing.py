"""How requests are spread, and what can be changed while they are under way."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from holdfast.proxy import Address, Backend, PoolPolicy
from holdfast.testing import ScriptedUpstream, Visit, answer, eventually, proxied

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("strategy", ["round_robin", "weighted", "least_connections", "p2c", "consistent_hash"])
async def test_every_strategy_answers_every_request(strategy: str) -> None:
    async with ScriptedUpstream() as a, ScriptedUpstream() as b, proxied(a, b, strategy=strategy) as proxy:
        async with await proxy.connect() as client:
            for _ in range(40):
                assert (await client.ask(GET)).status == 200
        shares = sorted((len(a.visits), len(b.visits)))
        assert sum(shares) == 40
        assert shares == [0, 40] if strategy == "consistent_hash" else shares[0] > 0


@pytest.mark.parametrize(
    ("hash_on", "request_with"),
    [
        ("path", b"GET /%b?x HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("header:X-User", b"GET / HTTP/1.1\r\nHost: a\r\nx-user: %b\r\n\r\n"),
        ("cookie:session", b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; session=%b; c=d\r\n\r\n"),
        ("cookie:session", b"GET / HTTP/1.1\r\nHost: a\r\nCookie: session=%b\r\n\r\n"),
    ],
)
async def test_the_same_key_finds_the_same_backend(hash_on: str, request_with: bytes) -> None:
    policy = PoolPolicy(hash_on=hash_on)
    async with (
        ScriptedUpstream() as a,
        ScriptedUpstream() as b,
        proxied(a, b, policy=policy, strategy="consistent_hash") as proxy,
        await proxy.connect() as client,
    ):
        owners: dict[int, set[int]] = {}
        for _ in range(3):
            for user in range(20):
                before = len(a.visits)
                assert (await client.ask(request_with % b"user%d" % user)).status == 200
                owners.setdefault(user, set()).add(len(a.visits) - before)
        assert all(len(owner) == 1 for owner in owners.values())
        assert {owner.copy().pop() for owner in owners.values()} == {0, 1}, "different keys are spread"


async def test_without_its_key_a_request_follows_its_client() -> None:
    policy = PoolPolicy(hash_on="header:X-User")
    async with (
        ScriptedUpstream() as a,
        ScriptedUpstream() as b,
        proxied(a, b, policy=policy, strategy="consistent_hash") as proxy,
    ):
        for _ in range(5):
            async with await proxy.connect() as client:
                await client.ask(GET)
        assert sorted((len(a.visits), len(b.visits))) == [0, 5]


async def test_a_switched_strategy_counts_from_the_next_request_of_an_open_connection() -> None:
    async with (
        ScriptedUpstream() as a,
        ScriptedUpstream() as b,
        proxied(a, b, strategy="consistent_hash") as proxy,
        await proxy.connect() as client,
    ):
        for _ in range(6):
            await client.ask(GET)
        assert sorted((len(a.visits), len(b.visits))) == [0, 6]
        proxy.pool.switch("round_robin")
        proxy.engine.forget_plans()
        for _ in range(6):
            await client.ask(GET)
        assert sorted((len(a.visits), len(b.visits))) == [3, 9]


async def test_a_lowered_limit_holds_and_can_be_lifted() -> None:
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer())

    async with ScriptedUpstream(script) as a, proxied(a) as proxy:
        proxy.pool.set_limit(2)
        clients = [await proxy.connect() for _ in range(5)]
        for client in clients:
            await client.send(GET)
        await eventually(lambda: len(proxy.engine.active) == 5)
        assert (proxy.engine.in_flight(), proxy.engine.waiting(), proxy.pool.in_flight) == (5, 3, 2)
        proxy.pool.set_limit(None)
        await a.visited(5)
        release.set()
        for client in clients:
            assert (await client.answer()).status == 200
            await client.close()


async def test_a_smaller_queue_turns_away_who_no_longer_fits() -> None:
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer())

    policy = PoolPolicy(max_in_flight=1, queue=4)
    async with ScriptedUpstream(script) as a, proxied(a, policy=policy) as proxy:
        clients = [await proxy.connect() for _ in range(5)]
        for client in clients:
            await client.send(GET)
            await eventually(lambda: len(proxy.engine.active) == len(proxy.pool.queue) + proxy.pool.in_flight)
        await eventually(lambda: len(proxy.pool.queue) == 4)
        proxy.configure(policy=PoolPolicy(max_in_flight=1, queue=2, budget_percent=10.0))
        assert len(proxy.pool.queue) == 2
        release.set()
        statuses = Counter([(await client.answer()).status for client in clients])
        assert statuses == {200: 3, 503: 2}
        for client in clients:
            await client.close()


async def test_adaptive_limits_follow_the_backend_and_go_away_when_switched_off() -> None:
    async with ScriptedUpstream() as a, proxied(a, policy=PoolPolicy(adaptive=True)) as proxy:
        [target] = proxy.pool.backends
        assert target.limit == 20
        async with await proxy.connect() as client:
            for _ in range(20):
                assert (await client.ask(GET)).status == 200
        proxy.configure(policy=PoolPolicy(adaptive=False))
        assert target.limit == PoolPolicy().max_in_flight_per_backend


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "nowhere.invalid"])
async def test_a_backend_whose_name_cannot_be_resolved_is_unreachable_and_nothing_else(host: str) -> None:
    policy = PoolPolicy(attempts=1, connect_timeout_s=30.0, timeout_s=60.0)
    async with proxied(Address(host=host, port=80), policy=policy) as proxy, await proxy.connect() as client:
        assert (await client.ask(GET)).status == 502
        [target] = proxy.pool.backends
        assert target.failures == {"connect": 1}


async def test_reloads_and_switches_under_load_fail_no_request_and_cut_no_tunnel() -> None:
    async def script(visit: Visit) -> None:
        if visit.field(b"upgrade"):
            await visit.send(b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            while data := await visit.read(1024):
                await visit.send(data)
            visit.close()
        else:
            await visit.send(answer(body=visit.target))

    async with (
        ScriptedUpstream(script) as a,
        ScriptedUpstream(script) as b,
        ScriptedUpstream(script) as c,
        proxied(a, b, c) as proxy,
        await proxy.connect() as tunnel,
    ):
        everybody = proxy.pool.backends
        upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
        assert (await tunnel.ask(upgrade)).status == 101
        over = asyncio.Event()

        async def ask(name: int) -> int:
            asked = 0
            async with await proxy.connect() as client:
                while not over.is_set():
                    target = b"/%d-%d" % (name, asked)
                    got = await client.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
                    assert (got.status, got.body) == (200, target)
                    asked += 1
            return asked

        asking = [asyncio.create_task(ask(name)) for name in range(8)]
        strategies = ("p2c", "round_robin", "weighted", "least_connections", "consistent_hash")
        for number in range(300):
            proxy.configure(policy=PoolPolicy(idle_connections=number % 3 + 1))
            proxy.pool.switch(strategies[number % len(strategies)])
            if number % 10 == 0:
                # One backend leaves and comes back as a new one, as after a change of its address.
                gone = everybody[number // 10 % 3]
                fresh = Backend(gone.id, gone.address)
                everybody = tuple(fresh if backend is gone else backend for backend in everybody)
                proxy.pool.reconfigure(proxy.pool.policy, everybody)
            await tunnel.send(b"%04d" % number)
            assert await tunnel.read(4) == b"%04d" % number
        over.set()
        assert sum([await task for task in asking]) > 100
        assert all(not backend.failures for backend in (*everybody, *proxy.pool.retired))
        await tunnel.close()
        await eventually(lambda: not any(retired.connections for retired in proxy.pool.retired))
        assert all(retired.in_flight == 0 for retired in proxy.pool.retired)
