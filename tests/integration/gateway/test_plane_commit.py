"""The commit point: what fails before the first token is invisible, and what fails after it ends well-formed."""

from __future__ import annotations

import pytest

from holdfast.gateway.shell.mock import parse_fault
from holdfast.testing.gateway import chat_request
from tests.integration.gateway.plane import events, is_error, pair, post, provider_settings, text_of
from tests.integration.gateway.stack import PRICE
from tests.machine import free_port

HEALTH = {"consecutive": 1000, "minimum_volume": 10000}
QUICK = {"first_token": "300ms", "answer": "5s", "connect": "1s", "stall": "1s"}
FAILURES = [
    "500",
    "502",
    "503",
    "529",
    "429=1s",
    "drop",
    "reset=40",
    "cut=40",
    "first_token=5s",
    "stall=1",
    "error_after=1",
    "html=200",
    "html=502",
    "wrong_protocol",
    "slow_head=5s",
]


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", FAILURES)
async def test_what_fails_before_the_first_token_is_answered_by_another_deployment(
    fault: str, stream: bool, protocol: str
) -> None:
    if fault in ("error_after=1", "stall=1") and not stream:
        pytest.skip("only a stream has frames")
    timeouts = QUICK | {"whole": "300ms"}
    async with pair(
        fault, protocols=(protocol, protocol), timeouts=timeouts, health=HEALTH, retry={"backoff_base": "10ms"}
    ) as (stack, first, second):
        path, body = chat_request(protocol, "demo", "hello", stream=stream)
        answer = await post(stack, path, body)
        assert answer.status == 200, answer.body
        assert answer.field(b"x-holdfast-attempts") == b"2"
        assert answer.field(b"x-holdfast-deployment") == b"second/mock-small"
        assert (first.ledger.requests, second.ledger.requests) == (1, 1) or fault == "drop"
        if stream:
            assert not any(is_error(*event) for event in events(answer.body))


async def test_a_provider_that_refuses_connections_is_passed_over() -> None:
    nowhere = {"protocol": "openai", "url": f"http://127.0.0.1:{free_port()}/v1", "private": True, "auth": "none"}
    async with pair() as (_, _, second):
        deployments = [
            {"provider": name, "model": "mock-small", "tier": tier, "price": PRICE}
            for tier, name in enumerate(("nowhere", "second"))
        ]
        async with pair(
            model={"deployments": deployments},
            providers={"nowhere": nowhere, "second": provider_settings(second)},
        ) as (stack, _, _):
            for stream in (True, False):
                path, body = chat_request("openai", "demo", "hello", stream=stream)
                answer = await post(stack, path, body)
                assert answer.status == 200, answer.body
                assert answer.field(b"x-holdfast-deployment") == b"second/mock-small"


@pytest.mark.usefixtures("at_full_speed")
@pytest.mark.parametrize("upstream", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_a_stream_cut_at_any_byte_reaches_the_client_as_whole_frames_and_an_error(
    protocol: str, upstream: str
) -> None:
    async with pair(protocols=(upstream, upstream), health=HEALTH, retry={"attempts": 1}) as (stack, first, _):
        path, body = chat_request(protocol, "demo", "[[mock: text=a+b+c,chunk=1]]", stream=True)
        whole = await post(stack, path, body)
        said = text_of(protocol, events(whole.body))
        size = first.ledger.last.body_bytes
        assert said == "a b c"
        assert size > 100
        broken = 0
        for cut in range(size):
            path, body = chat_request(protocol, "demo", f"[[mock: text=a+b+c,chunk=1,cut={cut}]]", stream=True)
            answer = await post(stack, path, body)
            if answer.status != 200:
                assert answer.status == (502 if protocol == "openai" else 500), (cut, answer.body)
                continue
            found = events(answer.body)
            errors = [event for event in found if is_error(*event)]
            told = text_of(protocol, found)
            assert said.startswith(told), (cut, told)
            if not errors:
                assert told == said, (cut, answer.body)
                assert found[-1] in [("", "[DONE]"), ("message_stop", {"type": "message_stop"})], (cut, found[-1])
            else:
                broken += 1
                assert len(errors) == 1, (cut, found)
                assert found.index(errors[0]) >= len(found) - 2, (cut, found)
        assert broken


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_where_the_route_allows_it_a_cut_text_is_continued_once_and_marked(protocol: str) -> None:
    async with pair(
        "count=1,text=one+two+three+four,cut=900,chunk=64",
        protocols=(protocol, protocol),
        model={"continue_cut": True},
        health=HEALTH,
    ) as (stack, first, second):
        path, body = chat_request(protocol, "demo", "count", stream=True)
        answer = await post(stack, path, body)
        assert answer.status == 200
        found = events(answer.body)
        assert not any(is_error(*event) for event in found), found
        assert b": continued by second/mock-small\n\n" in answer.body
        assert first.ledger.requests == second.ledger.requests == 1
        told = text_of(protocol, found)
        assert told.startswith("one")
        assert len(told.split()) > 4
        assert answer.body.count(b"continued by") == 1
        if protocol == "anthropic":
            assert [name for name, _ in found].count("message_start") == 1


@pytest.mark.parametrize("fault", ["500", "429=1s", "529", "drop"])
async def test_one_attempt_budget_covers_retries_and_fallbacks(fault: str) -> None:
    deployments = [
        {"provider": "second" if n else "first", "model": f"mock-{n}@{fault}", "price": PRICE} for n in range(6)
    ]
    async with pair(
        model={"deployments": deployments},
        retry={"attempts": 3, "backoff_base": "1ms", "backoff_cap": "2ms", "budget_floor_per_s": 100},
    ) as (stack, first, second):
        answer = await stack.chat()
        assert answer.status in (429, 502, 503, 529), answer.body
        assert first.ledger.requests + second.ledger.requests <= 3


async def test_a_full_outage_costs_at_most_one_attempt_and_a_fifth_each() -> None:
    async with pair(retry={"budget_floor_per_s": 0.1, "backoff_base": "1ms", "backoff_cap": "2ms"}) as (
        stack,
        first,
        second,
    ):
        first.plan.add(parse_fault("500"))
        second.plan.add(parse_fault("500"))
        asked = 100
        for _ in range(asked):
            assert (await stack.chat()).status in (502, 503)
        assert first.ledger.requests + second.ledger.requests <= 1.2 * asked + 4


async def test_a_deployment_that_rests_gets_no_request_and_an_earlier_date_does_not_wake_it() -> None:
    async with pair("count=1,429=60s") as (stack, first, second):
        for _ in range(20):
            assert (await stack.chat()).status == 200
        assert first.ledger.requests == 1
        assert second.ledger.requests == 20


@pytest.mark.parametrize("fault", ["400", "422"])
async def test_a_bad_request_ejects_nobody(fault: str) -> None:
    async with pair() as (stack, first, second):
        for _ in range(30):
            reply = await stack.chat(f"[[mock: {fault}]]")
            assert reply.status == int(fault), reply.body
        assert (await stack.chat()).headers["x-holdfast-deployment"] == "first/mock-small"
        assert first.ledger.requests == 31
        assert second.ledger.requests == 0


async def test_a_kept_connection_that_went_stale_is_nobodys_fault() -> None:
    async with pair(health={"consecutive": 1}) as (stack, first, _):
        assert (await stack.chat()).status == 200
        for connection in tuple(first._open):
            connection.end(reset=True)
        reply = await stack.chat()
        assert reply.status == 200
        assert reply.headers["x-holdfast-deployment"] == "first/mock-small"
