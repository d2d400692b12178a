"""Bedrock's Converse and ConverseStream, the provider's side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockStarted,
    Broken,
    Chat,
    Delta,
    Ended,
    Finished,
    Format,
    Media,
    Message,
    Signed,
    Started,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Dialect, Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.bedrock import Bedrock
from holdfast.gateway.core.wire.bedrock_stream import event, exception_event
from holdfast.gateway.core.wire.eventstream import encode
from holdfast.gateway.errors import Refused

BEDROCK: Dialect = Bedrock()
CHAT = Chat(protocol="openai", model="m", messages=(Message(role="user", parts=(Text(text="Hi"),)),))
MODEL = "anthropic.claude-sonnet-4-20250514-v1:0"
USAGE = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}


def test_a_model_name_is_encoded_into_the_address() -> None:
    out = BEDROCK.write_request(replace(CHAT, stream=True), "arn:aws:bedrock:us-east-1:1:inference-profile/us.x:0")
    assert out.path == "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x%3A0/converse-stream"
    assert BEDROCK.write_request(CHAT, MODEL).path.endswith("/converse")


def test_a_conversation_with_tools_is_written_whole() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "S"}}}
    chat = replace(
        CHAT,
        messages=(
            Message(role="system", parts=(Text(text="Be brief.", cache={"type": "ephemeral", "ttl": "1h"}),)),
            Message(
                role="user", parts=(Text(text="Weather?"), Media(kind="image", data="aGk=", media_type="image/png"))
            ),
            Message(
                role="assistant",
                parts=(
                    Thinking(text="hm", protocol="bedrock", raw=thought),
                    Thinking(text="other", protocol="anthropic"),
                    ToolCall(id="c1", name="weather", arguments='{"city":"Oslo"}'),
                ),
            ),
            Message(role="tool", parts=(ToolResult(call_id="c1", parts=(Text(text="rain"),), is_error=True),)),
            Message(role="user", parts=(Text(text="And?"),)),
        ),
        tools=(Tool(name="weather", description="d", schema={"type": "object"}),),
        tool_choice=ToolChoice(mode="named", name="weather"),
        max_tokens=9,
        stop=("x",),
    )
    body = BEDROCK.write_request(chat, MODEL).body
    assert body == {
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"text": "Weather?"}, {"image": {"format": "png", "source": {"bytes": "aGk="}}}],
            },
            {
                "role": "assistant",
                "content": [
                    thought,
                    {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Oslo"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "c1", "content": [{"text": "rain"}], "status": "error"}},
                    {"text": "And?"},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 9, "stopSequences": ["x"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "weather", "description": "d", "inputSchema": {"json": {"type": "object"}}}}
            ],
            "toolChoice": {"tool": {"name": "weather"}},
        },
    }


def test_a_schema_for_the_answer_is_json_text() -> None:
    out = BEDROCK.write_request(replace(CHAT, format=Format(kind="schema", schema={"type": "object"})), MODEL)
    schema = {"schema": '{"type":"object"}', "name": "answer"}
    assert out.body["outputConfig"] == {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def test_what_cannot_be_said_is_dropped_by_name() -> None:
    out = BEDROCK.write_request(replace(CHAT, seed=1, user="u", extra={"logit_bias": {}}), MODEL)
    assert set(out.dropped) == {"seed", "user", "logit_bias"}


@pytest.mark.parametrize(
    ("chat", "param"),
    [
        (replace(CHAT, n=2), "n"),
        (replace(CHAT, format=Format(kind="json")), "response_format"),
        (replace(CHAT, tools=(Tool(name="t", raw={}, protocol="anthropic"),)), "tools.0"),
        (
            replace(CHAT, messages=(Message(role="user", parts=(Media(kind="image", url="https://a/b.png"),)),)),
            "messages.0.content.0",
        ),
        (
            replace(CHAT, messages=(Message(role="assistant", parts=(ToolCall(id="c", name="t", arguments="{"),)),)),
            "messages.0.content.0",
        ),
    ],
)
def test_what_cannot_be_left_out_is_refused_with_its_place(chat: Chat, param: str) -> None:
    with pytest.raises(Refused) as caught:
        BEDROCK.write_request(chat, MODEL)
    assert (caught.value.reason, caught.value.param) == ("unsupported", param)


def test_a_whole_answer_is_read() -> None:
    block = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "S"}}}
    answer = BEDROCK.read_answer(
        {
            "output": {
                "message": {
                    "role": "assistant",
                    "content": [block, {"text": "Hi"}, {"toolUse": {"toolUseId": "c", "name": "t", "input": {"a": 1}}}],
                }
            },
            "stopReason": "tool_use",
            "usage": {
                **USAGE,
                "cacheReadInputTokens": 100,
                "cacheWriteInputTokens": 20,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 15}, {"ttl": "5m", "inputTokens": 5}],
            },
            "trace": {"guardrail": {}},
        }
    )
    (choice,) = answer.choices
    assert choice.finish == "tool_calls"
    assert choice.parts == (
        Thinking(text="hm", signature="S", protocol="bedrock", raw=block),
        Text(text="Hi"),
        ToolCall(id="c", name="t", arguments='{"a":1}'),
    )
    assert answer.usage == Usage(
        input_tokens=130, output_tokens=5, cache_read_tokens=100, cache_write_tokens=5, cache_write_long_tokens=15
    )
    assert answer.extra == {"trace": {"guardrail": {}}}


@pytest.mark.parametrize(
    "body", [{}, {"output": []}, {"choices": []}, {"output": {"message": {"content": [1]}}, "stopReason": "end_turn"}]
)
def test_an_answer_of_another_protocol_is_none(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"answer|block"):
        BEDROCK.read_answer(body)


@pytest.mark.parametrize("wrong", [-1, 1 << 60, "7", 1.5, True])
def test_usage_that_cannot_be_is_not_believed(wrong: object) -> None:
    assert BEDROCK.read_usage(b'{"usage":{"inputTokens":-3,"outputTokens":1}}') is None
    body = {"output": {"message": {"content": []}}, "stopReason": "end_turn", "usage": {**USAGE, "outputTokens": wrong}}
    assert BEDROCK.read_answer(body).usage is None


STREAM = b"".join(
    [
        event("messageStart", {"role": "assistant"}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "S"}}}),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Hi"}}),
        event("contentBlockStop", {"contentBlockIndex": 1}),
        event("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "c", "name": "t"}}}),
        event("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"a":'}}}),
        event("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": "1}"}}}),
        event("contentBlockStop", {"contentBlockIndex": 2}),
        event("messageStop", {"stopReason": "tool_use"}),
        event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}}),
    ]
)


def test_a_stream_is_read_as_events() -> None:
    assert BEDROCK.decoder().feed(STREAM) == [
        Started(id="", model=""),
        BlockStarted(index=0, kind="thinking", protocol="bedrock"),
        Delta(index=0, text="hm"),
        Signed(index=0, signature="S"),
        BlockEnded(index=0),
        BlockStarted(index=1, kind="text"),
        Delta(index=1, text="Hi"),
        BlockEnded(index=1),
        BlockStarted(index=2, kind="tool_call", id="c", name="t"),
        Delta(index=2, text='{"a":'),
        Delta(index=2, text="1}"),
        BlockEnded(index=2),
        Finished(finish="tool_calls"),
        UsageSeen(usage=Usage(input_tokens=10, output_tokens=5)),
        Ended(),
    ]


def test_a_stream_that_stops_before_its_end_is_cut() -> None:
    decoder = BEDROCK.decoder()
    decoder.feed(event("messageStart", {"role": "assistant"}))
    assert decoder.end() == [Broken(failure="cut", message="the stream ended before the answer did")]
    assert decoder.end() == []


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("throttlingException", "rate_limited"),
        ("modelStreamErrorException", "server_error"),
        ("validationException", "rejected"),
        ("serviceUnavailableException", "overloaded"),
        ("internalServerException", "server_error"),
    ],
)
def test_an_exception_in_a_stream_breaks_it(name: str, failure: str) -> None:
    frame = encode({":message-type": "exception", ":exception-type": name}, b'{"message":"words"}')
    assert BEDROCK.decoder().feed(frame) == [Broken(failure=failure, message="words")]
    tap = BEDROCK.tap(told=Told(id="i", model="m", created=0), include_usage=True)
    assert tap.feed(frame) == frame
    assert tap.broken is not None
    assert tap.broken.failure == failure


def test_a_wrong_sum_breaks_the_stream_and_is_not_passed_on() -> None:
    frame = bytearray(event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}))
    frame[-6] ^= 1
    (broken,) = BEDROCK.decoder().feed(bytes(frame))
    assert isinstance(broken, Broken)
    assert broken.failure == "protocol"
    tap = BEDROCK.tap(told=Told(id="i", model="m", created=0), include_usage=True)
    assert tap.feed(bytes(frame)) == b""
    assert tap.broken is not None


def test_the_tap_sees_what_matters_and_changes_nothing() -> None:
    tap = BEDROCK.tap(told=Told(id="i", model="m", created=0), include_usage=True)
    start = event("messageStart", {"role": "assistant"})
    tap.feed(start)
    assert not tap.committed
    assert tap.feed(STREAM[len(start) :]) == STREAM[len(start) :]
    assert (tap.committed, tap.finished, tap.broken) == (True, True, None)
    assert tap.usage == Usage(input_tokens=10, output_tokens=5)


def test_our_own_failure_ends_a_stream_with_an_exception() -> None:
    (broken,) = BEDROCK.decoder().feed(exception_event(Refused("overloaded", "no place")))
    assert broken == Broken(failure="overloaded", message="no place")


@pytest.mark.parametrize(
    ("status", "headers", "body", "failure"),
    [
        (429, {"x-amzn-errortype": "ThrottlingException:http://x/"}, b'{"message":"slow down"}', "rate_limited"),
        (400, {}, b'{"__type":"com.amazon.coral#ValidationException","message":"bad"}', "rejected"),
        (403, {"x-amzn-errortype": "AccessDeniedException"}, b'{"Message":"no"}', "auth"),
        (424, {"x-amzn-errortype": "ModelErrorException"}, b'{"originalStatusCode":503}', "overloaded"),
        (503, {}, b"<html>", "overloaded"),
        (500, {}, b"", "server_error"),
    ],
)
def test_errors_are_told_apart(status: int, headers: dict[str, str], body: bytes, failure: str) -> None:
    told = BEDROCK.read_error(status, headers, body)
    assert (told.failure, told.status) == (failure, status)
    assert told.message


def test_clients_do_not_speak_it() -> None:
    with pytest.raises(Refused, match="Converse"):
        BEDROCK.read_request({})
