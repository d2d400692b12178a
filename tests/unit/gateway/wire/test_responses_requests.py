"""Requests of the Responses API, read and written."""

from typing import Any

import pytest

from holdfast.gateway.core.conversation import (
    Chat,
    Media,
    Message,
    Opaque,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from holdfast.gateway.core.wire import responses_sealed
from holdfast.gateway.core.wire.responses import Responses
from holdfast.gateway.errors import Refused

DIALECT = Responses()
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "first"}, {"type": "summary_text", "text": "second"}],
    "encrypted_content": "gAAAA",
}


def read(**body: Any) -> Chat:
    return DIALECT.read_request({"model": "m", **body})


def written(chat: Chat) -> dict[str, Any]:
    return dict(DIALECT.write_request(chat, "upstream").body)


def other(*messages: Message, **more: Any) -> Chat:
    """A request that came in another protocol."""
    return Chat(protocol="openai", model="m", messages=messages, **more)


def said(*parts: Any) -> Message:
    return Message(role="assistant", parts=parts)


def test_words_alone_are_one_message_of_the_user() -> None:
    assert read(input="hello").messages == (Message(role="user", parts=(Text(text="hello"),)),)


def test_instructions_are_the_system_message_before_all_others() -> None:
    chat = read(instructions="be brief", input="hello")
    assert chat.messages[0] == Message(role="system", parts=(Text(text="be brief"),))
    assert written(chat)["instructions"] == "be brief"


def test_a_message_needs_no_type() -> None:
    chat = read(input=[{"role": "developer", "content": "d"}, {"role": "assistant", "content": "a"}])
    assert [message.role for message in chat.messages] == ["developer", "assistant"]


def test_parallel_calls_stand_side_by_side_and_so_do_their_results() -> None:
    chat = read(
        input=[
            {"role": "user", "content": "weather?"},
            REASONING,
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":'},
            {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
            {"type": "function_call_output", "call_id": "c1", "output": "sun"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
                ],
            },
        ]
    )
    assert [message.role for message in chat.messages] == ["user", "assistant", "tool"]
    thinking, first, second = chat.messages[1].parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, thinking.signature, thinking.raw) == ("first\n\nsecond", "gAAAA", REASONING)
    assert (first, second) == (
        ToolCall(id="c1", name="f", arguments='{"a":'),
        ToolCall(id="c2", name="g", arguments=""),
    )
    assert chat.messages[2].parts == (
        ToolResult(call_id="c1", parts=(Text(text="sun"),)),
        ToolResult(call_id="c2", parts=(Text(text="see"), Media(kind="image", data="AAAA", media_type="image/png"))),
    )


def test_what_a_user_gives_is_read_and_written_again() -> None:
    content = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"},
        {"type": "input_image", "file_id": "file-1", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "mp3"}},
    ]
    chat = read(input=[{"type": "message", "role": "user", "content": content}])
    assert written(chat)["input"] == [{"type": "message", "role": "user", "content": content}]
    assert [part.kind for part in chat.messages[0].parts if isinstance(part, Media)] == [
        "image", "image", "document", "document", "audio",
    ]  # fmt: skip


def test_items_that_no_other_protocol_has_come_out_as_they_went_in() -> None:
    items = [
        {"id": "msg_9"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        REASONING,
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "sql", "input": "select 1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "elsewhere", "output": "2"},
        {"type": "invented_tomorrow", "x": [1]},
    ]
    chat = read(input=items)
    assert written(chat)["input"] == items
    assert isinstance(chat.messages[0].parts[0], Opaque)


def test_words_of_the_assistant_keep_citations_and_refusals() -> None:
    note = {"type": "url_citation", "url": "https://example.org", "title": "t", "start_index": 0, "end_index": 1}
    content = [
        {"type": "output_text", "text": "a", "annotations": [note]},
        {"type": "refusal", "refusal": "no"},
    ]
    chat = read(input=[{"type": "message", "role": "assistant", "content": content}])
    assert chat.messages[0].parts == (Text(text="a", citations=(note,)), Refusal(text="no"))
    assert written(chat)["input"][0]["content"] == content


def test_settings_are_read_and_written_again() -> None:
    schema = {"type": "object", "properties": {}}
    body: dict[str, Any] = {
        "input": "x",
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": True},
            {"type": "web_search", "search_context_size": "low"},
            {"type": "custom", "name": "sql", "format": {"type": "text"}},
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto"},
        "max_output_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.25,
        "user": "u",
        "metadata": {"k": "v"},
        "stream": True,
        "previous_response_id": "resp_1",
        "store": True,
        "include": ["reasoning.encrypted_content"],
        "invented_tomorrow": 1,
    }
    chat = read(**body)
    assert chat.tool_choice == ToolChoice(mode="named", name="f", parallel=False)
    assert chat.max_tokens == 7
    assert chat.reasoning_effort == "high"
    again = written(chat)
    assert again.pop("model") == "upstream"
    body["input"] = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}]
    assert again == body


def test_a_stream_always_tells_its_usage() -> None:
    assert read(input="x", stream=True).include_usage


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 1}, "model"),
        ({}, "input"),
        ({"input": 3}, "input"),
        ({"input": [3]}, "input.0"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input.0.role"),
        ({"input": [{"role": "user"}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 1}]}]}, "input.0.content.0.text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.0.content.0.image_url"),
        ({"input": [{"role": "user", "content": [{}]}]}, "input.0.content.0.type"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input.0.call_id"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]}, "input.0.arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input.0.output"),
        ({"input": "x", "instructions": 1}, "instructions"),
        ({"input": "x", "tools": {}}, "tools"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools.0.name"),
        ({"input": "x", "tools": [{"type": "function", "name": "f", "parameters": 1}]}, "tools.0.parameters"),
        ({"input": "x", "tool_choice": "maybe"}, "tool_choice"),
        ({"input": "x", "text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"input": "x", "text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"input": "x", "reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"input": "x", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "x", "max_output_tokens": True}, "max_output_tokens"),
        ({"input": "x", "temperature": "hot"}, "temperature"),
        ({"input": "x", "stream": "yes"}, "stream"),
        ({"input": "\ud800"}, "input"),
        ({"input": "x", "invented": ["\ud800"]}, "invented"),
        ({"input": [{"type": "invented", "x": "\ud800"}]}, "input.0"),
    ],
)
def test_a_wrong_type_is_named_by_its_path(body: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        read(**body)
    assert (refused.value.reason, refused.value.param) == ("invalid_request", param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "x", "store": True, "tools": [{"type": "function", "name": "f"}]}, None),
        ({"input": [{"role": "user", "content": "x"}, REASONING]}, None),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "x", "conversation": "conv_1"}, "conversation"),
        ({"input": "x", "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}]}, "tools.1"),
        ({"input": "x", "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice"),
        ({"input": [{"role": "user", "content": "x"}, {"type": "item_reference", "id": "msg_1"}]}, "input.1"),
    ],
)
def test_what_only_this_protocol_can_do_is_named(body: dict[str, Any], param: str | None) -> None:
    read(**body)
    assert DIALECT.needs_same_protocol(body) == param


def test_what_came_in_another_protocol_is_not_stored_at_the_provider() -> None:
    outgoing = DIALECT.write_request(other(said(Text(text="x")), extra={"logit_bias": {}}), "m")
    assert outgoing.path == "/responses"
    assert outgoing.body["store"] is False
    assert outgoing.dropped == ("logit_bias",)


def test_a_schema_that_was_not_called_strict_elsewhere_is_not_strict_here() -> None:
    tool = Tool(name="f", schema={"type": "object"})
    assert written(other(tools=(tool,)))["tools"][0]["strict"] is False
    assert "strict" not in written(Chat(protocol="responses", model="m", messages=(), tools=(tool,)))["tools"][0]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"stop": ("x",)}, "stop"),
        ({"n": 2}, "n"),
        ({"tools": (Tool(name="bash", raw={"type": "bash"}, protocol="anthropic"),)}, "tools.0"),
    ],
)
def test_what_would_change_the_answer_is_refused_and_not_left_out(more: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        DIALECT.write_request(other(**more), "m")
    assert (refused.value.reason, refused.value.param) == ("unsupported", param)


def test_hints_that_this_protocol_does_not_know_are_left_out_and_named() -> None:
    thinking = Thinking(text="hm", signature="s", protocol="anthropic")
    chat = other(said(thinking, Text(text="a")), seed=1, top_k=2, reasoning_tokens=9000)
    outgoing = DIALECT.write_request(chat, "m")
    assert outgoing.dropped == ("top_k", "seed", "thinking", "reasoning_tokens")
    assert outgoing.body["reasoning"] == {"effort": "high"}


@pytest.mark.parametrize(
    "thinking",
    [
        Thinking(text="hm", signature="sig", protocol="anthropic"),
        Thinking(protocol="anthropic", raw={"type": "redacted_thinking", "data": "x"}),
        Thinking(text="ünïcode", protocol="gemini", signature="s"),
    ],
)
def test_thinking_of_another_protocol_comes_back_unmodified(thinking: Thinking) -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": responses_sealed.sealed(thinking)}
    assert read(input=[item]).messages[0].parts == (thinking,)


@pytest.mark.parametrize(
    "content",
    [
        "holdfast.anthropic.!!!",
        "holdfast.nobody.e30=",
        "holdfast.anthropic.W10=",
        responses_sealed.sealed(Thinking(protocol="anthropic", raw={"type": "tool_result", "content": "x"})),
    ],
)
def test_a_forged_block_is_an_item_as_any_other(content: str) -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": content}
    (part,) = read(input=[item]).messages[0].parts
    assert part == Thinking(protocol="responses", signature=content, raw=item)


def test_a_request_with_thinking_of_another_protocol_is_not_passed_through() -> None:
    sealed = responses_sealed.sealed(Thinking(text="hm", protocol="anthropic"))
    assert DIALECT.needs_translation(f'{{"encrypted_content": "{sealed}"}}'.encode())
    assert not DIALECT.needs_translation(b'{"encrypted_content": "gAAAA"}')
