"""What a well-behaved client and a well-behaved backend see of each other through the proxy."""

from __future__ import annotations

import asyncio
import ipaddress
import json

import pytest

from holdfast.proxy import EdgePolicy, PoolPolicy
from holdfast.testing import ScriptedUpstream, Visit, always, answer, eventually, proxied

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
MIB = 1024 * 1024


async def test_two_requests_of_one_client_use_one_connection_to_the_backend() -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy, await proxy.connect() as client:
        first = await client.ask(GET)
        second = await client.ask(GET)
        assert (first.status, first.body) == (second.status, second.body) == (200, b"ok")
        assert [visit.connection for visit in backend.visits] == [0, 0]
        assert first.field(b"x-request-id") != second.field(b"x-request-id")


async def test_the_backend_sees_the_request_and_where_it_came_from() -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy, await proxy.connect() as client:
        got = await client.ask(
            b"PUT /a?b HTTP/1.1\r\nHost: example.com:8080\r\nCookie: c=d\r\nContent-Length: 3\r\n"
            b"X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Request-Id: mine\r\n"
            b"Connection: x-secret\r\nX-Secret: 1\r\n\r\nabc"
        )
        [visit] = backend.visits
        assert (visit.method, visit.target, visit.body) == (b"PUT", b"/a?b", b"abc")
        trace = visit.field(b"traceparent")
        assert trace is not None
        assert sorted(visit.fields) == sorted(
            [
                (b"host", b"example.com:8080"),
                (b"cookie", b"c=d"),
                (b"content-length", b"3"),
                (b"x-forwarded-for", b"127.0.0.1"),
                (b"x-forwarded-proto", b"http"),
                (b"x-forwarded-host", b"example.com:8080"),
                (b"forwarded", b'for=127.0.0.1;host="example.com:8080";proto=http'),
                (b"via", b"1.1 holdfast"),
                (b"x-request-id", b"mine"),
                (b"traceparent", trace),
            ]
        )
        assert got.field(b"x-request-id") == b"mine"


async def test_a_trusted_proxy_is_believed_and_continued() -> None:
    edge = EdgePolicy(trusted_proxies=(ipaddress.ip_network("127.0.0.0/8"),))
    async with ScriptedUpstream() as backend, proxied(backend, edge=edge) as proxy, await proxy.connect() as client:
        await client.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
            b"X-Forwarded-Host: outer\r\nForwarded: for=1.2.3.4\r\n\r\n"
        )
        await client.ask(GET)
        first, second = backend.visits
        assert first.field(b"x-forwarded-for") == b"1.2.3.4, 127.0.0.1"
        assert first.field(b"x-forwarded-proto") == b"https"
        assert first.field(b"x-forwarded-host") == b"outer"
        assert first.field(b"forwarded") == b'for=1.2.3.4, for=127.0.0.1;host="a";proto=http'
        assert second.field(b"x-forwarded-for") == b"127.0.0.1", "the next request of that client says nothing"


async def test_a_trace_is_passed_on_and_a_broken_one_replaced() -> None:
    trace = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    async with ScriptedUpstream() as backend, proxied(backend) as proxy, await proxy.connect() as client:
        await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: " + trace + b"\r\n\r\n")
        await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: zz\r\nX-Request-Id: a b\r\n\r\n")
        first, second = backend.visits
        assert first.field(b"traceparent") == trace
        made, request_id = second.field(b"traceparent"), second.field(b"x-request-id")
        assert made is not None
        assert request_id is not None
        assert made.split(b"-")[1] == request_id


async def test_the_host_can_be_that_of_the_backend() -> None:
    policy = PoolPolicy(host_from_backend=True)
    async with ScriptedUpstream() as backend, proxied(backend, policy=policy) as proxy, await proxy.connect() as client:
        await client.ask(GET)
        assert backend.visits[0].field(b"host") == b"127.0.0.1:%d" % backend.port
        assert backend.visits[0].field(b"x-forwarded-host") == b"a"


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_of_a_mebibyte_pass_both_ways(chunked: bool) -> None:
    body = bytes(range(256)) * (MIB // 256)
    if chunked:
        pieces = [body[at : at + 10_007] for at in range(0, MIB, 10_007)]
        wire = (
            b"Transfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces)
            + b"0\r\n\r\n"
        )
    else:
        wire = b"Content-Length: %d\r\n\r\n" % MIB + body
    async with ScriptedUpstream(always(b"HTTP/1.1 200 OK\r\n" + wire)) as backend, proxied(backend) as proxy:
        async with await proxy.connect() as client:
            for _ in range(2):
                sending = asyncio.create_task(client.send(POST + wire))
                got = await client.answer()
                await sending
                assert got.body == body
                assert (got.field(b"transfer-encoding") is not None) is chunked
        assert [visit.body == body for visit in backend.visits] == [True, True]
        assert (backend.visits[0].field(b"transfer-encoding") is not None) is chunked


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""])
async def test_an_answer_to_head_has_no_body_and_leaves_the_connection_in_order(framing: bytes) -> None:
    async def script(visit: Visit) -> None:
        if visit.method == b"HEAD":
            await visit.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
            if not framing:
                visit.close()
        else:
            await visit.send(answer())

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        head = await client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", to_head=True)
        assert head.status == 200
        assert framing.rstrip() in head.head
        # Whatever stood between the two answers would be read as the start of the second.
        assert (await client.ask(GET)).body == b"ok"
        assert (await client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", to_head=True)).status == 200
        assert (await client.ask(GET)).body == b"ok"


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_content_have_no_body_and_keep_the_connection(status: int) -> None:
    wire = b"HTTP/1.1 %d x\r\nETag: e\r\n\r\n" % status
    async with ScriptedUpstream(always(wire)) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        for _ in range(2):
            got = await client.ask(GET)
            assert (got.status, got.field(b"etag"), got.field(b"connection")) == (status, b"e", None)
        assert {visit.connection for visit in backend.visits} == {0}


async def test_interim_answers_are_passed_on() -> None:
    wire = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + answer()
    async with ScriptedUpstream(always(wire)) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        hints = await client.ask(GET)
        assert (hints.status, hints.field(b"link")) == (103, b"</a.css>")
        assert (await client.answer()).body == b"ok"
        # An HTTP/1.0 client does not know them.
        async with await proxy.connect() as old:
            assert (await old.ask(b"GET / HTTP/1.0\r\n\r\n")).status == 200


async def test_a_client_that_expects_100_sends_its_body_when_the_backend_wants_it() -> None:
    async def script(visit: Visit) -> None:
        assert visit.field(b"expect") == b"100-continue"
        await visit.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await visit.send(answer(body=await visit.read_body()))

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        go = await client.ask(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert go.status == 100
        assert (await client.ask(b"hello")).body == b"hello"


async def test_a_client_that_expects_100_may_be_refused_at_once() -> None:
    async def script(visit: Visit) -> None:
        await visit.send(answer(417, b"no"))
        await visit.hang()

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        got = await client.ask(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert (got.status, got.field(b"connection")) == (417, b"close")
        client.end()
        assert await client.closed()
        assert backend.connections[0].endswith(b"\r\n\r\n"), "no body byte was sent"


async def test_an_answer_that_ends_with_the_connection_becomes_chunked() -> None:
    wire = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end"
    async with ScriptedUpstream(always(wire, close=True)) as backend, proxied(backend) as proxy:
        async with await proxy.connect() as client:
            for _ in range(2):
                got = await client.ask(GET)
                assert (got.body, got.field(b"transfer-encoding")) == (b"until the end", b"chunked")
        assert [visit.connection for visit in backend.visits] == [0, 1]


async def test_an_http_1_0_client_gets_what_it_can_read() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with ScriptedUpstream(always(chunked)) as backend, proxied(backend) as proxy:
        async with await proxy.connect() as client:
            await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            head, _, body = (await client.rest()).partition(b"\r\n\r\n")
            assert body == b"hello"
            assert b"chunked" not in head
        backend.script = always(answer())
        async with await proxy.connect() as client:
            for _ in range(2):
                got = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert (got.body, got.field(b"connection")) == (b"ok", b"keep-alive")
            got = await client.ask(b"GET / HTTP/1.0\r\n\r\n")
            assert (got.body, got.field(b"connection")) == (b"ok", b"close")
            assert await client.closed()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_half_an_answer_never_looks_whole(version: bytes, framing: bytes) -> None:
    async with (
        ScriptedUpstream(always(b"HTTP/1.1 200 OK\r\n" + framing, close=True)) as backend,
        proxied(backend) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await client.rest()


async def test_a_client_that_asks_to_close_is_closed_after_its_answer() -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy, await proxy.connect() as client:
        got = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert got.field(b"connection") == b"close"
        assert await client.closed()
        assert backend.visits[0].field(b"connection") is None, "the connection to the backend is ours to keep"


async def test_a_backend_that_closes_its_connections_gets_new_ones() -> None:
    wire = answer(200, b"ok", b"Connection: close")
    async with ScriptedUpstream(always(wire, close=True)) as backend, proxied(backend) as proxy:
        async with await proxy.connect() as client:
            for _ in range(3):
                assert (await client.ask(GET)).field(b"connection") is None
        assert [visit.connection for visit in backend.visits] == [0, 1, 2]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_both_sides_may_be_ipv6(host: str) -> None:
    async with ScriptedUpstream(host=host) as backend, proxied(backend, host=host) as proxy:
        async with await proxy.connect() as client:
            assert (await client.ask(GET)).body == b"ok"
        expected = b'for="[::1]"' if host == "::1" else b"for=127.0.0.1"
        assert backend.visits[0].field(b"forwarded") == expected + b';host="a";proto=http'
        assert backend.visits[0].field(b"x-forwarded-for") == host.encode()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def script(visit: Visit) -> None:
        await visit.send(answer(body=visit.target))

    wire = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(100))
    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        await client.send(wire)
        assert [(await client.answer()).body for _ in range(100)] == [b"/%d" % number for number in range(100)]


async def test_requests_that_differ_in_kind_may_be_pipelined() -> None:
    async def script(visit: Visit) -> None:
        body = await visit.read_body()
        await visit.send(answer(body=visit.method + b" " + body))

    wire = (
        POST + b"Content-Length: 3\r\n\r\none" + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n" + GET
    )
    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy:
        for cut in range(1, len(wire), 7):
            async with await proxy.connect() as client:
                await client.send(wire[:cut], wire[cut:])
                assert (await client.answer()).body == b"POST one"
                assert (await client.answer(to_head=True)).status == 200
                assert (await client.answer()).body == b"PUT two"
                assert (await client.answer()).body == b"GET "


async def test_a_pipelined_body_waits_for_its_turn() -> None:
    """While the first request is answered, the body of the second stays where it is: with the client."""
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        if visit.number == 0:
            await release.wait()
        await visit.send(answer(body=b"%d" % len(await visit.read_body())))

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        sending = asyncio.create_task(
            client.send(GET + POST + b"Content-Length: %d\r\n\r\n" % (16 * MIB) + b"x" * (16 * MIB))
        )
        await backend.visited()
        await eventually(lambda: any(c.reading_paused for c in proxy.engine.clients))
        [connection] = proxy.engine.clients
        assert sum(len(piece) for request in connection.reader.arrived for piece in request.pieces) < MIB
        release.set()
        assert (await client.answer()).body == b"0"
        assert (await client.answer()).body == b"%d" % (16 * MIB)
        await sending


async def test_reading_stops_at_the_limit_of_pipelined_requests() -> None:
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer())

    edge = EdgePolicy(pipelined=4)
    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, edge=edge) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(GET)
        await backend.visited()
        [connection] = proxy.engine.clients
        await client.send(GET * 4)
        await eventually(lambda: connection.reading_paused)
        await client.send(GET * 4)
        assert len(connection.reader.arrived) == 4
        release.set()
        for _ in range(9):
            assert (await client.answer()).status == 200
        assert not connection.reading_paused


async def test_what_is_beyond_the_limit_of_pipelined_requests_stays_as_bytes() -> None:
    release = asyncio.Event()

    async def script(visit: Visit) -> None:
        await release.wait()
        await visit.send(answer(body=visit.target + await visit.read_body()))

    count = 5000
    parts = [
        b"PUT /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" % number
        if number % 100 == 7
        else b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number
        for number in range(count)
    ]
    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        sending = asyncio.create_task(client.send(b"".join(parts)))
        await backend.visited()
        await eventually(lambda: any(c.reading_paused for c in proxy.engine.clients))
        [connection] = proxy.engine.clients
        assert len(connection.reader.arrived) < 1000
        release.set()
        for number in range(count):
            expected = b"/%d" % number + (b"abc" if number % 100 == 7 else b"")
            assert (await client.answer()).body == expected
        await sending
        assert connection.unread == b""


async def test_a_fault_far_behind_good_requests_is_answered_after_them() -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy, await proxy.connect() as client:
        sending = asyncio.create_task(client.send(GET * 1000 + b"nonsense\r\n\r\n" + GET * 1000))
        for _ in range(1000):
            assert (await client.answer()).status == 200
        assert (await client.answer()).status == 400
        await sending
        client.end()
        assert await client.closed()
        assert len(backend.visits) == 1000


async def test_an_upgrade_far_behind_good_requests_gets_its_bytes_in_order() -> None:
    async def script(visit: Visit) -> None:
        if visit.field(b"upgrade") is None:
            await visit.send(answer())
            return
        await visit.send(b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := await visit.read(65536):
            await visit.send(data)
        visit.close()

    early = b"".join(b"%08d" % number for number in range(20_000))
    wish = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy:
        for count in (1, 15, 16, 17, 400, 700):
            async with await proxy.connect() as client:
                sending = asyncio.create_task(client.send(GET * count + wish + early))
                for _ in range(count):
                    assert (await client.answer()).status == 200
                assert (await client.answer()).status == 101
                assert await client.read(len(early)) == early
                await sending


async def test_no_route_is_answered_and_the_connection_kept() -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy, await proxy.connect() as client:
        got = await client.ask(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        assert got.status == 404
        error = json.loads(got.body)["error"]
        assert (error["status"], error["reason"]) == (404, "no_route")
        assert error["request_id"].encode() == got.field(b"x-request-id")
        assert (await client.ask(GET)).body == b"ok"
        got = await client.ask(b"HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", to_head=True)
        assert got.status == 404
        assert (await client.ask(GET)).body == b"ok"
        got = await client.ask(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
        assert (got.status, got.field(b"connection")) == (404, b"close")


async def test_more_clients_than_allowed_are_turned_away() -> None:
    async with ScriptedUpstream() as backend, proxied(backend, edge=EdgePolicy(connections=1)) as proxy:
        async with await proxy.connect() as first:
            assert (await first.ask(GET)).status == 200
            async with await proxy.connect() as second:
                assert await second.closed()
            assert (await first.ask(GET)).status == 200
        assert proxy.engine.client_errors == {"too_many_connections": 1}
        await eventually(lambda: not proxy.engine.clients)
        async with await proxy.connect() as third:
            assert (await third.ask(GET)).status == 200


async def test_a_reload_between_two_requests_of_one_connection_counts_for_the_second() -> None:
    async with ScriptedUpstream() as backend, proxied(backend) as proxy, await proxy.connect() as client:
        await client.ask(GET)
        proxy.configure(policy=PoolPolicy(host_from_backend=True))
        await client.ask(GET)
        proxy.engine.reconfigure(edge=EdgePolicy(), pools={}, route=proxy.engine.route)
        assert (await client.ask(GET)).status == 404
        proxy.configure()
        assert (await client.ask(GET)).status == 200
        assert len(backend.visits) == 3
