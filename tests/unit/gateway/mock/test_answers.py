"""What the provider says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.gateway.shell.mock.answers import Asked, Turn, Unreadable, compose, example, tokens_of
from holdfast.gateway.shell.mock.orders import build, parse


def said(text: str, orders: str = "", *, seed: int = 1, **asked: Any) -> Turn:
    request = Asked(model="mock", text=text, prompt_tokens=tokens_of(text), **asked)
    return compose(request, build(parse(orders)), number=1, created=0, seed=seed, most_tokens=100)


def test_the_same_request_is_answered_the_same_and_another_seed_says_another_thing() -> None:
    assert said("hello").text == said("hello").text
    assert said("hello").text != said("hello", seed=2).text
    assert said("hello").text != said("good bye").text


def test_a_token_is_a_word_with_the_space_before_it() -> None:
    turn = said("hello there", "echo")
    assert turn.pieces == ["Echo:", " hello", " there"]
    assert turn.tokens == 3
    assert said("x", "words=7").tokens == 7
    assert said("x", "text=a+b++c").text == "a b  c"


@pytest.mark.parametrize("orders", ["", "echo", "words=50"])
def test_the_answer_ends_at_the_most_tokens(orders: str) -> None:
    turn = said("a b c d", orders, max_tokens=2)
    assert (turn.tokens, turn.finish) == (2, "length")


def test_a_tool_is_called_when_the_text_says_so_or_the_client_insists() -> None:
    (call,) = said('call look {"at": "sky"} please', tools=["look"]).calls
    assert (call.name, json.loads(call.arguments)) == ("look", {"at": "sky"})
    first, second = said("call look then call look", tools=["look"]).calls
    assert first.id != second.id
    assert not said("call look").calls
    assert said("x", tools=["a", "b"], forced="b").calls[0].name == "b"
    assert said("x", tools=["a", "b"], forced="").calls[0].name == "a"


def test_broken_arguments_are_no_json() -> None:
    (call,) = said('call look {"at":1}', "broken_arguments", tools=["look"]).calls
    with pytest.raises(ValueError, match="line 1"):
        json.loads(call.arguments)


def test_what_a_tool_told_is_repeated_and_calls_nothing() -> None:
    turn = said("call look", tools=["look"], tool_result="the sky is blue")
    assert (turn.text, turn.calls, turn.finish) == ("the sky is blue", [], "stop")


def test_a_declined_request_ends_after_a_word() -> None:
    turn = said("a b c", "decline,echo")
    assert (turn.text, turn.finish) == ("Echo:", "refusal")


def test_an_answer_fits_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 3},
            "list": {"type": "ARRAY", "items": {"$ref": "#/$defs/one"}, "minItems": 2},
            "kind": {"enum": ["a", "b"]},
            "either": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "fixed": {"const": 7},
            "none": {"type": "null"},
        },
        "$defs": {"one": {"type": ["string"], "minLength": 5}},
    }
    found = {"n": 3, "list": ["xxxxx"] * 2, "kind": "a", "either": True, "fixed": 7, "none": None}
    assert json.loads(said("x", schema=schema).text) == found
    assert json.loads(said("x", json_object=True).text) == {"answer": "x"}


def test_a_schema_without_end_or_sense_is_answered_or_refused() -> None:
    endless = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}
    assert isinstance(example(endless), list)
    assert len(example({"type": "array", "minItems": 10**12})) == 64
    with pytest.raises(Unreadable, match="schema"):
        said("x", schema={"type": "string", "minLength": "long"})


@pytest.mark.parametrize(
    ("lie", "told"), [("negative", (-5, -7)), ("zero", (0, 0)), ("absurd", (10**12, 10**12)), ("missing", None)]
)
def test_wrong_usage_is_told_and_not_what_is_counted(lie: str, told: tuple[int, int] | None) -> None:
    turn = said("a b", f"usage={lie},echo")
    assert (None if turn.usage is None else (turn.usage.prompt, turn.usage.output)) == told
    assert turn.tokens == 3


def test_thinking_and_caches_are_part_of_the_usage() -> None:
    turn = said("a b c d", "thinking=3,cached=2,cache_write=9,echo", choices=2)
    assert turn.usage is not None
    assert (turn.usage.prompt, turn.usage.cached, turn.usage.cache_write) == (4, 2, 2)
    assert (turn.usage.output, turn.usage.reasoning) == (2 * (5 + 3), 2 * 3)
