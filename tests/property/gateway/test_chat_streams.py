"""Streams of chat completions: cut, merged and translated at will, they say the same; broken, they end well."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.core.conversation import Broken, Delta, Ended, Event, Finished, UsageSeen
from holdfast.gateway.core.dialect import Decoder, Told
from holdfast.gateway.core.wire.openai_chat import OpenAIChat
from holdfast.gateway.core.wire.sse import Frames, payloads
from holdfast.gateway.errors import Refused

DIALECT = OpenAIChat()
TOLD = Told(id="9", model="m", created=1)
CHAT = DIALECT.read_request(
    {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
)


def frame(*choices: dict[str, Any], **more: Any) -> bytes:
    body = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + msgspec.json.encode(body | more) + b"\n\n"


def choice(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def call(index: int, arguments: str, **begin: Any) -> dict[str, Any]:
    name = {"name": begin.pop("name")} if begin else {}
    return {"tool_calls": [{"index": index, **begin, "function": {**name, "arguments": arguments}}]}


RECORDED = [
    frame(choice({"role": "assistant", "content": ""})),
    b": keep-alive\n\n",
    frame(choice({"reasoning_content": "häm"})),
    frame(choice({"content": 'he said "data: [DONE]"\n\n'})),
    frame(choice({"content": "\u2028 and \U0001f41f"})),
    frame(choice(call(0, "", id="call_a", name="f", type="function"))),
    frame(choice(call(0, '{"x": [1, '))),
    frame(choice(call(0, "2]}"))),
    frame(choice(call(1, "{broken", id="call_b", name="g", type="function"))),
    frame(choice({}, "tool_calls")),
    frame(usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}),
    b"data: [DONE]\n\n",
]
STREAM = b"".join(RECORDED)


def read(decoder: Decoder, pieces: list[bytes]) -> list[Event]:
    frames = Frames()
    return [event for piece in pieces for event in decoder.feed(frames.feed(piece))] + decoder.end()


EVENTS = read(DIALECT.decoder(), [STREAM])


def said(events: list[Event]) -> object:
    """What has to survive a translation: words and arguments by choice and block, ends, usage."""
    words: dict[tuple[int, int], str] = {}
    for event in events:
        if isinstance(event, Delta):
            at = (event.choice, event.index)
            words[at] = words.get(at, "") + event.text
    return words, [event for event in events if isinstance(event, Finished | UsageSeen | Ended | Broken)]


def pieces_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({cut % (len(stream) + 1) for cut in cuts}), len(stream)]
    return [stream[a:b] for a, b in pairwise(places)]


def test_a_recorded_stream_split_at_every_byte_says_the_same() -> None:
    assert isinstance(EVENTS[-1], Ended)
    for at in range(len(STREAM) + 1):
        assert read(DIALECT.decoder(), [STREAM[:at], STREAM[at:]]) == EVENTS


@given(cuts=st.lists(st.integers(0, 10_000), max_size=30), end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_stream_cut_and_merged_at_will_says_the_same_however_lines_end(cuts: list[int], end: bytes) -> None:
    assert read(DIALECT.decoder(), pieces_of(STREAM.replace(b"\n", end), cuts)) == EVENTS


@given(
    cuts=st.lists(st.integers(0, 10_000), max_size=30),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    asked=st.booleans(),
)
def test_the_tap_passes_the_same_bytes_and_sees_the_same_however_they_come(
    cuts: list[int], end: bytes, asked: bool
) -> None:
    stream = STREAM.replace(b"\n", end)
    frames, tap = Frames(), DIALECT.tap(told=TOLD, include_usage=asked)
    passed = b"".join(tap.feed(frames.feed(piece)) for piece in pieces_of(stream, cuts))
    assert (tap.committed, tap.finished, tap.broken) == (True, True, None)
    assert tap.usage is not None
    assert tap.usage.total_tokens == 8
    expected = [data for _, data in payloads(STREAM) if asked or b'"choices":[]' not in data]
    assert [data for _, data in payloads(passed)] == expected


@pytest.mark.parametrize("translated", [True, False])
def test_a_stream_cut_at_every_byte_gives_whole_frames_and_then_a_well_formed_error(translated: bool) -> None:
    for at in range(len(STREAM)):
        frames = Frames()
        got = frames.feed(STREAM[:at])
        error = Refused("cut", "the provider's stream broke")
        if translated:
            decoder, encoder = DIALECT.decoder(), DIALECT.encoder(CHAT, TOLD)
            out = encoder.write(decoder.feed(got))
            broken = decoder.end()
            assert isinstance(broken[-1], Broken)
            out += encoder.fail(error)
        else:
            tap = DIALECT.tap(told=TOLD, include_usage=True)
            out = tap.feed(got) + tap.fail(error)
        left = Frames()
        assert left.feed(out) == out
        assert left.rest == b""
        *chunks, last, done = [data for _, data in payloads(out)]
        assert done == b"[DONE]"
        assert msgspec.json.decode(last)["error"]["code"] == "stream_cut"
        assert all("choices" in msgspec.json.decode(chunk) for chunk in chunks)


_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_deltas = st.one_of(
    st.builds(lambda text: {"content": text}, _words),
    st.builds(lambda text: {"reasoning_content": text}, _words),
    st.builds(lambda index, text: call(index, text, id=f"call_{index}", name="f"), st.integers(0, 3), _words),
)


@given(deltas=st.lists(st.tuples(st.integers(0, 2), _deltas), max_size=12), finish=st.sampled_from(["stop", "length"]))
def test_what_is_read_and_written_keeps_words_arguments_ends_and_usage(
    deltas: list[tuple[int, dict[str, Any]]], finish: str
) -> None:
    stream = [frame(choice(delta, index=index)) for index, delta in deltas]
    stream += [frame(choice({}, finish, index=index)) for index in range(3)]
    stream += [frame(usage={"prompt_tokens": 3, "completion_tokens": 5}), b"data: [DONE]\n\n"]
    events = read(DIALECT.decoder(), stream)
    again = read(DIALECT.decoder(), [DIALECT.encoder(CHAT, TOLD).write(events)])
    assert said(again) == said(events)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = [
    *("model", "messages", "role", "content", "type", "text", "image_url", "url", "input_audio", "file", "refusal"),
    *("tool_calls", "function", "name", "arguments", "id", "tools", "tool_choice", "functions", "function_call"),
    *("response_format", "json_schema", "schema", "stop", "n", "seed", "metadata", "stream", "stream_options"),
    *("include_usage", "audio", "reasoning_content", "custom", "index", "delta", "choices", "usage", "error"),
    *("finish_reason", "message", "code"),
]
_objects = st.recursive(
    _json | st.sampled_from(["user", "assistant", "tool", "function", "text", "auto", "\ud800", "m"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=6),
    max_leaves=25,
)


@given(given_=st.dictionaries(st.sampled_from(_FIELDS), _objects, max_size=8), messages=st.lists(_objects, max_size=3))
def test_a_request_of_whatever_shape_is_read_or_refused_and_nothing_else(
    given_: dict[str, Any], messages: list[Any]
) -> None:
    for body in (given_, {"model": "m", "messages": [{"role": "user", "content": messages}], **given_}):
        try:
            chat = DIALECT.read_request(body)
        except Refused:
            continue
        msgspec.json.encode(DIALECT.write_request(chat, "m").body)


@given(value=_objects)
def test_a_stream_and_an_answer_of_whatever_shape_are_read_or_said_to_be_none(value: object) -> None:
    try:
        data = b"data: " + msgspec.json.encode(value) + b"\n\n"
    except UnicodeEncodeError:
        return
    decoder = DIALECT.decoder()
    assert isinstance([*decoder.feed(data), *decoder.end()][-1], Broken)
    DIALECT.tap(told=TOLD, include_usage=False).feed(data)
    DIALECT.read_usage(data[6:])
    assert DIALECT.read_error(400, {}, data[6:]).message
    if isinstance(value, dict):
        try:
            answer = DIALECT.read_answer(value)
        except ValueError:
            return
        msgspec.json.encode(DIALECT.write_answer(answer, CHAT, TOLD))
