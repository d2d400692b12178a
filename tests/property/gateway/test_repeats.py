"""Frames that are known by what stands around their words say what they say when each is read."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.core.wire.openai_decoder import ChatDecoder
from holdfast.gateway.core.wire.repeats import Repeats

FIELDS = ("content", "reasoning_content", "refusal")
WORDS = st.one_of(
    st.sampled_from([" word", "content", "index", "delta", "null", ":", ",", '"', "\\", "\n", "é", "", " a b ", "id"]),
    st.text(max_size=6),
)


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """A frame, mostly one like the others."""
    if draw(st.integers(0, 12)) == 0:
        delta: dict[str, Any] = {
            "tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": draw(WORDS)}}]
        }
    else:
        delta = {draw(st.sampled_from(("content",) * 5 + FIELDS)): draw(WORDS)}
    choice: dict[str, Any] = {"index": draw(st.sampled_from((0, 0, 0, 0, 1))), "delta": delta}
    if draw(st.integers(0, 8)) == 0:
        choice["logprobs"] = {"content": []}
    if draw(st.integers(0, 30)) == 0:
        choice["finish_reason"] = "stop"
    chunk: dict[str, Any] = {
        "id": "chatcmpl-1",
        "model": draw(st.sampled_from(("m", "m", "m", "word"))),
        "choices": [choice],
    }
    if draw(st.integers(0, 10)) == 0:
        chunk["usage"] = {"prompt_tokens": 1, "completion_tokens": draw(st.integers(0, 3))}
    return b"data: " + json.dumps(chunk, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass") + b"\n\n"


@given(frames=st.lists(chunks(), max_size=25))
def test_a_stream_that_comes_frame_by_frame_says_what_it_says_at_once(frames: list[bytes]) -> None:
    by_frame, at_once = ChatDecoder(), ChatDecoder()
    told = [event for frame in frames for event in by_frame.feed(frame)]
    assert told + by_frame.end() == at_once.feed(b"".join(frames)) + at_once.end()


@given(st.text(), st.text())
def test_what_is_known_without_reading_is_what_reading_gives(text: str, following: str) -> None:
    repeats = Repeats()
    around = b'data: {"id":"content","n":null,"content":%b,"index":0}\n\n'
    repeats.learn(around % json.dumps(text).encode(), text)
    try:
        frame = around % json.dumps(following, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert repeats.words(frame) in (None, following)


def test_only_what_needs_no_parser_is_known_without_one() -> None:
    repeats = Repeats()
    frame = b'data: {"content":"%b"}\n\n'
    repeats.learn(frame % b"word", "word")
    assert repeats.words(frame % b" and another") == " and another"
    for written in (b"", b'"', rb"\u0041", b"a\nb", b"\xff", b'","content":"x'):
        assert repeats.words(frame % written) is None
    assert repeats.words(frame % b"a" + frame % b"b") is None
    repeats.learn(frame % b"content", "content")  # there twice: which of them is the word?
    assert repeats.words(frame % b"word") is None
