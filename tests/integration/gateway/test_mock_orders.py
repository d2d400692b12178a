"""Every order that the scripted provider knows, obeyed on the wire."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.gateway.shell.mock.orders import Orders
from holdfast.testing import RawClient, eventually
from holdfast.testing.gateway import chat_request, mock_provider, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.testing.gateway import Entry, MockProvider

pytestmark = pytest.mark.anyio


@pytest.fixture
async def provider() -> AsyncIterator[MockProvider]:
    async with mock_provider() as found:
        yield found


@pytest.fixture
async def client(provider: MockProvider) -> AsyncIterator[RawClient]:
    async with await RawClient.connect("127.0.0.1", provider.port) as found:
        yield found


def asking(orders: str, *, stream: bool = True, text: str = "hello there") -> bytes:
    path, body = chat_request("openai", f"mock@{orders}", text, stream=stream)
    return request(path, body)


async def settled(provider: MockProvider) -> Entry:
    entry = provider.ledger.last
    await eventually(lambda: entry.state != "open", "the end of the attempt")
    return entry


def chunks(raw: bytes) -> list[bytes]:
    """The chunks of a body, as they were framed."""
    found, rest = [], raw.partition(b"\r\n\r\n")[2]
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return found


async def raw(client: RawClient, orders: str) -> bytes:
    """All bytes of an answer with its framing, on a connection that is closed after it."""
    await client.send(asking(orders).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
    return await client.rest()


# -------------------------------------------------------------------------- what is said

SAID = {
    "answer": ("answer=echo", b'"content":"Echo: hello there"'),
    "words": ("words=3", b'"completion_tokens":3'),
    "text": ("text=high+tide", b'"content":"high tide"'),
    "thinking": ("thinking=2", b'"reasoning_content":"thought0 thought1"'),
    "cached": ("cached=1", b'"cached_tokens":1'),
    "cache_write": ("cache_write=2", b'"cache_write_tokens":2'),
    "decline": ("decline", b'"finish_reason":"content_filter"'),
    "usage": ("usage=negative", b'"prompt_tokens":-5'),
    "wrong_protocol": ("wrong_protocol", b'"type":"message"'),
    "json": ("json", rb'"content":"{\"answer\": \"hello there\"}"'),
}


@pytest.mark.parametrize("name", SAID)
async def test_what_is_ordered_is_said(client: RawClient, provider: MockProvider, name: str) -> None:
    orders, expected = SAID[name]
    answer = await client.ask(asking(orders, stream=False))
    assert answer.status == 200
    assert expected in answer.body
    assert provider.ledger.last.fault == orders


async def test_broken_arguments_are_sent_as_they_are(client: RawClient) -> None:
    path, body = chat_request("openai", "mock@broken_arguments", 'call f {"a":1}', tool="f")
    assert rb'"arguments":"{\"a\":1,\"broken"' in (await client.ask(request(path, body))).body


# -------------------------------------------------------------------------- when it comes


async def test_first_token_holds_back_the_first_token_and_not_the_head(
    client: RawClient, provider: MockProvider
) -> None:
    answer = await client.ask(asking("first_token=30ms"))
    entry = provider.ledger.last
    assert answer.body.endswith(b"[DONE]\n\n")
    assert entry.first_token_s is not None
    assert 0.028 <= entry.first_token_s < 20.0  # uvloop counts whole milliseconds


async def test_a_head_may_be_slow(client: RawClient, provider: MockProvider) -> None:
    await client.send(asking("slow_head=50ms"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await client.read(1)


async def test_a_head_may_drip(client: RawClient, provider: MockProvider) -> None:
    answer = await client.ask(asking("drip_head=10us", stream=False))
    assert (answer.status, provider.ledger.last.state) == (200, "finished")


async def test_pace_is_tokens_a_second(client: RawClient, provider: MockProvider) -> None:
    await client.ask(asking("words=6,pace=200"))
    entry = provider.ledger.last
    assert entry.tokens_out == 6
    assert entry.ended_s is not None
    assert entry.ended_s >= 5 / 200 - 0.002


async def test_a_whole_answer_is_there_when_its_last_token_is(client: RawClient, provider: MockProvider) -> None:
    await client.ask(asking("words=6,pace=200", stream=False))
    ended = provider.ledger.last.ended_s
    assert ended is not None
    assert ended >= 6 / 200 - 0.002


async def test_a_stall_leaves_the_connection_open_and_silent(client: RawClient, provider: MockProvider) -> None:
    await client.send(asking("stall=3"))
    await eventually(lambda: len(provider.ledger) == 1 and provider.ledger.last.frames == 3)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await client.rest()
    assert provider.ledger.last.state == "open"
    assert provider.ledger.last.tokens_out == 2


# -------------------------------------------------------------------------- how it is cut up


async def test_the_body_is_cut_at_its_byte_and_its_chunks_are_not_ended(
    client: RawClient, provider: MockProvider
) -> None:
    found = b"".join(chunks(await raw(client, "cut=700")))
    assert len(found) == 700
    entry = await settled(provider)
    assert (entry.state, entry.body_bytes) == ("cut", 700)


async def test_a_whole_body_is_cut_short_of_its_length(client: RawClient, provider: MockProvider) -> None:
    with pytest.raises(EOFError):
        await client.ask(asking("cut=10", stream=False))
    assert (provider.ledger.last.state, provider.ledger.last.tokens_out) == ("cut", 0)


async def test_a_reset_is_one(client: RawClient, provider: MockProvider) -> None:
    await client.send(asking("reset=700"))
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert provider.ledger.last.state == "cut"


async def test_drop_resets_instead_of_an_answer(client: RawClient, provider: MockProvider) -> None:
    await client.send(asking("drop"))
    with pytest.raises(ConnectionResetError):
        await client.rest()
    entry = provider.ledger.last
    assert (entry.state, entry.status, entry.tokens_in, entry.tokens_out) == ("cut", 0, 0, 0)


async def test_merged_puts_frames_into_one_chunk(client: RawClient) -> None:
    found = chunks(await raw(client, "merged=3,words=7"))  # role, seven words, the finish, the usage, [DONE]
    assert [chunk.count(b"data: ") for chunk in found if chunk] == [3, 3, 3, 2]


async def test_split_puts_a_frame_into_two_chunks(client: RawClient) -> None:
    found = [chunk for chunk in chunks(await raw(client, "split,words=1")) if chunk]
    assert not any(chunk.endswith(b"\n\n") for chunk in found[::2])
    assert all(chunk.endswith(b"\n\n") for chunk in found[1::2])


async def test_chunk_is_the_size_of_one(client: RawClient) -> None:
    found = [len(chunk) for chunk in chunks(await raw(client, "chunk=50,words=1")) if chunk]
    assert max(found) == 50


async def test_lines_may_end_in_crlf(client: RawClient) -> None:
    body = b"".join(chunks(await raw(client, "crlf")))
    assert body.count(b"\n") == body.count(b"\r\n")


async def test_comments_stand_before_events(client: RawClient) -> None:
    body = b"".join(chunks(await raw(client, "comments,words=2")))
    assert body.count(b": keep-alive\n\n") == body.count(b"data: ")


# -------------------------------------------------------------------------- what goes wrong


async def test_a_status_is_answered_with_when_to_come_back(client: RawClient) -> None:
    answer = await client.ask(asking("status=429,retry_after=2500ms"))
    assert (answer.status, answer.field(b"retry-after"), answer.field(b"retry-after-ms")) == (429, b"3", b"2500")
    assert (await client.ask(asking("500"))).field(b"retry-after") is None


async def test_a_frame_may_be_malformed(client: RawClient) -> None:
    frames = b"".join(chunks(await raw(client, "malformed"))).split(b"\n\n")
    assert not frames[2].endswith(b"}")
    assert frames[1].endswith(b"}")


async def test_an_html_page_costs_nothing(client: RawClient, provider: MockProvider) -> None:
    answer = await client.ask(asking("html=200"))
    assert (answer.status, answer.field(b"content-type")) == (200, b"text/html")
    assert (provider.ledger.last.tokens_in, provider.ledger.last.tokens_out) == (0, 0)


async def test_an_error_may_end_a_stream(client: RawClient, provider: MockProvider) -> None:
    answer = await client.ask(asking("error_after=3"))
    assert b'"error"' in answer.body
    assert provider.ledger.last.tokens_out == 2


async def test_an_endless_stream_goes_on_until_the_client_leaves(client: RawClient, provider: MockProvider) -> None:
    await client.send(asking("endless"))
    await client.read(1 << 20)
    client.reset()
    entry = await settled(provider)
    assert entry.state == "cancelled"
    assert entry.tokens_out > 1000


# -------------------------------------------------------------------------- and nothing is left out


def test_every_order_has_a_test_here() -> None:
    source = Path(__file__).read_text()
    for order in fields(Orders):
        assert re.search(rf"[\"@,=]{order.name}[=,\"]", source), f"no test orders {order.name}"


async def test_an_order_that_nobody_knows_is_a_400_that_names_it(client: RawClient) -> None:
    answer = await client.ask(asking("bogus=1"))
    assert answer.status == 400
    assert b"bogus" in answer.body
    assert b"first_token" in answer.body


async def test_the_text_wins_over_the_model_the_model_over_the_field_and_the_field_over_the_plan() -> None:
    async with mock_provider("status=500") as provider, await RawClient.connect("127.0.0.1", provider.port) as client:

        async def status(model: str, text: str, **field: str) -> int:
            path, body = chat_request("openai", model, text)
            return (await client.ask(request(path, body, **field))).status

        assert await status("mock", "hi") == 500
        assert await status("mock", "hi", x_mock="501") == 501
        assert await status("mock@502", "hi", x_mock="501") == 502
        assert await status("mock@502", "hi [[mock: 503]]", x_mock="501") == 503
        assert provider.ledger.last.fault == "status=500 501 502  503"
        assert provider.ledger.last.model == "mock"
