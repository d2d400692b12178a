"""Disconnects, hedges, limits, revoked keys, caches and reloads: who is told what, and who pays."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from holdfast.gateway.core.settings import GatewaySettings
from holdfast.gateway.shell.mock import parse_fault
from holdfast.testing.client import RawClient
from holdfast.testing.gateway import MockProvider, chat_request, request
from tests.integration.gateway.plane import events, pair, port_of, post, text_of
from tests.integration.gateway.stack import PRICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.gateway.core.seen import Seen
    from tests.integration.gateway.stack import Stack

SLOWLY = "[[mock: words=2000,pace=200]] go"


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what another task does; the ledgers of both sides have no events."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def watched(stack: Stack) -> list[Seen]:
    """What the gateway says of each request from now on."""
    seen: list[Seen] = []
    stack.gateway.observe = seen.append
    return seen


async def begin(stack: Stack, protocol: str = "openai", text: str = SLOWLY, **fields: str) -> RawClient:
    """A stream that has begun."""
    client = await RawClient.connect("127.0.0.1", port_of(stack))
    path, body = chat_request(protocol, "demo", text, stream=True)
    await client.send(request(path, body, **fields))
    await client.read(600)
    return client


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("upstream", ["openai", "anthropic", "gemini"])
async def test_a_client_that_leaves_cancels_the_provider_at_once_and_pays_for_what_was_produced(
    upstream: str, protocol: str, how: str
) -> None:
    async with pair(protocols=(upstream, upstream)) as (stack, first, second):
        seen = watched(stack)
        client = await begin(stack, protocol)
        left = time.monotonic()
        if how == "reset":
            client.reset()
        await client.close()
        await until(lambda: first.ledger.last.cancel_seen is not None)
        cancelled = first.ledger.last.cancel_seen
        assert cancelled is not None
        assert cancelled - left < 2.0  # long before the stream's end; how soon is measured by `gateway-holding`
        await until(lambda: bool(seen))
        (attempt,) = seen[0].attempts
        assert attempt.outcome == "cancelled"
        assert attempt.usage.output_tokens == first.ledger.last.tokens_out
        assert seen[0].client_left
        assert second.ledger.requests == 0


async def test_a_client_that_leaves_while_nothing_was_said_stops_the_attempt_too() -> None:
    async with pair("first_token=30s") as (stack, first, second):
        client = await RawClient.connect("127.0.0.1", port_of(stack))
        path, body = chat_request("openai", "demo", "hello", stream=True)
        await client.send(request(path, body))
        await until(lambda: first.ledger.requests == 1)
        await client.close()
        await until(lambda: first.ledger.in_flight == 0)
        assert second.ledger.requests == 0


async def test_a_hedge_that_is_quicker_wins_and_the_other_is_cancelled() -> None:
    hedge = {"enabled": True, "minimum_samples": 1, "extra_percent": 100.0, "least": "50ms"}
    async with pair(model={"hedge": hedge}, retry={"budget_floor_per_s": 100}) as (stack, first, second):
        for _ in range(25):
            assert (await stack.chat(stream=True)).status == 200
        first.plan.add(parse_fault("first_token=20s"))
        began = time.monotonic()
        reply = await stack.chat(stream=True)
        assert time.monotonic() - began < 5
        assert reply.headers["x-holdfast-deployment"] == "second/mock-small"
        await until(lambda: first.ledger.in_flight == 0)
        assert first.ledger.last.state == "cancelled"
        assert second.ledger.requests == 1


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_a_key_that_is_revoked_ends_its_stream_and_no_other(protocol: str) -> None:
    async with pair(protocols=(protocol, protocol)) as (stack, first, _):
        book = stack.gateway.permits.book
        key, _, text = await book.create("acme", role="owner")
        mine = await begin(stack, protocol, authorization=f"Bearer {text}", connection="close")
        other = await begin(stack, protocol, "[[mock: words=60,pace=100]]")
        await book.revoke(key.key_id)
        last = await mine.rest()
        assert b"the key was revoked" in last
        assert last.endswith(b"0\r\n\r\n")
        await until(lambda: first.ledger.in_flight == 1)
        path, body = chat_request(protocol, "demo", "hello")
        assert (await post(stack, path, body, authorization=f"Bearer {text}")).status == 401
        await other.close()
        await mine.close()


async def test_limits_of_a_key_are_said_with_when_to_come_back() -> None:
    limits = {"tenants": {"acme": {"requests_per_minute": 2, "models": ["demo"]}}}
    async with pair(limits=limits, model={}) as (stack, _, _):
        key = await stack.key("acme")
        statuses = [(await stack.chat(key=key)) for _ in range(4)]
        assert [reply.status for reply in statuses[:2]] == [200, 200]
        assert statuses[-1].status == 429
        assert int(statuses[-1].headers["retry-after"]) >= 1
        assert statuses[-1].headers["x-should-retry"] == "true"
        assert (await stack.chat(key=key, model="first/other")).status == 403


async def test_a_budget_that_is_spent_is_said_as_the_quota_that_clients_know() -> None:
    limits = {"tenants": {"acme": {"daily_usd": 0.00001}}}
    async with pair(limits=limits) as (stack, first, _):
        key = await stack.key("acme")
        reply = await stack.chat(key=key, max_tokens=4000)
        assert reply.status == 429, reply.body
        assert reply.json()["error"]["code"] == "insufficient_quota"
        assert reply.headers["x-should-retry"] == "false"
        assert first.ledger.requests == 0


async def test_the_cache_answers_again_whole_and_as_a_stream_but_never_another_tenant() -> None:
    async with pair(cache={"enabled": True, "only_deterministic": False}) as (stack, first, _):
        acme, other = await stack.key("acme"), await stack.key("other")
        one = await stack.chat("again", key=acme)
        two = await stack.chat("again", key=acme)
        assert (one.headers["x-holdfast-cache"], two.headers["x-holdfast-cache"]) == ("miss", "hit")
        said = one.json()["choices"][0]["message"]["content"]
        assert two.json()["choices"][0]["message"]["content"] == said
        three = await stack.chat("again", key=acme, stream=True)
        assert three.headers["x-holdfast-cache"] == "hit"
        assert text_of("openai", events(three.body)) == said
        assert first.ledger.requests == 1
        assert (await stack.chat("again", key=other)).headers["x-holdfast-cache"] == "miss"
        assert first.ledger.requests == 2


async def test_identical_requests_in_flight_are_asked_once_even_when_the_first_client_leaves() -> None:
    async with pair(cache={"enabled": True, "only_deterministic": False}) as (stack, first, _):
        text = "[[mock: words=60,pace=200]] same"
        leader = await begin(stack, text=text)
        followers = [asyncio.create_task(stack.chat(text, stream=True, stream_options={"include_usage": True}))]
        followers += [asyncio.create_task(stack.chat(text, stream=True)) for _ in range(3)]
        await until(lambda: len(stack.gateway.engine.calls) == 5)
        await leader.close()
        replies = await asyncio.gather(*followers)
        assert first.ledger.requests == 1
        assert {len(text_of("openai", events(reply.body)).split()) for reply in replies} == {60}
        assert {reply.headers["x-holdfast-cache"] for reply in replies} == {"coalesced"}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_guardrails_redact_for_the_provider_and_restore_for_the_client(protocol: str, stream: bool) -> None:
    async with pair(
        guardrails={"default": {"emails": "redact", "deny": ["swordfish"]}}, protocols=(protocol, protocol)
    ) as (stack, first, _):
        path, body = chat_request(protocol, "demo", "[[mock: echo]] write to ida@example.org now", stream=stream)
        answer = await post(stack, path, body)
        assert answer.status == 200, answer.body
        said = text_of(protocol, events(answer.body)) if stream else answer.body.decode()
        assert "ida@example.org" in said
        path, body = chat_request(protocol, "demo", "the word is swordfish", stream=stream)
        blocked = await post(stack, path, body)
        assert blocked.status == 400
        assert first.ledger.requests == 1


async def test_a_reload_keeps_the_streams_that_are_under_way() -> None:
    async with pair() as (stack, first, second):
        client = await begin(stack, text="[[mock: words=100,pace=200]]")
        settings = stack.gateway.settings
        provider = settings.providers["second"]
        demo = settings.models["demo"]
        changed = msgspec.structs.replace(
            settings,
            providers={"second": provider},
            models={"demo": msgspec.structs.replace(demo, deployments=demo.deployments[1:])},
        )
        assert isinstance(changed, GatewaySettings)
        stack.gateway.reconfigure(changed)
        assert (await stack.chat()).headers["x-holdfast-deployment"] == "second/mock-small"
        await until(lambda: first.ledger.in_flight == 0)
        assert first.ledger.last.state == "finished"
        await client.close()
        assert second.ledger.requests == 1


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_a_stream_that_is_silent_for_long_is_kept_alive(protocol: str) -> None:
    async with pair(protocols=(protocol, protocol), timeouts={"keep_alive": "1s"}) as (stack, _, _):
        path, body = chat_request(protocol, "demo", "[[mock: words=2,pace=0.5]]", stream=True)
        answer = await post(stack, path, body)
        assert len(text_of(protocol, events(answer.body)).split()) == 2
        if protocol == "anthropic":
            assert ("ping", {"type": "ping"}) in events(answer.body)
        else:
            assert b"\n\n:" in answer.body or answer.body.startswith(b":")


async def test_headers_and_trailers_say_who_answered_and_what_it_cost() -> None:
    async with pair() as (stack, _, _):
        whole = await stack.chat()
        assert whole.headers["x-holdfast-cost"].startswith("$0.0000")
        assert whole.headers["x-holdfast-attempts"] == "1"
        async with await RawClient.connect("127.0.0.1", port_of(stack)) as client:
            path, body = chat_request("openai", "demo", "hello", stream=True)
            await client.send(request(path, body, TE="trailers", connection="close"))
            assert b"\r\n0\r\nx-holdfast-cost: $0.0000" in await client.rest()


async def test_a_drain_lets_streams_finish_and_takes_no_more() -> None:
    async with pair() as (stack, first, _):
        client = await RawClient.connect("127.0.0.1", port_of(stack))
        path, body = chat_request("openai", "demo", "[[mock: words=40,pace=100]]", stream=True)
        await client.send(request(path, body))
        await until(lambda: first.ledger.tokens_out > 2)
        draining = asyncio.create_task(stack.gateway.engine.drain(5.0))
        answer = await client.answer()
        assert len(text_of("openai", events(answer.body)).split()) == 40
        assert await draining == 0
        assert await client.closed()
        await client.close()
        with pytest.raises(OSError):  # noqa: PT011
            await RawClient.connect("127.0.0.1", port_of(stack))


async def test_interactive_requests_pass_batch_in_the_queue() -> None:
    deployments = [{"provider": "first", "model": "mock-small", "tokens_in_flight": 1000, "price": PRICE}]
    async with pair(model={"deployments": deployments}, admission={"adaptive": False}) as (stack, first, _):
        await one_after_the_other(stack, first)


BATCH = {"x-holdfast-priority": "batch"}


async def one_after_the_other(stack: Stack, provider: MockProvider) -> None:
    blocker = asyncio.create_task(stack.chat("[[mock: words=30,pace=60]] block", max_tokens=900, stream=True))
    await until(lambda: provider.ledger.in_flight == 1)
    order: list[str] = []

    async def ask(name: str, **headers: str) -> None:
        body: dict[str, Any] = {"model": "demo", "max_tokens": 900, "messages": [{"role": "user", "content": name}]}
        reply = await stack.ask("POST", "/v1/chat/completions", json=body, headers=headers)
        assert reply.status == 200, reply.body
        order.append(name)

    asked: list[asyncio.Task[None]] = []
    for name, headers in (("batch0", BATCH), ("batch1", BATCH), ("quick0", {}), ("quick1", {})):
        asked.append(asyncio.create_task(ask(name, **headers)))
        await until(lambda: len(stack.gateway.waiting) == len(asked))  # each has its own connection
    await asyncio.gather(blocker, *asked)
    assert order == ["quick0", "quick1", "batch0", "batch1"]
