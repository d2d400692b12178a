"""OpenAI's legacy completions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.gateway.core.conversation import Broken, Chat, Message, Text, Thinking
from holdfast.gateway.core.dialect import Dialect, Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.completions import Completions
from holdfast.gateway.core.wire.openai_chat import OpenAIChat
from holdfast.gateway.errors import Refused

DIALECT: Dialect = Completions()
TOLD = Told(id="7", model="asked", created=5)
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def chunk(text: str, finish: str | None = None, **more: Any) -> bytes:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    return b"data: " + msgspec.json.encode({"id": "cmpl-7", "choices": [choice], **more}) + b"\n\n"


def test_a_prompt_is_one_message_of_the_user_to_other_protocols() -> None:
    chat = DIALECT.read_request({"model": "m", "prompt": ["once"], "echo": True, "max_tokens": 5})
    out = OpenAIChat().write_request(chat, "m")
    assert out.body["messages"] == [{"role": "user", "content": "once"}]
    assert out.dropped == ("echo",)


@pytest.mark.parametrize("prompt", ["once", ["a", "b"], [1, 2, 3], [[1], [2]]])
def test_every_form_of_prompt_comes_back_to_a_provider_of_the_same_protocol(prompt: object) -> None:
    body = {"model": "m", "prompt": prompt, "suffix": "end", "best_of": 2, "logprobs": 3, "stop": ["x"]}
    assert DIALECT.write_request(DIALECT.read_request(body), "m").body == body


def test_tokens_mean_nothing_to_another_protocol() -> None:
    chat = DIALECT.read_request({"model": "m", "prompt": [1, 2, 3]})
    with pytest.raises(Refused) as caught:
        OpenAIChat().write_request(chat, "m")
    assert (caught.value.reason, caught.value.param) == ("unsupported", "prompt")


@pytest.mark.parametrize("prompt", [None, 5, [], {}, [True], ["a", 1], [[-1]], "\ud800"])
def test_what_is_no_prompt_is_refused(prompt: object) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.read_request({"model": "m", "prompt": prompt})
    assert (caught.value.reason, caught.value.param) == ("invalid_request", "prompt")


def test_a_conversation_is_no_prompt() -> None:
    messages = (Message(role="system", parts=(Text(text="s"),)), Message(role="user", parts=(Text(text="u"),)))
    with pytest.raises(Refused) as caught:
        DIALECT.write_request(Chat(protocol="openai", model="m", messages=messages), "m")
    assert caught.value.reason == "unsupported"


def test_an_answer_is_its_words() -> None:
    body = {"choices": [{"text": "hello", "index": 0, "logprobs": None, "finish_reason": "length"}], "usage": USAGE}
    answer = DIALECT.read_answer(body)
    chat = DIALECT.read_request({"model": "m", "prompt": "p"})
    written = DIALECT.write_answer(answer, chat, TOLD)
    assert written["choices"] == body["choices"]
    assert written["id"] == "cmpl-7"
    assert not any(isinstance(part, Thinking) for part in answer.choices[0].parts)


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [5]}, {"choices": [{"text": 5}]}])
def test_what_is_no_answer_is_a_value_error(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        DIALECT.read_answer(body)


def test_a_stream_comes_out_as_it_went_in() -> None:
    body = {"model": "m", "prompt": "p", "stream": True, "stream_options": {"include_usage": True}}
    decoder = DIALECT.decoder()
    counted = b"data: " + msgspec.json.encode({"id": "cmpl-7", "choices": [], "usage": USAGE}) + b"\n\n"
    stream = chunk("he") + chunk("llo") + chunk("", "stop") + counted + b"data: [DONE]\n\n"
    events = decoder.feed(stream)
    assert decoder.end() == []
    out = DIALECT.encoder(DIALECT.read_request(body), TOLD).write(events)
    assert DIALECT.decoder().feed(out)[1:] == events[1:]


def test_the_tap_commits_to_words_and_keeps_usage_from_who_did_not_ask() -> None:
    tap = DIALECT.tap(told=TOLD, include_usage=False)
    tap.feed(chunk(""))
    assert not tap.committed
    assert tap.feed(chunk("he")) == chunk("he")
    assert tap.committed
    counted = b"data: " + msgspec.json.encode({"choices": [], "usage": USAGE}) + b"\n\n"
    assert tap.feed(counted) == b""
    assert tap.usage == Usage(input_tokens=3, output_tokens=5)


@pytest.mark.parametrize("frames", [b"data: 5\n\n", b"data: {}\n\n", b"<html>\n\n", chunk("x", id=1)[:-4] + b"\n\n"])
def test_what_is_not_the_protocol_breaks_the_stream_once(frames: bytes) -> None:
    decoder = DIALECT.decoder()
    assert [event.failure for event in decoder.feed(frames) if isinstance(event, Broken)] == ["protocol"]
    assert decoder.feed(chunk("x")) == decoder.end() == []
