"""From every protocol to every other: what a conversation, an answer and a stream say there is what they said here.

The meaning of each is taken apart into facets. A facet that cannot be kept stands in a table with the reason, and the
tests hold the table to the truth in both directions: what is in it is lost, what is not in it is kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import product
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
    Finish,
    Finished,
    Media,
    Message,
    Part,
    Refusal,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Dialect, Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.errors import Refused

WIRE = "holdfast.gateway.core.wire"
DIALECTS = {
    "openai": ("openai_chat", "OpenAIChat"),
    "responses": ("responses", "Responses"),
    "anthropic": ("anthropic", "Anthropic"),
    "gemini": ("gemini", "Gemini"),
}
"""Protocols of clients and providers."""
PROVIDERS = {**DIALECTS, "bedrock": ("bedrock", "Bedrock")}
PAIRS = list(product(DIALECTS, DIALECTS))
TOLD = Told(id="x", model="asked", created=1_700_000_000)
PNG = "iVBORw0KGgo="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def dialect(name: str) -> Dialect:
    """By name."""
    module, cls = PROVIDERS[name]
    made: Dialect = getattr(import_module(f"{WIRE}.{module}"), cls)()
    return made


def plain(value: Any) -> Any:
    """As it is after a journey through JSON."""
    return msgspec.json.decode(msgspec.json.encode(value))


# ------------------------------------------------------------ requests: one conversation in each protocol's own words

CONVERSATION: Mapping[str, dict[str, Any]] = {
    "openai": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "Metric units."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Where is this, and how is the weather?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "high"}},
                    {"type": "image_url", "image_url": {"url": "https://example.org/b.png"}},
                ],
            },
            {
                "role": "assistant",
                "reasoning_content": "Two cities.",
                "content": "I look.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                    {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sun"},
            {"role": "tool", "tool_call_id": "c2", "content": "rain"},
            {"role": "user", "content": "Thank you."},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "weather", "description": "Now", "parameters": SCHEMA, "strict": True},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}},
        "max_tokens": 500,
        "temperature": 0.5,
        "user": "u1",
        "stream": True,
    },
    "responses": {
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "Metric units."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Where is this, and how is the weather?"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "high"},
                    {"type": "input_image", "image_url": "https://example.org/b.png", "detail": "auto"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Two cities."}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}'},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": '{"city":"Rome"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "sun"},
            {"type": "function_call_output", "call_id": "c2", "output": "rain"},
            {"role": "user", "content": "Thank you."},
        ],
        "tools": [{"type": "function", "name": "weather", "description": "Now", "parameters": SCHEMA, "strict": True}],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}},
        "max_output_tokens": 500,
        "temperature": 0.5,
        "user": "u1",
        "stream": True,
    },
    "anthropic": {
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Metric units."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Where is this, and how is the weather?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.org/b.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Two cities.", "signature": "sig"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
                    {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Rome"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "sun"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": "rain"},
                    {"type": "text", "text": "Thank you."},
                ],
            },
        ],
        "tools": [{"name": "weather", "description": "Now", "input_schema": SCHEMA, "strict": True}],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "max_tokens": 500,
        "temperature": 0.5,
        "metadata": {"user_id": "u1"},
        "stream": True,
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Metric units."}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "Where is this, and how is the weather?"},
                    {"inlineData": {"mimeType": "image/png", "data": PNG}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "https://example.org/b.png"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "Two cities.", "thought": True, "thoughtSignature": "c2ln"},
                    {"text": "I look."},
                    {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo"}}},
                    {"functionCall": {"id": "c2", "name": "weather", "args": {"city": "Rome"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "c1", "name": "weather", "response": {"output": "sun"}}},
                    {"functionResponse": {"id": "c2", "name": "weather", "response": {"output": "rain"}}},
                    {"text": "Thank you."},
                ],
            },
        ],
        "tools": [
            {"functionDeclarations": [{"name": "weather", "description": "Now", "parametersJsonSchema": SCHEMA}]}
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        "generationConfig": {
            "maxOutputTokens": 500,
            "temperature": 0.5,
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
        },
        "stream": True,
    },
}


def written(name: str, chat: Chat) -> dict[str, Any]:
    """The request as a provider of that protocol gets it, with what this protocol has in its path."""
    out = dialect(name).write_request(chat, "upstream")
    if name != "gemini":
        return dict(plain(out.body))
    assert "upstream" in out.path
    return {**plain(out.body), "model": "upstream", "stream": "stream" in out.path}


def parts_of(chat: Chat, kind: type[Any]) -> list[Any]:
    return [part for message in chat.messages for part in message.parts if isinstance(part, kind)]


def turns(chat: Chat) -> list[tuple[str, str]]:
    """Who said which words; what one says in pieces is one turn."""
    said: list[tuple[str, str]] = []
    for message in chat.messages:
        words = "".join(part.text for part in message.parts if isinstance(part, Text))
        if message.role in {"user", "assistant"} and words:
            said.append((message.role, words))
    return said


def rules(chat: Chat) -> str:
    """What the model is told to be, of whatever rank."""
    messages = [message for message in chat.messages if message.role in {"system", "developer"}]
    return "|".join(part.text for message in messages for part in message.parts if isinstance(part, Text)).replace(
        "\n\n", "|"
    )


def results(chat: Chat) -> list[tuple[int, str]]:
    """Which call each result is of, by its place, and what it says."""
    calls = [part.id for part in parts_of(chat, ToolCall)]
    return [
        (calls.index(part.call_id), "".join(said.text for said in part.parts if isinstance(said, Text)))
        for part in parts_of(chat, ToolResult)
    ]


FACETS: Mapping[str, Callable[[Chat], Any]] = {
    "rules": rules,
    "ranks of rules": lambda chat: [
        message.role for message in chat.messages if message.role in {"system", "developer"}
    ],
    "turns": turns,
    "calls": lambda chat: [(p.name, msgspec.json.decode(p.arguments)) for p in parts_of(chat, ToolCall)],
    "ids of calls": lambda chat: [p.id for p in parts_of(chat, ToolCall)],
    "calls side by side": lambda chat: [
        sum(isinstance(part, ToolCall) for part in message.parts)
        for message in chat.messages
        if message.role == "assistant"
    ],
    "results": results,
    "images": lambda chat: [(p.kind, p.url, p.data, p.data and p.media_type) for p in parts_of(chat, Media)],
    "detail of images": lambda chat: [p.detail if p.detail != "auto" else None for p in parts_of(chat, Media)],
    "thinking": lambda chat: [(p.text, p.signature) for p in parts_of(chat, Thinking)],
    "tools": lambda chat: [(t.name, t.description, plain(t.schema)) for t in chat.tools],
    "strict tools": lambda chat: [bool(t.strict) for t in chat.tools],
    "tool choice": lambda chat: chat.tool_choice and (chat.tool_choice.mode, chat.tool_choice.name),
    "one call at most": lambda chat: chat.tool_choice and chat.tool_choice.parallel,
    "form": lambda chat: chat.format and (chat.format.kind, plain(chat.format.schema)),
    "name of the form": lambda chat: chat.format and chat.format.name,
    "limits": lambda chat: (chat.max_tokens, chat.temperature),
    "user": lambda chat: chat.user,
    "stream": lambda chat: chat.stream,
}


def lost(facet: str, why: str, froms: Iterable[str], to: str) -> dict[tuple[str, str, str], str]:
    return {(each, to, facet): why for each in froms}


OPENAI = ("openai", "responses")
LOST = {
    (here, there, "thinking"): "thinking is given back only to a provider of the protocol that it came from"
    for here, there in PAIRS
    if here != there
}
LOST |= {
    **lost("ranks of rules", "one system prompt, which developers and operators share", OPENAI, "anthropic"),
    **lost("ranks of rules", "one system instruction, which developers and operators share", OPENAI, "gemini"),
    **lost("detail of images", "images have no detail", OPENAI, "anthropic"),
    **lost("detail of images", "images have no detail", OPENAI, "gemini"),
    **lost("name of the form", "a form has no name", OPENAI, "anthropic"),
    **lost("name of the form", "a form has no name", OPENAI, "gemini"),
    **lost("ids of calls", "calls are told apart by their order", DIALECTS, "gemini"),
    **lost("strict tools", "tools are not strict or loose", (*OPENAI, "anthropic"), "gemini"),
    **lost("one call at most", "the number of calls cannot be bounded", (*OPENAI, "anthropic"), "gemini"),
    **lost("user", "there is no field for the user", (*OPENAI, "anthropic"), "gemini"),
}
"""(client's protocol, provider's, facet) -> why."""


@pytest.mark.parametrize("facet", FACETS)
@pytest.mark.parametrize(("client", "provider"), PAIRS)
def test_a_conversation_says_the_same_to_a_provider_of_another_protocol(client: str, provider: str, facet: str) -> None:
    chat = dialect(client).read_request({"model": "asked", **CONVERSATION[client]})
    read = dialect(provider).read_request(written(provider, chat))
    assert read.model == "upstream"
    kept = FACETS[facet](read) == FACETS[facet](chat)
    assert kept == ((client, provider, facet) not in LOST), (FACETS[facet](chat), FACETS[facet](read))


STOP: Mapping[str, dict[str, Any]] = {
    "openai": {"messages": [{"role": "user", "content": "x"}], "stop": ["END"]},
    "anthropic": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9, "stop_sequences": ["END"]},
}


@pytest.mark.parametrize(("client", "provider"), list(product(STOP, DIALECTS)))
def test_a_stop_sequence_is_said_or_the_request_refused(client: str, provider: str) -> None:
    """Without it the answer would go on: it is nothing that could be left out."""
    chat = dialect(client).read_request({"model": "asked", **STOP[client]})
    if provider == "responses":
        with pytest.raises(Refused) as refused:
            written(provider, chat)
        assert (refused.value.reason, refused.value.param) == ("unsupported", "stop")
    else:
        assert dialect(provider).read_request(written(provider, chat)).stop == ("END",)


@pytest.mark.parametrize(("client", "provider"), PAIRS)
def test_what_is_left_out_of_a_request_is_named(client: str, provider: str) -> None:
    body = {"model": "asked", **CONVERSATION[client], "invented": 1}
    out = dialect(provider).write_request(dialect(client).read_request(body), "upstream")
    assert ("invented" in out.dropped) == (client != provider)
    assert ("invented" in out.body) == (client == provider)


# ------------------------------------------------------------ answers and streams

USAGE = Usage(input_tokens=30, output_tokens=20, cache_read_tokens=10, reasoning_tokens=5)


def blocks(protocol: Any) -> tuple[Part, ...]:
    """An answer with everything that most protocols have; thinking is the provider's own."""
    raw = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
    thinking = {
        "responses": Thinking(text="hm", protocol="responses", raw=raw),
        "anthropic": Thinking(text="hm", signature="sig", protocol="anthropic"),
    }.get(protocol, Thinking(text="hm", protocol=protocol))
    return (
        thinking,
        Text(text='I "look" – ü.'),
        ToolCall(id="c1", name="weather", arguments='{"city":"Oslo"}'),
        ToolCall(id="c2", name="weather", arguments='{"city":"Rome"}'),
    )


def gist(parts: Sequence[Part], finish: Finish, usage: Usage | None) -> dict[str, Any]:
    """What an answer says, by facet."""
    return {
        "words": "".join(part.text for part in parts if isinstance(part, Text)),
        "refusal": "".join(part.text for part in parts if isinstance(part, Refusal)),
        "calls": [(p.id, p.name, msgspec.json.decode(p.arguments)) for p in parts if isinstance(p, ToolCall)],
        "thinking": "".join(part.text for part in parts if isinstance(part, Thinking)),
        "end": finish,
        "tokens": usage and (usage.input_tokens, usage.output_tokens),
        "cached tokens": usage and usage.cache_read_tokens,
        "reasoning tokens": usage and usage.reasoning_tokens,
    }


LOST_OF_ANSWERS: Mapping[tuple[str, str, str], str] = {
    **lost("content_filter", "what a filter does is called a refusal", (*OPENAI, "gemini"), "anthropic"),
    **lost("content_filter", "a refusal without words is a filter's doing", ("anthropic",), "openai"),
    **lost("content_filter", "a refusal without words is a filter's doing", ("anthropic",), "responses"),
    **lost("content_filter", "a refusal without words is a filter's doing", ("anthropic",), "gemini"),
}
"""(provider's protocol, client's, facet) -> why."""
ENDS: Sequence[Finish] = ("stop", "length", "content_filter")


def chat_of(client: str) -> Chat:
    """A request of a client that asked for all that it can be told."""
    user = Message(role="user", parts=(Text(text="x"),))
    return Chat(protocol=client, model="asked", messages=(user,), stream=True, include_usage=True)  # type: ignore[arg-type]


def answered(provider: str, client: str, parts: Sequence[Part], finish: Finish) -> dict[str, tuple[Any, Any]]:
    """Each facet as the provider said it, and as the client reads it."""
    here, there = dialect(provider), dialect(client)
    choice = Choice(parts=tuple(parts), finish=finish)
    first = Answer(id="p", model="up", created=1, choices=(choice,), usage=USAGE)
    said = here.read_answer(plain(here.write_answer(first, chat_of(provider), TOLD)))
    got = there.read_answer(plain(there.write_answer(said, chat_of(client), TOLD)))
    assert got.model == "asked"
    before = gist(said.choices[0].parts, said.choices[0].finish, said.usage)
    after = gist(got.choices[0].parts, got.choices[0].finish, got.usage)
    return {facet: (before[facet], after[facet]) for facet in before}


def check(provider: str, client: str, facets: Mapping[str, tuple[Any, Any]], lost: Mapping[Any, str]) -> None:
    """Kept and lost are as the table says."""
    for facet, (before, after) in facets.items():
        if before != after or (before and (provider, client, facet) in lost):
            assert ((provider, client, facet) in lost) == (before != after), (facet, before, after)


@pytest.mark.parametrize(("provider", "client"), PAIRS)
def test_an_answer_says_the_same_to_a_client_of_another_protocol(provider: str, client: str) -> None:
    check(provider, client, answered(provider, client, blocks(provider), "tool_calls"), LOST_OF_ANSWERS)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("provider", "client"), PAIRS)
def test_why_an_answer_ended_is_told_to_a_client_of_another_protocol(provider: str, client: str, end: Finish) -> None:
    before, after = answered(provider, client, [Text(text="x")], end)["end"]
    assert (before == after) == ((provider, client, end) not in LOST_OF_ANSWERS), (before, after)


@pytest.mark.parametrize(("provider", "client"), PAIRS)
def test_a_refusal_is_never_taken_for_an_empty_answer(provider: str, client: str) -> None:
    facets = answered(provider, client, [Refusal(text="No.")], "refusal")
    (said, refused), (words, spoken) = facets["refusal"], facets["words"]
    assert (said or words) == (refused or spoken) == "No."


def events_of(parts: Sequence[Part], finish: Finish) -> list[Event]:
    events: list[Event] = [Started(id="p", model="up", created=1)]
    for index, part in enumerate(parts):
        if isinstance(part, ToolCall):
            events.append(BlockStarted(index=index, kind="tool_call", id=part.id, name=part.name))
            half = len(part.arguments) // 2
            events += [Delta(index=index, text=t) for t in (part.arguments[:half], part.arguments[half:])]
        elif isinstance(part, Thinking):
            events.append(BlockStarted(index=index, kind="thinking", protocol=part.protocol))
            events += [Delta(index=index, text=letter) for letter in part.text]
            if part.signature:
                events.append(Signed(index=index, signature=part.signature))
        elif isinstance(part, (Text, Refusal)):
            events.append(BlockStarted(index=index, kind="text" if isinstance(part, Text) else "refusal"))
            events += [Delta(index=index, text=letter) for letter in part.text]
        events.append(BlockEnded(index=index))
    return [*events, Finished(finish=finish), UsageSeen(usage=USAGE), Ended()]


def told(events: Sequence[Event]) -> tuple[dict[str, Any], Event]:
    """What a stream says, by facet; and its last event."""
    parts: dict[int, Any] = {}
    finish: Finish = "error"
    usage: Usage | None = None
    for event in events:
        if isinstance(event, BlockStarted):
            parts[event.index] = [event, ""]
        elif isinstance(event, Delta):
            parts[event.index][1] += event.text
        elif isinstance(event, Finished):
            finish = event.finish
        elif isinstance(event, UsageSeen):
            usage = event.usage
    made: list[Part] = []
    for start, text in parts.values():
        if start.kind == "tool_call":
            made.append(ToolCall(id=start.id, name=start.name, arguments=text))
        elif start.kind == "thinking":
            made.append(Thinking(text=text, protocol=start.protocol))
        elif start.kind == "refusal":
            made.append(Refusal(text=text))
        else:
            made.append(Text(text=text))
    return gist(made, finish, usage), events[-1]


def relayed(provider: str, client: str, frames: bytes, chat: Chat) -> bytes:
    """A provider's frames, one at a time, as the client gets them."""
    decoder, encoder = dialect(provider).decoder(), dialect(client).encoder(chat, TOLD)
    out = b"".join(encoder.write(decoder.feed(piece + b"\n\n")) for piece in frames.split(b"\n\n") if piece)
    return out + encoder.write(decoder.end())


@pytest.mark.parametrize(("provider", "client"), PAIRS)
def test_a_stream_says_the_same_to_a_client_of_another_protocol(provider: str, client: str) -> None:
    frames = dialect(provider).encoder(chat_of(provider), TOLD).write(events_of(blocks(provider), "tool_calls"))
    source, reader = dialect(provider).decoder(), dialect(client).decoder()
    before, _ = told(source.feed(frames) + source.end())
    after, last = told(reader.feed(relayed(provider, client, frames, chat_of(client))) + reader.end())
    assert isinstance(last, Ended)
    check(provider, client, {facet: (before[facet], after[facet]) for facet in before}, LOST_OF_ANSWERS)


@pytest.mark.parametrize(("provider", "client"), PAIRS)
def test_a_stream_that_breaks_is_told_as_broken(provider: str, client: str) -> None:
    events = events_of(blocks(provider), "tool_calls")
    frames = dialect(provider).encoder(chat_of(provider), TOLD).write(events[:6])
    encoder, reader = dialect(client).encoder(chat_of(client), TOLD), dialect(client).decoder()
    out = encoder.write([e for e in dialect(provider).decoder().feed(frames) if not isinstance(e, Broken)])
    out += encoder.fail(Refused("cut", "the provider's stream broke"))
    assert isinstance((reader.feed(out) + reader.end())[-1], Broken)


# ------------------------------------------------------------ a turn and back


THOUGHT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "hm, hm", "signature": "sig"},
    {"type": "redacted_thinking", "data": "opaque"},
    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
]


def given_back(output: Sequence[Mapping[str, Any]]) -> Any:
    """What Anthropic gets of its own turn when a client of Responses sends it back with the result of the tool."""
    result = {"type": "function_call_output", "call_id": "c1", "output": "sun"}
    tools = [{"type": "function", "name": "weather", "parameters": SCHEMA}]
    question = {"role": "user", "content": "x"}
    body = plain({"model": "asked", "input": [question, *output, result], "tools": tools})
    sent = dialect("anthropic").write_request(dialect("responses").read_request(body), "claude-sonnet-4-5")
    return plain(sent.body)["messages"][1]["content"]


def test_anthropic_s_thinking_comes_back_unmodified_through_a_client_of_responses() -> None:
    """Its API refuses the results of tools without the thinking before the calls."""
    answer = dialect("anthropic").read_answer(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "up",
            "content": THOUGHT,
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    )
    assert given_back(dialect("responses").write_answer(answer, chat_of("responses"), TOLD)["output"]) == THOUGHT


def test_anthropic_s_thinking_comes_back_unmodified_when_it_was_streamed() -> None:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [], "usage": {}}
    deltas = [
        [
            {"type": "thinking_delta", "thinking": "hm,"},
            {"type": "thinking_delta", "thinking": " hm"},
            {"type": "signature_delta", "signature": "sig"},
        ],
        [],
        [{"type": "input_json_delta", "partial_json": '{"city":"Oslo"}'}],
    ]
    starts = [{**THOUGHT[0], "thinking": "", "signature": ""}, THOUGHT[1], {**THOUGHT[2], "input": {}}]
    events: list[dict[str, Any]] = [{"type": "message_start", "message": head}]
    for index, (start, more) in enumerate(zip(starts, deltas, strict=True)):
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in more]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}})
    events.append({"type": "message_stop"})
    frames = b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event)) for event in events
    )
    written_frames = relayed("anthropic", "responses", frames, chat_of("responses"))
    last = msgspec.json.decode(written_frames.rsplit(b"data: ", 1)[1])
    assert last["type"] == "response.completed"
    assert given_back(last["response"]["output"]) == THOUGHT


# ------------------------------------------------------------ Bedrock, which is spoken by providers alone


@pytest.mark.parametrize("client", DIALECTS)
def test_an_answer_of_bedrock_s_says_the_same_to_every_client(client: str) -> None:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"text": "I look."},
        {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Oslo"}}},
    ]
    said = dialect("bedrock").read_answer(
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": "tool_use",
            "usage": {"inputTokens": 30, "outputTokens": 20, "totalTokens": 50},
        }
    )
    there = dialect(client)
    got = there.read_answer(plain(there.write_answer(said, chat_of(client), TOLD)))
    before = gist(said.choices[0].parts, said.choices[0].finish, said.usage)
    assert before["words"] == "I look."
    assert before["thinking"] == "hm"
    assert gist(got.choices[0].parts, got.choices[0].finish, got.usage) == before


@pytest.mark.parametrize("client", DIALECTS)
def test_bedrock_is_asked_with_every_word_call_and_result(client: str) -> None:
    chat = dialect(client).read_request({"model": "asked", **CONVERSATION[client]})
    # It takes images in the body only, and says so.
    words = [
        Message(role=message.role, parts=tuple(part for part in message.parts if getattr(part, "url", None) is None))
        for message in chat.messages
    ]
    out = dialect("bedrock").write_request(replace(chat, messages=tuple(words)), "upstream")
    sent = msgspec.json.encode(out.body).decode()
    for said in ("Be brief.", "Metric units.", "Where is this", "I look.", "Oslo", "Rome", "sun", "rain", "Thank you."):
        assert sent.count(said) == 1
