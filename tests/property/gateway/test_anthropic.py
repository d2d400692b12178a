"""Streams and requests of Anthropic's protocol, cut anywhere and made of anything."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockStarted,
    Broken,
    Delta,
    Ended,
    Event,
    Finished,
    Started,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.anthropic import Anthropic
from holdfast.gateway.core.wire.sse import Frames, payloads
from holdfast.gateway.errors import Refused

DIALECT = Anthropic()
TOLD = Told(id="01", model="house", created=0)
ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
                {"type": "text", "text": "Ho"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "1"}]},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            ],
        },
    ],
    "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 4,
    "stop_sequences": ["x"],
    "stream": True,
    "metadata": {"user_id": "u"},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
}
CHAT = DIALECT.read_request(ASKED)
EVENTS: list[Event] = [
    Started(id="msg_01", model="house", usage=Usage(input_tokens=9)),
    BlockStarted(index=0, kind="thinking", protocol="anthropic"),
    Delta(index=0, text="Hm ☔"),
    BlockEnded(index=0),
    BlockStarted(index=1, kind="text"),
    Delta(index=1, text='a "message_stop"\n\ndata: {}\n\n'),
    Delta(index=1, text="\u2028é"),
    BlockEnded(index=1),
    BlockStarted(index=2, kind="tool_call", id="t", name="f"),
    Delta(index=2, text='{"a":'),
    Delta(index=2, text="1}"),
    BlockEnded(index=2),
    Finished(finish="tool_calls"),
    UsageSeen(usage=Usage(input_tokens=9, output_tokens=5)),
    Ended(),
]
RECORDED = DIALECT.encoder(CHAT, TOLD).write(EVENTS)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.sampled_from(["", "text", "user", "a"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "a"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of every value in a body, itself left out."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, one in inner for found in ((*path, key), *paths(one, (*path, key)))]


def refusal(body: Any) -> Refused | None:
    try:
        DIALECT.read_request(body)
    except Refused as refused:
        return refused
    return None


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_stream_cut_in_two_at_any_byte_is_the_same_stream(end: bytes) -> None:
    recorded = RECORDED.replace(b"\n", end)
    for at in range(len(recorded) + 1):
        frames, decoder, tap = Frames(), DIALECT.decoder(), DIALECT.tap(told=TOLD, include_usage=False)
        events: list[Event] = []
        passed = b""
        for piece in (recorded[:at], recorded[at:]):
            whole = frames.feed(piece)
            events += decoder.feed(whole)
            passed += tap.feed(whole)
        assert events == EVENTS
        # The line feed of the last CR LF may come after the end, which was whole without it.
        assert recorded in (passed, passed + b"\n")
        assert tap.finished


@given(st.lists(st.integers(0, len(RECORDED)), max_size=12))
@settings(max_examples=100)
def test_a_stream_in_any_pieces_is_the_same_stream(cuts: list[int]) -> None:
    frames, decoder = Frames(), DIALECT.decoder()
    edges = [0, *sorted(cuts), len(RECORDED)]
    pieces = [RECORDED[begin:end] for begin, end in pairwise(edges)]
    assert [event for piece in pieces for event in decoder.feed(frames.feed(piece))] == EVENTS


def test_a_stream_that_breaks_at_any_byte_is_whole_frames_and_one_error() -> None:
    error = Refused("cut", "the provider's stream ended")
    for at in range(len(RECORDED)):
        frames, tap, decoder = Frames(), DIALECT.tap(told=TOLD, include_usage=False), DIALECT.decoder()
        encoder = DIALECT.encoder(CHAT, TOLD)
        whole = frames.feed(RECORDED[:at])
        for told in (tap.feed(whole) + tap.fail(error), encoder.write(decoder.feed(whole)) + encoder.fail(error)):
            assert told.endswith(b"\n\n")
            types = [msgspec.json.decode(data)["type"] for _, data in payloads(told)]
            assert types.count("error") == (0 if types[-1] == "message_stop" else 1)
            assert types[-1] in ("error", "message_stop")
        if not tap.finished:
            assert [type(event) for event in decoder.end()] == [Broken]


def test_what_follows_a_cut_repeats_nothing() -> None:
    """Each frame of the recorded stream reaches the client once, wherever it was cut."""
    for at in range(len(RECORDED)):
        tap = DIALECT.tap(told=TOLD, include_usage=False)
        told = tap.feed(Frames().feed(RECORDED[:at]))
        assert RECORDED.startswith(told)


@given(st.data())
@settings(max_examples=300)
def test_a_value_of_any_type_anywhere_is_read_or_refused_by_its_path(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(ASKED)))
    body = replaced(ASKED, path, data.draw(ANYTHING))
    refused = refusal(body)
    if refused is None:
        DIALECT.write_request(DIALECT.read_request(body), "claude-sonnet-4-5")
    else:
        assert refused.reason == "invalid_request"
        assert refused.param
        assert refused.param.split(".")[0] in ASKED


@given(st.lists(ANYTHING, max_size=4), st.sampled_from(["message_start", "content_block_start", "message_delta"]))
@settings(max_examples=100)
def test_a_decoder_and_a_tap_never_raise(values: list[Any], kind: str) -> None:
    decoder, tap = DIALECT.decoder(), DIALECT.tap(told=TOLD, include_usage=False)
    for value in values:
        event = {"type": kind, "message": value, "content_block": value, "delta": value, "usage": value, "index": 0}
        frame = b"data: " + msgspec.json.encode(event) + b"\n\n"
        decoder.feed(frame)
        tap.feed(frame)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["start", "more", "end"]), st.text(max_size=3)), max_size=30)
)
@settings(max_examples=200)
def test_blocks_are_written_one_after_the_other_whatever_comes(steps: list[tuple[int, str, str]]) -> None:
    encoder = DIALECT.encoder(CHAT, TOLD)
    seen: set[int] = set()
    out = b""
    for index, step, text in steps:
        if step == "start" and index not in seen:
            seen.add(index)
            out += encoder.write(
                [BlockStarted(index=index, kind="tool_call" if index % 2 else "text", id="t", name="f")]
            )
        elif step == "more":
            out += encoder.write([Delta(index=index, text=text)])
        elif step == "end":
            out += encoder.write([BlockEnded(index=index)])
    out += encoder.write([Finished(finish="stop"), Ended()])
    events = DIALECT.decoder().feed(out)
    opened: list[int] = []
    for event in events:
        assert not isinstance(event, Broken)
        if isinstance(event, BlockStarted):
            assert event.index == len(opened)
            opened.append(event.index)
        elif isinstance(event, Delta):
            assert event.index == opened[-1]
    assert isinstance(events[-1], Ended)
