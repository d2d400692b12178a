"""Anthropic's official client reads what we write: answers, streams, and errors as the exceptions they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import anthropic as sdk
import httpx2 as httpx
import msgspec
import pytest

from holdfast.gateway.core.conversation import (
    Answer,
    BlockEnded,
    BlockStarted,
    Choice,
    Delta,
    Ended,
    Event,
    Finished,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.anthropic import Anthropic
from holdfast.gateway.errors import Reason, Refused

DIALECT = Anthropic()
TOLD = Told(id="01", model="claude-of-the-house", created=0)
ASKED = {
    "model": "claude-of-the-house",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "What is the weather in Oslo?"}],
}
USAGE = Usage(input_tokens=30, output_tokens=12, cache_read_tokens=8, cache_write_tokens=2)


@pytest.fixture
def client() -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def of(status: int, body: bytes, content_type: str = "application/json") -> Any:
        def answer(request: Any) -> Any:
            return httpx.Response(status, content=body, headers={"content-type": content_type, "request-id": "req_1"})

        transport = httpx.Client(transport=httpx.MockTransport(answer))
        one = sdk.Anthropic(api_key="any", base_url="http://gateway.test", http_client=transport, max_retries=0)
        made.append(one)
        return one

    yield of
    for one in made:
        one.close()


def stream(*events: Event) -> bytes:
    encoder = DIALECT.encoder(DIALECT.read_request(ASKED), TOLD)
    return b"".join(encoder.write([event]) for event in events)


def whole(*events: Event, finish: Any = "stop") -> bytes:
    end: Sequence[Event] = (Finished(finish=finish), UsageSeen(usage=USAGE), Ended())
    return stream(Started(id="x", model="y", usage=Usage(input_tokens=30)), *events, *end)


def streamed(client: Callable[..., Any], body: bytes) -> Any:
    with client(200, body, "text/event-stream").messages.stream(**ASKED) as events:
        return events.get_final_message()


def test_the_client_reads_a_whole_answer(client: Callable[..., Any]) -> None:
    parts = (
        Thinking(text="Hm.", signature="c2ln", protocol="anthropic"),
        Text(text="Let me look."),
        ToolCall(id="toolu_1", name="weather", arguments='{"city":"Oslo"}'),
    )
    answer = Answer(id="x", model="y", created=0, choices=(Choice(parts=parts, finish="tool_calls"),), usage=USAGE)
    body = DIALECT.write_answer(answer, DIALECT.read_request(ASKED), TOLD)
    message = client(200, msgspec.json.encode(body)).messages.create(**ASKED)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[0].signature == "c2ln"
    assert message.content[2].input == {"city": "Oslo"}
    assert message.stop_reason == "tool_use"
    assert message.model == "claude-of-the-house"
    assert message.usage.input_tokens == 20
    assert message.usage.cache_read_input_tokens == 8
    assert message.usage.cache_creation.ephemeral_5m_input_tokens == 2


def test_the_client_reads_a_stream_of_text(client: Callable[..., Any]) -> None:
    body = whole(
        BlockStarted(index=0, kind="text"),
        Delta(index=0, text="It rains"),
        Delta(index=0, text=" in Oslo. ☔"),
        BlockEnded(index=0),
    )
    with client(200, body, "text/event-stream").messages.stream(**ASKED) as events:
        assert "".join(events.text_stream) == "It rains in Oslo. ☔"
        message = events.get_final_message()
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (20, 12)
    assert message.usage.cache_read_input_tokens == 8


def test_the_client_reads_calls_that_another_protocol_interleaved(client: Callable[..., Any]) -> None:
    message = streamed(
        client,
        whole(
            BlockStarted(index=0, kind="tool_call", id="a", name="weather"),
            Delta(index=0, text='{"city":'),
            BlockStarted(index=1, kind="tool_call", id="b", name="time"),
            Delta(index=1, text='{"zone":"CET"'),
            Delta(index=0, text='"Oslo"}'),
            Delta(index=1, text="}"),
            BlockEnded(index=0),
            BlockEnded(index=1),
            finish="tool_calls",
        ),
    )
    assert [(block.id, block.name, block.input) for block in message.content] == [
        ("a", "weather", {"city": "Oslo"}),
        ("b", "time", {"zone": "CET"}),
    ]
    assert message.stop_reason == "tool_use"


def test_the_client_reads_thinking_with_its_signature(client: Callable[..., Any]) -> None:
    redacted = {"type": "redacted_thinking", "data": "b3BhcXVl"}
    message = streamed(
        client,
        whole(
            BlockStarted(index=0, kind="thinking", protocol="anthropic"),
            Delta(index=0, text="Rain, "),
            Delta(index=0, text="surely."),
            Signed(index=0, signature="c2ln"),
            BlockEnded(index=0),
            BlockStarted(index=1, kind="thinking", protocol="anthropic", raw=redacted),
            BlockEnded(index=1, raw=redacted),
            BlockStarted(index=2, kind="text"),
            Delta(index=2, text="Rain."),
            BlockEnded(index=2),
        ),
    )
    assert [block.type for block in message.content] == ["thinking", "redacted_thinking", "text"]
    assert (message.content[0].thinking, message.content[0].signature) == ("Rain, surely.", "c2ln")
    assert message.content[1].data == "b3BhcXVl"


def test_the_client_reads_citations(client: Callable[..., Any]) -> None:
    citation = {
        "type": "char_location",
        "cited_text": "rain",
        "document_index": 0,
        "document_title": None,
        "start_char_index": 0,
        "end_char_index": 4,
        "file_id": None,
    }
    message = streamed(
        client,
        whole(
            BlockStarted(index=0, kind="text"),
            Delta(index=0, text="Rain."),
            BlockEnded(index=0, raw={"citations": [citation, {"type": "url_citation", "url": "https://x.test"}]}),
        ),
    )
    assert [one.cited_text for one in message.content[0].citations] == ["rain"]


def test_the_client_passes_over_pings(client: Callable[..., Any]) -> None:
    ping = DIALECT.encoder(DIALECT.read_request(ASKED), TOLD).keep_alive()
    body = whole(BlockStarted(index=0, kind="text"), Delta(index=0, text="Rain."), BlockEnded(index=0))
    frames = [frame + b"\n\n" for frame in body.split(b"\n\n") if frame]
    assert streamed(client, ping.join(frames)).content[0].text == "Rain."


def test_a_stream_that_breaks_raises_what_was_said(client: Callable[..., Any]) -> None:
    encoder = DIALECT.encoder(DIALECT.read_request(ASKED), TOLD)
    body = encoder.write(
        [Started(id="x", model="y"), BlockStarted(index=0, kind="text"), Delta(index=0, text="It")]
    ) + encoder.fail(Refused("overloaded", "every deployment is in cool-down"))
    with pytest.raises(sdk.APIStatusError, match="cool-down") as raised:
        streamed(client, body)
    assert raised.value.type == "overloaded_error"


@pytest.mark.parametrize(
    ("reason", "exception"),
    [
        ("invalid_request", "BadRequestError"),
        ("unauthenticated", "AuthenticationError"),
        ("forbidden", "PermissionDeniedError"),
        ("not_found", "NotFoundError"),
        ("conflict", "ConflictError"),
        ("too_large", "ContentTooLargeError"),
        ("unsupported", "BadRequestError"),
        ("blocked", "BadRequestError"),
        ("rate_limited", "RateLimitError"),
        ("budget_exhausted", "PaymentRequiredError"),
        ("overloaded", "OverloadedError"),
        ("upstream_rejected", "BadRequestError"),
        ("upstream_rate_limited", "RateLimitError"),
        ("upstream_failed", "InternalServerError"),
        ("timeout", "GatewayTimeoutError"),
        ("cut", "InternalServerError"),
        ("internal", "InternalServerError"),
    ],
)
def test_every_refusal_is_raised_as_its_own_exception(
    client: Callable[..., Any], reason: Reason, exception: str
) -> None:
    status, body = DIALECT.write_error(Refused(reason, "because of that"), request_id="req_1")
    with pytest.raises(getattr(sdk, exception, None) or getattr(sdk._exceptions, exception)) as raised:
        client(status, msgspec.json.encode(body)).messages.create(**ASKED)
    assert raised.value.request_id == "req_1"
    assert raised.value.api_message == "because of that"


def test_the_client_counts_tokens(client: Callable[..., Any]) -> None:
    body = msgspec.json.encode(DIALECT.write_count_answer(41))
    asked = {name: value for name, value in ASKED.items() if name != "max_tokens"}
    assert client(200, body).messages.count_tokens(**asked).input_tokens == 41
