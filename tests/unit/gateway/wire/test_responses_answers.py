"""Whole answers of the Responses API, and its errors."""

from typing import Any

import pytest

from holdfast.gateway.core.conversation import Answer, Chat, Choice, Finish, Opaque, Refusal, Text, Thinking, ToolCall
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.responses import Responses
from holdfast.gateway.errors import Refused

DIALECT = Responses()
CHAT = Chat(protocol="responses", model="m", messages=())
TOLD = Told(id="x", model="m", created=9)
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 6,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 16,
}


def answer(*parts: Any, finish: Finish = "stop", usage: Usage | None = None) -> dict[str, Any]:
    choice = Choice(parts=parts, finish=finish)
    return DIALECT.write_answer(Answer(id="p", model="up", created=1, choices=(choice,), usage=usage), CHAT, TOLD)


def provider(*output: Any, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "model": "up", "created_at": 5, "output": list(output), **more}


def test_an_answer_is_told_under_the_name_that_the_client_asked_for() -> None:
    body = answer(Text(text="hi"))
    assert (body["id"], body["model"], body["created_at"], body["status"]) == ("resp_x", "m", 9, "completed")
    assert body["output"][0]["content"] == [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}]


def test_parts_become_items_with_ids_of_their_own() -> None:
    body = answer(
        Thinking(text="hm", signature="s", protocol="anthropic"),
        Refusal(text="no"),
        ToolCall(id="c1", name="f", arguments="{"),
        finish="tool_calls",
    )
    assert [item["type"] for item in body["output"]] == ["reasoning", "message", "function_call"]
    assert len({item["id"] for item in body["output"]}) == 3
    assert body["output"][2]["call_id"] == "c1"


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("stop_sequence", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
        ("error", "failed", None),
    ],
)
def test_why_an_answer_ended_is_its_status(finish: Finish, status: str, reason: str | None) -> None:
    body = answer(Text(text="x"), finish=finish)
    assert body["status"] == status
    assert (body["incomplete_details"] or {}).get("reason") == reason


def test_a_refusal_in_words_is_a_complete_answer() -> None:
    assert answer(Refusal(text="no"), finish="refusal")["status"] == "completed"


def test_an_answer_without_usage_says_null() -> None:
    assert answer()["usage"] is None


def test_a_provider_s_answer_is_read_and_written_again() -> None:
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c",
            "name": "f",
            "arguments": "{}",
            "status": "completed",
            "namespace": "n",
        },
    ]
    read = DIALECT.read_answer(provider(*output, status="completed", usage=USAGE))
    assert read.usage == Usage(input_tokens=10, output_tokens=6, cache_read_tokens=4, reasoning_tokens=5)
    assert read.choices[0].finish == "tool_calls"
    assert isinstance(read.choices[0].parts[1], Opaque)
    assert DIALECT.write_answer(read, CHAT, TOLD)["output"] == output


@pytest.mark.parametrize(
    ("more", "finish"),
    [
        ({"status": "completed"}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "failed"}, "error"),
    ],
)
def test_a_status_is_read_as_why_it_ended(more: dict[str, Any], finish: Finish) -> None:
    assert DIALECT.read_answer(provider(**more)).choices[0].finish == finish


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": "chatcmpl-1", "object": "chat.completion", "choices": []},
        {"id": "msg_1", "type": "message", "content": []},
        provider("text"),
        provider({"type": "message"}),
        provider({"type": "message", "content": [{"type": "output_text"}]}),
        provider({"type": "function_call", "name": "f", "arguments": "{}"}),
    ],
)
def test_what_is_no_answer_of_this_protocol_is_not_taken_for_one(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        DIALECT.read_answer(body)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {"input_tokens": -1, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 1 << 60},
        {"input_tokens": True, "output_tokens": 1},
        {"input_tokens": 1.5, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 2}},
        {"input_tokens": 1, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 2}},
        {"prompt_tokens": 1, "completion_tokens": 1},
    ],
)
def test_a_usage_that_cannot_be_is_not_believed(usage: Any) -> None:
    assert DIALECT.read_answer(provider(usage=usage)).usage is None


def test_the_usage_of_an_answer_that_is_passed_through_is_read_alone() -> None:
    assert DIALECT.read_usage(b'{"output":"anything","usage":{"input_tokens":3,"output_tokens":4}}') == Usage(
        input_tokens=3, output_tokens=4
    )
    assert DIALECT.read_usage(b"<html>") is None
    assert DIALECT.read_usage(b'{"output":[]}') is None


def test_errors_have_the_shape_of_chat_completions() -> None:
    status, body = DIALECT.write_error(Refused("rate_limited", "later"), request_id="r")
    assert (status, body["error"]["type"]) == (429, "rate_limit_error")
    assert DIALECT.read_error(429, {"retry-after": "3"}, b"<html>busy</html>").retry_after_s == 3.0
