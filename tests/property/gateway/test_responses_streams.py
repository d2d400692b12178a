"""Streams of the Responses API, whatever is said and however it is cut."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockStarted,
    Broken,
    Chat,
    Delta,
    Ended,
    Event,
    Finished,
    Started,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.responses import Responses
from holdfast.gateway.core.wire.sse import Frames, payloads
from holdfast.gateway.errors import Refused

DIALECT = Responses()
CHAT = Chat(protocol="responses", model="m", messages=(), stream=True)
TOLD = Told(id="x", model="m", created=9)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['"response.completed"', "\n\ndata: x\n\n", "\\", '\\"', '"error"', "\r\n", "\x00"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """A stream as a decoder gives it, blocks one after the other."""
    events: list[Event] = [Started(id="p", model="up")]
    kinds = draw(st.lists(st.sampled_from(["text", "refusal", "tool_call", "thinking"]), max_size=4))
    for index, kind in enumerate(kinds):
        call = {"id": f"c{index}", "name": "f"} if kind == "tool_call" else {}
        protocol: Any = "anthropic" if kind == "thinking" else None
        events.append(BlockStarted(index=index, kind=kind, protocol=protocol, **call))  # type: ignore[arg-type]
        events.extend(Delta(index=index, text=text) for text in draw(st.lists(WORDS, max_size=3)))
        events.append(BlockEnded(index=index))
    events.append(Finished(finish=draw(st.sampled_from(["stop", "length"]))))
    if draw(st.booleans()):
        thought, written = sorted(draw(st.tuples(st.integers(0, 99), st.integers(0, 99))))
        events.append(UsageSeen(usage=Usage(input_tokens=7, output_tokens=written, reasoning_tokens=thought)))
    events.append(Ended())
    return events


def gist(events: Sequence[Event]) -> list[Any]:
    """What a stream says: blocks with all of their words, the usage, and how it ended."""
    blocks: dict[int, list[Any]] = {}
    rest: list[Any] = []
    for event in events:
        if isinstance(event, BlockStarted):
            blocks[event.index] = [event.kind, event.id, event.name, ""]
        elif isinstance(event, Delta):
            blocks[event.index][3] += event.text
        elif isinstance(event, (UsageSeen, Ended, Broken)) or (
            isinstance(event, Finished) and event.finish == "length"
        ):
            rest.append(event)
    return [*blocks.values(), *rest]


def read(frames: bytes) -> list[Event]:
    decoder = DIALECT.decoder()
    return decoder.feed(frames) + decoder.end()


def whole_frames(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    frames = Frames()
    edges = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
    for start, end in pairwise(edges):
        yield frames.feed(data[start:end])


@given(answers())
@settings(deadline=None)
def test_what_is_written_is_read_again(events: list[Event]) -> None:
    assert gist(read(DIALECT.encoder(CHAT, TOLD).write(events))) == gist(events)


@given(answers(), st.lists(st.integers(0, 4000), max_size=6))
@settings(deadline=None)
def test_how_a_stream_is_cut_into_pieces_changes_nothing(events: list[Event], cuts: list[int]) -> None:
    data = DIALECT.encoder(CHAT, TOLD).write(events)
    decoder, tap = DIALECT.decoder(), DIALECT.tap(told=TOLD, include_usage=True)
    got: list[Event] = []
    passed = b""
    for frames in whole_frames(data, cuts):
        got += decoder.feed(frames)
        passed += tap.feed(frames)
    assert passed == data
    assert got + decoder.end() == read(data)
    usage = [event.usage for event in events if isinstance(event, UsageSeen)]
    assert (tap.finished, tap.broken, tap.usage) == (True, None, usage[0] if usage else None)
    assert tap.committed == any(
        (isinstance(event, Delta) and event.text != "") or isinstance(event, BlockStarted) for event in events
    )


def test_a_stream_may_be_cut_at_every_offset() -> None:
    events: list[Event] = [
        Started(id="p", model="up"),
        BlockStarted(index=0, kind="text"),
        Delta(index=0, text="ü"),
        BlockEnded(index=0),
        Finished(finish="stop"),
        Ended(),
    ]
    data = DIALECT.encoder(CHAT, TOLD).write(events)
    expected = read(data)
    for cut in range(len(data)):
        decoder = DIALECT.decoder()
        got = [event for frames in whole_frames(data, [cut]) for event in decoder.feed(frames)]
        assert got == expected


@given(answers(), st.integers(0, 4000))
@settings(deadline=None)
def test_a_watched_stream_that_broke_anywhere_ends_well(events: list[Event], cut: int) -> None:
    data = DIALECT.encoder(CHAT, TOLD).write(events)[:cut]
    frames, tap = Frames(), DIALECT.tap(told=TOLD, include_usage=True)
    passed = tap.feed(frames.feed(data))
    if tap.finished:
        return
    sent = [msgspec.json.decode(payload) for _, payload in payloads(passed + tap.fail(Refused("cut", "broke")))]
    assert [event["type"] for event in sent[-2:]] == ["response.failed", "error"]
    assert [event["sequence_number"] for event in sent] == list(range(len(sent)))
    assert sent[-2]["response"]["id"] == "resp_x"


KINDS = (
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.completed",
    "response.failed",
    "error",
    "response.function_call_arguments.delta",
)
FIELDS = ("item", "part", "delta", "output_index", "content_index", "response", "error")


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), JSON)), max_size=5))
@settings(deadline=None)
def test_no_event_is_too_strange_to_be_read(told: list[tuple[str, dict[str, Any]]]) -> None:
    data = b"".join(b"data: %b\n\n" % msgspec.json.encode({**fields, "type": kind}) for kind, fields in told)
    events = read(data)
    assert isinstance(events[-1], (Ended, Broken))
    assert sum(isinstance(event, (Ended, Broken)) for event in events) == 1
    tap = DIALECT.tap(told=TOLD, include_usage=True)
    assert tap.feed(data) == data
    tap.fail(Refused("cut", "broke"))


@given(st.dictionaries(st.sampled_from(["model", "input", "instructions", "tools", "tool_choice", "text", "reasoning",
    "stream", "metadata", "temperature", "max_output_tokens", "parallel_tool_calls", "user", "x"]), JSON))  # fmt: skip
@settings(deadline=None)
def test_no_request_is_too_strange_to_be_refused(body: dict[str, Any]) -> None:
    try:
        chat = DIALECT.read_request(body)
    except Refused as refused:
        assert refused.reason == "invalid_request"  # noqa: PT017
        assert refused.param is not None  # noqa: PT017
    else:
        DIALECT.write_request(chat, "m")
        DIALECT.needs_same_protocol(body)


ITEMS = st.lists(
    st.dictionaries(
        st.sampled_from(["type", "role", "content", "call_id", "name", "arguments", "output", "summary", "id"]),
        JSON
        | st.sampled_from(["message", "function_call", "function_call_output", "reasoning", "user", "assistant"])
        | st.lists(st.fixed_dictionaries({"type": st.sampled_from(["input_text", "output_text", "x"]), "text": JSON})),
    ),
    max_size=4,
)


@given(ITEMS)
@settings(deadline=None)
def test_no_item_is_too_strange_to_be_refused(items: list[dict[str, Any]]) -> None:
    try:
        chat = DIALECT.read_request({"model": "m", "input": items})
    except Refused as refused:
        assert (refused.param or "").startswith("input")  # noqa: PT017
    else:
        outgoing = DIALECT.write_request(chat, "m")
        msgspec.json.encode(outgoing.body)
        assert DIALECT.read_request({**outgoing.body, "stream": False}).messages == chat.messages
