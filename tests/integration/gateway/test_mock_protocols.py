"""The scripted provider in every protocol, as the gateway's own adapters read it: two hands that share no code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.gateway.core.conversation import (
    BlockStarted,
    Broken,
    Delta,
    Ended,
    Finished,
    Signed,
    Text,
    ToolCall,
    UsageSeen,
)
from holdfast.gateway.core.wire import eventstream, sse
from holdfast.gateway.core.wire.dialects import dialects
from holdfast.testing.gateway import chat_request, mock_provider, post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.gateway.core.dialect import Dialect
    from holdfast.gateway.core.usage import Usage
    from holdfast.testing import Answer
    from holdfast.testing.gateway import MockProvider

pytestmark = pytest.mark.anyio

PROTOCOLS = list(dialects())
WITH_TOOLS = [name for name in PROTOCOLS if name != "completions"]
LOOK = 'call look {"at": "the evening sky"}'


@pytest.fixture
async def provider() -> AsyncIterator[MockProvider]:
    async with mock_provider() as found:
        yield found


@dataclass
class Read:
    """What an adapter made of a stream."""

    text: str = ""
    thinking: str = ""
    signatures: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    finish: str = ""
    usage: Usage | None = None
    ended: bool = False
    broken: Broken | None = None


async def ask(
    provider: MockProvider, protocol: str, orders: str, text: str, *, stream: bool = False, tool: str | None = None
) -> Answer:
    path, body = chat_request(protocol, f"mock@{orders}" if orders else "mock", text, stream=stream, tool=tool)
    return await post(provider.port, path, body)


def read(dialect: Dialect, body: bytes) -> Read:
    frames: Any = eventstream.Frames() if dialect.name == "bedrock" else sse.Frames()
    decoder = dialect.decoder()
    found, kinds = Read(), dict[tuple[int, int], str]()
    for event in [*decoder.feed(frames.feed(body)), *decoder.end()]:
        match event:
            case BlockStarted():
                kinds[event.choice, event.index] = event.kind
                if event.kind == "tool_call":
                    found.calls.append((event.name, ""))
            case Delta() if kinds[event.choice, event.index] == "text":
                found.text += event.text
            case Delta() if kinds[event.choice, event.index] == "thinking":
                found.thinking += event.text
            case Delta():
                name, arguments = found.calls[-1]
                found.calls[-1] = (name, arguments + event.text)
            case Signed():
                found.signatures.append(event.signature)
            case Finished():
                found.finish = event.finish
            case UsageSeen():
                found.usage = event.usage
            case Ended():
                found.ended = True
            case Broken():
                found.broken = event
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_whole_answer_and_a_stream_say_and_count_the_same(provider: MockProvider, protocol: str) -> None:
    dialect = dialects()[protocol]
    whole = dialect.read_answer(json.loads((await ask(provider, protocol, "echo,cached=1", "hello there")).body))
    streamed = read(dialect, (await ask(provider, protocol, "echo,cached=1", "hello there", stream=True)).body)
    (choice,) = whole.choices
    assert "".join(part.text for part in choice.parts if isinstance(part, Text)) == streamed.text == "Echo: hello there"
    assert choice.finish == streamed.finish == "stop"
    assert streamed.ended
    assert streamed.broken is None
    for usage in (whole.usage, streamed.usage):
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (2, 3, 1)
    for entry in provider.ledger:
        assert (entry.protocol, entry.tokens_in, entry.tokens_out, entry.cached) == (protocol, 2, 3, 1)
        assert entry.state == "finished"


@pytest.mark.parametrize("protocol", WITH_TOOLS)
async def test_tools_are_called_with_arguments_and_counted(provider: MockProvider, protocol: str) -> None:
    dialect = dialects()[protocol]
    whole = dialect.read_answer(json.loads((await ask(provider, protocol, "", LOOK, tool="look")).body))
    streamed = read(dialect, (await ask(provider, protocol, "", LOOK, stream=True, tool="look")).body)
    (call,) = [part for part in whole.choices[0].parts if isinstance(part, ToolCall)]
    ((name, arguments),) = streamed.calls
    assert call.name == name == "look"
    assert json.loads(call.arguments) == json.loads(arguments) == {"at": "the evening sky"}
    assert whole.choices[0].finish == streamed.finish == "tool_calls"
    assert whole.usage is not None
    assert whole.usage == streamed.usage
    assert [entry.tokens_out for entry in provider.ledger] == [whole.usage.output_tokens] * 2


@pytest.mark.parametrize("protocol", WITH_TOOLS)
async def test_thinking_comes_first_and_is_counted_as_reasoning(provider: MockProvider, protocol: str) -> None:
    streamed = read(dialects()[protocol], (await ask(provider, protocol, "thinking=3,echo", "hi", stream=True)).body)
    assert (streamed.thinking, streamed.text) == ("thought0 thought1 thought2", "Echo: hi")
    assert bool(streamed.signatures) == (protocol in ("anthropic", "bedrock"))
    assert streamed.usage is not None
    assert streamed.usage.output_tokens == provider.ledger.last.tokens_out == 5
    if protocol not in ("anthropic", "bedrock"):  # which do not tell it apart
        assert streamed.usage.reasoning_tokens == provider.ledger.last.reasoning == 3


async def test_completions_hide_thinking_and_count_it(provider: MockProvider) -> None:
    streamed = read(
        dialects()["completions"], (await ask(provider, "completions", "thinking=3,echo", "hi", stream=True)).body
    )
    assert streamed.text == "Echo: hi"
    assert streamed.usage is not None
    assert (streamed.usage.output_tokens, streamed.usage.reasoning_tokens) == (5, 3)
    assert provider.ledger.last.tokens_out == 5


@pytest.mark.parametrize(("orders", "finish"), [("words=5000", "length"), ("decline", "content_filter")])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_each_protocol_has_its_word_for_the_end(
    provider: MockProvider, protocol: str, orders: str, finish: str
) -> None:
    dialect = dialects()[protocol]
    whole = dialect.read_answer(json.loads((await ask(provider, protocol, orders, "hi")).body))
    streamed = read(dialect, (await ask(provider, protocol, orders, "hi", stream=True)).body)
    expected = "refusal" if (protocol, finish) == ("anthropic", "content_filter") else finish
    assert whole.choices[0].finish == streamed.finish == expected


@pytest.mark.parametrize(
    ("status", "failure"),
    [(400, "rejected"), (401, "auth"), (404, "rejected"), (429, "rate_limited"), (503, "overloaded")],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_errors_have_the_shape_of_the_protocol(
    provider: MockProvider, protocol: str, status: int, failure: str
) -> None:
    if (protocol, failure) == ("anthropic", "overloaded"):
        status = 529  # Anthropic's own, where others say 503
    answer = await ask(provider, protocol, f"{status}=1500ms", "hi", stream=True)
    assert answer.status == status
    fields = {name.decode(): value.decode() for name, value in answer.fields}
    assert (fields["retry-after"], fields["retry-after-ms"]) == ("2", "1500")
    told = dialects()[protocol].read_error(status, fields, answer.body)
    assert (told.status, told.failure) == (status, failure)
    assert told.retry_after_s in (1.5, 2.0)
    assert provider.ledger.last.state == "refused"
    assert provider.ledger.last.tokens_in == 0
    if protocol == "gemini":
        assert json.loads(answer.body)["error"]["details"][0]["retryDelay"] == "1.5s"
    if protocol == "bedrock":
        assert fields["x-amzn-errortype"].endswith("Exception")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_error_in_a_stream_is_one_of_the_protocol(provider: MockProvider, protocol: str) -> None:
    streamed = read(dialects()[protocol], (await ask(provider, protocol, "error_after=4", "hi", stream=True)).body)
    assert streamed.broken is not None
    assert "ends this stream" in streamed.broken.message


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_malformed_frame_is_found_and_the_framing_holds(provider: MockProvider, protocol: str) -> None:
    answer = await ask(provider, protocol, "malformed", "hi", stream=True)
    assert read(dialects()[protocol], answer.body).broken is not None
    frames: Any = eventstream.Frames() if protocol == "bedrock" else sse.Frames()
    assert frames.feed(answer.body)
    assert frames.rest == b""


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_half_a_whole_answer_is_no_json(provider: MockProvider, protocol: str) -> None:
    answer = await ask(provider, protocol, "malformed", "hi")
    with pytest.raises(ValueError, match="line 1"):
        json.loads(answer.body)


@pytest.mark.parametrize("lie", ["negative", "zero", "absurd", "missing"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_ledger_tells_the_truth_about_every_lie(
    provider: MockProvider, protocol: str, stream: bool, lie: str
) -> None:
    answer = await ask(provider, protocol, f"usage={lie},echo", "hello there", stream=stream)
    assert answer.status == 200
    entry = provider.ledger.last
    assert (entry.tokens_in, entry.tokens_out) == (2, 3)
    told = {"negative": b":-", "absurd": b"00000000000", "zero": b":0", "missing": b""}[lie]
    assert told in answer.body
    if lie == "missing" and not (protocol == "anthropic" and stream):
        assert b'"completion_tokens"' not in answer.body
        assert b'"output_tokens"' not in answer.body
        assert b"okenCount" not in answer.body
        assert b'"outputTokens"' not in answer.body


@pytest.mark.parametrize("protocol", WITH_TOOLS)
async def test_broken_arguments_come_as_far_as_the_protocol_can_say_them(provider: MockProvider, protocol: str) -> None:
    answer = await ask(provider, protocol, "broken_arguments", LOOK, stream=True, tool="look")
    ((name, arguments),) = read(dialects()[protocol], answer.body).calls
    assert name == "look"
    if protocol == "gemini":  # where arguments are an object
        assert "broken" in json.loads(arguments)
    else:
        with pytest.raises(ValueError, match="line 1"):
            json.loads(arguments)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_answer_in_the_wrong_protocol_is_none(provider: MockProvider, protocol: str) -> None:
    body = json.loads((await ask(provider, protocol, "wrong_protocol", "hi")).body)
    with pytest.raises(ValueError, match=r"."):
        dialects()[protocol].read_answer(body)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_request_that_is_none_is_refused_and_not_a_lost_connection(
    provider: MockProvider, protocol: str
) -> None:
    path, body = chat_request(protocol, "mock", "hi")
    nonsense: list[Any] = [3, "x", [3], [{"role": 3, "content": [3], "parts": [3]}], {"a": 1}, None]
    for key in ("messages", "input", "contents", "prompt"):
        for value in nonsense if key in body else ():
            answer = await post(provider.port, path, body | {key: value})
            assert answer.status in (200, 400)
            assert answer.status == 200 or value != []
    assert (await post(provider.port, path, b"[1")).status == 400
    assert (await post(provider.port, path, b"\xff")).status == 400
    assert (await post(provider.port, path, b"[" * 100_000)).status == 400


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_key_that_is_not_accepted_is_a_401(protocol: str) -> None:
    path, body = chat_request(protocol, "mock", "hi")
    shown = {
        "anthropic": {"x_api_key": "secret"},
        "gemini": {"x_goog_api_key": "secret"},
        "bedrock": {"authorization": "AWS4-HMAC-SHA256 Credential=secret/20260101/eu-west-1/bedrock/aws4_request"},
    }.get(protocol, {"authorization": "Bearer secret"})
    async with mock_provider(keys=("secret", "other")) as provider:
        assert (await post(provider.port, path, body, **shown)).status == 200
        wrong = {name: value.replace("secret", "guess") for name, value in shown.items()}
        for fields in (wrong, {}):
            answer = await post(provider.port, path, body, **fields)
            told = dialects()[protocol].read_error(answer.status, {}, answer.body)
            assert (answer.status, told.failure) == (401, "auth")
            assert provider.ledger.last.state == "refused"


async def test_gemini_takes_its_key_in_the_query_and_azure_in_a_field_of_its_own() -> None:
    path, body = chat_request("gemini", "mock", "hi")
    async with mock_provider(keys=("secret",)) as provider:
        assert (await post(provider.port, f"{path}?key=secret", body)).status == 200
        path, body = chat_request("openai", "mock", "hi")
        assert (await post(provider.port, path, body, api_key="secret")).status == 200


async def test_geminis_other_endpoints(provider: MockProvider) -> None:
    async def asked(path: str, body: dict[str, Any]) -> Any:
        return json.loads((await post(provider.port, path, body)).body)

    content = {"parts": [{"text": "one two three"}]}
    assert await asked("/v1beta/models/mock:countTokens", {"contents": [content]}) == {"totalTokens": 3}
    inner = {"generateContentRequest": {"contents": [content], "systemInstruction": content}}
    assert await asked("/v1beta/models/mock:countTokens", inner) == {"totalTokens": 6}
    requests = {"requests": [{"content": content, "outputDimensionality": 4}] * 2}
    found = await asked("/v1beta/models/mock:batchEmbedContents", requests)
    assert [len(one["values"]) for one in found["embeddings"]] == [4, 4]
    assert provider.ledger.last.tokens_in == 6
    one = await asked("/v1beta/models/mock:embedContent", {"content": content})
    assert len(one["embedding"]["values"]) == 8
