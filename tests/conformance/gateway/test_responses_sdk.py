"""What the gateway writes in the Responses API, read by OpenAI's own client."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import msgspec
import openai
import pytest

from holdfast.gateway.core.conversation import (
    Answer,
    BlockEnded,
    BlockStarted,
    Choice,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Refusal,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.responses import Responses
from holdfast.gateway.errors import STATUS, Reason, Refused

DIALECT = Responses()
TOLD = Told(id="abc", model="gpt-test", created=1_700_000_000)
USAGE = Usage(input_tokens=30, output_tokens=20, cache_read_tokens=10, reasoning_tokens=5)
PARTS = (
    Thinking(text="hm, hm", signature="sig", protocol="anthropic"),
    Text(text='a "word" – ü'),
    ToolCall(id="call_1", name="weather", arguments='{"city":"Oslo"}'),
    ToolCall(id="call_2", name="weather", arguments='{"city":"Rome"}'),
)
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "weather",
    "description": "The weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
EVENTS: tuple[Event, ...] = (
    Started(id="p", model="up"),
    BlockStarted(index=0, kind="thinking", protocol="anthropic"),
    Delta(index=0, text="hm,"),
    Delta(index=0, text=" hm"),
    Signed(index=0, signature="sig"),
    BlockEnded(index=0),
    BlockStarted(index=1, kind="text"),
    Delta(index=1, text='a "wo'),
    Delta(index=1, text='rd" – ü'),
    BlockEnded(index=1),
    BlockStarted(index=2, kind="tool_call", id="call_1", name="weather"),
    BlockStarted(index=3, kind="tool_call", id="call_2", name="weather"),
    Delta(index=3, text='{"city":'),
    Delta(index=2, text='{"city":"Oslo"}'),
    Delta(index=3, text='"Rome"}'),
    BlockEnded(index=2),
    BlockEnded(index=3),
    Finished(finish="tool_calls"),
    UsageSeen(usage=USAGE),
    Ended(),
)


def client(answer: "Callable[[httpx.Request], httpx.Response]") -> Any:
    """OpenAI's client whose network is one function."""
    transport = httpx.MockTransport(answer)
    return openai.OpenAI(
        api_key="k", base_url="http://gateway/v1", max_retries=0, http_client=httpx.Client(transport=transport)
    )


def answering(*parts: Any, finish: Finish = "stop") -> Any:
    """A client to whom the gateway gives this answer, whatever is asked."""

    def answer(request: "httpx.Request") -> "httpx.Response":
        chat = DIALECT.read_request(msgspec.json.decode(request.content))
        whole = Answer(id="p", model="up", created=1, choices=(Choice(parts=parts, finish=finish),), usage=USAGE)
        return httpx.Response(200, content=msgspec.json.encode(DIALECT.write_answer(whole, chat, TOLD)))

    return client(answer)


def streaming(events: Sequence[Event], error: Refused | None = None) -> Any:
    """A client to whom the gateway streams these events, each written on its own."""

    def answer(request: "httpx.Request") -> "httpx.Response":
        encoder = DIALECT.encoder(DIALECT.read_request(msgspec.json.decode(request.content)), TOLD)
        frames = b"".join(encoder.keep_alive() + encoder.write([event]) for event in events)
        frames += b"" if error is None else encoder.fail(error)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=frames)

    return client(answer)


def valid(value: Any) -> Any:
    """A model of the client, checked against its own annotations: the client itself builds without checking."""
    return type(value).model_validate(value.model_dump(warnings=False))


def check_output(output: Sequence[Any]) -> None:
    """The four parts, as items."""
    reasoning, message, first, second = output
    assert (reasoning.type, reasoning.summary[0].text) == ("reasoning", "hm, hm")
    assert (message.type, message.content[0].text) == ("message", 'a "word" – ü')
    assert [(call.call_id, call.name, call.arguments) for call in (first, second)] == [
        ("call_1", "weather", '{"city":"Oslo"}'),
        ("call_2", "weather", '{"city":"Rome"}'),
    ]


def test_a_whole_answer_is_what_the_client_types_it_as() -> None:
    got = answering(*PARTS, finish="tool_calls").responses.create(
        model="gpt-test", input="weather?", instructions="be brief", tools=[TOOL], temperature=0.5, metadata={"k": "v"}
    )
    valid(got)
    check_output(got.output)
    assert got.output_text == 'a "word" – ü'
    assert (got.status, got.instructions, got.temperature, got.metadata) == ("completed", "be brief", 0.5, {"k": "v"})
    assert got.tools[0].name == "weather"
    assert got.usage.input_tokens_details.cached_tokens == 10
    assert got.usage.output_tokens_details.reasoning_tokens == 5
    assert got.usage.total_tokens == 50


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter", "refusal"])
def test_every_end_is_a_status_that_the_client_knows(finish: Finish) -> None:
    valid(answering(Refusal(text="no"), finish=finish).responses.create(model="m", input="x"))


def test_every_event_of_a_stream_is_what_the_client_types_it_as() -> None:
    stream = streaming(EVENTS).responses.create(model="gpt-test", input="weather?", tools=[TOOL], stream=True)
    events = list(stream)
    for event in events:
        assert type(event).__name__ != "BaseModel"
        valid(event)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    check_output(events[-1].response.output)


def test_the_client_s_accumulator_ends_with_the_whole_answer_and_its_calls() -> None:
    with streaming(EVENTS).responses.stream(model="gpt-test", input="weather?", tools=[TOOL]) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots == ['a "wo', 'a "word" – ü']
    check_output(final.output)
    assert final.output[2].parsed_arguments == {"city": "Oslo"}
    assert final.usage.total_tokens == 50


def test_structured_output_is_parsed_by_the_client() -> None:
    import pydantic

    shape = pydantic.create_model("Weather", city=(str, ...))
    events = (
        BlockStarted(index=0, kind="text"),
        Delta(index=0, text='{"city":"Oslo"}'),
        Finished(finish="stop"),
        Ended(),
    )
    with streaming(events).responses.stream(model="m", input="x", text_format=shape) as stream:
        assert stream.get_final_response().output_parsed.city == "Oslo"


@pytest.mark.parametrize("cut", range(1, len(EVENTS) - 1))
def test_a_stream_that_broke_raises_after_a_failed_response(cut: int) -> None:
    stream = streaming(EVENTS[:cut], Refused("cut", "the provider's stream broke"))
    events = []
    with pytest.raises(openai.APIError, match="the provider's stream broke"):  # noqa: PT012 - it is the iteration that raises
        for event in stream.responses.create(model="m", input="x", stream=True):
            valid(event)
            events.append(event)
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.code == "server_error"


def test_the_accumulator_says_why_a_stream_broke() -> None:
    broken = streaming(EVENTS[:8], Refused("cut", "the provider's stream broke"))
    with (
        broken.responses.stream(model="m", input="x") as stream,
        pytest.raises(openai.APIError, match="the provider's stream broke"),
    ):
        stream.get_final_response()


def test_what_the_client_got_it_can_send_back() -> None:
    """A turn with tools: output items as they came, and the results. The thinking is the provider's again."""
    got = answering(*PARTS, finish="tool_calls").responses.create(model="m", input="x", tools=[TOOL])
    sent: list[dict[str, Any]] = []

    def answer(request: "httpx.Request") -> "httpx.Response":
        sent.append(msgspec.json.decode(request.content))
        return httpx.Response(500)

    given = [*got.output, {"type": "function_call_output", "call_id": "call_1", "output": "sun"}]
    with pytest.raises(openai.InternalServerError):
        client(answer).responses.create(model="m", input=given, tools=[TOOL])
    assistant, tool = DIALECT.read_request(sent[0]).messages
    assert assistant.parts[:2] == PARTS[:2]
    assert [(part.id, part.arguments) for part in assistant.parts if isinstance(part, ToolCall)] == [
        ("call_1", '{"city":"Oslo"}'),
        ("call_2", '{"city":"Rome"}'),
    ]
    assert tool.role == "tool"


def test_images_and_files_are_read_as_the_client_sends_them() -> None:
    sent: list[dict[str, Any]] = []

    def answer(request: "httpx.Request") -> "httpx.Response":
        sent.append(msgspec.json.decode(request.content))
        return httpx.Response(500)

    data = base64.b64encode(b"png").decode()
    content = [
        {"type": "input_text", "text": "what"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{data}", "detail": "high"},
    ]
    with pytest.raises(openai.InternalServerError):
        client(answer).responses.create(model="m", input=[{"role": "user", "content": content}])
    image = DIALECT.read_request(sent[0]).messages[0].parts[1]
    assert (image.data, image.media_type, image.detail) == (data, "image/png", "high")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("reason", "exception"),
    [
        ("invalid_request", "BadRequestError"),
        ("unauthenticated", "AuthenticationError"),
        ("forbidden", "PermissionDeniedError"),
        ("not_found", "NotFoundError"),
        ("conflict", "ConflictError"),
        ("unsupported", "UnprocessableEntityError"),
        ("rate_limited", "RateLimitError"),
        ("budget_exhausted", "RateLimitError"),
        ("upstream_failed", "InternalServerError"),
        ("timeout", "InternalServerError"),
    ],
)
def test_an_error_becomes_the_exception_that_programs_expect(reason: Reason, exception: str) -> None:
    assert reason in STATUS

    def answer(request: "httpx.Request") -> "httpx.Response":
        status, body = DIALECT.write_error(Refused(reason, "why", param="input"), request_id="req_1")
        return httpx.Response(status, content=msgspec.json.encode(body))

    with pytest.raises(getattr(openai, exception)) as raised:
        client(answer).responses.create(model="m", input="x")
    assert raised.value.param == "input"
