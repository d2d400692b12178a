"""Streams of Gemini mean the same however the network cuts them, and nothing that is sent makes a reader fail."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.gateway.core.conversation import Broken, Chat, Event
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.wire.gemini import Gemini
from holdfast.gateway.core.wire.sse import Frames
from holdfast.gateway.errors import Refused

GEMINI = Gemini()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
PARTS: list[dict[str, Any]] = [
    {"text": "hm", "thought": True},
    {"text": "Grüße"},
    {"functionCall": {"name": "t", "args": {"a": "\n\n"}}, "thoughtSignature": "S"},
]


def stream() -> bytes:
    chunks = [{"candidates": [{"content": {"parts": [part]}}], "responseId": "R"} for part in PARTS]
    last = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 1}}
    return b"".join(b"data: " + msgspec.json.encode(c) + b"\r\n\r\n" for c in [*chunks, last])


def events(pieces: list[bytes]) -> list[Event]:
    frames, decoder = Frames(), GEMINI.decoder()
    found = [event for piece in pieces for event in decoder.feed(frames.feed(piece))]
    return found + decoder.end()


def test_a_stream_cut_in_two_at_every_byte_gives_the_same_events() -> None:
    whole = stream()
    expected = events([whole])
    assert not any(isinstance(event, Broken) for event in expected)
    for at in range(len(whole) + 1):
        assert events([whole[:at], whole[at:]]) == expected


def test_a_stream_that_breaks_off_at_any_byte_ends_in_one_failure_or_whole() -> None:
    whole = stream()
    for at in range(len(whole) - 4):
        found = events([whole[:at]])
        assert [event for event in found if isinstance(event, Broken)] == found[-1:]


FIELDS = (
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
)


@given(field=st.sampled_from(FIELDS), value=JSON)
@settings(max_examples=100, deadline=None)
def test_a_request_of_any_shape_is_read_or_refused(field: str, value: Any) -> None:
    body = {"model": "m", "contents": [{"parts": [{"text": "Hi"}]}], field: value}
    try:
        chat = GEMINI.read_request(body)
    except Refused as error:
        assert error.reason == "invalid_request"  # noqa: PT017 - what is read is as good
    else:
        assert isinstance(chat, Chat)


@given(st.sampled_from(["candidates", "error", "usageMetadata", "promptFeedback"]), JSON)
@settings(max_examples=100, deadline=None)
def test_a_frame_of_any_shape_makes_neither_the_decoder_nor_the_tap_fail(field: str, value: Any) -> None:
    body = {"candidates": [{"content": {"parts": [value]}}], field: value}
    frame = b"data: " + msgspec.json.encode(body) + b"\n\n"
    decoder = GEMINI.decoder()
    found = [*decoder.feed(frame), *decoder.end()]
    assert sum(isinstance(event, Broken) for event in found) <= 1
    tap = GEMINI.tap(told=Told(id="i", model="m", created=0), include_usage=True)
    assert tap.feed(frame) == frame
    GEMINI.read_usage(msgspec.json.encode(body))
    assert GEMINI.read_error(500, {}, msgspec.json.encode(body)).failure
