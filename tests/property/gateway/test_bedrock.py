"""Bedrock's streams mean the same however the network cuts them, and a changed byte never passes for an answer."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.gateway.core.conversation import Broken, Event
from holdfast.gateway.core.wire.bedrock import Bedrock
from holdfast.gateway.core.wire.bedrock_stream import event
from holdfast.gateway.core.wire.eventstream import Frames, encode, messages

BEDROCK = Bedrock()
STREAM = b"".join(
    [
        event("messageStart", {"role": "assistant"}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Grüße"}}),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("messageStop", {"stopReason": "end_turn"}),
        event("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.text(max_size=8) | st.binary(max_size=8) | st.booleans() | st.integers(-(1 << 31), (1 << 31) - 1),
    max_size=4,
)


def events(pieces: list[bytes]) -> list[Event]:
    frames, decoder = Frames(), BEDROCK.decoder()
    found = [event for piece in pieces for event in decoder.feed(frames.feed(piece))]
    return found + decoder.end()


def test_a_stream_cut_in_two_at_every_byte_gives_the_same_events() -> None:
    expected = events([STREAM])
    assert not any(isinstance(event, Broken) for event in expected)
    for at in range(len(STREAM) + 1):
        assert events([STREAM[:at], STREAM[at:]]) == expected


def test_a_byte_that_changed_anywhere_is_seen() -> None:
    for at in range(len(STREAM)):
        broken = bytearray(STREAM)
        broken[at] ^= 0x10
        (last,) = BEDROCK.decoder().feed(bytes(broken))[-1:]
        assert isinstance(last, Broken)
        assert last.failure == "protocol"


@given(headers=HEADERS, payload=st.binary(max_size=64))
@settings(max_examples=100, deadline=None)
def test_what_is_encoded_is_read_again(headers: dict[str, Any], payload: bytes) -> None:
    (message,) = messages(encode(headers, payload))
    assert (message.headers, message.payload) == (headers, payload)


@given(
    name=st.sampled_from(["contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]),
    field=st.sampled_from(["start", "delta", "stopReason", "usage", "contentBlockIndex"]),
    value=JSON,
)
@settings(max_examples=100, deadline=None)
def test_an_event_of_any_shape_does_not_make_the_decoder_fail(name: str, field: str, value: Any) -> None:
    decoder = BEDROCK.decoder()
    found = [*decoder.feed(event(name, {"contentBlockIndex": 0, field: value})), *decoder.end()]
    assert sum(isinstance(one, Broken) for one in found) <= 1
