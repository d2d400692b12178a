"""The generator: what it calls an error, and whom it charges for a stall."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from holdfast.drills.faults import BackendSpec, FleetSpec
from holdfast.drills.fleet import Fleet
from holdfast.drills.load import LoadResult, OpenLoop, Plan, run_plan

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
FEW = Plan(rate_per_s=100, duration_s=0.1, seed=1, arrivals="constant", deadline_s=0.5)


def load_against(handler: Handler, plan: Plan) -> LoadResult:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> LoadResult:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await run_plan(plan, port=server.sockets[0].getsockname()[1])

    return asyncio.run(run())


async def says(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "truncated"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "truncated"),
        (b"SSH-2.0-x\r\n\r\n", "malformed"),
        (b"", "closed"),
    ],
)
def test_an_answer_is_called_what_it_is(answer: bytes, outcome: str) -> None:
    result = load_against(lambda _reader, writer: says(writer, answer), FEW)
    assert result.outcomes() == {outcome: len(result)}
    assert result.errors() == (0 if outcome == "ok" else len(result))


def test_silence_is_a_timeout() -> None:
    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    result = load_against(silence, FEW)
    assert result.outcomes() == {"timeout": len(result)}


def test_a_reset_is_a_reset() -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    result = load_against(reset, FEW)
    assert set(result.outcomes()) <= {"reset", "closed"}


def test_a_closed_port_is_a_refusal() -> None:
    with Fleet(FleetSpec(seed=1, backends=(BackendSpec(name="x"),))) as fleet:
        port = fleet.ports["x"]
    result = asyncio.run(run_plan(FEW, port=port))
    assert result.outcomes() == {"refused": len(result)}


def test_a_stall_is_charged_to_all_requests_that_it_held_up() -> None:
    """A closed loop would see one slow answer; the open loop sees every request that was due meanwhile."""
    stall_s = 0.4
    plan = Plan(rate_per_s=100, duration_s=0.5, seed=1, arrivals="constant", deadline_s=3.0)

    async def run() -> LoadResult:
        gate = asyncio.Event()
        stalls: list[asyncio.TimerHandle] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    if not stalls:  # from the first request on, however long the machine took to get here
                        stalls.append(asyncio.get_running_loop().call_later(stall_s, gate.set))
                    await gate.wait()
                    await says(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await run_plan(plan, port=server.sockets[0].getsockname()[1])

    result = asyncio.run(run())
    slow = [latency for latency in result.latency_ms() if latency > 100]
    assert result.errors() == 0
    assert len(slow) > 10


def test_requests_and_posts_arrive_with_their_numbers() -> None:
    plan = Plan(rate_per_s=200, duration_s=0.3, seed=2, post_share=0.5, first_id=1000)
    with Fleet(FleetSpec(seed=1, backends=(BackendSpec(name="x"),))) as fleet:
        result = asyncio.run(run_plan(plan, port=fleet.ports["x"]))
        arrived = {entry.id for entry in fleet.ledger().attempts["x"]}
    assert arrived == set(range(1000, 1000 + len(result)))
    assert result.errors(posts=True) == result.errors(posts=False) == 0
    assert 0 < len(result.post_ids()) < len(result)
    assert result.post_ids() < arrived


def test_a_run_can_be_ended_early_and_keeps_what_was_sent() -> None:
    """At its tenth request: by the clock it might be before the first."""

    async def run() -> LoadResult:
        arrived = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal arrived
            with suppress(asyncio.IncompleteReadError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    arrived += 1
                    if arrived == 10:
                        load.stop()
                    await says(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            load = OpenLoop(Plan(rate_per_s=200, duration_s=60, seed=1), "127.0.0.1", port)
            return await load.run()

    result = asyncio.run(run())
    assert 10 <= len(result) < 60 * 200
    assert result.outcomes() == {"ok": len(result)}


def test_a_generator_without_connections_says_so_instead_of_waiting() -> None:
    async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    plan = Plan(rate_per_s=100, duration_s=0.1, seed=1, arrivals="constant", deadline_s=0.3, connections=3)
    assert load_against(silence, plan).outcomes() == {"timeout": 3, "unsent": 7}
