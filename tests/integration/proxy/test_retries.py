"""Which attempts are repeated, where, how often, and what the client is told in the end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.proxy import Address, OutcomeRun, PoolPolicy
from holdfast.testing import (
    Answer,
    RawClient,
    ScriptedUpstream,
    Visit,
    always,
    answer,
    eventually,
    proxied,
    replies,
)
from tests.machine import free_port

if TYPE_CHECKING:
    from holdfast.testing import ProxyUnderTest, Script

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
QUICK = PoolPolicy(per_try_timeout_s=0.15, connect_timeout_s=0.2, timeout_s=0.6)
KIB = 1024


def error(got: Answer) -> tuple[int, str]:
    body = json.loads(got.body)["error"]
    assert body["status"] == got.status
    return got.status, body["reason"]


async def reset(visit: Visit) -> None:
    visit.reset()


async def close(visit: Visit) -> None:
    visit.close()


async def hang(visit: Visit) -> None:
    await visit.hang()


async def reset_in_the_head(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-")
    visit.reset()


async def answer_nonsense(visit: Visit) -> None:
    await visit.send(b"nonsense\r\n\r\n")


async def unavailable(visit: Visit) -> None:
    await visit.read_body()
    await visit.send(answer(503, b"busy"))


async def unavailable_without_end(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 503 x\r\nContent-Length: 100000\r\n\r\nnot all")


async def reset_after_the_body(visit: Visit) -> None:
    await visit.read_body()
    visit.reset()


async def hang_after_the_body(visit: Visit) -> None:
    await visit.read_body()
    await visit.hang()


FAULTS: dict[str, tuple[Script, int, str]] = {
    "reset at once": (reset, 502, "backend_reset"),
    "close at once": (close, 502, "backend_reset"),
    "reset in the head": (reset_in_the_head, 502, "backend_reset"),
    "reset after the body": (reset_after_the_body, 502, "backend_reset"),
    "nonsense": (answer_nonsense, 502, "backend_protocol"),
    "hang": (hang, 504, "backend_timeout"),
    "hang after the body": (hang_after_the_body, 504, "backend_timeout"),
}
STATUSES: dict[str, Script] = {"503": unavailable, "503 without end": unavailable_without_end}


def failures(proxy: ProxyUnderTest) -> dict[str, int]:
    total: dict[str, int] = {}
    for backend in proxy.pool.backends:
        for failure, count in backend.failures.items():
            total[failure] = total.get(failure, 0) + count
    return total


@pytest.mark.parametrize("fault", [*FAULTS, *STATUSES])
async def test_a_get_is_tried_elsewhere(fault: str) -> None:
    script = FAULTS[fault][0] if fault in FAULTS else STATUSES[fault]
    async with ScriptedUpstream(script) as bad, ScriptedUpstream() as good, proxied(bad, good, policy=QUICK) as proxy:
        async with await proxy.connect() as client:
            for _ in range(4):
                got = await client.ask(GET)
                assert (got.status, got.body) == (200, b"ok")
        assert len(good.visits) == 4
        assert 1 <= len(bad.visits) <= 4
        assert sum(failures(proxy).values()) == len(bad.visits)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_post_reaches_a_backend_at_most_once(fault: str) -> None:
    script, status, reason = FAULTS[fault]
    async with (
        ScriptedUpstream(script) as bad,
        ScriptedUpstream(script) as worse,
        proxied(bad, worse, policy=replace(QUICK, timeout_s=0.3)) as proxy,
        await proxy.connect() as client,
    ):
        got = await client.ask(POST)
        assert error(got) == (status, reason)
        assert len(bad.visits) + len(worse.visits) == 1
        assert got.field(b"connection") is None, "the client did nothing wrong"
        bad.script = worse.script = always(answer())
        assert (await client.ask(POST)).status == 200
        assert len(bad.visits) + len(worse.visits) == 2


@pytest.mark.parametrize("fault", STATUSES)
async def test_a_post_gets_the_answer_of_the_backend_that_it_reached(fault: str) -> None:
    async with ScriptedUpstream(STATUSES[fault]) as bad, proxied(bad, policy=QUICK) as proxy:
        async with await proxy.connect() as client:
            await client.send(POST)
            if fault == "503":
                assert (await client.answer()).body == b"busy"
            else:
                assert await client.read(12) == b"HTTP/1.1 503"
        assert len(bad.visits) == 1


async def test_a_post_that_reached_nobody_is_tried_elsewhere() -> None:
    closed = Address(host="127.0.0.1", port=free_port())
    async with ScriptedUpstream() as good, proxied(closed, good, policy=QUICK) as proxy:
        async with await proxy.connect() as client:
            for _ in range(4):
                got = await client.ask(POST)
                assert got.status == 200
        assert [visit.body for visit in good.visits] == [b"body"] * 4
        assert set(failures(proxy)) == {"connect"}


async def test_when_nobody_listens_the_client_is_told() -> None:
    closed = Address(host="127.0.0.1", port=free_port())
    async with proxied(closed, policy=QUICK) as proxy, await proxy.connect() as client:
        for request in (GET, POST):
            assert error(await client.ask(request)) == (502, "backend_unreachable")
        head = await client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", to_head=True)
        assert head.status == 502
        assert error(await client.ask(GET)) == (502, "backend_unreachable")


async def test_attempts_are_bounded() -> None:
    async with ScriptedUpstream(reset) as a, ScriptedUpstream(reset) as b, proxied(a, b, policy=QUICK) as proxy:
        async with await proxy.connect() as client:
            assert error(await client.ask(GET)) == (502, "backend_reset")
        assert len(a.visits) + len(b.visits) == 3
        assert len(a.visits) in (1, 2), "a backend that was not tried yet comes first"


async def test_the_last_503_is_passed_on() -> None:
    async with ScriptedUpstream(unavailable) as a, proxied(a, policy=QUICK) as proxy, await proxy.connect() as client:
        got = await client.ask(GET)
        assert (got.status, got.body) == (503, b"busy")
        assert len(a.visits) == 3
        assert {visit.connection for visit in a.visits} == {0}, "a whole answer leaves its connection usable"


async def test_other_statuses_are_answers() -> None:
    async with ScriptedUpstream(always(answer(500, b"bug"))) as a, proxied(a) as proxy, await proxy.connect() as client:
        got = await client.ask(GET)
        assert (got.status, got.body) == (500, b"bug")
        assert len(a.visits) == 1
        assert failures(proxy) == {"status": 1}


async def test_nothing_is_repeated_once_the_client_has_a_byte() -> None:
    async def half(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await go.wait()
        visit.reset()

    go = asyncio.Event()
    async with ScriptedUpstream(half) as a, ScriptedUpstream(half) as b, proxied(a, b) as proxy:
        async with await proxy.connect() as client:
            await client.send(GET)
            assert b"half" in await client.read(20) + await client._reader.readuntil(b"half")
            go.set()
            with pytest.raises(ConnectionResetError):
                await client.rest()
        assert len(a.visits) + len(b.visits) == 1


# Bodies that are sent again.


@pytest.mark.parametrize("framing", ["fixed", "chunked"])
@pytest.mark.parametrize("fault", ["reset after the body", "hang after the body", "503"])
async def test_a_body_is_sent_again_whole(fault: str, framing: str) -> None:
    body = bytes(range(256)) * 100
    if framing == "fixed":
        wire = PUT + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        pieces = [body[at : at + 999] for at in range(0, len(body), 999)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        wire = PUT + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    script = FAULTS[fault][0] if fault in FAULTS else STATUSES[fault]
    async with ScriptedUpstream(script) as bad, ScriptedUpstream() as good, proxied(bad, good, policy=QUICK) as proxy:
        async with await proxy.connect() as client:
            for _ in range(2):
                assert (await client.ask(wire)).status == 200
        assert [visit.body == body for visit in good.visits] == [True, True]
        assert bad.visits


async def test_a_body_that_fails_half_way_is_continued_elsewhere() -> None:
    """The first backend dies with half the body; the second gets all of it, and the client notices nothing."""

    async def die_in_the_body(visit: Visit) -> None:
        await visit.read(1)
        visit.reset()

    script = replies(die_in_the_body, always(answer()))
    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        await client.send(PUT + b"Content-Length: 10\r\n\r\nhello")
        await backend.visited(2)
        await client.send(b"world")
        assert (await client.answer()).status == 200
        assert backend.visits[1].body == b"helloworld"


async def test_a_body_beyond_the_replay_bound_is_not_sent_again() -> None:
    policy = PoolPolicy(replay_bytes=8 * KIB)
    async with (
        ScriptedUpstream(reset_after_the_body) as a,
        proxied(a, policy=policy) as proxy,
        await proxy.connect() as client,
    ):
        for size, visits in ((8 * KIB, 3), (8 * KIB + 1, 1)):
            a.visits.clear()
            got = await client.ask(PUT + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
            assert error(got) == (502, "backend_reset")
            assert len(a.visits) == visits


async def test_a_backend_that_answers_before_the_body_is_relayed_and_the_client_closed() -> None:
    async def refuse(visit: Visit) -> None:
        await visit.send(answer(413, b"too much"))
        await visit.hang()

    async with ScriptedUpstream(refuse) as a, proxied(a) as proxy, await proxy.connect() as client:
        await client.send(PUT + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000)
        got = await client.answer()
        assert (got.status, got.body, got.field(b"connection")) == (413, b"too much", b"close")
        await client.send(b"x" * 100_000)  # what was under way must not turn the answer into a reset
        client.end()
        assert await client.closed()
        assert failures(proxy) == {}


# Kept connections.


async def test_a_kept_connection_that_the_backend_closed_is_not_used() -> None:
    async def answer_and_close(visit: Visit) -> None:
        await visit.send(answer())
        visit.close()

    async with ScriptedUpstream(answer_and_close) as a, proxied(a) as proxy, await proxy.connect() as client:
        [target] = proxy.pool.backends
        for _ in range(5):
            assert (await client.ask(POST)).status == 200
            await eventually(lambda: not target.idle)
        assert failures(proxy) == {}


async def test_bytes_that_nobody_asked_for_close_a_kept_connection() -> None:
    async def answer_and_more(visit: Visit) -> None:
        await visit.send(answer())
        await go.wait()
        await visit.send(answer(200, b"evil"))

    go = asyncio.Event()
    async with ScriptedUpstream(replies(answer_and_more, always(answer()))) as a, proxied(a) as proxy:
        async with await proxy.connect() as client:
            assert (await client.ask(GET)).body == b"ok"
            [target] = proxy.pool.backends
            assert len(target.idle) == 1
            go.set()
            await eventually(lambda: not target.idle)
            assert (await client.ask(GET)).body == b"ok"
        assert [visit.connection for visit in a.visits] == [0, 1]


async def test_a_connection_that_was_idle_too_long_to_be_trusted_costs_no_attempt() -> None:
    """The backend closed it at the very moment when the request was sent: neither its fault nor anybody's."""

    async def script(visit: Visit) -> None:
        if visit.number == 1:
            visit.reset()
        else:
            await visit.send(answer())

    policy = PoolPolicy(attempts=1, budget_percent=0.0, budget_floor_per_s=0.0)
    async with ScriptedUpstream(script) as a, proxied(a, policy=policy) as proxy, await proxy.connect() as client:
        assert (await client.ask(GET)).status == 200
        [target] = proxy.pool.backends
        for connection in target.idle:
            connection.idle_since -= 5.0
        assert (await client.ask(GET)).status == 200
        assert failures(proxy) == {}
        for connection in target.idle:
            connection.idle_since -= 5.0
        assert (await client.ask(POST)).status == 200
        assert a.visits[-1].connection != a.visits[-2].connection, "a POST is not risked on it"


async def test_a_retry_after_a_kept_connection_failed_uses_a_new_one() -> None:
    """All kept connections of a backend die together; trying one after the other would use up every attempt."""
    together = asyncio.Event()

    async def script(visit: Visit) -> None:
        if visit.number < 5:
            await together.wait()
            await visit.send(answer())
        elif visit.connection < 5:
            visit.close()
        else:
            await visit.send(answer())

    async with ScriptedUpstream(script) as a, proxied(a) as proxy:
        clients = [await proxy.connect() for _ in range(5)]
        for client in clients:
            await client.send(GET)
        await a.visited(5)
        together.set()
        for client in clients:
            assert (await client.answer()).status == 200
        assert (await clients[0].ask(GET)).status == 200
        assert [visit.connection < 5 for visit in a.visits[5:]] == [True, False]
        assert failures(proxy) == {"reset": 1}, "a young connection that dies may be a backend that died"
        for client in clients:
            await client.close()


async def test_a_backend_that_is_known_to_hang_up_is_not_blamed_for_it() -> None:
    """It closes connections after its answers; that one of them was chosen just before says nothing about it."""

    async def script(visit: Visit) -> None:
        if visit.number == 2:
            visit.close()
        else:
            await visit.send(answer())
            if visit.number == 0:
                visit.close()

    policy = PoolPolicy(attempts=1, budget_percent=0.0, budget_floor_per_s=0.0)
    async with ScriptedUpstream(script) as a, proxied(a, policy=policy) as proxy, await proxy.connect() as client:
        [target] = proxy.pool.backends
        assert (await client.ask(GET)).status == 200
        await eventually(lambda: target.hangs_up)
        assert (await client.ask(GET)).status == 200
        assert (await client.ask(GET)).status == 200
        assert (failures(proxy), target.outcomes.take()) == ({}, (OutcomeRun(None, 3),))
        assert [visit.connection for visit in a.visits] == [0, 1, 1, 2]
        assert (await client.ask(POST)).status == 200
        assert a.visits[-1].connection == 3, "a POST is not risked on a kept one"
        assert (await client.ask(GET)).status == 200
        assert not target.hangs_up, "a kept connection was of use"
        kept = a.visits[-1].connection
        assert (await client.ask(POST)).status == 200
        assert a.visits[-1].connection == kept


async def test_a_connection_kept_long_and_then_closed_is_no_hanging_up() -> None:
    async with ScriptedUpstream() as a, proxied(a) as proxy, await proxy.connect() as client:
        assert (await client.ask(GET)).status == 200
        [target] = proxy.pool.backends
        target.idle[0].idle_since -= 5.0
        await a.stop()
        await eventually(lambda: not target.idle)
        assert not target.hangs_up


async def test_many_clients_of_a_backend_that_closes_after_each_answer_see_only_answers() -> None:
    async with ScriptedUpstream(always(answer(), close=True)) as a, proxied(a) as proxy:

        async def one() -> None:
            async with await proxy.connect() as client:
                for _ in range(25):
                    assert (await client.ask(GET)).status == 200

        await asyncio.gather(*(one() for _ in range(24)))


async def test_kept_connections_are_bounded_and_closed_when_idle() -> None:
    policy = PoolPolicy(idle_connections=2, idle_timeout_s=0.1)
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer())

    async with ScriptedUpstream(script) as a, proxied(a, policy=policy) as proxy:
        clients = [await proxy.connect() for _ in range(5)]
        for client in clients:
            await client.send(GET)
        await a.visited(5)
        release.set()
        for client in clients:
            assert (await client.answer()).status == 200
        [target] = proxy.pool.backends
        assert len(target.idle) == 2
        await eventually(lambda: not target.connections)
        for client in clients:
            await client.close()


# Budget, deadline, admission.


async def test_the_retry_budget_bounds_extra_attempts() -> None:
    policy = PoolPolicy(budget_percent=20.0, budget_floor_per_s=0.0)
    async with ScriptedUpstream(reset) as a, proxied(a, policy=policy) as proxy, await proxy.connect() as client:
        for _ in range(100):
            assert (await client.ask(GET)).status == 502
        assert 100 <= len(a.visits) <= 120
        assert proxy.pool.budget_refusals > 0


async def test_the_deadline_holds_over_all_attempts() -> None:
    policy = PoolPolicy(attempts=1000, per_try_timeout_s=0.1, timeout_s=0.25, budget_percent=1000.0)
    async with ScriptedUpstream(hang) as a, proxied(a, policy=policy) as proxy, await proxy.connect() as client:
        began = asyncio.get_running_loop().time()
        assert (await client.ask(GET)).status == 504
        # Wide enough for a machine that is busy with something else; all attempts would take 100 s.
        assert asyncio.get_running_loop().time() - began < 5.0
        assert len(a.visits) <= 3


def occupied(proxy: ProxyUnderTest) -> bool:
    return proxy.pool.in_flight > 0


@pytest.mark.parametrize("bound", ["pool", "backend"])
async def test_who_finds_no_place_waits_for_one_in_order(bound: str) -> None:
    policy = PoolPolicy(max_in_flight=1) if bound == "pool" else PoolPolicy(max_in_flight_per_backend=1)
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer(body=visit.target))

    async with ScriptedUpstream(script) as a, proxied(a, policy=policy) as proxy:
        clients: list[RawClient] = []
        for number in range(5):
            client = await proxy.connect()
            clients.append(client)
            await client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            await eventually(lambda: len(proxy.engine.active) == len(clients))
        sweeps = proxy.engine._sweeps
        await eventually(lambda: proxy.engine._sweeps > sweeps + 6, "some looks at the queue")
        release.set()
        for number, client in enumerate(clients):
            assert (await client.answer()).body == b"/%d" % number
        assert [visit.target for visit in a.visits] == [b"/%d" % number for number in range(5)]
        for client in clients:
            await client.close()


@pytest.mark.parametrize("bound", ["pool", "backend"])
async def test_who_waits_too_long_is_turned_away_in_time(bound: str) -> None:
    if bound == "pool":
        policy = PoolPolicy(max_in_flight=1, queue=1, queue_timeout_s=0.15)
    else:
        policy = PoolPolicy(max_in_flight_per_backend=1, queue=1, queue_timeout_s=0.15)
    async with ScriptedUpstream(hang) as a, proxied(a, policy=policy) as proxy:
        async with await proxy.connect() as first, await proxy.connect() as second, await proxy.connect() as third:
            await first.send(GET)
            await a.visited()
            began = asyncio.get_running_loop().time()
            await second.send(GET)
            await eventually(lambda: len(proxy.pool.queue) == 1)
            got = await third.ask(GET)
            assert error(got) == (503, "overloaded")
            assert int(got.field(b"retry-after") or b"0") > 0
            assert error(await second.answer()) == (503, "overloaded")
            assert asyncio.get_running_loop().time() - began < 5.0
            assert proxy.pool.shed == {"queue_full": 1, "queue_timeout": 1}
        assert len(a.visits) == 1


async def test_without_a_backend_in_rotation_the_client_is_told_at_once() -> None:
    async with ScriptedUpstream() as a, proxied(a) as proxy, await proxy.connect() as client:
        [target] = proxy.pool.backends
        target.weight = 0.0
        got = await client.ask(GET)
        assert error(got) == (503, "no_backend")
        assert got.field(b"retry-after") is not None
        target.weight = 1.0
        assert (await client.ask(GET)).status == 200


async def test_a_trial_is_made_with_a_request_that_can_be_repeated() -> None:
    async with ScriptedUpstream(reset) as a, ScriptedUpstream() as b, proxied(a, b) as proxy:
        suspect, _ = proxy.pool.backends
        suspect.weight, suspect.trials, proxy.pool.trials_open = 0.0, 1, True
        async with await proxy.connect() as client:
            assert (await client.ask(POST)).status == 200
            assert a.visits == []
            assert (await client.ask(GET)).status == 200
            assert (await client.ask(GET)).status == 200
        assert len(a.visits) == 1, "a failed trial closes the door until somebody opens it again"
        assert [run.failure for run in suspect.trial_outcomes.take()] == ["reset"]


async def test_a_removed_backend_finishes_what_it_has() -> None:
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer(body=b"late"))

    async with ScriptedUpstream(script) as a, ScriptedUpstream() as b, proxied(a, b) as proxy:
        removed, stays = proxy.pool.backends
        stays.weight = 0.0
        async with await proxy.connect() as client:
            await client.send(GET)
            await a.visited()
            stays.weight = 1.0
            proxy.pool.reconfigure(proxy.pool.policy, [stays])
            release.set()
            assert (await client.answer()).body == b"late"
            assert (await client.ask(GET)).body == b"ok"
            await eventually(lambda: not removed.connections)
            assert removed.in_flight == 0


async def test_an_attempt_that_no_other_can_follow_may_take_all_the_time_of_the_pool() -> None:
    policy = PoolPolicy(per_try_timeout_s=0.05, timeout_s=5.0)
    waits = asyncio.Event()

    async def slow(visit: Visit) -> None:
        await visit.read_body()
        await asyncio.wait_for(waits.wait(), 5.0)
        await visit.send(answer())

    async with ScriptedUpstream(slow) as backend, proxied(backend, policy=policy) as proxy:
        async with await proxy.connect() as client:
            await client.send(POST)
            await backend.visited()
            asyncio.get_running_loop().call_later(0.2, waits.set)  # four times as long as a GET would be given
            assert (await client.answer()).status == 200
        assert len(backend.visits) == 1
