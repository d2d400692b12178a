"""Random scripts of clients and backends; whatever they do, everything that was taken is given back.

The scripts come from a seed. At the end nothing may be in flight or waiting, no connection busy, no callback
may have raised; the fixtures of all tests add: no task and no socket left.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from random import Random

import pytest

from holdfast.http1 import Limits
from holdfast.proxy import Address, EdgePolicy, PoolPolicy
from holdfast.testing import ProxyUnderTest, RawClient, ScriptedUpstream, Visit, answer, eventually, proxied
from tests.integration.proxy.corpus import ANSWERS, REQUESTS
from tests.machine import free_port

CLIENTS = 120
AT_ONCE = 40
KIB = 1024
EDGE = EdgePolicy(
    limits=Limits(body=300 * KIB),
    header_timeout_s=0.4,
    body_timeout_s=0.4,
    write_timeout_s=0.4,
    idle_timeout_s=0.5,
    tunnel_timeout_s=0.3,
    pipelined=4,
)
POLICY = PoolPolicy(
    per_try_timeout_s=0.1,
    timeout_s=0.3,
    connect_timeout_s=0.1,
    stall_timeout_s=0.15,
    replay_bytes=32 * KIB,
    max_in_flight=8,
    max_in_flight_per_backend=4,
    queue=24,
    queue_timeout_s=0.1,
    idle_connections=3,
    idle_timeout_s=0.2,
    budget_floor_per_s=100.0,
)
WISH = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCH = b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


class Backend:
    """Does something else for every request."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    async def __call__(self, visit: Visit) -> None:
        rng = self._rng
        if visit.field(b"upgrade") and rng.random() < 0.7:
            await visit.send(SWITCH + b"x" * rng.randrange(100))
            while rng.random() < 0.8 and (data := await visit.read(64 * KIB)):
                await visit.send(data)
            visit.close()
            return
        match rng.randrange(12):
            case 0:
                visit.reset()
            case 1:
                visit.close()
            case 2:
                await visit.hang()
            case 3:
                await visit.send(rng.choice(ANSWERS).sent)
            case 4:
                await visit.send(rng.choice(ANSWERS).sent)
                visit.close()
            case 5:
                await visit.send(answer(rng.choice([200, 404, 500, 503]), b"early"))
                await visit.hang()
            case 6:
                await visit.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                await visit.read_body()
                await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                await visit.send(b"x" * rng.randrange(1_000_000))
                await (visit.hang() if rng.random() < 0.5 else asyncio.sleep(0))
                visit.reset()
            case 7:
                await visit.read_body()
                await visit.send(answer(body=b"x" * rng.randrange(2_000_000)))
            case _:
                body = await visit.read_body()
                for piece in _cut(rng, answer(rng.choice([200, 200, 503]), body)):
                    await visit.send(piece)


def _cut(rng: Random, wire: bytes) -> list[bytes]:
    edges = [0, *sorted(rng.randrange(len(wire) + 1) for _ in range(rng.randrange(4))), len(wire)]
    return [wire[start:end] for start, end in itertools.pairwise(edges) if start < end]


def _script(rng: Random) -> bytes:
    """What a client sends: good, odd and bad requests, one after the other."""
    wire = b""
    for _ in range(rng.randrange(1, 5)):
        match rng.randrange(6):
            case 0:
                wire += rng.choice(REQUESTS).sent[: 100 * KIB]
            case 1:
                wire += WISH + b"y" * rng.randrange(100 * KIB)
            case 2:
                body = b"x" * rng.randrange(200 * KIB)
                method = rng.choice([b"POST", b"PUT"])
                expect = rng.choice([b"", b"Expect: 100-continue\r\n"])
                wire += b"%b / HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n" % (method, expect, len(body)) + body
            case 3:
                body = b"x" * rng.randrange(1, 50 * KIB)
                wire += b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                wire += b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            case _:
                target = rng.choice([b"/", b"/", b"/", b"/nowhere"])
                wire += b"%b %b HTTP/1.1\r\nHost: a\r\n\r\n" % (rng.choice([b"GET", b"HEAD"]), target)
    return wire


async def _client(proxy: ProxyUnderTest, rng: Random) -> None:
    client = await proxy.connect(receive_buffer=rng.choice([None, 16 * KIB]), deadline_s=3.0)
    reading: asyncio.Task[None] | None = None
    try:
        if rng.random() < 0.8:
            reading = asyncio.create_task(_read(client, rng.choice([4 * KIB, 256 * KIB]), pause=rng.random() < 0.3))
        with contextlib.suppress(OSError):
            for piece in _cut(rng, _script(rng)):
                await client.send(piece)
                for _ in range(rng.randrange(20)):
                    await asyncio.sleep(0)
                if rng.random() < 0.03:
                    return  # leaves in the middle
                if rng.random() < 0.05:
                    await asyncio.sleep(0.05)
            if reading is not None and rng.random() < 0.7:
                await asyncio.wait([reading], timeout=rng.choice([0.05, 0.3, 1.0]))
            elif rng.random() < 0.3:
                await asyncio.sleep(rng.choice([0.3, 1.0]))
    finally:
        if rng.random() < 0.5:
            client.reset()
        await client.close()
        if reading is not None:
            await asyncio.wait([reading])


async def _read(client: RawClient, size: int, *, pause: bool) -> None:
    with contextlib.suppress(OSError):
        while await client._reader.read(size):
            if pause:
                await asyncio.sleep(0.001)


def _change_something(proxy: ProxyUnderTest, rng: Random) -> None:
    """A reload, a backend on trial, or one that may have traffic again."""
    suspect = proxy.pool.backends[rng.randrange(2)]
    match rng.randrange(3):
        case 0:
            proxy.configure(policy=dataclasses.replace(proxy.pool.policy, queue=rng.choice([12, 24])))
        case 1:
            suspect.weight, suspect.trials = 0.0, 3
            proxy.pool.trials_open = True
        case _:
            suspect.weight, suspect.trials = 1.0, 0
            proxy.pool.trials_open = False


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_everything_is_given_back(seed: int) -> None:
    rng = Random(seed)
    strategy = rng.choice(["p2c", "round_robin", "least_connections", "weighted", "consistent_hash"])
    policy = dataclasses.replace(POLICY, adaptive=bool(seed % 2))
    nobody = Address(host="127.0.0.1", port=free_port())
    async with (
        ScriptedUpstream(Backend(rng)) as a,
        ScriptedUpstream(Backend(rng)) as b,
        proxied(a, b, nobody, edge=EDGE, policy=policy, strategy=strategy, seed=seed) as proxy,
    ):
        places = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with places:
                await _client(proxy, rng)

        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                task = group.create_task(one())
                if number % 30 == 10:
                    await asyncio.wait([task])
                    _change_something(proxy, rng)
        await eventually(lambda: not proxy.engine.clients, "all clients gone")
        await proxy.settled()
        for backend in proxy.pool.backends:
            assert backend.connections == len(backend.idle)
            assert all(connection.exchange is None for connection in backend.idle)
        handed_out = sum(sum(backend.codes.values()) for backend in proxy.pool.backends)
        assert handed_out > 0
        assert proxy.engine.requests >= handed_out
        a.failures.clear()
        b.failures.clear()
