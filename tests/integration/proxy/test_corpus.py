"""Every case of the corpus through real sockets: what the client is told, and what reached the backend."""

from __future__ import annotations

import json

import pytest

from holdfast.http1 import Limits
from holdfast.proxy import EdgePolicy, PoolPolicy
from holdfast.testing import Answer, ScriptedUpstream, Visit, always, answer, proxied, replies
from tests.integration.proxy.corpus import ANSWERS, REQUESTS, AnswerCase, RequestCase

EDGE = EdgePolicy(limits=Limits(body=1_000_000))
PROBE = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"


def assert_well_formed(got: Answer) -> None:
    """An answer of the proxy itself says what it is about, in JSON."""
    assert got.field(b"content-type") == b"application/json"
    error = json.loads(got.body)["error"]
    assert sorted(error) == ["message", "reason", "request_id", "status"]
    assert error["status"] == got.status
    assert error["message"]
    assert error["reason"].isidentifier()
    assert error["request_id"].encode() == got.field(b"x-request-id")


def assert_nothing_else_was_sent(backend: ScriptedUpstream) -> None:
    """The bytes at the backend are those of the requests there, and no others."""
    for number, ledger in enumerate(backend.connections):
        visits = [visit for visit in backend.visits if visit.connection == number]
        if all(visit.complete for visit in visits):
            if not any(visit.field(b"transfer-encoding") for visit in visits):
                assert ledger == b"".join(visit.head + visit.body for visit in visits)
            assert ledger.count(b"\r\nVia: 1.1 holdfast\r\n") == len(visits)
            assert ledger.endswith((b"\r\n\r\n", *(visit.body for visit in visits if visit.body)))


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(REQUESTS) >= 100
    assert len(ANSWERS) >= 60
    assert len({case.name for case in REQUESTS}) == len(REQUESTS)
    assert len({case.name for case in ANSWERS}) == len(ANSWERS)


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
async def test_request(case: RequestCase) -> None:
    async with ScriptedUpstream() as backend, proxied(backend, edge=EDGE) as proxy, await proxy.connect() as client:
        await client.send(case.sent)
        for status in case.answers:
            got = await client.answer()
            assert got.status == status
            if status != 200:
                assert_well_formed(got)
                assert got.field(b"connection") == b"close"
        if case.kept:
            assert (await client.ask(PROBE)).status == 200
        client.end()
        assert await client.closed()
        await proxy.settled()
        # Of a body that breaks in the middle a backend may have seen the beginning, but never the end.
        whole = [(visit.method, visit.target, visit.body) for visit in backend.visits if visit.complete]
        assert whole == [*case.reached, *([(b"GET", b"/probe", b"")] if case.kept else [])]
        assert b"smuggled" not in b"".join(visit.target for visit in backend.visits)
        assert_nothing_else_was_sent(backend)


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.name)
async def test_answer(case: AnswerCase) -> None:
    policy = PoolPolicy(per_try_timeout_s=1.0)
    script = replies(always(case.sent, close=case.ends), always(answer(body=b"next")))
    async with ScriptedUpstream(script) as backend, proxied(backend, policy=policy) as proxy:
        async with await proxy.connect() as client:
            await client.send(case.method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            if case.status == 0:
                with pytest.raises(ConnectionResetError):
                    await client.answer()
            else:
                got = await client.answer(to_head=case.method == b"HEAD")
                while got.status == 100:
                    got = await client.answer()
                assert got.status == case.status
                if case.status == 502:
                    assert_well_formed(got)
                else:
                    assert got.body == case.body
                # Whatever the backend sent, the next answer is the next answer.
                assert (await client.ask(PROBE)).body == b"next"
        assert [visit.method for visit in backend.visits][:1] == [case.method], "tried once, and never again"
        assert len(backend.visits) == (1 if case.status == 0 else 2)
        if case.status:
            assert (backend.visits[1].connection == backend.visits[0].connection) is case.reused


@pytest.mark.parametrize("case", [case for case in ANSWERS if case.status == 502], ids=lambda case: case.name)
async def test_answer_to_a_request_that_may_be_repeated(case: AnswerCase) -> None:
    async def script(visit: Visit) -> None:
        if visit.number:
            await visit.send(answer(body=b"second try"))
        else:
            await always(case.sent, close=case.ends)(visit)

    async with ScriptedUpstream(script) as backend, proxied(backend) as proxy, await proxy.connect() as client:
        got = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while got.status == 100:
            got = await client.answer()
        assert (got.status, got.body) == (200, b"second try")
        assert [visit.connection for visit in backend.visits] == [0, 1]
        [target] = proxy.pool.backends
        assert sum(target.failures.values()) == 1
