"""Answers, errors and usage of Anthropic's protocol: nothing is counted twice, and nothing absurd is believed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.gateway.core.conversation import (
    Answer,
    Choice,
    Finish,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.anthropic import Anthropic
from holdfast.gateway.core.wire.anthropic_usage import read_usage, write_usage
from holdfast.gateway.errors import Refused

DIALECT = Anthropic()
TOLD = Told(id="01", model="house", created=0)
CHAT = DIALECT.read_request({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]})


def message(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 5}
    known = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "usage": usage}
    return {**known, "content": list(content), "stop_reason": "end_turn", "stop_sequence": None, **more}


def answer(*parts: Any, finish: Finish = "stop") -> Answer:
    return Answer(id="x", model="y", created=0, choices=(Choice(parts=parts, finish=finish),), usage=None)


def test_an_answer_of_every_kind_of_block_is_written_as_it_was_read() -> None:
    content: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eA=="},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "text", "text": "Rain.", "citations": [{"type": "char_location", "cited_text": "rain"}]},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1, None]}},
    ]
    read = DIALECT.read_answer(message(*content, stop_reason="tool_use"))
    written = DIALECT.write_answer(read, CHAT, TOLD)
    assert written["content"] == content
    assert (written["id"], written["model"], written["stop_reason"]) == ("msg_01", "house", "tool_use")
    assert isinstance(read.choices[0].parts[2], Opaque)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
    ],
)
def test_an_end_keeps_its_reason_in_both_directions(reason: str, finish: Finish) -> None:
    read = DIALECT.read_answer(message({"type": "text", "text": "a"}, stop_reason=reason))
    assert read.choices[0].finish == finish
    assert DIALECT.write_answer(read, CHAT, TOLD)["stop_reason"] == reason


def test_ends_that_only_one_side_has_are_told_in_the_nearest_word() -> None:
    read = DIALECT.read_answer(message(stop_reason="model_context_window_exceeded"))
    assert read.choices[0].finish == "length"
    assert DIALECT.read_answer(message(stop_reason="of_tomorrow")).choices[0].finish == "stop"
    filtered = DIALECT.write_answer(answer(Refusal(text="No."), finish="content_filter"), CHAT, TOLD)
    assert (filtered["stop_reason"], filtered["content"]) == ("refusal", [{"type": "text", "text": "No."}])


def test_a_plain_end_with_calls_says_that_it_is_the_clients_turn() -> None:
    written = DIALECT.write_answer(answer(ToolCall(id="a", name="f", arguments="")), CHAT, TOLD)
    assert written["stop_reason"] == "tool_use"
    assert written["content"] == [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]


def test_thoughts_of_other_models_are_shown_without_a_signature_and_not_given_back() -> None:
    written = DIALECT.write_answer(answer(Thinking(text="Hm", protocol="openai"), Text(text="Ho")), CHAT, TOLD)
    assert written["content"][0] == {"type": "thinking", "thinking": "Hm", "signature": ""}
    again = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": written["content"]}],
    }
    outgoing = DIALECT.write_request(DIALECT.read_request(again), "claude-opus-4-8")
    assert outgoing.body["messages"][1]["content"] == [{"type": "text", "text": "Ho"}]
    assert outgoing.dropped == ("thinking",)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"object": "chat.completion", "choices": []},
        {"type": "message", "content": "x"},
        message({"type": "text"}),
        message({"text": "x"}),
        message({"type": "tool_use", "id": 1, "name": "f", "input": {}}),
        {**message(), "content": [1]},
    ],
)
def test_what_is_no_message_is_not_taken_for_one(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Anthropic"):
        DIALECT.read_answer(body)


# ------------------------------------------------------------ usage


def test_the_input_is_everything_that_was_read_and_its_parts_are_kept() -> None:
    told = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    usage = read_usage(told)
    assert usage == Usage(
        input_tokens=160,
        output_tokens=7,
        cache_read_tokens=100,
        cache_write_tokens=20,
        cache_write_long_tokens=30,
        reasoning_tokens=4,
    )
    assert write_usage(usage) == told


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        7,
        {"input_tokens": -1, "output_tokens": 5},
        {"input_tokens": 1, "output_tokens": 2**40},
        {"input_tokens": 1.5},
        {"input_tokens": "1"},
        {"input_tokens": True},
        {"input_tokens": 1, "cache_read_input_tokens": -8},
    ],
)
def test_usage_that_cannot_be_is_not_believed(told: Any) -> None:
    assert read_usage(told) is None
    assert DIALECT.read_usage(msgspec.json.encode({"usage": told})) is None
    assert DIALECT.read_answer(message(usage=told)).usage is None


def test_usage_is_found_in_the_bytes_of_an_answer() -> None:
    body = msgspec.json.encode(message({"type": "text", "text": "a"}))
    assert DIALECT.read_usage(body) == Usage(input_tokens=3, output_tokens=5)
    assert DIALECT.read_usage(b"<html>") is None
    assert DIALECT.read_usage(b"[]") is None


def test_more_from_the_cache_than_was_read_is_never_told_as_less_than_nothing() -> None:
    assert write_usage(Usage(input_tokens=5, cache_read_tokens=9))["input_tokens"] == 0


# ------------------------------------------------------------ errors


def test_an_error_has_its_type_words_and_the_id_of_the_request() -> None:
    assert DIALECT.write_error(Refused("rate_limited", "60 a minute"), request_id="req_1") == (
        429,
        {"type": "error", "error": {"type": "rate_limit_error", "message": "60 a minute"}, "request_id": "req_1"},
    )


@pytest.mark.parametrize(
    ("status", "kind"), [(404, "not_found_error"), (413, "request_too_large"), (418, "invalid_request_error")]
)
def test_a_providers_own_status_is_passed_on_with_its_type(status: int, kind: str) -> None:
    got, body = DIALECT.write_error(Refused("upstream_rejected", "no", status=status), request_id="r")
    assert (got, body["error"]["type"]) == (status, kind)


@pytest.mark.parametrize(
    ("status", "kind", "failure"),
    [
        (400, "invalid_request_error", "rejected"),
        (401, "authentication_error", "auth"),
        (402, "billing_error", "auth"),
        (403, "permission_error", "auth"),
        (404, "not_found_error", "rejected"),
        (413, "request_too_large", "rejected"),
        (429, "rate_limit_error", "rate_limited"),
        (500, "api_error", "server_error"),
        (504, "timeout_error", "server_error"),
        (529, "overloaded_error", "overloaded"),
        (503, "of_tomorrow", "overloaded"),
        (302, "of_tomorrow", "protocol"),
    ],
)
def test_a_providers_error_says_whose_fault_it_is(status: int, kind: str, failure: str) -> None:
    body = msgspec.json.encode({"type": "error", "error": {"type": kind, "message": "because"}})
    found = DIALECT.read_error(status, {"retry-after": "7"}, body)
    assert (found.failure, found.status, found.code, found.message) == (failure, status, kind, "because")
    assert found.retry_after_s == 7.0


def test_an_empty_account_is_ours_to_fill_and_not_the_requests_fault() -> None:
    words = "Your credit balance is too low to access the Anthropic API."
    body = msgspec.json.encode({"type": "error", "error": {"type": "invalid_request_error", "message": words}})
    assert DIALECT.read_error(400, {}, body).failure == "auth"


@pytest.mark.parametrize("body", [b"", b"<html><h1>Bad gateway</h1></html>", b"\xff\xfe", b"[" * 9999, b'{"error":1}'])
def test_a_page_or_nothing_is_an_error_all_the_same(body: bytes) -> None:
    found = DIALECT.read_error(502, {}, body)
    assert (found.failure, found.status) == ("server_error", 502)
    assert found.message
    assert "<" not in found.message


def test_a_key_in_the_words_of_an_error_is_not_passed_on() -> None:
    body = msgspec.json.encode({"type": "error", "error": {"type": "api_error", "message": "bad sk-ant-api03-abcdef"}})
    assert "abcdef" not in DIALECT.read_error(500, {}, body).message
