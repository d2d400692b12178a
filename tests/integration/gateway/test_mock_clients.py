"""The official clients of OpenAI and Anthropic against the scripted provider: what they take, a gateway may send."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.testing.gateway import mock_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import anthropic
    import openai

    from holdfast.testing.gateway import MockProvider

pytestmark = pytest.mark.anyio

TOOL = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
CALL = 'call look {"at": "the sky"}'


@pytest.fixture
async def provider() -> AsyncIterator[MockProvider]:
    async with mock_provider(keys=("secret",)) as found:
        yield found


@pytest.fixture
async def client(provider: MockProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="secret", max_retries=0, timeout=5) as found:
        yield found
        await asyncio.sleep(0)  # the client leaves its stream at [DONE], and the loop closes it a turn later


@pytest.fixture
async def claude(provider: MockProvider) -> AsyncIterator[anthropic.AsyncAnthropic]:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(base_url=provider.url, api_key="secret", max_retries=0, timeout=5) as found:
        yield found


# -------------------------------------------------------------------------- OpenAI


async def test_openai_chat(client: openai.AsyncOpenAI, provider: MockProvider) -> None:
    answer = await client.chat.completions.create(
        model="mock@echo", messages=[{"role": "user", "content": "hello"}], n=2
    )
    assert [choice.message.content for choice in answer.choices] == ["Echo: hello"] * 2
    assert answer.usage is not None
    assert answer.usage.completion_tokens == provider.ledger.last.tokens_out == 4
    assert answer._request_id == "req_00000001"  # as the client calls it


async def test_openai_chat_streamed_with_tools(client: openai.AsyncOpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "look", "parameters": TOOL, "strict": True}}
    async with client.chat.completions.stream(
        model="mock", messages=[{"role": "user", "content": CALL}], tools=[tool], stream_options={"include_usage": True}
    ) as stream:
        kinds = {event.type async for event in stream}
        answer = await stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == {"at": "the sky"}
    assert answer.usage is not None


async def test_openai_responses(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(model="mock@echo,thinking=2", input="hello", instructions="be brief")
    assert answer.output_text == "Echo: hello"
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 4)
    assert answer.usage.output_tokens_details.reasoning_tokens == 2


async def test_every_event_of_a_responses_stream_in_its_order(client: openai.AsyncOpenAI) -> None:
    async with client.responses.stream(model="mock@text=one+two,thinking=1", input="hello") as stream:
        events = [event async for event in stream]
        answer = await stream.get_final_response()
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [getattr(event, "sequence_number", None) for event in events] == list(range(len(events)))
    assert answer.output_text == "one two"


async def test_a_responses_stream_with_a_tool_and_what_it_told(client: openai.AsyncOpenAI) -> None:
    tool: Any = {"type": "function", "name": "look", "parameters": TOOL, "strict": False}
    async with client.responses.stream(model="mock", input=CALL, tools=[tool]) as stream:
        kinds = [event.type async for event in stream]
        (call,) = (await stream.get_final_response()).output
    assert kinds.count("response.function_call_arguments.done") == 1
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"at": "the sky"}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "it is blue"}
    given: Any = [{"role": "user", "content": CALL}, call.model_dump(exclude={"parsed_arguments"}), result]
    answer = await client.responses.create(model="mock", input=given, tools=[tool])
    assert answer.output_text == "it is blue"


async def test_a_response_that_is_not_complete_says_why(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(model="mock", input="hello", max_output_tokens=2)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


async def test_openai_completions(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model="mock@text=a+b", prompt=["hello", "good bye"])
    assert [(choice.index, choice.text) for choice in answer.choices] == [(0, "a b"), (1, "a b")]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 4)
    stream = await client.completions.create(
        model="mock@text=a+b", prompt="hello", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "a b"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices] == [None, None, "stop"]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 2


async def test_openai_structured_output(client: openai.AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": "integer"}}}
    shape: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    answer = await client.chat.completions.create(
        model="mock", messages=[{"role": "user", "content": "where"}], response_format=shape
    )
    assert json.loads(answer.choices[0].message.content or "") == {"city": "text", "n": 1}
    text: Any = {"format": {"type": "json_schema", "name": "place", "schema": schema}}
    told = await client.responses.create(model="mock", input="where", text=text)
    assert json.loads(told.output_text) == {"city": "text", "n": 1}


async def test_openai_embeddings(client: openai.AsyncOpenAI, provider: MockProvider) -> None:
    as_floats = await client.embeddings.create(model="mock", input=["a b", "c"], encoding_format="float")
    as_bytes = await client.embeddings.create(model="mock", input=["a b", "c"])  # the client asks for base64
    assert [len(each.embedding) for each in as_floats.data] == [8, 8]
    for one, other in zip(as_floats.data, as_bytes.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert as_floats.usage.prompt_tokens == provider.ledger.last.tokens_in == 3
    assert len((await client.embeddings.create(model="mock", input=[1, 2, 3], dimensions=3)).data[0].embedding) == 3


async def test_openai_images_speech_and_transcriptions(client: openai.AsyncOpenAI) -> None:
    images = await client.images.generate(model="mock", prompt="a rock", n=2)
    assert len(images.data or []) == 2
    sound = (await client.audio.speech.create(model="mock", voice="alloy", input="hello")).content
    assert sound.startswith(b"RIFF")
    heard = await client.audio.transcriptions.create(model="mock", file=("a.wav", io.BytesIO(sound)))
    assert heard.text == f"{len(sound)} bytes of sound"


async def test_openai_models(client: openai.AsyncOpenAI) -> None:
    import openai

    assert [model.id async for model in client.models.list()] == ["mock-small", "mock-large"]
    assert (await client.models.retrieve("mock-small")).id == "mock-small"
    with pytest.raises(openai.NotFoundError, match="nobody"):
        await client.models.retrieve("nobody")


async def test_errors_are_the_clients_own_exceptions(client: openai.AsyncOpenAI) -> None:
    import openai

    async def ask(orders: str, *, stream: bool = False) -> None:
        answer = await client.chat.completions.create(
            model=f"mock@{orders}", messages=[{"role": "user", "content": "hi"}], stream=stream
        )
        if stream:
            async for _ in answer:  # type: ignore[union-attr]
                pass

    with pytest.raises(openai.RateLimitError) as limited:
        await ask("429=3s")
    assert limited.value.response.headers["retry-after-ms"] == "3000"
    with pytest.raises(openai.BadRequestError):
        await ask("400")
    with pytest.raises(openai.InternalServerError):
        await ask("html=502")
    with pytest.raises(openai.APIConnectionError):
        await ask("drop")
    with pytest.raises(openai.APIError, match="ends this stream"):
        await ask("error_after=2", stream=True)
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="guess").models.list()


# -------------------------------------------------------------------------- Anthropic


async def test_anthropic_messages(claude: anthropic.AsyncAnthropic, provider: MockProvider) -> None:
    answer = await claude.messages.create(
        model="mock@echo,thinking=2,cached=1",
        max_tokens=100,
        system="be brief",
        messages=[{"role": "user", "content": "hello"}],
    )
    thought, said = answer.content
    assert thought.type == "thinking"
    assert thought.signature
    assert said.type == "text"
    assert said.text == "Echo: hello"
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (2, 1, 4)
    assert provider.ledger.last.tokens_out == 4


async def test_anthropic_streams_tools(claude: anthropic.AsyncAnthropic) -> None:
    tool: Any = {"name": "look", "input_schema": TOOL}
    async with claude.messages.stream(
        model="mock", max_tokens=100, messages=[{"role": "user", "content": CALL}], tools=[tool]
    ) as stream:
        answer = await stream.get_final_message()
    (call,) = answer.content
    assert call.type == "tool_use"
    assert call.input == {"at": "the sky"}
    assert answer.stop_reason == "tool_use"


async def test_anthropic_counts_tokens(claude: anthropic.AsyncAnthropic, provider: MockProvider) -> None:
    counted = await claude.messages.count_tokens(model="mock", messages=[{"role": "user", "content": "one two three"}])
    assert counted.input_tokens == 3
    assert provider.ledger.last.kind == "count"
    assert provider.ledger.last.tokens_out == 0


async def test_anthropic_errors_are_the_clients_own_exceptions(claude: anthropic.AsyncAnthropic) -> None:
    import anthropic

    async def ask(orders: str) -> None:
        async with claude.messages.stream(
            model=f"mock@{orders}", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        ) as stream:
            await stream.until_done()

    with pytest.raises(anthropic.RateLimitError):
        await ask("429=3s")
    with pytest.raises(anthropic.APIStatusError, match="529"):
        await ask("529")
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        await ask("error_after=4")
    with pytest.raises(anthropic.AuthenticationError):
        await claude.with_options(api_key="guess").messages.count_tokens(model="m", messages=[])
