"""The provider's messages, read by the gateway."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.core.wire.eventstream import messages
from holdfast.gateway.shell.mock import eventstream


@given(st.binary(max_size=64), st.text(max_size=32))
def test_a_message_is_read_as_it_was_written(payload: bytes, kind: str) -> None:
    (read,) = messages(eventstream.message(payload, event_type=kind, message_type="event"))
    assert read.payload == payload
    assert read.headers == {":event-type": kind, ":message-type": "event"}


def test_half_a_message_is_one_whose_sums_are_right() -> None:
    (read,) = messages(eventstream.halved(eventstream.message(b'{"a":1}', event_type="metadata")))
    assert read.payload == b'{"a'
    assert read.headers == {":event-type": "metadata"}


def test_the_empty_message_is_the_one_of_the_specification() -> None:
    # Smithy's "Amazon Event Stream Specification": the test vector "empty message".
    assert eventstream.message(b"").hex() == "000000100000000005c248eb7d98c8ff"
