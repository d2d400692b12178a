"""Streams of the Responses API: written, read, and watched while they pass."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

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
from holdfast.gateway.core.wire.sse import payloads
from holdfast.gateway.errors import Refused

DIALECT = Responses()
CHAT = Chat(protocol="responses", model="m", messages=(), stream=True)
TOLD = Told(id="x", model="m", created=9)
USAGE = Usage(input_tokens=3, output_tokens=2)
TEXT: tuple[Event, ...] = (
    Started(id="p", model="up"),
    BlockStarted(index=0, kind="text"),
    Delta(index=0, text="hel"),
    Delta(index=0, text='lo "you"'),
    BlockEnded(index=0),
    Finished(finish="stop"),
    UsageSeen(usage=USAGE),
    Ended(),
)


def stream(events: Sequence[Event]) -> bytes:
    return DIALECT.encoder(CHAT, TOLD).write(events)


def told(frames: bytes) -> list[dict[str, Any]]:
    """Events, each of them under the name that its data has."""
    events = []
    for name, data in payloads(frames):
        event = msgspec.json.decode(data)
        assert event["type"] == name.decode()
        events.append(event)
    return events


def kinds(frames: bytes) -> list[str]:
    return [event["type"].removeprefix("response.") for event in told(frames)]


def frame(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def watched(*frames: bytes) -> Any:
    tap = DIALECT.tap(told=TOLD, include_usage=True)
    for each in frames:
        assert tap.feed(each) == each
    return tap


# ------------------------------------------------------------ written


def test_words_come_in_the_order_that_the_protocol_has() -> None:
    assert kinds(stream(TEXT)) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_events_are_numbered_from_zero_without_a_gap() -> None:
    numbers = [event["sequence_number"] for event in told(stream(TEXT))]
    assert numbers == list(range(len(numbers)))


def test_the_last_event_is_the_whole_answer() -> None:
    last = told(stream(TEXT))[-1]["response"]
    assert last["output"][0]["content"][0]["text"] == 'hello "you"'
    assert last["usage"]["total_tokens"] == 5
    assert last["status"] == "completed"


def test_calls_that_interleave_keep_their_places() -> None:
    frames = stream(
        [
            Started(id="p", model="up"),
            BlockStarted(index=0, kind="tool_call", id="c1", name="f"),
            BlockStarted(index=1, kind="tool_call", id="c2", name="g"),
            Delta(index=1, text="2"),
            Delta(index=0, text="1"),
            BlockEnded(index=1),
            BlockEnded(index=0),
            Finished(finish="tool_calls"),
            Ended(),
        ]
    )
    output = told(frames)[-1]["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [("c1", "1"), ("c2", "2")]


def test_thinking_without_words_has_no_summary() -> None:
    raw = {"type": "reasoning", "id": "rs_9", "summary": [], "encrypted_content": "gAAA"}
    frames = stream(
        [
            BlockStarted(index=0, kind="thinking", protocol="responses", raw={**raw, "encrypted_content": ""}),
            BlockEnded(index=0, raw=raw),
            Finished(finish="stop"),
            Ended(),
        ]
    )
    assert not any("summary" in kind for kind in kinds(frames))
    assert told(frames)[-1]["response"]["output"] == [raw]


def test_an_answer_that_was_too_long_ends_as_incomplete() -> None:
    last = told(stream([*TEXT[:-3], Finished(finish="length"), Ended()]))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_blocks_of_another_protocol_are_not_told() -> None:
    frames = stream(
        [BlockStarted(index=0, kind="opaque", protocol="anthropic", raw={"type": "server_tool_use"}), *TEXT[1:3]]
    )
    assert kinds(frames)[2:] == ["output_item.added", "content_part.added", "output_text.delta"]
    assert told(frames)[2]["output_index"] == 0


@pytest.mark.parametrize("cut", range(len(TEXT)))
def test_a_stream_that_broke_ends_in_response_failed_and_error(cut: int) -> None:
    encoder = DIALECT.encoder(CHAT, TOLD)
    frames = encoder.write(TEXT[:cut]) + encoder.fail(Refused("cut", "the provider's stream broke"))
    events = told(frames)
    assert events[0]["type"] == "response.created"
    assert [event["type"] for event in events[-2:]] == ["response.failed", "error"]
    assert events[-2]["response"]["status"] == "failed"
    assert events[-1]["message"] == events[-1]["error"]["message"] == "the provider's stream broke"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert encoder.fail(Refused("cut", "again")) == b""
    assert encoder.write(TEXT) == b""


def test_keep_alive_is_a_comment() -> None:
    assert DIALECT.encoder(CHAT, TOLD).keep_alive().startswith(b":")


# ------------------------------------------------------------ read


def read(*frames: bytes) -> list[Event]:
    decoder = DIALECT.decoder()
    events = [event for each in frames for event in decoder.feed(each)]
    return events + decoder.end()


def test_what_was_written_is_read() -> None:
    events = read(stream(TEXT))
    assert events[1:] == list(TEXT[1:])
    assert events[0] == Started(id="resp_x", model="m", created=9)


def test_text_that_was_never_announced_begins_a_block() -> None:
    events = read(
        frame("response.output_text.delta", output_index=0, content_index=0, delta="a"),
        frame("response.completed", response={"status": "completed"}),
    )
    assert [type(event) for event in events] == [Started, BlockStarted, Delta, BlockEnded, Finished, Ended]


@pytest.mark.parametrize(
    "frames",
    [
        [
            frame(
                "response.output_item.done",
                output_index=0,
                item={"type": "message", "content": [{"type": "output_text", "text": "all"}]},
            )
        ],
        [frame("response.content_part.done", part={"type": "output_text", "text": "all"})],
        [],
    ],
)
def test_text_that_comes_only_when_it_is_done_is_not_lost(frames: Sequence[bytes]) -> None:
    whole = {
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "all"}]}],
    }
    events = read(*frames, frame("response.completed", response=whole))
    assert [event.text for event in events if isinstance(event, Delta)] == ["all"]


def test_paragraphs_of_a_summary_are_one_block() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    events = read(
        frame("response.output_item.added", output_index=0, item=item),
        frame("response.reasoning_summary_part.added", output_index=0, summary_index=0),
        frame("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="a"),
        frame("response.reasoning_summary_part.added", output_index=0, summary_index=1),
        frame("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="b"),
        frame("response.output_item.done", output_index=0, item={**item, "encrypted_content": "g"}),
    )
    assert [event.text for event in events if isinstance(event, Delta)] == ["a", "\n\n", "b"]
    assert [event.raw for event in events if isinstance(event, BlockEnded)] == [{**item, "encrypted_content": "g"}]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"code": "rate_limit_exceeded", "message": "slow"}, "rate_limited"),
        ({"code": "server_error", "message": "oops"}, "server_error"),
        ({"code": "invalid_prompt", "message": "no"}, "rejected"),
        ({"code": "server_is_overloaded", "message": "busy", "type": "overloaded_error"}, "overloaded"),
        (None, "server_error"),
    ],
)
def test_a_failure_in_the_stream_is_read_and_seen_by_the_tap(error: Any, failure: str) -> None:
    frames = frame("response.failed", sequence_number=4, response={"status": "failed", "error": error})
    (broken,) = read(frames)
    assert isinstance(broken, Broken)
    assert broken.failure == failure
    assert watched(frames).broken.failure == failure


@pytest.mark.parametrize("nested", [True, False])
def test_an_error_event_is_read_flat_and_nested(nested: bool) -> None:
    error = {"code": "rate_limit_exceeded", "message": "slow"}
    frames = frame("error", sequence_number=1, **({"error": error} if nested else error))
    assert read(frames) == [Broken(failure="rate_limited", message="slow")]
    assert watched(frames).broken.message == "slow"


@pytest.mark.parametrize(
    "frames",
    [
        b"data: <html>\n\n",
        b"data: []\n\n",
        b'data: {"choices":[]}\n\n',
        frame("response.output_text.delta", delta=3),
        frame("response.output_text.delta", delta="x", output_index=-1),
        frame("response.output_item.added", item=3),
        frame("response.output_item.added", item={"type": "function_call"}),
        frame("response.completed"),
    ],
)
def test_what_is_not_the_protocol_breaks_the_stream_once(frames: bytes) -> None:
    events = read(frames, stream(TEXT))
    assert [event.failure for event in events if isinstance(event, Broken)] == ["protocol"]
    assert isinstance(events[-1], Broken)


def test_a_stream_without_its_end_was_cut() -> None:
    last = read(stream(TEXT[:3]))[-1]
    assert isinstance(last, Broken)
    assert last.failure == "cut"


def test_events_that_nobody_knows_yet_are_passed_over() -> None:
    assert read(frame("response.invented_tomorrow", x=1), frame("keepalive"), stream(TEXT))[1:] == list(TEXT[1:])


# ------------------------------------------------------------ watched


def pieces(frames: bytes) -> list[bytes]:
    return [piece + b"\n\n" for piece in frames.split(b"\n\n")[:-1]]


def test_the_first_word_commits_and_nothing_before_it() -> None:
    committed = []
    tap = DIALECT.tap(told=TOLD, include_usage=True)
    for piece in pieces(stream(TEXT)):
        tap.feed(piece)
        committed.append(tap.committed)
    assert committed.index(True) == 4  # created, in_progress, item, part
    assert (tap.finished, tap.usage, tap.broken) == (True, USAGE, None)
    assert tap.output_bytes == len(r"hello \"you\"")


def test_a_call_without_arguments_commits() -> None:
    assert watched(stream([TEXT[0], BlockStarted(index=0, kind="tool_call", id="c", name="f")])).committed


@pytest.mark.parametrize(
    "words",
    ['"response.completed"', 'event: response.failed\n\ndata: {"type":"error"}', "\\", '\\"', '"error"', '"delta":"'],
)
def test_what_a_model_says_about_the_protocol_ends_nothing(words: str) -> None:
    tap = watched(*pieces(stream([*TEXT[:2], Delta(index=0, text=words)])))
    assert tap.committed
    assert (tap.finished, tap.broken) == (False, None)
    assert tap.output_bytes == len(msgspec.json.encode(words)) - 2


def test_a_watched_stream_that_broke_ends_as_the_response_that_was_begun() -> None:
    begun = pieces(stream(TEXT))[:5]
    tap = watched(*begun, b": keep-alive\n\n")
    failed, error = told(tap.fail(Refused("cut", "broke")))
    assert failed["response"]["id"] == "resp_x"
    assert failed["sequence_number"] == 5
    assert (error["type"], error["sequence_number"]) == ("error", 6)
    assert tap.fail(Refused("cut", "again")) == b""


def test_a_watched_stream_that_never_began_ends_well_too() -> None:
    failed: Mapping[str, Any] = told(watched().fail(Refused("timeout", "late")))[0]
    assert (failed["response"]["id"], failed["response"]["object"]) == ("resp_x", "response")
