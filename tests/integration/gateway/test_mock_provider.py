"""The scripted provider as a server: its book, its faults while it runs, clients that leave, and the process."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from holdfast.gateway.shell.mock import provider as module
from holdfast.testing import RawClient, eventually
from holdfast.testing.gateway import Entry, chat_request, mock_provider, post, provider_process, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.testing import Answer
    from holdfast.testing.gateway import MockProvider

pytestmark = pytest.mark.anyio

NOTICED_WITHIN_S = 0.25
"""It takes 0.04 ms (p50 of 200); the rest is for a machine that has other things to do."""


@pytest.fixture
async def provider() -> AsyncIterator[MockProvider]:
    async with mock_provider() as found:
        yield found


def asking(model: str = "mock", text: str = "hello", *, stream: bool = False, **fields: str) -> bytes:
    path, body = chat_request("openai", model, text, stream=stream)
    return request(path, body, **fields)


async def ask(provider: MockProvider, model: str = "mock", **fields: Any) -> Answer:
    async with await RawClient.connect("127.0.0.1", provider.port) as client:
        return await client.ask(asking(model, **fields))


async def administer(provider: MockProvider, method: str, path: str, body: bytes = b"") -> Answer:
    async with await RawClient.connect("127.0.0.1", provider.port) as client:
        return await client.ask(request(path, body, method=method))


# -------------------------------------------------------------------------- the book


async def test_the_book_has_each_attempt_under_the_name_that_the_gateway_gave_it(provider: MockProvider) -> None:
    await ask(provider, x_holdfast_attempt="req-1.2", x_request_id="other")
    await ask(provider, x_request_id="req-2")
    await ask(provider)
    lines = (await administer(provider, "GET", "/mock/ledger")).body.splitlines()
    assert [msgspec.json.decode(line, type=Entry).attempt for line in lines] == ["req-1.2", "req-2", "3"]


async def test_the_book_is_read_on_from_a_number_and_emptied(provider: MockProvider) -> None:
    for _ in range(3):
        await ask(provider)
    lines = (await administer(provider, "GET", "/mock/ledger?since=2")).body.splitlines()
    assert [json.loads(line)["number"] for line in lines] == [3]
    assert (await administer(provider, "GET", "/mock/ledger?since=x")).status == 400
    assert (await administer(provider, "DELETE", "/mock/ledger")).status == 200
    assert (await administer(provider, "GET", "/mock/ledger")).body == b""
    await ask(provider)
    assert provider.ledger.last.number == 4, "numbers go on, so that a reader with `since` misses nothing"


async def test_stats_are_totals_and_what_is_in_flight(provider: MockProvider) -> None:
    await ask(provider, "mock@echo")
    await ask(provider, "mock@429")
    async with await RawClient.connect("127.0.0.1", provider.port) as client:
        await client.send(asking("other@stall=1", stream=True))
        await eventually(lambda: provider.ledger.in_flight == 1)
        stats = json.loads((await administer(provider, "GET", "/mock/stats")).body)
    assert stats == {
        "requests": 3,
        "in_flight": 1,
        "most_in_flight": 1,
        "connections": 4,
        "cancelled": 0,
        "states": {"finished": 1, "refused": 1},
        "models": {"mock": 2, "other": 1},
        "tokens_in": 2,
        "tokens_out": 2,
        "connections_open": 2,
    }


async def test_only_loopback_administers(provider: MockProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    def distrust(self: MockProvider, connection: Any) -> None:
        connection.trusted = False

    monkeypatch.setattr(module.MockProvider, "connected", distrust)
    async with await RawClient.connect("127.0.0.1", provider.port) as client:
        assert (await client.ask(request("/mock/ledger", method="GET"))).status == 403
        assert (await client.ask(asking())).status == 200


async def test_administration_knows_its_paths(provider: MockProvider) -> None:
    answer = await administer(provider, "GET", "/mock/else")
    assert answer.status == 404
    assert b"ledger, stats and faults" in answer.body


# -------------------------------------------------------------------------- faults while it runs


async def test_faults_are_put_in_force_looked_at_and_ended(provider: MockProvider) -> None:
    assert (await administer(provider, "POST", "/mock/faults", b"count=1,429=3s\nmodel=large,500\n")).status == 200
    assert [(await ask(provider, model)).status for model in ("small", "small", "large", "large")] == [
        429,
        200,
        500,
        500,
    ]
    assert json.loads((await administer(provider, "GET", "/mock/faults")).body) == [
        {"fault": "count=1,429=3s", "left": 0, "served": 1},
        {"fault": "model=large,500", "left": None, "served": 2},
    ]
    await administer(provider, "DELETE", "/mock/faults")
    assert (await ask(provider, "large")).status == 200


async def test_of_several_faults_none_is_put_in_force_when_one_is_none(provider: MockProvider) -> None:
    answer = await administer(provider, "POST", "/mock/faults", b"429=3s\nbogus\n")
    assert answer.status == 400
    assert b"bogus" in answer.body
    assert (await ask(provider)).status == 200


async def test_a_share_strikes_some() -> None:
    async with mock_provider("share=0.5,503", seed=3) as provider:
        statuses = [(await ask(provider)).status for _ in range(40)]
    assert 8 < statuses.count(503) < 32


async def test_connections_are_refused_for_a_while_and_then_taken_again(provider: MockProvider) -> None:
    async with await RawClient.connect("127.0.0.1", provider.port) as idle:
        await idle.ask(asking())
        assert (await administer(provider, "POST", "/mock/faults", b"refuse=60ms")).status == 200
        assert await idle.closed()
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect("127.0.0.1", provider.port)

    async def taken() -> bool:
        try:
            return (await ask(provider)).status == 200
        except ConnectionError:
            return False

    async with asyncio.timeout(5):
        while not await taken():  # noqa: ASYNC110 - a listener tells nobody that it is back
            await asyncio.sleep(0.005)


async def test_a_connection_may_be_reset_as_soon_as_it_is_accepted() -> None:
    async with mock_provider("count=1,reset_at_accept") as provider:
        with pytest.raises((ConnectionError, EOFError)):
            await ask(provider)
        assert (await ask(provider)).status == 200
        assert len(provider.ledger) == 1, "a connection that was reset is no attempt"


# -------------------------------------------------------------------------- clients


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("orders", ["endless,pace=500", "stall=3", "first_token=60s", "slow_head=60s"])
async def test_a_client_that_leaves_is_noticed_at_once(provider: MockProvider, orders: str, how: str) -> None:
    async with await RawClient.connect("127.0.0.1", provider.port) as client:
        await client.send(asking(f"mock@{orders}", stream=True))
        await eventually(lambda: provider.ledger.in_flight == 1)
        if "slow_head" not in orders:
            await client.read(1)
        left = time.monotonic()
        if how == "FIN":
            client.end()
        else:
            client.reset()
        entry = provider.ledger.last
        await eventually(lambda: entry.state != "open", "the departure")
    assert entry.state == "cancelled"
    assert entry.cancel_seen is not None
    assert 0.0 <= entry.cancel_seen - left < NOTICED_WITHIN_S


async def test_nothing_is_counted_after_a_departure(provider: MockProvider) -> None:
    async with await RawClient.connect("127.0.0.1", provider.port) as client:
        await client.send(asking("mock@endless,pace=1000", stream=True))
        await client.read(2000)
        client.end()
        entry = provider.ledger.last
        await eventually(lambda: entry.state == "cancelled")
        counted = entry.tokens_out
        received = await client.rest()
    assert entry.tokens_out == counted > 0
    assert provider.ledger.in_flight == 0
    assert received.count(b'"content":"') <= counted


async def test_requests_of_one_connection_are_answered_in_order_also_when_they_come_together(
    provider: MockProvider,
) -> None:
    async with await RawClient.connect("127.0.0.1", provider.port) as client:
        await client.send(b"".join(asking(f"mock@text={n}") for n in range(5)))
        answers = [json.loads((await client.answer()).body) for _ in range(5)]
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == ["0", "1", "2", "3", "4"]


async def test_a_body_is_asked_for_and_may_come_in_pieces(provider: MockProvider) -> None:
    head, _, body = asking(expect="100-continue").partition(b"\r\n\r\n")
    async with await RawClient.connect("127.0.0.1", provider.port) as client:
        assert (await client.ask(head + b"\r\n\r\n")).status == 100
        assert (await client.ask(body)).status == 200


async def test_what_is_no_http_is_told_so(provider: MockProvider) -> None:
    async with await RawClient.connect("127.0.0.1", provider.port) as client:
        assert (await client.ask(b"GET / HTTP/9.9\r\n\r\n")).status >= 400
        assert await client.closed()


async def test_paths_that_nobody_knows_are_a_404(provider: MockProvider) -> None:
    assert (await post(provider.port, "/v1/nothing", {})).status == 404
    assert provider.ledger.last.kind == "unknown"


async def test_a_client_that_does_not_read_holds_back_its_stream_only(provider: MockProvider) -> None:
    async with await RawClient.connect("127.0.0.1", provider.port, receive_buffer=4096) as client:
        await client.send(asking("mock@endless", stream=True))
        await eventually(lambda: len(provider.ledger) == 1)
        entry = provider.ledger.last

        async def at_rest() -> bool:
            before = entry.tokens_out
            for _ in range(5):
                assert (await ask(provider)).status == 200
            return entry.tokens_out == before > 0

        async with asyncio.timeout(5):
            while not await at_rest():
                pass
        before = entry.tokens_out
        await client.read(8 << 20)
        assert entry.tokens_out > before


# -------------------------------------------------------------------------- the process


async def test_the_process_says_where_it_is_and_ends_when_it_is_told() -> None:
    async with provider_process("--fault", "count=1,429=3s", "--key", "secret") as process:
        path, body = chat_request("openai", "mock@echo", "hello")
        statuses = [(await post(process.port, path, body, authorization="Bearer secret")).status for _ in range(2)]
        assert statuses == [429, 200]
        assert (await post(process.port, path, body)).status == 401
        assert [entry.status for entry in await process.ledger(since=1)] == [200, 401]
        assert (await process.stats())["tokens_out"] == 2
        await process.forget()
        assert await process.ledger() == []
        await process.order("500")
        assert (await post(process.port, path, body, authorization="Bearer secret")).status == 500
        await process.relent()
        with pytest.raises(ValueError, match="bogus"):
            await process.order("bogus")
        process.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            assert await process.process.wait() == 0


async def test_a_fault_that_is_none_keeps_the_process_from_starting() -> None:
    with pytest.raises(ChildProcessError, match="bogus"):
        async with provider_process("--fault", "bogus"):
            pass
