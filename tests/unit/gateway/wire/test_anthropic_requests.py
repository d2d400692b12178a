"""Requests of Anthropic's protocol: what clients say is read whole, and what providers refuse is never written."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.gateway.core.conversation import (
    Chat,
    Format,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from holdfast.gateway.core.wire.anthropic import Anthropic
from holdfast.gateway.core.wire.anthropic_models import abilities, budget_of, effort_of
from holdfast.gateway.core.wire.anthropic_schemas import fitted
from holdfast.gateway.errors import Refused

DIALECT = Anthropic()
CACHE = {"type": "ephemeral", "ttl": "1h"}
OLD, BUDGETED, FIRST_ADAPTIVE, NEW = "claude-3-5-haiku", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-4-8"


def body(**more: Any) -> dict[str, Any]:
    return {"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **more}


def read(**more: Any) -> Chat:
    return DIALECT.read_request(body(**more))


def said(role: Role, *parts: Part | str) -> Message:
    return Message(role=role, parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def chat(*messages: Message, **more: Any) -> Chat:
    return Chat(protocol="openai", model="m", messages=messages or (said("user", "Hi"),), **more)


def written(value: Chat, model: str = BUDGETED, **dialect: Any) -> Any:
    return Anthropic(**dialect).write_request(value, model).body


def dropped(value: Chat, model: str = BUDGETED) -> tuple[str, ...]:
    return DIALECT.write_request(value, model).dropped


# ------------------------------------------------------------ reading


def test_results_of_tools_are_messages_of_their_own() -> None:
    content = [
        {"type": "tool_result", "tool_use_id": "a", "content": "12 °C", "cache_control": CACHE},
        {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "no"}], "is_error": True},
        {"type": "text", "text": "And?"},
    ]
    read_messages = read(messages=[{"role": "user", "content": content}]).messages
    assert read_messages == (
        said(
            "tool",
            ToolResult(call_id="a", parts=(Text(text="12 °C"),), cache=CACHE),
            ToolResult(call_id="b", parts=(Text(text="no"),), is_error=True),
        ),
        said("user", "And?"),
    )


def test_thinking_and_unknown_blocks_are_kept_as_they_came() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln", "later": 1},
        {"type": "redacted_thinking", "data": "eA=="},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
    ]
    parts = read(messages=[{"role": "assistant", "content": blocks}]).messages[0].parts
    assert [part.raw for part in parts if isinstance(part, Thinking | Opaque)] == blocks


def test_images_and_documents_keep_their_sources() -> None:
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "title": "t", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}},
    ]
    value = read(messages=[{"role": "user", "content": content}])
    assert value.messages[0].parts == (
        Media(kind="image", data="AAAA", media_type="image/png"),
        Media(kind="image", url="https://x.test/a.png"),
        Media(kind="image", file_id="file_1"),
        Media(kind="document", data="YWJj", media_type="text/plain", name="t"),
    )
    assert written(value)["messages"][0]["content"] == content


def test_what_a_tool_found_is_read_as_words_that_every_model_can_read() -> None:
    found = [
        {"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "words"}]},
        {"type": "tool_reference", "tool_name": "f"},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "abc"}]}},
    ]
    result = {"type": "tool_result", "tool_use_id": "a", "content": found}
    assert read(messages=[{"role": "user", "content": [result]}]).messages[0].parts == (
        ToolResult(
            call_id="a",
            parts=(
                Text(text="T\nS\nwords"),
                Text(text='{"type":"tool_reference","tool_name":"f"}'),
                Media(kind="document", data="YWJj", media_type="text/plain"),
            ),
        ),
    )


def test_the_providers_own_tools_come_back_as_they_came() -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}, {"type": "mcp_toolset"}]
    value = read(tools=tools)
    assert [tool.name for tool in value.tools] == ["web_search", "mcp_toolset"]
    assert written(value)["tools"] == tools


def test_parameters_that_nobody_knows_are_carried_along() -> None:
    value = read(service_tier="auto", container="c", thinking={"type": "adaptive"})
    assert value.extra == {"service_tier": "auto", "container": "c", "thinking": {"type": "adaptive"}}
    sent = written(value, NEW)
    assert (sent["service_tier"], sent["container"], sent["thinking"]) == ("auto", "c", {"type": "adaptive"})


@pytest.mark.parametrize(
    ("more", "effort", "tokens"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "medium", 2000),
        ({"thinking": {"type": "enabled", "budget_tokens": 99_000}}, "high", 99_000),
        ({"thinking": {"type": "disabled"}}, "none", None),
        ({"thinking": {"type": "adaptive"}}, None, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "xhigh", None),
        ({"output_config": {"effort": "low"}}, "low", None),
        ({}, None, None),
    ],
)
def test_thinking_is_read_as_an_effort_and_a_budget(
    more: dict[str, Any], effort: str | None, tokens: int | None
) -> None:
    value = read(**more)
    assert (value.reasoning_effort, value.reasoning_tokens) == (effort, tokens)


@pytest.mark.parametrize("where", ["output_config", "output_format"])
def test_structured_output_is_read_from_its_place_of_today_and_of_the_beta(where: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}
    value = read(**{where: {"format": form} if where == "output_config" else form})
    assert value.format == Format(kind="schema", schema=form["schema"], strict=True)  # type: ignore[arg-type]
    assert written(value)["output_config"] == {"format": form}
    assert "output_format" not in written(value)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ToolChoice()),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(mode="required", parallel=False)),
        ({"type": "tool", "name": "f"}, ToolChoice(mode="named", name="f")),
        ({"type": "none"}, ToolChoice(mode="none")),
    ],
)
def test_the_choice_of_tools_comes_back_as_it_was(choice: dict[str, Any], expected: ToolChoice) -> None:
    tools = [{"name": "f", "input_schema": {"type": "object"}, "description": "d", "cache_control": CACHE}]
    value = read(tools=tools, tool_choice=choice)
    assert value.tool_choice == expected
    assert value.tools == (Tool(name="f", description="d", schema={"type": "object"}, cache=CACHE),)
    assert (written(value)["tools"], written(value)["tool_choice"]) == (tools, choice)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": 1}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages.0.content.0.text"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_p": "1"}, "top_p"),
        ({"stream": "yes"}, "stream"),
        ({"system": {"type": "text"}}, "system"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "thinking.budget_tokens"),
        ({"stop_sequences": [1]}, "stop_sequences.0"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
    ],
)
def test_what_is_wrong_is_refused_by_its_path(more: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        read(**more)
    assert (refused.value.reason, refused.value.param) == ("invalid_request", param)


def test_counting_needs_no_bound_of_the_output() -> None:
    asked = body(system="Be short.", stream=True)
    del asked["max_tokens"]
    value = DIALECT.read_count_request(asked)
    outgoing = DIALECT.write_count_request(value, NEW)
    assert outgoing.path == "/messages/count_tokens"
    assert set(outgoing.body) == {"model", "messages", "system"}
    assert DIALECT.read_count_answer({"input_tokens": 9}) == 9
    with pytest.raises(ValueError, match="no count"):
        DIALECT.read_count_answer({"input_tokens": -9})


# ------------------------------------------------------------ writing


def test_messages_of_one_side_become_one_turn_with_results_first() -> None:
    sent = written(
        chat(
            said("system", "Be kind."),
            said("developer", "Be short."),
            said("user", "One."),
            said("assistant", "", ToolCall(id="a.1", name="f", arguments='{"x":1}')),
            said("user", "Wait."),
            said("tool", ToolResult(call_id="a.1", parts=(Text(text="1"),))),
        )
    )
    assert [block["text"] for block in sent["system"]] == ["Be kind.", "Be short."]
    assert sent["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "One."}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a_1", "name": "f", "input": {"x": 1}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a_1", "content": [{"type": "text", "text": "1"}]},
                {"type": "text", "text": "Wait."},
            ],
        },
    ]


def test_instructions_in_the_middle_keep_their_rank_and_their_move_is_told() -> None:
    value = chat(said("user", "Hi"), said("assistant", "Ho"), said("system", "Now in French."), said("user", "Go"))
    assert written(value)["system"] == [{"type": "text", "text": "Now in French."}]
    assert dropped(value) == ("messages.2.position",)


def test_an_anthropic_clients_instructions_in_the_middle_stay_there() -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Now in French."}]
    assert [message["role"] for message in written(read(messages=messages))["messages"]] == ["user", "system"]


def test_instructions_alone_are_asked_as_a_question() -> None:
    sent = written(chat(said("system", "Say hello.")))
    assert sent["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}]
    assert "system" not in sent


def test_text_without_words_is_left_out_and_an_answer_to_continue_ends_with_a_word() -> None:
    sent = written(chat(said("user", "Hi", "", " \n"), said("assistant", "So ")))
    assert sent["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "So"}]},
    ]


def test_a_refusal_is_given_back_as_words() -> None:
    sent = written(chat(said("user", "Hi"), said("assistant", Refusal(text="No.")), said("user", "Why?")))
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "No."}]


@pytest.mark.parametrize("arguments", ['{"x":', "[1]", "null", '"x"', "[" * 5000])
def test_arguments_that_are_no_object_are_shown_as_the_model_wrote_them(arguments: str) -> None:
    value = chat(said("user", "Hi"), said("assistant", ToolCall(id="a", name="f", arguments=arguments)))
    assert written(value)["messages"][1]["content"][0]["input"] == {"invalid_json": arguments}
    assert dropped(value) == ("messages.1.content.0.arguments",)


def test_a_data_url_becomes_base64_and_others_stay_addresses() -> None:
    pictures = (
        Media(kind="image", url="data:image/webp;base64,AAAA"),
        Media(kind="image", url="https://x.test/a.png"),
        Media(kind="document", data="JVBERg==", media_type="application/pdf", name="a.pdf"),
    )
    assert [block["source"] for block in written(chat(said("user", *pictures)))["messages"][0]["content"]] == [
        {"type": "base64", "media_type": "image/webp", "data": "AAAA"},
        {"type": "url", "url": "https://x.test/a.png"},
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
    ]


@pytest.mark.parametrize(
    "part",
    [
        Media(kind="audio", data="AAAA", media_type="audio/wav"),
        Media(kind="image", file_id="file-of-another"),
        Media(kind="document", data="AAAA", media_type="application/zip"),
    ],
)
def test_media_that_cannot_be_shown_are_refused(part: Media) -> None:
    with pytest.raises(Refused) as refused:
        written(chat(said("user", "Look", part)))
    assert (refused.value.reason, refused.value.param) == ("unsupported", "messages.0.content.1")


def test_only_thoughts_with_claudes_signature_are_given_back() -> None:
    own = {"type": "thinking", "thinking": "a", "signature": "c2ln"}
    value = chat(
        said("user", "Hi"),
        said(
            "assistant",
            Thinking(text="a", signature="c2ln", protocol="anthropic", raw=own),
            Thinking(text="b", signature="c2ln", protocol="bedrock"),
            Thinking(text="c", protocol="openai"),
            Thinking(text="d", signature="x", protocol="gemini"),
            Thinking(text="e", signature="", protocol="anthropic", raw={"type": "thinking", "thinking": "e"}),
            "Ho",
        ),
    )
    thoughts = [block["thinking"] for block in written(value)["messages"][1]["content"] if "thinking" in block]
    assert thoughts == ["a", "b"]
    assert dropped(value) == ("thinking",)


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "config"),
    [
        (OLD, "high", None, None),
        (BUDGETED, "low", {"type": "enabled", "budget_tokens": 1024}, None),
        (BUDGETED, "none", None, None),
        (FIRST_ADAPTIVE, "xhigh", {"type": "adaptive", "display": "summarized"}, {"effort": "max"}),
        (NEW, "xhigh", {"type": "adaptive", "display": "summarized"}, {"effort": "xhigh"}),
        (NEW, "minimal", {"type": "adaptive", "display": "summarized"}, {"effort": "low"}),
        (NEW, "none", {"type": "disabled"}, None),
    ],
)
def test_an_effort_is_said_in_the_words_of_the_models_generation(
    model: str, effort: str, thinking: object, config: object
) -> None:
    sent = written(chat(reasoning_effort=effort), model)
    assert (sent.get("thinking"), sent.get("output_config")) == (thinking, config)


@pytest.mark.parametrize(
    ("model", "thinking", "expected", "config"),
    [
        (NEW, {"type": "enabled", "budget_tokens": 2000}, {"type": "adaptive", "display": "summarized"}, "medium"),
        (FIRST_ADAPTIVE, {"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}, None),
        (BUDGETED, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 8192}, None),
        (OLD, {"type": "adaptive"}, None, None),
        (NEW, {"type": "adaptive"}, {"type": "adaptive"}, None),
        ("mock-small", {"type": "adaptive"}, {"type": "adaptive"}, None),
        (NEW, {"type": "disabled"}, {"type": "disabled"}, None),
    ],
)
def test_an_anthropic_clients_thinking_is_said_again_only_for_another_generation(
    model: str, thinking: dict[str, Any], expected: object, config: str | None
) -> None:
    sent = written(read(max_tokens=20_000, thinking=thinking), model)
    assert sent.get("thinking") == expected
    assert sent.get("output_config", {}).get("effort") == config


def test_a_budget_is_told_as_an_effort_where_budgets_are_gone() -> None:
    assert written(chat(reasoning_tokens=2000), NEW)["output_config"] == {"effort": "medium"}
    assert written(chat(reasoning_tokens=2000))["thinking"] == {"type": "enabled", "budget_tokens": 2000}


def test_an_effort_that_nobody_has_heard_of_is_left_out_and_told() -> None:
    value = chat(reasoning_effort="cosmic")
    assert "output_config" not in written(value, NEW)
    assert dropped(value, NEW) == ("reasoning_effort",)


def test_the_version_of_the_api_is_told() -> None:
    assert DIALECT.write_request(chat(), NEW).headers == {"anthropic-version": "2023-06-01"}


def test_the_bound_of_the_output_has_room_for_the_budget() -> None:
    thinks = chat(reasoning_effort="medium")
    assert written(chat())["max_tokens"] == 4096
    assert written(chat(), max_tokens=9000)["max_tokens"] == 9000
    assert written(thinks)["max_tokens"] == 4096 + 8192
    short = written(chat(reasoning_effort="medium", max_tokens=3000))
    assert (short["max_tokens"], short["thinking"]["budget_tokens"]) == (3000, 2999)
    shorter = chat(reasoning_effort="medium", max_tokens=1000)
    assert "thinking" not in written(shorter)
    assert dropped(shorter) == ("reasoning_effort",)


def test_no_thinking_with_a_forced_tool_or_after_calls_without_thoughts() -> None:
    tools = (Tool(name="f"),)
    forced = chat(tools=tools, tool_choice=ToolChoice(mode="required"), reasoning_effort="low")
    goes_on = chat(
        said("user", "Hi"),
        said("assistant", ToolCall(id="a", name="f", arguments="{}")),
        said("tool", ToolResult(call_id="a", parts=())),
        tools=tools,
        reasoning_effort="low",
    )
    for value in (forced, goes_on):
        assert "thinking" not in written(value)
        assert "reasoning_effort" in dropped(value)


def test_sampling_is_said_as_far_as_the_model_lets_it() -> None:
    hot = chat(temperature=1.7, top_p=0.5, top_k=3, seed=1, frequency_penalty=0.0, presence_penalty=1.0)
    sent = written(hot)
    assert (sent["temperature"], sent.get("top_p"), sent["top_k"]) == (1.0, None, 3)
    assert dropped(hot) == ("temperature", "top_p", "seed", "presence_penalty")
    assert not {"temperature", "top_p", "top_k"} & set(written(hot, NEW))
    assert not {"temperature", "top_p", "top_k"} & set(written(chat(temperature=0.2, reasoning_effort="low")))


def test_a_schema_is_held_to_where_the_model_can_and_asked_for_where_it_cannot() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    value = chat(format=Format(kind="schema", schema=schema))
    form = written(value)["output_config"]["format"]
    assert form == {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}
    assert "JSON Schema" in written(value, OLD)["system"][0]["text"]
    assert dropped(value, OLD) == ("response_format.json_schema.strict",)
    assert "one JSON object" in written(chat(format=Format(kind="json")))["system"][0]["text"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 1},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}},
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"oneOf": []}}]},
    ],
)
def test_a_schema_that_says_more_than_can_be_held_to_is_unfit(schema: dict[str, Any]) -> None:
    assert fitted(schema) is None


def test_a_schema_nested_without_end_is_unfit() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    assert fitted(schema) is None


def test_several_answers_and_tools_of_other_providers_are_refused() -> None:
    with pytest.raises(Refused) as several:
        written(chat(n=2))
    assert (several.value.reason, several.value.param) == ("unsupported", "n")
    with pytest.raises(Refused) as foreign:
        written(chat(tools=(Tool(name="web_search", raw={"type": "web_search"}, protocol="responses"),)))
    assert (foreign.value.reason, foreign.value.param) == ("unsupported", "tools.0")


def test_a_strict_tool_stays_strict_where_its_schema_can_be_held_to() -> None:
    plain = Tool(name="f", strict=True, schema={"type": "object", "properties": {"a": {"type": "string"}}})
    bounded = Tool(name="g", strict=True, schema={"properties": {"a": {"type": "integer", "minimum": 1}}})
    value = chat(tools=(plain, bounded))
    first, second = written(value)["tools"]
    assert (first["strict"], first["input_schema"]["additionalProperties"]) == (True, False)
    assert "strict" not in second
    assert second["input_schema"] == {"type": "object", **bounded.schema}
    assert dropped(value) == ("tools.1.strict",)


def test_what_another_provider_did_itself_is_left_out_and_told() -> None:
    opaque = Opaque(protocol="responses", raw={"type": "web_search_call"})
    value = chat(said("user", "Hi"), Message(role="assistant", parts=(opaque, Text(text="Ho")), name="bot"))
    assert written(value)["messages"][1]["content"] == [{"type": "text", "text": "Ho"}]
    assert dropped(value) == ("messages.1.name", "messages.1.content.0")


@pytest.mark.parametrize(
    "part",
    [
        Media(kind="image", url="data:image/png,plain"),
        Media(kind="document", data="/w==", media_type="text/plain"),
        Media(kind="document", data="?", media_type="text/plain"),
    ],
)
def test_media_that_are_not_what_they_say_are_refused(part: Media) -> None:
    with pytest.raises(Refused) as refused:
        written(chat(said("user", part)))
    assert (refused.value.reason, refused.value.param) == ("invalid_request", "messages.0.content.0")


def test_parameters_of_other_protocols_are_left_out_and_told() -> None:
    value = chat(extra={"store": True, "logit_bias": {}}, user="u", stream=True)
    assert dropped(value) == ("store", "logit_bias")
    sent = written(value)
    assert (sent["metadata"], sent["stream"]) == ({"user_id": "u"}, True)


@pytest.mark.parametrize(
    ("model", "thinking", "sampling", "schemas"),
    [
        ("claude-2.1", "none", True, False),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "none", True, False),
        ("claude-3-7-sonnet-latest", "budget", True, False),
        ("claude-sonnet-4-20250514", "budget", True, False),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "budget", True, False),
        ("claude-haiku-4-5-20251001", "budget", True, True),
        ("anthropic/claude-opus-4.5", "budget", True, True),
        ("claude-sonnet-4-6", "adaptive", True, True),
        ("claude-opus-4-7-20260416", "adaptive", False, True),
        ("claude-opus-4-10", "adaptive", False, True),
        ("claude-sonnet-5", "adaptive", False, True),
        ("mock-small", "budget", True, True),
    ],
)
def test_the_generation_is_told_by_the_name(model: str, thinking: str, sampling: bool, schemas: bool) -> None:
    found = abilities(model)
    assert (found.thinking, found.sampling, found.schemas) == (thinking, sampling, schemas)


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_an_effort_that_went_through_a_budget_is_the_same(effort: str) -> None:
    assert effort_of(budget_of(effort)) == effort
