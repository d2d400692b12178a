"""Streams of Anthropic's protocol: blocks one after the other, and an end that is always well-formed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockStarted,
    Broken,
    Delta,
    Ended,
    Event,
    Finished,
    Signed,
    Started,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Encoder, Told
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.anthropic import Anthropic
from holdfast.gateway.core.wire.sse import payloads
from holdfast.gateway.errors import Refused

DIALECT = Anthropic()
TOLD = Told(id="01", model="house", created=0)
CHAT = DIALECT.read_request({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]})


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), msgspec.json.encode(e)) for e in events)


def start(model: str = "claude", **usage: Any) -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    return {"type": "message_start", "message": {**message, "usage": {"input_tokens": 9, "output_tokens": 1, **usage}}}


def begin(index: int = 0, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block or {"type": "text", "text": ""}}


def delta(index: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": more}


def words(text: str) -> dict[str, Any]:
    return delta(type="text_delta", text=text)


def stop(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ending(reason: str = "end_turn", **usage: Any) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": 5, **usage},
    }


END = {"type": "message_stop"}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
WHOLE = frames(start(), begin(), {"type": "ping"}, words("Hel"), words("lo"), stop(), ending(), END)


def encoder() -> Encoder:
    return DIALECT.encoder(CHAT, TOLD)


def decoded(data: bytes) -> list[Any]:
    return [msgspec.json.decode(one) for _, one in payloads(data)]


# ------------------------------------------------------------ decoder


def test_a_stream_is_read_as_events() -> None:
    assert DIALECT.decoder().feed(WHOLE) == [
        Started(id="msg_1", model="claude", usage=Usage(input_tokens=9, output_tokens=1)),
        BlockStarted(index=0, kind="text"),
        Delta(index=0, text="Hel"),
        Delta(index=0, text="lo"),
        BlockEnded(index=0),
        Finished(finish="stop"),
        UsageSeen(usage=Usage(input_tokens=9, output_tokens=5)),
        Ended(),
    ]


def test_thinking_calls_and_the_providers_own_tools_keep_what_has_to_be_given_back() -> None:
    redacted = {"type": "redacted_thinking", "data": "eA=="}
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    events = DIALECT.decoder().feed(
        frames(
            start(),
            begin(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking="Hm"),
            delta(0, type="signature_delta", signature="c2ln"),
            stop(0),
            begin(1, **redacted),
            stop(1),
            begin(2, **search),
            delta(2, type="input_json_delta", partial_json='{"query":'),
            delta(2, type="input_json_delta", partial_json='"x"}'),
            stop(2),
            begin(3, type="tool_use", id="t", name="f", input={}),
            delta(3, type="input_json_delta", partial_json='{"a":1'),
            stop(3),
        )
    )
    assert events[1:] == [
        BlockStarted(index=0, kind="thinking", protocol="anthropic"),
        Delta(index=0, text="Hm"),
        Signed(index=0, signature="c2ln"),
        BlockEnded(index=0),
        BlockStarted(index=1, kind="thinking", protocol="anthropic", raw=redacted),
        BlockEnded(index=1, raw=redacted),
        BlockStarted(index=2, kind="opaque", protocol="anthropic", raw=search),
        BlockEnded(index=2, raw={**search, "input": {"query": "x"}}),
        BlockStarted(index=3, kind="tool_call", id="t", name="f"),
        Delta(index=3, text='{"a":1'),
        BlockEnded(index=3),
    ]


def test_arguments_that_come_whole_at_the_beginning_are_not_lost() -> None:
    events = DIALECT.decoder().feed(frames(start(), begin(type="tool_use", id="t", name="f", input={"a": 1}), stop()))
    assert events[2] == Delta(index=0, text='{"a":1}')


def test_totals_take_the_place_of_what_was_told_before() -> None:
    first = start(cache_creation_input_tokens=6, cache_creation={"ephemeral_1h_input_tokens": 4})
    events = DIALECT.decoder().feed(frames(first, ending(cache_read_input_tokens=2), ending(output_tokens=8), END))
    assert [event.usage for event in events if isinstance(event, UsageSeen)][-1] == Usage(
        input_tokens=17, output_tokens=8, cache_read_tokens=2, cache_write_tokens=2, cache_write_long_tokens=4
    )


def test_absurd_usage_is_not_passed_on() -> None:
    events = DIALECT.decoder().feed(frames(start(), ending(output_tokens=-5), END))
    assert not [event for event in events if isinstance(event, UsageSeen)]


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("overloaded_error", "overloaded"),
        ("rate_limit_error", "rate_limited"),
        ("api_error", "server_error"),
        ("of_tomorrow", "server_error"),
    ],
)
def test_an_error_in_the_stream_says_what_failed(kind: str, failure: str) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "because"}}
    decoder = DIALECT.decoder()
    assert decoder.feed(frames(start(), error, words("x")))[1:] == [Broken(failure=failure, message="because")]
    assert decoder.feed(frames(END)) == decoder.end() == []


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        b"data: [DONE]\n\n",
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[]}\n\n',
        b'data: {"candidates":[]}\n\n',
        b"data: 7\n\n",
        frames(begin()),
        frames(start(), words("x")),
        frames(start(), begin(), begin()),
        frames(start(), stop()),
        frames(start(), begin(), delta(type="text_delta", text=7)),
        frames({"type": "message_start", "message": {"id": 1, "model": "x"}}),
        frames(END),
    ],
)
def test_what_is_not_the_protocol_breaks_once(data: bytes) -> None:
    decoder = DIALECT.decoder()
    last = decoder.feed(data)[-1]
    assert isinstance(last, Broken)
    assert last.failure == "protocol"
    assert decoder.feed(WHOLE) == decoder.end() == []


def test_events_of_tomorrow_are_passed_over() -> None:
    tomorrow = frames(start(), {"type": "message_hint"}, begin(), delta(type="glow_delta", glow=1), words("x"))
    assert DIALECT.decoder().feed(tomorrow)[1:] == [BlockStarted(index=0, kind="text"), Delta(index=0, text="x")]


def test_a_connection_that_ends_too_soon_is_a_cut() -> None:
    decoder = DIALECT.decoder()
    decoder.feed(frames(start(), begin(), words("x")))
    assert [event.failure for event in decoder.end() if isinstance(event, Broken)] == ["cut"]
    whole = DIALECT.decoder()
    whole.feed(WHOLE)
    assert whole.end() == []


# ------------------------------------------------------------ encoder


def test_what_is_written_is_read_as_the_same_events() -> None:
    events: list[Event] = [
        Started(id="msg_01", model="house", usage=Usage(input_tokens=9)),
        BlockStarted(index=0, kind="text"),
        Delta(index=0, text="Hello"),
        BlockEnded(index=0),
        BlockStarted(index=1, kind="tool_call", id="t", name="f"),
        Delta(index=1, text='{"a":'),
        Delta(index=1, text="1}"),
        BlockEnded(index=1),
        Finished(finish="tool_calls"),
        UsageSeen(usage=Usage(input_tokens=9, output_tokens=5, cache_read_tokens=4)),
        Ended(),
    ]
    assert DIALECT.decoder().feed(encoder().write(events)) == events


def test_blocks_that_interleave_are_held_back_and_keep_their_order() -> None:
    out = encoder().write(
        [
            BlockStarted(index=0, kind="tool_call", id="a", name="f"),
            BlockStarted(index=1, kind="tool_call", id="b", name="g"),
            Delta(index=1, text="1"),
            Delta(index=0, text="0"),
            BlockEnded(index=1),
            BlockStarted(index=2, kind="text"),
            Delta(index=2, text="2"),
            Finished(finish="stop"),
            Ended(),
        ]
    )
    told = [(event["type"], event.get("index")) for event in decoded(out)]
    assert told == [
        ("message_start", None),
        *((f"content_block_{step}", index) for index in range(3) for step in ("start", "delta", "stop")),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert decoded(out)[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_block_without_words_is_never_begun() -> None:
    out = encoder().write(
        [
            BlockStarted(index=0, kind="text"),
            Delta(index=0, text=""),
            BlockEnded(index=0),
            BlockStarted(index=1, kind="thinking", protocol="openai", raw={"encrypted": "x"}),
            BlockEnded(index=1),
            BlockStarted(index=2, kind="refusal"),
            Delta(index=2, text="No."),
            Finished(finish="refusal"),
            Ended(),
        ]
    )
    assert [event["index"] for event in decoded(out) if event["type"] == "content_block_start"] == [0]
    assert decoded(out)[-2]["delta"]["stop_reason"] == "refusal"


def test_the_providers_own_tools_are_streamed_as_the_provider_does() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    foreign = {"type": "web_search_call"}
    out = encoder().write(
        [
            BlockStarted(index=0, kind="opaque", protocol="anthropic", raw={**search, "input": {}}),
            BlockEnded(index=0, raw=search),
            BlockStarted(index=1, kind="opaque", protocol="responses", raw=foreign),
            BlockEnded(index=1, raw=foreign),
            BlockStarted(index=2, kind="opaque", protocol="anthropic", raw=found),
            BlockEnded(index=2, raw=found),
            Finished(finish="pause"),
            Ended(),
        ]
    )
    blocks = [event.raw for event in DIALECT.decoder().feed(out) if isinstance(event, BlockEnded)]
    assert blocks == [search, found]
    assert decoded(out)[-2]["delta"]["stop_reason"] == "pause_turn"


def test_a_signature_of_another_protocol_is_not_shown_as_claudes() -> None:
    out = encoder().write(
        [
            BlockStarted(index=0, kind="thinking", protocol="gemini"),
            Delta(index=0, text="Hm"),
            Signed(index=0, signature="x"),
        ]
    )
    assert b"signature_delta" not in out


def test_a_stream_that_breaks_ends_in_one_error_and_nothing_after() -> None:
    one = encoder()
    one.write([BlockStarted(index=0, kind="text"), Delta(index=0, text="Hel")])
    error = Refused("cut", "the provider's stream ended")
    assert decoded(one.fail(error)) == [
        {"type": "error", "error": {"type": "api_error", "message": "the provider's stream ended"}}
    ]
    assert one.fail(error) == one.keep_alive() == one.write([Delta(index=0, text="lo"), Ended()]) == b""


def test_a_stream_without_usage_says_nothing_was_counted() -> None:
    out = decoded(encoder().write([Finished(finish="length"), Ended()]))
    assert [event["type"] for event in out] == ["message_start", "message_delta", "message_stop"]
    assert out[1]["usage"] == {"input_tokens": 0, "output_tokens": 0}


# ------------------------------------------------------------ tap


def test_a_stream_is_passed_on_under_the_name_that_the_client_asked_for() -> None:
    tap = DIALECT.tap(told=TOLD, include_usage=False)
    assert tap.feed(WHOLE) == WHOLE.replace(b'"model":"claude"', b'"model":"house"')
    assert (tap.committed, tap.finished, tap.broken, tap.output_bytes) == (True, True, None, 5)
    assert tap.usage == Usage(input_tokens=9, output_tokens=5)
    assert tap.feed(WHOLE) == tap.keep_alive() == tap.fail(Refused("cut", "x")) == b""


@pytest.mark.parametrize(
    ("events", "committed"),
    [
        ((), False),
        ((begin(),), False),
        ((begin(), words("")), False),
        ((begin(), words("x")), True),
        ((begin(type="thinking", thinking=""), delta(type="thinking_delta", thinking="x")), True),
        ((begin(type="thinking", thinking=""), delta(type="signature_delta", signature="x")), False),
        ((begin(type="tool_use", id="t", name="f", input={}),), True),
        ((begin(type="web_search_tool_result", content=[]),), False),
        (({"type": "ping"},), False),
    ],
)
def test_only_a_meaningful_token_commits(events: tuple[dict[str, Any], ...], committed: bool) -> None:
    tap = DIALECT.tap(told=TOLD, include_usage=False)
    tap.feed(frames(start(), *events))
    assert tap.committed is committed


def test_words_are_counted_without_what_is_around_them() -> None:
    tap = DIALECT.tap(told=TOLD, include_usage=False)
    tap.feed(frames(start(), begin(), words("x")))
    piece = frames(words("four"), delta(type="input_json_delta", partial_json="12"), words("7 chars"))
    padded = b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "delta": '
    padded += b'{"type": "text_delta", "text": "ab"}      }\r\n\r\n'
    signature = frames(delta(type="signature_delta", signature="c2ln" * 99))
    assert tap.feed(piece + padded + signature) == piece + padded + signature
    assert 1 + 4 + 2 + 7 + 2 <= tap.output_bytes <= 1 + 4 + 2 + 7 + 2 + 2


def test_an_error_is_kept_back_with_what_follows_it() -> None:
    tap = DIALECT.tap(told=TOLD, include_usage=False)
    before = frames(start("house"), begin(), words("x"))
    assert tap.feed(before) == before
    more = frames(words('quoted \\"error\\" and "message_stop"'))
    assert tap.feed(more) == more
    assert tap.feed(more + frames(OVERLOADED, words("y"))) == more
    assert tap.broken is not None
    assert (tap.broken.failure, tap.broken.status, tap.broken.code) == ("overloaded", 529, "overloaded_error")
    assert tap.feed(more) == b""
    assert decoded(tap.fail(Refused("overloaded", "again")))[0]["error"]["type"] == "overloaded_error"
    assert tap.fail(Refused("overloaded", "again")) == b""


@pytest.mark.parametrize("data", [b"data: [DONE]\n\n", b'data: {"object":"chunk"}\n\n', b"data: {\n\n"])
def test_what_is_not_the_protocol_is_not_passed_on(data: bytes) -> None:
    tap = DIALECT.tap(told=TOLD, include_usage=False)
    assert tap.feed(data) == b""
    assert tap.broken is not None
    assert tap.broken.failure == "protocol"
