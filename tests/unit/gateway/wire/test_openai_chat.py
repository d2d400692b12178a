"""OpenAI's chat completions: requests, answers, streams, and the tap."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.gateway.core.conversation import (
    Broken,
    Chat,
    Delta,
    Ended,
    Finished,
    Media,
    Message,
    Opaque,
    Refusal,
    Started,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Dialect, Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.openai_chat import OpenAIChat
from holdfast.gateway.core.wire.openai_usage import read_usage
from holdfast.gateway.core.wire.sse import payloads
from holdfast.gateway.errors import Refused

DIALECT: Dialect = OpenAIChat()
TOLD = Told(id="7", model="asked", created=5)
HI: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def frame(value: object) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return frame({"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1, "choices": [choice], **more})


ROLE = chunk({"role": "assistant", "content": ""})
HELLO = chunk({"content": "hello"})
STOP = chunk({}, "stop")
COUNT = frame({"id": "chatcmpl-9", "choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"


class TestRequests:
    def test_everything_that_the_protocol_says_comes_back_to_a_provider_of_it(self) -> None:
        body = {
            "model": "m",
            "messages": [
                {"role": "developer", "content": "be brief"},
                {
                    "role": "user",
                    "name": "ann",
                    "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lG", "detail": "low"}},
                        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                        {"type": "file", "file": {"file_id": "file-1"}},
                        {
                            "type": "file",
                            "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"},
                        },
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{broken"}}],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
                {"role": "assistant", "content": "ok", "refusal": "no", "reasoning_content": "hm"},
            ],
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
            ],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": False,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            "max_completion_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["a", "b"],
            "n": 2,
            "seed": 4,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
            "reasoning_effort": "low",
            "user": "u",
            "metadata": {"k": "v"},
            "logprobs": True,
            "logit_bias": {"5": 1},
            "unheard_of": [1],
            "stream": True,
            "stream_options": {"include_usage": True, "include_obfuscation": False},
        }
        chat = DIALECT.read_request(body)
        assert chat.include_usage
        out = DIALECT.write_request(chat, "m")
        assert (out.path, out.dropped) == ("/chat/completions", ())
        assert out.body == body

    def test_functions_of_former_times_come_back_as_they_came_and_are_answered_so(self) -> None:
        body = {
            "model": "m",
            "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "1"},
            ],
            "functions": [{"name": "f", "parameters": {}}],
            "function_call": "auto",
        }
        chat = DIALECT.read_request(body)
        call, result = chat.messages[1].parts[0], chat.messages[2].parts[0]
        assert isinstance(call, ToolCall)
        assert isinstance(result, ToolResult)
        assert call.id == result.call_id
        assert [tool.name for tool in chat.tools] == ["f"]
        assert DIALECT.write_request(chat, "m").body == body
        answer = DIALECT.read_answer(
            {"choices": [{"message": {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}}]}
        )
        choice = DIALECT.write_answer(answer, chat, TOLD)["choices"][0]
        assert choice["finish_reason"] == "function_call"
        assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}

    def test_allowed_tools_are_kept_for_their_own_protocol(self) -> None:
        allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}
        chat = DIALECT.read_request(
            {**HI, "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": allowed}
        )
        assert chat.tool_choice is not None
        assert chat.tool_choice.mode == "required"
        assert DIALECT.write_request(chat, "m").body["tool_choice"] == allowed

    @pytest.mark.parametrize(
        ("change", "param"),
        [
            ({"model": 5}, "model"),
            ({"model": ""}, "model"),
            ({"messages": None}, "messages"),
            ({"messages": []}, "messages"),
            ({"messages": "hi"}, "messages"),
            ({"messages": [7]}, "messages.0"),
            ({"messages": [{"role": "king", "content": "hi"}]}, "messages.0.role"),
            ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
            ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content"),
            ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
            ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages.0.content.0.text"),
            (
                {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
                "messages.0.content.0.image_url",
            ),
            ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
            ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages.0.tool_calls.0.function"),
            ({"temperature": "hot"}, "temperature"),
            ({"temperature": True}, "temperature"),
            ({"temperature": float("nan")}, "temperature"),
            ({"max_tokens": -1}, "max_tokens"),
            ({"max_tokens": 1.5}, "max_tokens"),
            ({"n": 0}, "n"),
            ({"n": 1 << 50}, "n"),
            ({"stop": 5}, "stop"),
            ({"stop": ["a", 5]}, "stop.1"),
            ({"stream": "yes"}, "stream"),
            ({"stream_options": []}, "stream_options"),
            ({"tools": {}}, "tools"),
            ({"tools": [{"type": "function"}]}, "tools.0.function"),
            ({"tool_choice": "maybe"}, "tool_choice"),
            ({"response_format": {"type": "xml"}}, "response_format.type"),
            ({"metadata": {"a": "\udfff"}}, "metadata"),
            ({"unheard_of": "\udfff"}, "unheard_of"),
        ],
    )
    def test_what_is_wrong_is_refused_by_its_path(self, change: dict[str, Any], param: str) -> None:
        with pytest.raises(Refused) as caught:
            DIALECT.read_request({**HI, **change})
        assert (caught.value.reason, caught.value.param) == ("invalid_request", param)

    def test_content_that_is_nested_too_deeply_is_refused(self) -> None:
        nested: list[Any] = []
        for _ in range(100_000):
            nested = [nested]
        with pytest.raises(Refused, match="nested too deeply"):
            DIALECT.read_request({**HI, "unheard_of": nested})

    def test_what_other_protocols_say_is_translated_or_named_as_left_out(self) -> None:
        chat = Chat(
            protocol="anthropic",
            model="x",
            messages=(
                Message(role="system", parts=(Text(text="s", cache={"type": "ephemeral"}),)),
                Message(
                    role="assistant",
                    parts=(
                        Thinking(text="t", signature="s", protocol="anthropic"),
                        ToolCall(id="1", name="f", arguments="{}"),
                    ),
                ),
                Message(
                    role="tool",
                    parts=(
                        ToolResult(
                            call_id="1",
                            parts=(Text(text="seen"), Media(kind="image", data="AA", media_type="image/png")),
                            is_error=True,
                        ),
                    ),
                ),
            ),
            top_k=5,
            max_tokens=10,
            reasoning_tokens=4096,
            extra={"container": "c"},
        )
        out = DIALECT.write_request(chat, "gpt-5")
        assert set(out.dropped) == {"thinking", "is_error", "top_k", "container"}
        assert out.body["max_completion_tokens"] == 10
        assert out.body["reasoning_effort"] == "medium"
        assert [message["role"] for message in out.body["messages"]] == ["system", "assistant", "tool", "user"]
        assert out.body["messages"][0]["content"] == "s"

    def test_what_tools_show_follows_the_last_of_their_results(self) -> None:
        image = Media(kind="image", data="AA", media_type="image/png")
        results = [ToolResult(call_id=id_, parts=(image,)) for id_ in ("1", "2")]
        messages = (*(Message(role="tool", parts=(result,)) for result in results), Message(role="assistant", parts=()))
        written = DIALECT.write_request(Chat(protocol="anthropic", model="x", messages=messages), "m").body["messages"]
        assert [message["role"] for message in written] == ["tool", "tool", "user", "assistant"]
        assert len(written[2]["content"]) == 2

    def test_a_tool_that_another_provider_runs_is_refused(self) -> None:
        tool = Tool(name="web", raw={"type": "web_search"}, protocol="anthropic")
        chat = Chat(protocol="anthropic", model="x", messages=(), tools=(tool,))
        with pytest.raises(Refused) as caught:
            DIALECT.write_request(chat, "m")
        assert (caught.value.reason, caught.value.param) == ("unsupported", "tools.0")


class TestAnswers:
    def test_an_answer_is_read_and_written_without_loss(self) -> None:
        message = {
            "role": "assistant",
            "content": "hello",
            "refusal": None,
            "reasoning_content": "hm",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
        }
        body = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 5,
            "model": "real",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}],
            "usage": USAGE,
            "system_fingerprint": "fp",
        }
        answer = DIALECT.read_answer(body)
        assert answer.usage == Usage(input_tokens=3, output_tokens=5)
        written = DIALECT.write_answer(answer, DIALECT.read_request(HI), TOLD)
        assert written["choices"] == body["choices"]
        assert (written["id"], written["model"], written["system_fingerprint"]) == ("chatcmpl-7", "asked", "fp")

    def test_arguments_as_an_object_become_text_and_stop_after_calls_means_calls(self) -> None:
        call = {"function": {"name": "f", "arguments": {"x": 1}}}
        answer = DIALECT.read_answer({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "stop"}]})
        (part,) = answer.choices[0].parts
        assert isinstance(part, ToolCall)
        assert part.arguments == '{"x":1}'
        assert part.id
        assert answer.choices[0].finish == "tool_calls"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"choices": []},
            {"choices": {}},
            {"choices": [5]},
            {"choices": [{}]},
            {"choices": [{"message": {"content": 5}}]},
            {"choices": [{"message": {"tool_calls": 5}}]},
            {"choices": [{"message": {"tool_calls": [5]}}]},
            {"error": {"message": "no"}},
            {"type": "message", "content": [{"type": "text", "text": "another protocol"}]},
        ],
    )
    def test_what_is_no_answer_is_a_value_error(self, body: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"."):
            DIALECT.read_answer(body)


class TestUsage:
    @pytest.mark.parametrize("value", [-1, True, 1.5, "5", 1 << 41, None, [], {}])
    def test_nonsense_is_not_believed(self, value: object) -> None:
        assert read_usage({**USAGE, "prompt_tokens": value}) is None
        assert DIALECT.read_usage(msgspec.json.encode({"usage": {**USAGE, "prompt_tokens": value}})) is None

    def test_more_cached_than_read_is_not_believed(self) -> None:
        assert read_usage({**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}) is None

    def test_details_are_read(self) -> None:
        found = {
            **USAGE,
            "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 4},
        }
        expected = Usage(input_tokens=3, output_tokens=5, cache_read_tokens=2, audio_input_tokens=1, reasoning_tokens=4)
        assert read_usage(found) == expected
        assert DIALECT.read_usage(msgspec.json.encode({"choices": [{"deep": 1}], "usage": found})) == expected

    def test_reasoning_beside_the_completion_is_added_to_it(self) -> None:
        details = {"completion_tokens_details": {"reasoning_tokens": 10}}
        usage = read_usage({**USAGE, "total_tokens": 18, **details})
        assert usage is not None
        assert usage.output_tokens == 15

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"usage":5}', b'{"usage":null}'])
    def test_a_body_without_usage_has_none(self, body: bytes) -> None:
        assert DIALECT.read_usage(body) is None


class TestEncoder:
    def test_the_role_comes_first_and_the_finish_is_null_until_the_end(self) -> None:
        chat = DIALECT.read_request({**HI, "stream": True, "stream_options": {"include_usage": True}})
        events = DIALECT.decoder().feed(ROLE + HELLO + STOP + COUNT + DONE)
        sent = [data for _, data in payloads(DIALECT.encoder(chat, TOLD).write(events))]
        assert sent.pop() == b"[DONE]"
        chunks = [msgspec.json.decode(data) for data in sent]
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert [c["choices"][0]["finish_reason"] for c in chunks[:-1]] == [None, None, "stop"]
        assert [c["usage"] for c in chunks[:-1]] == [None] * 3
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["total_tokens"] == 8

    def test_who_did_not_ask_for_usage_gets_none(self) -> None:
        events = DIALECT.decoder().feed(ROLE + HELLO + STOP + COUNT + DONE)
        assert b"usage" not in DIALECT.encoder(DIALECT.read_request(HI), TOLD).write(events)

    def test_a_failure_is_an_error_and_done_and_nothing_follows(self) -> None:
        encoder = DIALECT.encoder(DIALECT.read_request(HI), TOLD)
        sent = [data for _, data in payloads(encoder.fail(Refused("cut", "it broke")))]
        assert msgspec.json.decode(sent[0])["error"]["message"] == "it broke"
        assert sent[1:] == [b"[DONE]"]
        assert encoder.fail(Refused("cut", "again")) == b""
        assert encoder.write([Ended()]) == b""


class TestDecoder:
    def test_parallel_calls_keep_apart_even_when_a_provider_gives_them_one_index(self) -> None:
        calls = [{"index": 0, "id": id_, "function": {"name": "f", "arguments": id_}} for id_ in ("a", "b")]
        events = DIALECT.decoder().feed(chunk({"tool_calls": calls}) + chunk({}, "stop") + DONE)
        assert [(e.index, e.text) for e in events if isinstance(e, Delta)] == [(0, "a"), (1, "b")]
        assert [e.finish for e in events if isinstance(e, Finished)] == ["tool_calls"]

    def test_interleaved_calls_are_told_by_their_index(self) -> None:
        def call(index: int, **more: Any) -> bytes:
            return chunk({"tool_calls": [{"index": index, **more}]})

        events = DIALECT.decoder().feed(
            call(0, id="a", function={"name": "f", "arguments": ""})
            + call(1, id="b", function={"name": "g", "arguments": ""})
            + call(0, function={"arguments": "x"})
            + call(1, function={"arguments": "y"})
        )
        assert [(e.index, e.text) for e in events if isinstance(e, Delta)] == [(0, "x"), (1, "y")]

    def test_calls_without_index_or_id_and_with_an_object_are_tolerated(self) -> None:
        calls = [{"function": {"name": name, "arguments": {"n": name}}} for name in ("f", "g")]
        events = DIALECT.decoder().feed(chunk({"tool_calls": calls}, "tool_calls"))
        assert [(e.index, e.text) for e in events if isinstance(e, Delta)] == [(0, '{"n":"f"}'), (1, '{"n":"g"}')]

    def test_azures_first_chunk_without_choices_and_usage_on_the_last_words_are_tolerated(self) -> None:
        azure = frame({"id": "", "choices": [], "prompt_filter_results": [], "usage": None})
        events = DIALECT.decoder().feed(azure + chunk({"content": "x"}, "stop", usage=USAGE) + DONE)
        assert isinstance(events[0], Started)
        assert events[-2:] == [UsageSeen(usage=Usage(input_tokens=3, output_tokens=5)), Ended()]

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    def test_reasoning_is_thinking(self, field: str) -> None:
        events = DIALECT.decoder().feed(chunk({field: "hm"}) + HELLO)
        assert [(e.index, e.text) for e in events if isinstance(e, Delta)] == [(0, "hm"), (1, "hello")]

    @pytest.mark.parametrize(
        ("frames", "failure"),
        [
            (frame({"error": {"message": "busy", "type": "overloaded_error"}}), "overloaded"),
            (frame({"error": {"message": "slow", "code": "rate_limit_exceeded"}}), "rate_limited"),
            (frame({"object": "error", "message": "bad", "code": 400}), "rejected"),
            (frame({"error": "it died"}), "server_error"),
            (b'{"error": {"message": "not a stream", "type": "server_error"}}\n\n', "server_error"),
            (b"<html>\n\n", "protocol"),
            (b"data: {not json\n\n", "protocol"),
            (b"data: 5\n\n", "protocol"),
            (frame({"type": "message_start"}), "protocol"),
            (frame({"choices": 5}), "protocol"),
            (frame({"choices": [5]}), "protocol"),
            (frame({"choices": [{"index": -1}]}), "protocol"),
            (chunk({"content": 5}), "protocol"),
            (chunk({"tool_calls": [{"index": 0}]}), "protocol"),
            (b"data: " + b"[" * 100_000 + b"\n\n", "protocol"),
        ],
    )
    def test_errors_and_what_is_not_the_protocol_break_the_stream_once(self, frames: bytes, failure: str) -> None:
        decoder = DIALECT.decoder()
        broken = [event for event in decoder.feed(frames + HELLO) if isinstance(event, Broken)]
        assert [event.failure for event in broken] == [failure]
        assert decoder.feed(HELLO) == decoder.end() == []

    def test_a_stream_without_done_was_cut(self) -> None:
        decoder = DIALECT.decoder()
        decoder.feed(ROLE + HELLO + STOP)
        (event,) = decoder.end()
        assert isinstance(event, Broken)
        assert event.failure == "cut"


class TestTap:
    def test_a_role_commits_to_nothing_and_words_do(self) -> None:
        tap = DIALECT.tap(told=TOLD, include_usage=True)
        tap.feed(ROLE)
        assert not tap.committed
        tap.feed(HELLO)
        assert tap.committed

    def test_bytes_pass_through_as_they_are(self) -> None:
        tap = DIALECT.tap(told=TOLD, include_usage=True)
        for frames in (ROLE, HELLO, HELLO + HELLO, STOP, COUNT, DONE):
            assert tap.feed(frames) is frames
        assert tap.finished
        assert tap.usage == Usage(input_tokens=3, output_tokens=5)
        assert tap.output_bytes == 15

    @pytest.mark.parametrize("merged", [True, False])
    def test_a_usage_chunk_that_was_not_asked_for_is_left_out(self, merged: bool) -> None:
        tap = DIALECT.tap(told=TOLD, include_usage=False)
        pieces = [ROLE, HELLO, STOP, COUNT, DONE]
        passed = tap.feed(b"".join(pieces)) if merged else b"".join(map(tap.feed, pieces))
        assert passed == ROLE + HELLO + STOP + DONE
        assert tap.usage is not None

    def test_usage_that_rides_on_words_stays(self) -> None:
        tap = DIALECT.tap(told=TOLD, include_usage=False)
        last = chunk({"content": "x"}, "stop", usage=USAGE)
        assert tap.feed(last) == last
        assert tap.usage is not None

    def test_words_that_look_like_fields_deceive_nobody(self) -> None:
        tap = DIALECT.tap(told=TOLD, include_usage=False)
        tap.feed(HELLO)
        tricky = chunk({"content": '"usage":{"prompt_tokens":1} data: [DONE]\n\n"error"'})
        assert tap.feed(tricky) == tricky
        assert (tap.usage, tap.finished, tap.broken) == (None, False, None)

    @pytest.mark.parametrize("committed", [True, False])
    @pytest.mark.parametrize("bad", [frame({"error": {"message": "x", "code": "rate_limit"}}), b"data: {cut\n\n"])
    def test_an_error_and_what_follows_it_do_not_reach_the_client(self, committed: bool, bad: bytes) -> None:
        tap = DIALECT.tap(told=TOLD, include_usage=False)
        if committed:
            tap.feed(HELLO)
        assert tap.feed(ROLE + bad + HELLO) == ROLE
        assert tap.broken is not None
        assert tap.feed(HELLO) == b""

    def test_comments_pass(self) -> None:
        tap = DIALECT.tap(told=TOLD, include_usage=False)
        assert tap.feed(b": OPENROUTER PROCESSING\n\n") == b": OPENROUTER PROCESSING\n\n"
        assert tap.broken is None


def test_refusals_and_sound_have_their_places() -> None:
    message = {"role": "assistant", "content": None, "refusal": "no", "audio": {"id": "audio_1"}}
    answer = DIALECT.read_answer({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert answer.choices[0].parts == (
        Refusal(text="no"),
        Opaque(protocol="openai", raw={"audio": {"id": "audio_1"}}),
    )
    assert DIALECT.write_answer(answer, DIALECT.read_request(HI), TOLD)["choices"][0]["message"] == message
