"""Anthropic's official client against the gateway, whatever protocol the provider behind it speaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.conformance.gateway.stack import PROTOCOLS, Stack, run

WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASK_WEATHER = 'please call weather {"city": "Oslo"}'
every_provider = pytest.mark.parametrize("model", PROTOCOLS)


@pytest.fixture
def client(stack: Stack) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.url, api_key="none", max_retries=0, timeout=20) as client:
        yield client


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@every_provider
def test_a_message_is_answered_with_its_usage(client: anthropic.Anthropic, model: str) -> None:
    answer = client.messages.create(
        model=model, max_tokens=64, system="Be brief.", messages=said("[[mock: echo]] hello")
    )
    (block,) = answer.content
    assert block.type == "text"
    assert block.text == "Echo: hello"
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens == 2
    assert answer.usage.input_tokens > 0
    assert answer._request_id


@every_provider
def test_a_stream_comes_as_text_and_as_one_message(client: anthropic.Anthropic, model: str) -> None:
    with client.messages.stream(model=model, max_tokens=64, messages=said("[[mock: words=9]] go")) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert len(text.split()) == 9
    assert final.content[0].type == "text"
    assert final.content[0].text == text
    assert final.usage.output_tokens == 9
    assert final.stop_reason == "end_turn"


@every_provider
def test_max_tokens_is_obeyed_and_said(client: anthropic.Anthropic, model: str) -> None:
    answer = client.messages.create(model=model, max_tokens=3, messages=said("[[mock: words=9]] go"))
    assert answer.stop_reason == "max_tokens"
    assert answer.usage.output_tokens == 3


@every_provider
def test_a_tool_is_called_and_its_result_becomes_the_answer(client: anthropic.Anthropic, model: str) -> None:
    messages = said(ASK_WEATHER)
    with client.messages.stream(model=model, max_tokens=64, messages=messages, tools=[WEATHER]) as stream:
        first = stream.get_final_message()
    assert first.stop_reason == "tool_use"
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("weather", {"city": "Oslo"})
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "it rains"}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(model=model, max_tokens=64, messages=messages, tools=[WEATHER])
    assert second.content[0].type == "text"
    assert second.content[0].text == "it rains"


@pytest.mark.parametrize("model", ["claude", "gem", "nova"])
def test_thinking_comes_as_blocks_of_its_own_and_is_taken_back(client: anthropic.Anthropic, model: str) -> None:
    messages = said("[[mock: thinking=4,words=5]] think")
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    with client.messages.stream(model=model, max_tokens=2048, thinking=thinking, messages=messages) as stream:
        answer = stream.get_final_message()
    kinds = [block.type for block in answer.content]
    assert kinds == ["thinking", "text"]
    assert answer.content[0].type == "thinking"
    assert len(answer.content[0].thinking.split()) == 4
    messages += [{"role": "assistant", "content": answer.content}, *said("[[mock: echo]] go on")]
    again = client.messages.create(model=model, max_tokens=2048, thinking=thinking, messages=messages)
    assert again.stop_reason == "end_turn"


@every_provider
def test_tokens_are_counted_before_they_are_spent(client: anthropic.Anthropic, model: str) -> None:
    short = client.messages.count_tokens(model=model, messages=said("hello")).input_tokens
    assert 0 < short < client.messages.count_tokens(model=model, messages=said("hello there " * 100)).input_tokens


@every_provider
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("bad", anthropic.BadRequestError),
        ("busy", anthropic.RateLimitError),
        ("broken", anthropic.InternalServerError),
        ("full", anthropic.APIStatusError),
        ("page", anthropic.InternalServerError),
    ],
)
def test_an_error_is_the_exception_that_the_client_has_for_it(
    client: anthropic.Anthropic, model: str, fault: str, kind: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(kind) as caught:
        client.messages.create(model=f"{model}-{fault}", max_tokens=64, messages=said("hello"))
    error = caught.value
    assert error.request_id
    assert isinstance(error.body, dict)
    assert error.body["type"] == "error"
    assert error.body["error"]["message"]
    if fault == "full":
        assert error.status_code == (529 if model in ("gpt", "claude") else 500)  # Anthropic's word for it
    if fault == "busy":
        assert 1 <= int(error.response.headers["retry-after"]) <= 3


def test_the_client_tries_again_when_it_is_told_to(stack: Stack) -> None:
    for fault, tries in (("bad", 1), ("broken", 2)):
        sent: list[object] = []
        with anthropic.Anthropic(base_url=stack.url, api_key="none", max_retries=1, timeout=20) as client:
            client._client.event_hooks["request"].append(sent.append)
            with pytest.raises(anthropic.APIStatusError):
                client.messages.create(model=f"claude-{fault}", max_tokens=64, messages=said("hello"))
        assert len(sent) == tries


@every_provider
def test_a_stream_that_breaks_is_an_exception_in_the_middle(client: anthropic.Anthropic, model: str) -> None:
    heard: list[str] = []
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(model=f"{model}-torn", max_tokens=64, messages=said("go")) as stream,
    ):
        heard.extend(stream.text_stream)
    assert heard


@every_provider
def test_the_asynchronous_client_streams(stack: Stack, model: str) -> None:
    async def stream() -> int:
        async with (
            anthropic.AsyncAnthropic(base_url=stack.url, api_key="none", max_retries=0, timeout=20) as client,
            client.messages.stream(model=model, max_tokens=64, messages=said("[[mock: words=6]] go")) as stream,
        ):
            return len("".join([text async for text in stream.text_stream]).split())

    assert run(stream()) == 6


def test_models_are_listed(client: anthropic.Anthropic) -> None:
    assert {model.id for model in client.models.list()} >= set(PROTOCOLS)
    assert client.models.retrieve("claude").id == "claude"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("nobody")
