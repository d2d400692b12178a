"""OpenAI's own client takes what is written here for OpenAI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

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
    Finished,
    Started,
    Text,
    ToolCall,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.openai_chat import OpenAIChat
from holdfast.gateway.errors import Reason, Refused

DIALECT = OpenAIChat()
TOLD = Told(id="7", model="m", created=5)
REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
USAGE = Usage(input_tokens=3, output_tokens=5, cache_read_tokens=2, reasoning_tokens=1)
EVENTS: list[Event] = [
    Started(id="x", model="real"),
    BlockStarted(index=0, kind="text"),
    Delta(index=0, text="hello"),
    BlockEnded(index=0),
    BlockStarted(index=1, kind="tool_call", id="a", name="f"),
    Delta(index=1, text="{}"),
    BlockEnded(index=1),
    Finished(finish="tool_calls"),
    UsageSeen(usage=USAGE),
    Ended(),
]


def client(status: int, body: bytes, kind: str = "application/json") -> Any:
    """A client whose network answers the same to everything."""
    answer = httpx.Response(status, content=body, headers={"content-type": kind})
    transport = httpx.MockTransport(lambda _: answer)
    return openai.OpenAI(
        api_key="none", base_url="http://gateway.test/v1", max_retries=0, http_client=httpx.Client(transport=transport)
    )


def stream(body: bytes) -> Iterable[Any]:
    with client(200, body, "text/event-stream") as it:
        yield from it.chat.completions.create(**REQUEST, stream=True, stream_options={"include_usage": True})


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_refusal_becomes_the_exception_of_its_status(reason: Reason) -> None:
    status, body = DIALECT.write_error(Refused(reason, "said", param="p"), request_id="")
    expected = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        409: openai.ConflictError,
        413: openai.APIStatusError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
    }
    with client(status, msgspec.json.encode(body)) as it, pytest.raises(openai.APIStatusError) as caught:
        it.chat.completions.create(**REQUEST)
    assert type(caught.value) is expected.get(status, openai.InternalServerError)
    assert (caught.value.code, caught.value.param) == (body["error"]["code"], "p")


def test_an_answer_is_read_with_its_calls_and_usage() -> None:
    parts = (Text(text="hello"), ToolCall(id="a", name="f", arguments="{}"))
    answer = Answer(id="x", model="real", created=1, choices=(Choice(parts=parts, finish="tool_calls"),), usage=USAGE)
    body = DIALECT.write_answer(answer, DIALECT.read_request(REQUEST), TOLD)
    with client(200, msgspec.json.encode(body)) as it:
        got = it.chat.completions.create(**REQUEST)
    assert got.choices[0].message.content == "hello"
    assert got.choices[0].message.tool_calls[0].function.name == "f"
    assert got.usage.prompt_tokens_details.cached_tokens == 2
    assert type(got).model_validate(body, strict=True)


def test_a_stream_is_read_with_its_calls_and_usage() -> None:
    chat = DIALECT.read_request({**REQUEST, "stream": True, "stream_options": {"include_usage": True}})
    chunks = list(stream(DIALECT.encoder(chat, TOLD).write(EVENTS)))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "tool_calls"
    assert chunks[-1].usage.completion_tokens == 5


def test_a_stream_that_breaks_raises_in_the_client() -> None:
    encoder = DIALECT.encoder(DIALECT.read_request(REQUEST), TOLD)
    body = encoder.write(EVENTS[:3]) + encoder.keep_alive() + encoder.fail(Refused("cut", "the stream broke"))
    chunks = stream(body)
    with pytest.raises(openai.APIError, match="the stream broke"):
        list(chunks)
