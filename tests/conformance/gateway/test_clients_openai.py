"""OpenAI's official client against the gateway, whatever protocol the provider behind it speaks."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.conformance.gateway.stack import PROTOCOLS, Stack, run

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
ASK_WEATHER = 'please call weather {"city": "Oslo"}'
every_provider = pytest.mark.parametrize("model", PROTOCOLS)


class City(BaseModel):
    """What an answer has to be."""

    name: str
    people: int


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key="none", max_retries=0, timeout=20) as client:
        yield client


def said(text: str) -> list[Any]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


@every_provider
def test_a_chat_is_answered_with_its_usage(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=said("[[mock: echo]] hello"))
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content == "Echo: hello"
    assert choice.finish_reason == "stop"
    assert answer.model
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 2
    assert answer._request_id


@every_provider
def test_a_stream_says_the_same_and_its_usage_once_when_it_is_wanted(client: openai.OpenAI, model: str) -> None:
    chunks = list(
        client.chat.completions.create(
            model=model, messages=said("[[mock: words=9]] go"), stream=True, stream_options={"include_usage": True}
        )
    )
    assert len("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).split()) == 9
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason] == [
        "stop"
    ]
    told = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert [usage.completion_tokens for usage in told] == [9]
    assert not chunks[-1].choices
    assert len({chunk.id for chunk in chunks}) == 1


@every_provider
def test_a_stream_does_not_speak_of_usage_unasked(client: openai.OpenAI, model: str) -> None:
    chunks = list(client.chat.completions.create(model=model, messages=said("hello"), stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@every_provider
def test_a_tool_is_called_and_its_result_becomes_the_answer(client: openai.OpenAI, model: str) -> None:
    messages = said(ASK_WEATHER)
    first = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    choice = first.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "weather"
    assert '"Oslo"' in call.function.arguments
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "it rains"}]
    second = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == "it rains"


@every_provider
def test_the_stream_helper_puts_a_tool_call_together(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(model=model, messages=said(ASK_WEATHER), tools=[WEATHER]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    assert "tool_calls.function.arguments.done" in kinds
    assert final.choices[0].message.tool_calls is not None
    (call,) = final.choices[0].message.tool_calls
    assert call.function.parsed_arguments == {"city": "Oslo"}


@every_provider
def test_parse_gives_a_value_of_the_class_asked_for(client: openai.OpenAI, model: str) -> None:
    if model == "nova":
        pytest.skip("Converse has no structured output of its own")
    answer = client.chat.completions.parse(model=model, messages=said("a city"), response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)


@every_provider
def test_responses_are_answered_whole_and_as_a_stream(client: openai.OpenAI, model: str) -> None:
    whole = client.responses.create(model=model, instructions="Be brief.", input="[[mock: echo]] hello")
    assert whole.output_text == "Echo: hello"
    assert whole.status == "completed"
    assert whole.usage is not None
    assert whole.usage.output_tokens == 2
    events = list(client.responses.create(model=model, input="[[mock: words=7]] go", stream=True))
    assert events[0].type == "response.created"
    assert [event.sequence_number for event in events] == sorted({event.sequence_number for event in events})
    assert events[-1].type == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text
    assert len(text.split()) == 7


@every_provider
def test_the_stream_helper_of_responses_puts_a_tool_call_together(client: openai.OpenAI, model: str) -> None:
    tool: Any = {"type": "function", **WEATHER["function"]}
    with client.responses.stream(model=model, input=ASK_WEATHER, tools=[tool]) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    (call,) = [item for item in final.output if item.type == "function_call"]
    assert call.name == "weather"
    assert call.parsed_arguments == {"city": "Oslo"}


@every_provider
def test_the_asynchronous_client_streams_many_at_once(stack: Stack, model: str) -> None:
    async def one(client: openai.AsyncOpenAI, words: int) -> int:
        text = ""
        order = said(f"[[mock: words={words}]] go")
        async with await client.chat.completions.create(model=model, messages=order, stream=True) as stream:
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
        return len(text.split())

    async def many() -> list[int]:
        async with openai.AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="none", max_retries=0, timeout=20) as client:
            return await asyncio.gather(*(one(client, words) for words in range(5, 15)))

    assert run(many()) == list(range(5, 15))


def test_completions_of_old_are_answered_whole_and_as_a_stream(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="gpt", prompt="[[mock: echo]] hello")
    assert whole.choices[0].text == "Echo: hello"
    chunks = list(client.completions.create(model="gpt", prompt="[[mock: words=5]] go", stream=True))
    assert len("".join(chunk.choices[0].text for chunk in chunks).split()) == 5


@pytest.mark.parametrize("model", ["gpt", "gem"])
def test_embeddings_come_in_the_order_of_the_texts(client: openai.OpenAI, model: str) -> None:
    answer = client.embeddings.create(model=model, input=["one", "two", "three"])
    assert [each.index for each in answer.data] == [0, 1, 2]
    assert all(len(each.embedding) == len(answer.data[0].embedding) > 1 for each in answer.data)
    assert client.embeddings.create(model=model, input="two").data[0].embedding == pytest.approx(
        answer.data[1].embedding
    )


def test_pictures_and_sound_pass(client: openai.OpenAI) -> None:
    assert client.images.generate(model="gpt", prompt="a buoy").data
    assert client.audio.speech.create(model="gpt", voice="alloy", input="ahoy").read()
    heard = client.audio.transcriptions.create(model="gpt", file=("a.wav", io.BytesIO(b"RIFF" + bytes(64))))
    assert heard.text


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} >= set(PROTOCOLS)
    assert client.models.retrieve("gpt").id == "gpt"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


@every_provider
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("bad", openai.BadRequestError),
        ("busy", openai.RateLimitError),
        ("broken", openai.InternalServerError),
        ("full", openai.InternalServerError),
        ("page", openai.InternalServerError),
    ],
)
def test_an_error_is_the_exception_that_the_client_has_for_it(
    client: openai.OpenAI, model: str, fault: str, kind: type[openai.APIStatusError]
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=f"{model}-{fault}", messages=said("hello"))
    error = caught.value
    assert error.request_id
    assert isinstance(error.body, dict)
    assert error.body["message"]
    if kind is openai.RateLimitError:
        assert 1 <= int(error.response.headers["retry-after"]) <= 3
    assert error.response.headers["x-should-retry"] == ("false" if fault == "bad" else "true")


def test_what_the_gateway_refuses_is_an_exception_with_the_parameter(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody", messages=said("hello"))
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="hf_" + "0" * 40).chat.completions.create(model="gpt", messages=said("hello"))
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="claude", messages=said("hello"), temperature="hot")  # type: ignore[call-overload]
    assert wrong.value.param == "temperature"


@pytest.mark.parametrize(("fault", "tries"), [("bad", 1), ("broken", 2)])
def test_the_client_tries_again_when_it_is_told_to(stack: Stack, fault: str, tries: int) -> None:
    sent: list[object] = []
    with openai.OpenAI(base_url=f"{stack.url}/v1", api_key="none", max_retries=1, timeout=20) as client:
        client._client.event_hooks["request"].append(sent.append)
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model=f"gpt-{fault}", messages=said("hello"))
    assert len(sent) == tries


@every_provider
def test_a_stream_that_breaks_is_an_exception_in_the_middle(client: openai.OpenAI, model: str) -> None:
    heard: list[Any] = []
    stream = client.chat.completions.create(model=f"{model}-torn", messages=said("go"), stream=True)
    with pytest.raises(openai.APIError) as caught:
        heard.extend(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in heard)
    assert caught.value.message
