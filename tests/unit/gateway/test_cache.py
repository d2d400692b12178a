"""Which answers are kept, for whom, and how long; and what is told again is what was told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from holdfast.gateway.core.cache import AnswerCache, Collector, replay
from holdfast.gateway.core.cache_key import body_key, chat_key, reason_against
from holdfast.gateway.core.cache_similar import HashedNgrams, SimilarQuestions, question
from holdfast.gateway.core.conversation import (
    Answer,
    Chat,
    Choice,
    Finish,
    Media,
    Message,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from holdfast.gateway.core.usage import Usage


def chat(text: str = "What is a holdfast?", **more: Any) -> Chat:
    asked: dict[str, Any] = {"temperature": 0.0, "messages": (Message(role="user", parts=(Text(text=text),)),), **more}
    return Chat(protocol="openai", model="m", **asked)


def answer(text: str = "A root.", finish: Finish = "stop") -> Answer:
    choice = Choice(parts=(Text(text=text),), finish=finish)
    return Answer(id="1", model="m-1", created=7, choices=(choice,), usage=Usage(input_tokens=3, output_tokens=2))


def key(asked: Chat, tenant: str = "t", route: str = "m") -> bytes:
    return chat_key(asked, tenant=tenant, route=route)


def test_what_changes_no_answer_is_not_in_the_key() -> None:
    assert key(chat()) == key(
        chat(stream=True, user="u", metadata={"a": 1}, include_usage=True, extra={"service_tier": "x"})
    )


def test_what_may_change_the_answer_is_in_the_key() -> None:
    others = [chat("What?"), chat(seed=1), chat(extra={"x": 1}), chat(max_tokens=5), chat(tools=(Tool(name="f"),))]
    keys = {key(chat()), key(chat(), tenant="u"), key(chat(), route="n"), *map(key, others)}
    assert len(keys) == 3 + len(others)


def test_ids_of_tool_calls_are_not_in_the_key() -> None:
    def called(name: str, answered: str) -> Chat:
        call = Message(role="assistant", parts=(ToolCall(id=name, name="f", arguments="{}"),))
        return chat(messages=(call, Message(role="tool", parts=(ToolResult(call_id=answered, parts=()),))))

    assert key(called("a", "a")) == key(called("b", "b"))
    assert key(called("a", "a")) != key(called("a", "c"))


def test_bodies_have_keys_too() -> None:
    first = body_key({"input": "a", "user": "x"}, tenant="t", route="m", kind="embeddings")
    assert first == body_key({"user": "y", "input": "a"}, tenant="t", route="m", kind="embeddings")
    assert first != body_key({"input": "a"}, tenant="t", route="m", kind="images")


@pytest.mark.parametrize(
    "asked",
    [
        chat(temperature=1.0),
        chat(n=2),
        chat(tools=(Tool(name="search", raw={"type": "web_search"}),)),
        chat(extra={"previous_response_id": "r"}),
        chat(messages=(Message(role="user", parts=(Media(kind="image", url="https://x.example/a.png"),)),)),
    ],
)
def test_what_may_be_answered_otherwise_next_time_is_not_cacheable(asked: Chat) -> None:
    assert reason_against(asked, only_deterministic=True)


def test_what_is_deterministic_is_cacheable() -> None:
    assert reason_against(chat(tools=(Tool(name="f"),)), only_deterministic=True) is None
    assert reason_against(chat(temperature=None, seed=1), only_deterministic=True) is None
    assert reason_against(chat(temperature=1.0), only_deterministic=False) is None


def cache(**more: Any) -> AnswerCache:
    return AnswerCache(**{"entries": 4, "size_bytes": 100_000, "ttl_s": 10.0, **more})


def test_an_answer_is_given_to_its_tenant_until_it_expires() -> None:
    answers = cache()
    assert answers.put("t", b"k", answer(), now=0.0)
    kept = answers.get("t", b"k", now=9.9)
    assert kept is not None
    assert kept.answer == answer()
    assert answers.get("u", b"k", now=1.0) is None
    assert answers.get("t", b"k", now=10.0) is None
    assert (len(answers), answers.size_bytes) == (0, 0)


@pytest.mark.parametrize("finish", ["length", "content_filter", "error", "refusal", "pause"])
def test_what_is_not_whole_is_not_kept(finish: Finish) -> None:
    assert not cache().put("t", b"k", answer(finish=finish), now=0.0)


def test_the_largest_tenant_makes_room_and_its_least_used_goes_first() -> None:
    answers = cache()
    answers.put("small", b"s", answer(), now=0.0)
    for number in range(3):
        answers.put("large", bytes([number]), answer(), now=0.0)
    answers.get("large", b"\0", now=1.0)
    answers.put("large", b"new", answer(), now=1.0)
    assert answers.get("small", b"s", now=1.0)
    assert answers.get("large", b"\0", now=1.0)
    assert answers.get("large", b"\1", now=1.0) is None
    assert (len(answers), answers.evicted) == (4, 1)


def test_bytes_are_bounded() -> None:
    answers = cache(entries=1000)
    assert not answers.put("t", b"huge", answer("x" * 20_000), now=0.0)
    for number in range(50):
        assert answers.put("t", bytes([number]), answer("x" * 8_000), now=0.0)
    assert answers.size_bytes <= 100_000
    assert answers.forget("t") == len(range(11))
    assert answers.size_bytes == 0


def test_an_answer_told_as_a_stream_is_the_answer() -> None:
    parts = (
        Thinking(text="hm", signature="s", protocol="anthropic"),
        Text(text="a"),
        ToolCall(id="1", name="f", arguments='{"a":1}'),
        Refusal(text="no"),
    )
    whole = replace(
        answer(), choices=(Choice(parts=parts, finish="tool_calls"), Choice(index=1, parts=(Text(text="b"),)))
    )
    collector = Collector()
    for event in replay(whole):
        assert collector.answer() is None
        collector.feed([event])
    assert collector.answer() == whole


# ------------------------------------------------------------ questions that mean the same


def similar(first: str, second: str) -> bool:
    known, embedder = SimilarQuestions(threshold=0.8), HashedNgrams()
    one, two = (question(chat(text), tenant="t", route="m") for text in (first, second))
    assert one is not None
    assert two is not None
    known.add(one, embedder.vector(first), b"key")
    return known.find(two, embedder.vector(second)) == b"key"


def test_the_same_words_in_another_form_are_the_same_question() -> None:
    assert similar("How does a load balancer eject a backend?", "how does the load balancer eject a backend")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Is a timeout of 5 seconds allowed here?", "Is a timeout of 50 seconds allowed here?"),
        ("Should the breaker be enabled by default?", "Should the breaker not be enabled by default?"),
        ("Soll der Dienst heute neu starten?", "Soll der Dienst heute nicht neu starten?"),
        ('What does the error "reset" mean for us?', 'What does the error "cut" mean for us?'),
        ("What does max_tokens do in this request?", "What does top_k do in this request?"),
        ("What is a breaker?", "How is the weather in Hamburg today?"),
    ],
)
def test_false_friends_are_told_apart(first: str, second: str) -> None:
    assert not similar(first, second)


def test_another_tenant_or_another_instruction_is_another_scope() -> None:
    one = question(chat("a question"), tenant="t", route="m")
    two = question(chat("a question"), tenant="u", route="m")
    system = Message(role="system", parts=(Text(text="Be brief."),))
    three = question(chat(messages=(system, *chat("a question").messages)), tenant="t", route="m")
    assert one is not None
    assert two is not None
    assert three is not None
    assert len({one.scope, two.scope, three.scope}) == 3
