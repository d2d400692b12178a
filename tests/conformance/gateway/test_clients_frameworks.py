"""LangChain's and LiteLLM's clients against the gateway: what they do on top of the official ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from tests.conformance.gateway.stack import PROTOCOLS, Stack

if TYPE_CHECKING:
    from types import ModuleType

    from langchain_core.language_models import BaseChatModel

ASK_WEATHER = 'please call weather {"city": "Oslo"}'
PERSON = {
    "title": "Person",
    "description": "Somebody.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ONCE = {"Connection": "close"}
"""These libraries keep their connections for as long as the process lives, whoever asked for them."""
every_provider = pytest.mark.parametrize("model", PROTOCOLS)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def weather(city: str) -> str:
    """The weather of a city."""
    return f"it rains in {city}"


def langchain_openai(stack: Stack, model: str) -> BaseChatModel:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(  # type: ignore[call-arg]
        model_name=model,
        openai_api_base=f"{stack.url}/v1",
        api_key=SecretStr("none"),
        max_retries=0,
        timeout=20,
        default_headers=ONCE,
    )


def langchain_anthropic(stack: Stack, model: str) -> BaseChatModel:
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(  # type: ignore[call-arg]
        model_name=model,
        base_url=stack.url,
        api_key=SecretStr("none"),
        max_retries=0,
        timeout=20,
        max_tokens=256,
        default_headers=ONCE,
    )


every_langchain = pytest.mark.parametrize("connect", [langchain_openai, langchain_anthropic])


@every_provider
@every_langchain
def test_langchain_invokes_and_streams(
    stack: Stack, connect: Callable[[Stack, str], BaseChatModel], model: str
) -> None:
    chat = connect(stack, model)
    answer = chat.invoke([("system", "Be brief."), ("user", "[[mock: echo]] hello")])
    assert answer.text == "Echo: hello"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 2
    chunks = list(chat.stream("[[mock: words=8]] go"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert len(whole.text.split()) == 8


@every_provider
@every_langchain
def test_langchain_binds_tools(stack: Stack, connect: Callable[[Stack, str], BaseChatModel], model: str) -> None:
    bound = connect(stack, model).bind_tools([weather])
    for answer in (bound.invoke(ASK_WEATHER), _together(list(bound.stream(ASK_WEATHER)))):
        (call,) = answer.tool_calls
        assert (call["name"], call["args"]) == ("weather", {"city": "Oslo"})


@every_provider
@every_langchain
def test_langchain_gets_structured_output(
    stack: Stack, connect: Callable[[Stack, str], BaseChatModel], model: str
) -> None:
    person: Any = (
        connect(stack, model)
        .with_structured_output(PERSON, method="function_calling")
        .invoke('call Person {"name": "Ida", "age": 9}')
    )
    assert person == {"name": "Ida", "age": 9}


def test_langchain_gets_embeddings(stack: Stack) -> None:
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(
        model="gpt",
        base_url=f"{stack.url}/v1",
        api_key=SecretStr("none"),
        check_embedding_ctx_length=False,
        default_headers=ONCE,
    )
    assert len(embeddings.embed_documents(["one", "two"])) == 2
    assert embeddings.embed_query("one")


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Without its look for prices in the network."""
    monkeypatch.setitem(os.environ, "LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    return litellm


@every_provider
@pytest.mark.parametrize("prefix", ["openai", "anthropic"])
def test_litellm_completes_streams_and_calls_tools(litellm: ModuleType, stack: Stack, prefix: str, model: str) -> None:
    base = f"{stack.url}/v1" if prefix == "openai" else stack.url
    options: dict[str, Any] = {
        "model": f"{prefix}/{model}",
        "api_base": base,
        "api_key": "none",
        "max_retries": 0,
        "max_tokens": 256,
        "timeout": 20,
        "extra_headers": ONCE,
    }
    answer = litellm.completion(messages=[{"role": "user", "content": "[[mock: echo]] hello"}], **options)
    assert answer.choices[0].message.content == "Echo: hello"
    assert answer.usage.completion_tokens == 2
    chunks = litellm.completion(messages=[{"role": "user", "content": "[[mock: words=8]] go"}], stream=True, **options)
    assert len("".join(chunk.choices[0].delta.content or "" for chunk in chunks).split()) == 8
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    called = litellm.completion(messages=[{"role": "user", "content": ASK_WEATHER}], tools=[tool], **options)
    (call,) = called.choices[0].message.tool_calls
    assert call.function.name == "weather"
    assert "Oslo" in call.function.arguments


def _together(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole
