"""The channel between master and worker."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from holdfast.balancer.core import messages as m
from holdfast.balancer.core.settings import (
    BackendSettings,
    BalancerSettings,
    DiscoverySettings,
    LimitsSettings,
    PoolSettings,
    RouteSettings,
)
from holdfast.balancer.errors import ControlError
from holdfast.balancer.shell import control
from holdfast.balancer.shell.control import ControlChannel, master_end, worker_end
from holdfast.kernel import Duration, Size


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


@asynccontextmanager
async def pair() -> AsyncIterator[
    tuple[ControlChannel[m.ToMaster, m.ToWorker], ControlChannel[m.ToWorker, m.ToMaster]]
]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    master, worker = await master_end(ours, worker=3), await worker_end(theirs.detach())
    try:
        yield master, worker
    finally:
        master.close()
        worker.close()


@asynccontextmanager
async def raw_peer() -> AsyncIterator[tuple[ControlChannel[m.ToMaster, m.ToWorker], socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    channel = await master_end(ours, worker=3)
    try:
        with theirs:
            yield channel, theirs
    finally:
        channel.close()


REF = m.BackendRef("web", "a")
SETTINGS = BalancerSettings(
    pools={
        "web": PoolSettings(
            backends=(BackendSettings(id="a", url="http://127.0.0.1:1", weight=0.5),),
            discovery=DiscoverySettings(dns="web.internal:80", max_interval=Duration(90.5)),
            timeout=Duration(0.1234567),
        )
    },
    routes=(RouteSettings(pool="web", host="*.example.com"),),
    limits=LimitsSettings(body=Size(2**40), header_block=Size(1)),
    drain_timeout=Duration(0.0),
)
TO_WORKER: tuple[m.ToWorker, ...] = (
    m.Configure(7, SETTINGS, (m.Endpoint("web", "x", "http://[::1]:2", 1.0),), {"web": "p2c"}),
    m.Views((m.View(REF, 0.25, 1, "half_open"),), {"web": None, "api": 3}),
    m.Switch("web", "round_robin"),
    m.Ask(1),
    m.Drain(0.5),
)
TO_MASTER: tuple[m.ToMaster, ...] = (
    m.Ready(12, 7, "no"),
    m.Outcomes((m.BackendReport(REF, (m.Run(None, 3), m.Run("reset", 1, (9,))), 4, 0.001, True),)),
    m.Stats(1, {"holdfast_shed_total": {"web\x1fqueue": 2.0}}, {"g": {"": 1.0}}),
    m.Drained(2),
)


def test_every_message_arrives_as_it_was_sent() -> None:
    async def scenario() -> None:
        async with pair() as (master, worker):
            for down in TO_WORKER:
                master.post(down)
                assert await worker.receive() == down
            for up in TO_MASTER:
                worker.post(up)
                assert await master.receive() == up

    run(scenario)


def test_durations_and_sizes_keep_their_type_and_every_bit() -> None:
    async def scenario() -> None:
        async with pair() as (master, worker):
            master.post(TO_WORKER[0])
            found = await worker.receive()
            assert isinstance(found, m.Configure)
            pool = found.settings.pools["web"]
            assert (type(pool.timeout), float(pool.timeout)) == (Duration, 0.1234567)
            assert isinstance(found.settings.limits.body, Size)
            assert found.settings.limits.body == 2**40

    run(scenario)


def test_durations_that_travel_as_text_are_read_too() -> None:
    payload = msgspec.msgpack.encode(
        {"type": "configure", "generation": 1, "settings": {"pools": {}, "drain_timeout": "250ms"}}
    )

    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        channel = await worker_end(ours.detach())
        with theirs:
            theirs.sendall(struct.pack(">I", len(payload)) + payload)
            found = await channel.receive()
        channel.close()
        assert isinstance(found, m.Configure)
        assert found.settings.drain_timeout == Duration(0.25)

    run(scenario)


def test_messages_may_arrive_in_any_pieces() -> None:
    message = m.Ready(1, 2)
    payload = msgspec.msgpack.encode(message)
    frame = struct.pack(">I", len(payload)) + payload

    async def scenario() -> None:
        async with raw_peer() as (channel, peer):
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            receiving = asyncio.create_task(channel.receive())
            for position in range(len(frame)):
                await loop.sock_sendall(peer, frame[position : position + 1])
                await asyncio.sleep(0)
            assert await receiving == message
            peer.sendall(frame * 3)
            assert [await channel.receive() for _ in range(3)] == [message] * 3

    run(scenario)


def test_the_end_of_the_peer_is_none() -> None:
    async def scenario() -> None:
        async with pair() as (master, worker):
            worker.post(m.Drained(0))
            await worker.flush(1.0)
            worker.close()
            assert await master.receive() == m.Drained(0)
            assert await master.receive() is None
            master.close()
            with pytest.raises(ControlError, match="control channel of worker 3: the channel is closed"):
                master.post(m.Ask(1))

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (struct.pack(">I", control.MAX_FRAME + 1), "exceeds"),
        (b"\x00\x00", "cut inside a frame"),
        (struct.pack(">I", 5) + b"abc", "cut inside a frame"),
        (struct.pack(">I", 3) + b"abc", "not a message"),
        (struct.pack(">I", 0), "not a message"),
    ],
)
def test_a_peer_that_breaks_the_framing_is_an_error(sent: bytes, error: str) -> None:
    async def scenario() -> None:
        async with raw_peer() as (channel, peer):
            peer.sendall(sent)
            peer.shutdown(socket.SHUT_WR)
            with pytest.raises(ControlError, match=error):
                await channel.receive()

    run(scenario)


def test_a_frame_that_stops_half_way_is_an_error_after_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "FRAME_DEADLINE_S", 0.01)

    async def scenario() -> None:
        async with raw_peer() as (channel, peer):
            peer.sendall(struct.pack(">I", 100) + b"half")
            with pytest.raises(ControlError, match=r"not complete after 0\.01 s"):
                await channel.receive()

    run(scenario)


def test_a_peer_that_does_not_read_costs_bounded_memory_and_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_BUFFERED", 100_000)

    async def scenario() -> None:
        async with raw_peer() as (channel, _):

            def fill() -> None:
                for _ in range(10_000):
                    channel.post(m.Switch("x" * 1000, "p2c"))

            with pytest.raises(ControlError, match="wait for a peer that does not read"):
                fill()
            with pytest.raises(ControlError, match="did not read"):
                await channel.flush(0.01)

    run(scenario)


def test_a_message_beyond_the_bound_is_refused_by_its_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_FRAME", 100)

    async def scenario() -> None:
        async with pair() as (master, _):
            with pytest.raises(ControlError, match="exceeds 100"):
                master.post(m.Switch("x" * 200, "p2c"))

    run(scenario)


def test_a_worker_started_by_hand_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(control.CONTROL_FD, raising=False)

    async def scenario() -> None:
        with pytest.raises(ControlError, match="workers are started by the master"):
            await worker_end()

    run(scenario)
