"""What no client and no provider should send, item by item: each is answered, none hurts the next request."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from holdfast.testing.client import RawClient
from holdfast.testing.gateway import chat_request, mock_provider, request
from tests.integration.gateway.plane import events, is_error, pair, port_of, post, text_of
from tests.integration.gateway.stack import PRICE, running_gateway

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "responses": "/v1/responses"}
HEALTH = {"consecutive": 1000, "minimum_volume": 10000}


def hello(**fields: Any) -> dict[str, Any]:
    """The plainest body."""
    return {"model": "demo", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}], **fields}


@pytest.mark.parametrize("path", PATHS.values())
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        b'{"model": "demo"',
        b'{"model": "demo", "messages": [}',
        b'{"model": NaN}',
        b'{"model": 5, "messages": []}',
        b'{"model": null, "messages": []}',
        b'{"model": "demo", "messages": [], "stream": "yes"}',
        b'{"model": "demo", "messages": "hello", "input": 5, "max_tokens": -3}',
        b'{"model": "demo", "messages": [], "max_tokens": 1e400}',
        b'{"model": "demo", "messages": [], "max_tokens": 99999999999999999999999999}',
        b'{"model": "' + b"m" * 300 + b'", "messages": []}',
        b'{"model": "demo", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model": "demo", "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    ],
    ids=lambda body: repr(body[:40]) if isinstance(body, bytes) else body,
)
async def test_bodies_that_are_none_are_refused_in_the_clients_protocol(path: str, body: bytes) -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        answer = await post(stack, path, body)
        assert 400 <= answer.status < 500, answer.body
        told = msgspec.json.decode(answer.body)
        assert told["error"]["message"]
        assert provider.ledger.requests == 0
        assert (await stack.chat()).status == 200


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("upstream", ["openai", "anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": {"role": "user"}},
        {"messages": [5]},
        {"messages": [{"role": "wizard", "content": "hello"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
        {"tools": "hammer"},
        {"tools": [{"type": "function"}]},
        {"temperature": "hot"},
        {"stop": {"a": 1}},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"function": 5}]}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"response_format": {"type": "poem"}},
        {"tool_choice": 17},
    ],
    ids=str,
)
async def test_wrong_types_are_refused_and_never_an_error_of_the_gateway(
    wrong: dict[str, Any], upstream: str, protocol: str
) -> None:
    async with pair(protocols=(upstream, upstream), health=HEALTH) as (stack, _, _):
        answer = await post(stack, PATHS[protocol], msgspec.json.encode(hello(**wrong)))
        assert answer.status < 500, answer.body
        if answer.status != 200:
            assert msgspec.json.decode(answer.body)["error"]["message"]


async def test_an_unknown_model_is_not_found_and_names_no_other() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        for name in ("nobody", "../../etc/passwd", "demo\r\nx-evil: 1", "mock/a\r\nb", "\x00", "démo", "nobody/x"):
            answer = await post(stack, PATHS["openai"], hello(model=name))
            assert answer.status == 404, (name, answer.body)
            assert answer.field(b"x-evil") is None
            assert b"mock-small" not in answer.body


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    async with (
        mock_provider() as provider,
        running_gateway({"max_body": "64KiB"}, provider=provider) as stack,
        await RawClient.connect("127.0.0.1", port_of(stack)) as client,
    ):
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n"
        assert (await client.ask(head)).status == 413
        async with await RawClient.connect("127.0.0.1", port_of(stack)) as other:
            chunked = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            answer = await other.ask(chunked + b"11000\r\n" + b" " * 0x11000 + b"\r\n")
            assert answer.status == 413
        assert provider.ledger.requests == 0


@pytest.mark.parametrize("upstream", ["openai", "anthropic", "gemini"])
async def test_a_prompt_of_a_hundred_thousand_tokens_arrives(upstream: str) -> None:
    async with pair(protocols=(upstream, upstream)) as (stack, first, _):
        reply = await stack.chat("word " * 100_000)
        assert reply.status == 200, reply.body[:300]
        assert first.ledger.last.prompt_tokens >= 100_000


@pytest.mark.parametrize("upstream", ["openai", "anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize("stream", [True, False])
async def test_unpaired_surrogates_are_refused_or_replaced(stream: bool, upstream: str) -> None:
    async with pair(protocols=(upstream, upstream)) as (stack, _, _):
        for text in (rb"a \ud800 b", rb"\udc00", rb"\ud83d\ude00", rb"\u0000"):
            body = b'{"model":"demo","stream":%b,"messages":[{"role":"user","content":"%b"}]}' % (
                b"true" if stream else b"false",
                text,
            )
            answer = await post(stack, PATHS["openai"], body)
            assert answer.status in (200, 400), answer.body
            answer.body.decode()


async def test_parameters_that_nobody_knows_pass_through() -> None:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (size,) = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        heard.append(await reader.readexactly(size))
        body = b'{"id":"1","object":"chat.completion","created":0,"model":"m","choices":[],"x_future":[1]}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = {
            "providers": {"own": {"url": f"http://127.0.0.1:{port}", "protocol": "openai", "private": True}},
            "models": {"demo": {"deployments": [{"provider": "own", "model": "m", "price": PRICE}]}},
        }
        async with running_gateway(settings) as stack:
            reply = await stack.chat(future={"a": [1, 2.50, "\u00e9"]}, another=None)
            assert reply.json()["x_future"] == [1]
    sent = msgspec.json.decode(heard[0])
    assert sent["model"] == "m"
    assert sent["future"] == {"a": [1, 2.5, "\u00e9"]}
    assert sent["another"] is None


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("upstream", ["openai", "anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_call_with_broken_arguments_reaches_the_client_as_it_is_or_as_an_error(
    stream: bool, upstream: str, protocol: str
) -> None:
    async with pair(protocols=(upstream, upstream)) as (stack, _, _):
        text = '[[mock: broken_arguments]] call weather {"city": "Oslo"}'
        path, body = chat_request(protocol, "demo", text, stream=stream, tool="weather")
        answer = await post(stack, path, body)
        assert answer.status in (200, 502, 500), answer.body
        if answer.status == 200 and stream:
            assert events(answer.body)
        assert b"weather" in answer.body or answer.status != 200


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("upstream", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("shape", ["merged=5", "split", "crlf", "one_byte", "crlf,split", "comments", "crlf,one_byte"])
async def test_frames_in_any_shape_say_the_same(shape: str, upstream: str, protocol: str) -> None:
    async with pair(protocols=(upstream, upstream)) as (stack, _, _):
        path, body = chat_request(protocol, "demo", f"[[mock: text=one+two+three,{shape}]]", stream=True)
        answer = await post(stack, path, body)
        found = events(answer.body.replace(b"\r\n", b"\n"))
        assert text_of(protocol, found) == "one two three"
        assert not any(is_error(*event) for event in found)


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("upstream", ["openai", "anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["wrong_protocol", "html=200", "html=502", "html=404", "malformed"])
async def test_answers_that_are_none_become_an_error_and_nothing_of_them_is_passed(
    fault: str, stream: bool, upstream: str, protocol: str
) -> None:
    async with pair(fault, protocols=(upstream, upstream), retry={"attempts": 1}, health=HEALTH) as (stack, _, _):
        path, body = chat_request(protocol, "demo", "hello", stream=stream)
        answer = await post(stack, path, body)
        assert b"<html" not in answer.body.lower() or answer.status != 200
        if answer.status == 200:
            assert stream
            assert is_error(*events(answer.body)[-2]) or is_error(*events(answer.body)[-1])
        else:
            assert msgspec.json.decode(answer.body)["error"]["message"]


async def test_an_endless_stream_ends_at_the_limit_with_an_error() -> None:
    async with pair(max_answer="256KiB", health=HEALTH) as (stack, first, _):
        path, body = chat_request("openai", "demo", "[[mock: endless,words=50]]", stream=True)
        answer = await post(stack, path, body)
        assert is_error(*events(answer.body)[-2]) or is_error(*events(answer.body)[-1])
        assert len(answer.body) < 400 * 1024
        assert first.ledger.in_flight == 0 or await gone(first)


@pytest.mark.parametrize("upstream", ["openai", "anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("lie", ["negative", "absurd", "zero", "missing"])
async def test_usage_that_is_a_lie_does_not_make_the_books_wrong(lie: str, stream: bool, upstream: str) -> None:
    async with pair(protocols=(upstream, upstream)) as (stack, _, _):
        path, body = chat_request("openai", "demo", f"[[mock: usage={lie},words=9]]", stream=stream)
        seen: list[Any] = []
        stack.gateway.observe = seen.append
        answer = await post(stack, path, body)
        assert answer.status == 200, answer.body
        (attempt,) = seen[0].attempts
        assert attempt.usage.input_tokens >= 0
        assert attempt.usage.output_tokens >= 0
        assert attempt.cost_nano is None or attempt.cost_nano >= 0
        if upstream != "openai":  # the same protocol on both sides passes as it is
            assert b'"completion_tokens":-' not in answer.body
        if lie != "absurd":
            assert attempt.usage.estimated
            assert attempt.usage.output_tokens > 0


async def test_requests_that_are_pipelined_are_answered_in_their_order() -> None:
    async with pair() as (stack, _, _), await RawClient.connect("127.0.0.1", port_of(stack)) as client:
        texts = [f"[[mock: text=n{n}]]" for n in range(8)]
        await client.send(
            b"".join(
                request(PATHS["openai"], hello(messages=[{"role": "user", "content": text}], stream=n % 2 == 0))
                for n, text in enumerate(texts)
            )
        )
        for n in range(8):
            answer = await client.answer()
            assert b"n%d" % n in answer.body, (n, answer.body)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length : 2\r\n",
        b"X-A: b\r\n Content-Length: 2\r\n",
        b"X-A: a\x00b\r\nContent-Length: 2\r\n",
    ],
)
async def test_a_length_that_two_parsers_could_read_differently_is_refused(fields: bytes) -> None:
    async with pair() as (stack, first, _), await RawClient.connect("127.0.0.1", port_of(stack)) as client:
        smuggled = request(PATHS["openai"], hello())
        await client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n{}" + smuggled)
        answer = await client.answer()
        assert 400 <= answer.status < 500 or answer.status == 501, answer.body
        assert await client.closed()
        assert first.ledger.requests == 0


async def test_of_two_keys_with_one_name_the_provider_hears_the_one_that_was_judged() -> None:
    async with pair(
        limits={"default": {"models": ["demo"]}},
    ) as (stack, first, _):
        body = (
            b'{"model":"secret","messages":[{"role":"user","content":"[[mock: text=first]]"}],'
            b'"model":"demo","messages":[{"role":"user","content":"[[mock: text=second]]"}]}'
        )
        answer = await post(stack, PATHS["openai"], body)
        assert answer.status in (200, 400), answer.body
        if answer.status == 200:
            assert b"second" in answer.body
            assert first.ledger.last.model == "mock-small"
        body = b'{"model":"demo","messages":[],"model":"secret"}'
        assert (await post(stack, PATHS["openai"], body)).status in (400, 403, 404)


async def test_nothing_in_tags_or_ids_becomes_a_header_of_its_own() -> None:
    async with pair() as (stack, first, _):
        for name, value in (
            (b"x-holdfast-tags", b"a\tb"),
            (b"x-holdfast-tags", b"x" * 65),
            (b"x-holdfast-tags", "é".encode("latin-1")),
            (b"x-request-id", b"a b"),
            (b"traceparent", b"00-zz-zz-01"),
            (b"anthropic-beta", b"a\tb"),
        ):
            wire = request(PATHS["openai"], hello()).replace(b"Host: mock", b"Host: a\r\n" + name + b": " + value)
            async with await RawClient.connect("127.0.0.1", port_of(stack)) as client:
                answer = await client.ask(wire)
                assert answer.status in (200, 400), answer.body
                assert len(answer.head.split(b"\r\n\r\n")) == 2
        assert first.ledger.requests > 0


async def test_a_name_that_leads_into_a_private_network_is_not_followed() -> None:
    async with mock_provider() as provider:
        settings = {
            "providers": {"inner": {"protocol": "openai", "url": f"{provider.url}/v1", "auth": "none"}},
            "models": {"demo": {"deployments": [{"provider": "inner", "model": "mock-small", "price": PRICE}]}},
        }
        async with running_gateway(settings) as stack:
            reply = await stack.chat()
            assert reply.status == 502
            assert b"private: true" in reply.body
        assert provider.ledger.requests == 0


async def test_a_client_that_reads_slowly_stops_the_provider_and_nobody_else() -> None:
    async with (
        pair() as (stack, first, _),
        await RawClient.connect("127.0.0.1", port_of(stack), receive_buffer=4096) as slow,
    ):
        path, body = chat_request("openai", "demo", "[[mock: endless,words=4000]]", stream=True)
        await slow.send(request(path, body))
        await slow.read(1000)
        assert (await stack.chat()).status == 200
        before = -1
        async with asyncio.timeout(10):
            while (now := first.ledger.tokens_out) != before:
                before = now
                await asyncio.sleep(0.1)
        slow.reset()
        assert await gone(first)


async def gone(provider: Any) -> bool:
    """Whether nothing is in flight there any more."""
    async with asyncio.timeout(5):
        while provider.ledger.in_flight:  # noqa: ASYNC110 - the ledger has no event
            await asyncio.sleep(0.005)
    return True
