"""Gemini's generateContent, on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from holdfast.gateway.core.conversation import (
    Answer,
    BlockEnded,
    BlockStarted,
    Broken,
    Chat,
    Choice,
    Delta,
    Ended,
    Event,
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
from holdfast.gateway.core.wire.gemini import Gemini
from holdfast.gateway.core.wire.sse import payloads
from holdfast.gateway.errors import Refused

GEMINI: Dialect = Gemini()
CHAT = Chat(protocol="openai", model="m", messages=(Message(role="user", parts=(Text(text="Hi"),)),))
TOLD = Told(id="r1", model="asked", created=1)
USAGE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 7,
    "cachedContentTokenCount": 4,
    "toolUsePromptTokenCount": 2,
    "totalTokenCount": 24,
}
READ = Usage(input_tokens=12, output_tokens=12, cache_read_tokens=4, reasoning_tokens=7)
TOOLS = (Tool(name="weather", description="d", schema={"type": "object", "$defs": {}}),)


def frame(body: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\r\n\r\n"


def chunk(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return frame({"candidates": [candidate], "responseId": "R", "modelVersion": "gemini-2.5-flash", **more})


def test_a_conversation_with_tools_is_written_whole() -> None:
    chat = replace(
        CHAT,
        messages=(
            Message(role="system", parts=(Text(text="Be brief."),)),
            Message(
                role="user", parts=(Text(text="Weather?"), Media(kind="image", data="aGk=", media_type="image/png"))
            ),
            Message(
                role="assistant",
                parts=(
                    Thinking(text="other", protocol="anthropic"),
                    ToolCall(id="a", name="weather", arguments='{"city":"Oslo"}', raw={"thoughtSignature": "S"}),
                ),
            ),
            Message(role="tool", parts=(ToolResult(call_id="a", parts=(Text(text="rain"),)),)),
        ),
        tools=TOOLS,
        tool_choice=ToolChoice(mode="named", name="weather"),
        format=Format(kind="schema", schema={"type": "object"}),
        max_tokens=9,
        reasoning_effort="low",
        stream=True,
    )
    out = GEMINI.write_request(chat, "gemini-2.5-flash")
    assert out.path == "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert out.body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "Weather?"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}],
            },
            {
                "role": "model",
                "parts": [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "S"}],
            },
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "rain"}}}]},
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "d", "parametersJsonSchema": {"type": "object", "$defs": {}}}
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        "generationConfig": {
            "maxOutputTokens": 9,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingBudget": 1024},
        },
    }


def test_a_call_that_lost_its_signature_is_marked_for_gemini_3_alone() -> None:
    calls = (ToolCall(id="a", name="t", arguments=""), ToolCall(id="b", name="t", arguments="{}"))
    chat = replace(CHAT, messages=(*CHAT.messages, Message(role="assistant", parts=calls)))
    first, second = GEMINI.write_request(chat, "gemini-3-pro").body["contents"][1]["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second
    assert "thoughtSignature" not in GEMINI.write_request(chat, "gemini-2.5-pro").body["contents"][1]["parts"][0]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((ToolCall(id="c", name="t", arguments="{"),), "unsupported"),
        ((ToolResult(call_id="x", parts=()),), "invalid_request"),
        ((Media(kind="image", file_id="f"),), "unsupported"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_place(parts: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(Refused) as caught:
        GEMINI.write_request(replace(CHAT, messages=(Message(role="user", parts=parts),)), "m")
    assert (caught.value.reason, caught.value.param) == (reason, "messages.0.content.0")


REQUEST: dict[str, Any] = {
    "model": "gemini-2.5-flash",
    "systemInstruction": {"parts": [{"text": "S"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "Hi"}, {"inline_data": {"mime_type": "image/png", "data": "aGk="}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "t", "args": {"a": 1}}, "thoughtSignature": "S"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "t", "response": {"result": "r"}}}]},
    ],
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "t",
                    "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}},
                }
            ]
        },
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    "generationConfig": {"temperature": 0, "candidateCount": 1, "thinkingConfig": {"thinkingBudget": -1}},
    "safetySettings": [{"category": "X", "threshold": "Y"}],
}


def test_a_clients_request_is_read() -> None:
    chat = GEMINI.read_request(REQUEST)
    assert [message.role for message in chat.messages] == ["system", "user", "assistant", "tool"]
    assert chat.messages[2].parts == (
        ToolCall(id="call_0", name="t", arguments='{"a":1}', raw={"thoughtSignature": "S"}),
    )
    assert chat.messages[3].parts == (ToolResult(call_id="call_0", name="t", parts=(Text(text="r"),)),)
    assert chat.tools[0].schema == {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    assert chat.tools[1] == Tool(name="googleSearch", raw={"googleSearch": {}}, protocol="gemini")
    assert chat.tool_choice == ToolChoice(mode="required")
    assert chat.extra["safetySettings"] == REQUEST["safetySettings"]


def test_a_clients_request_is_written_again_for_gemini_without_loss() -> None:
    body = GEMINI.write_request(GEMINI.read_request(REQUEST), "m").body
    assert body["safetySettings"] == REQUEST["safetySettings"]
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": -1}
    assert body["contents"][1:] == REQUEST["contents"][1:]
    assert body["tools"][1] == {"googleSearch": {}}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"contents": 1}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents.0.parts.0.text"),
        ({"contents": [{"parts": [{"text": "\ud800"}]}]}, "contents.0.parts.0.text"),
        ({"contents": [{"role": "wizard", "parts": []}]}, "contents.0.role"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "x"}}]}]}, "contents.0.parts.0.functionResponse"),
        ({"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"generationConfig": {"stopSequences": [1]}}, "generationConfig.stopSequences.0"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools.0.functionDeclarations.0.name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"model": None}, "model"),
    ],
)
def test_wrong_requests_are_refused_with_their_place(change: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as caught:
        GEMINI.read_request({**REQUEST, **change})
    assert (caught.value.reason, caught.value.param) == ("invalid_request", param)


def test_a_whole_answer_is_read() -> None:
    parts = [
        {"text": "hm", "thought": True},
        {"text": "Hi"},
        {"functionCall": {"name": "t", "args": {"a": 1}}, "thoughtSignature": "S"},
    ]
    body = {
        "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": USAGE,
        "responseId": "R",
        "modelVersion": "v",
    }
    answer = GEMINI.read_answer(body)
    assert (answer.id, answer.model, answer.usage) == ("R", "v", READ)
    (choice,) = answer.choices
    assert choice.finish == "tool_calls"
    assert choice.parts == (
        Thinking(text="hm", protocol="gemini"),
        Text(text="Hi"),
        ToolCall(id="call_R_0", name="t", arguments='{"a":1}', raw={"thoughtSignature": "S"}),
    )
    assert GEMINI.read_usage(msgspec.json.encode(body)) == READ


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("SOMETHING_NEW", "error"),
    ],
)
def test_finish_reasons_are_translated(reason: str, finish: str) -> None:
    answer = GEMINI.read_answer({"candidates": [{"finishReason": reason}]})
    assert answer.choices[0].finish == finish


def test_a_blocked_prompt_is_an_answer_that_the_filter_took() -> None:
    answer = GEMINI.read_answer({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE})
    assert answer.choices == (Choice(finish="content_filter"),)


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"candidates": [1]}, {"candidates": [{"content": {"parts": [1]}}]}]
)
def test_an_answer_of_another_protocol_is_none(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"candidate|part"):
        GEMINI.read_answer(body)


@pytest.mark.parametrize(
    "change",
    [
        {"promptTokenCount": -1},
        {"candidatesTokenCount": 1 << 60},
        {"cachedContentTokenCount": 11},
        {"thoughtsTokenCount": "7"},
    ],
)
def test_usage_that_cannot_be_is_not_believed(change: dict[str, Any]) -> None:
    assert GEMINI.read_usage(msgspec.json.encode({"usageMetadata": {**USAGE, **change}})) is None


STREAM = b"".join(
    [
        chunk({"text": "hm", "thought": True}, usageMetadata={"promptTokenCount": 10}),
        chunk({"text": "He"}),
        chunk({"text": "llo"}),
        chunk({"functionCall": {"name": "t", "args": {"a": 1}}, "thoughtSignature": "S"}),
        chunk({"text": "", "thoughtSignature": "E"}, finish="STOP", usageMetadata=USAGE),
    ]
)


def read(stream: bytes) -> list[Event]:
    decoder = GEMINI.decoder()
    return [*decoder.feed(stream), *decoder.end()]


def test_a_stream_is_read_as_events() -> None:
    assert read(STREAM) == [
        Started(id="R", model="gemini-2.5-flash"),
        BlockStarted(index=0, kind="thinking", protocol="gemini"),
        Delta(index=0, text="hm"),
        BlockEnded(index=0),
        BlockStarted(index=1, kind="text"),
        Delta(index=1, text="He"),
        Delta(index=1, text="llo"),
        BlockEnded(index=1),
        BlockStarted(index=2, kind="tool_call", id="call_R_0", name="t", raw={"thoughtSignature": "S"}),
        Delta(index=2, text='{"a":1}'),
        BlockEnded(index=2),
        BlockStarted(index=3, kind="thinking", protocol="gemini"),
        Signed(index=3, signature="E"),
        BlockEnded(index=3),
        Finished(finish="tool_calls"),
        UsageSeen(usage=READ),
        Ended(),
    ]


def test_what_is_written_to_a_client_is_read_as_the_same_events() -> None:
    events = read(STREAM)
    written = GEMINI.encoder(CHAT, TOLD).write(events)
    again = [e for e in read(written) if not isinstance(e, Started | UsageSeen)]
    assert again == [e for e in events if not isinstance(e, Started | UsageSeen)]


def test_broken_arguments_end_a_clients_stream_by_gemini_own_word() -> None:
    encoder = GEMINI.encoder(CHAT, TOLD)
    events: list[Event] = [
        BlockStarted(index=0, kind="tool_call", id="c", name="t"),
        Delta(index=0, text='{"a"'),
        BlockEnded(index=0),
        Finished(finish="tool_calls"),
        Ended(),
    ]
    ((_, data),) = payloads(encoder.write(events))
    assert msgspec.json.decode(data)["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"


def test_a_stream_that_stops_before_its_end_is_cut() -> None:
    assert read(chunk({"text": "He"}))[-1] == Broken(failure="cut", message="the stream ended before the answer did")
    assert isinstance(read(b"")[-1], Broken)


@pytest.mark.parametrize("bad", [b"data: {\n\n", b"data: [1]\n\n", b'data: {"candidates":[1]}\n\n'])
def test_what_is_not_the_protocol_breaks_the_stream_once(bad: bytes) -> None:
    (broken,) = [e for e in read(bad + STREAM) if not isinstance(e, Started)]
    assert isinstance(broken, Broken)
    assert broken.failure == "protocol"


def test_an_error_in_the_stream_breaks_it() -> None:
    error = frame({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})
    assert read(chunk({"text": "He"}) + error)[-1] == Broken(failure="overloaded", message="overloaded")


def test_the_tap_sees_what_matters_and_changes_nothing() -> None:
    tap = GEMINI.tap(told=TOLD, include_usage=True)
    tap.feed(chunk({"text": ""}))
    assert not tap.committed
    assert tap.feed(STREAM) == STREAM
    assert (tap.committed, tap.finished, tap.broken, tap.usage) == (True, True, None, READ)
    assert tap.output_bytes > 0


def test_our_own_failure_is_an_error_frame() -> None:
    (broken,) = [*GEMINI.decoder().feed(GEMINI.encoder(CHAT, TOLD).fail(Refused("overloaded", "no place")))]
    assert broken == Broken(failure="overloaded", message="no place")


def test_errors_carry_when_to_come_back() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}
    error = {"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": [info]}}
    for body in (error, [error]):
        told = GEMINI.read_error(429, {}, msgspec.json.encode(body))
        assert (told.failure, told.retry_after_s, told.code) == ("rate_limited", 12.5, "RESOURCE_EXHAUSTED")


def test_a_key_that_is_no_good_is_not_the_clients_fault() -> None:
    error = {"code": 400, "message": "m", "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}
    assert GEMINI.read_error(400, {}, msgspec.json.encode({"error": error})).failure == "auth"


@pytest.mark.parametrize(("status", "failure"), [(503, "overloaded"), (502, "server_error"), (404, "rejected")])
def test_a_page_of_something_before_the_provider_is_an_error_too(status: int, failure: str) -> None:
    told = GEMINI.read_error(status, {"retry-after": "3"}, b"<html><b>Bad</b></html>")
    assert (told.failure, told.message, told.retry_after_s) == (failure, "Bad", 3.0)


def test_a_whole_answer_is_written() -> None:
    answer = Answer(
        id="x",
        model="y",
        created=0,
        choices=(Choice(parts=(Text(text="Hi"), ToolCall(id="c", name="t", arguments="{}")), finish="tool_calls"),),
        usage=READ,
    )
    body = GEMINI.write_answer(answer, CHAT, TOLD)
    assert body["candidates"][0]["content"]["parts"][1] == {"functionCall": {"id": "c", "name": "t", "args": {}}}
    assert GEMINI.read_answer(body).usage == READ
    assert body["modelVersion"] == "asked"


def test_a_used_up_budget_is_a_used_up_quota() -> None:
    status, body = GEMINI.write_error(Refused("budget_exhausted", "m", retry_after_s=5), request_id="r")
    assert (status, body["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert body["error"]["details"][0]["retryDelay"] == "5s"
