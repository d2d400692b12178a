"""AWS's binary frames."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest

from holdfast.gateway.core.wire.eventstream import Frames, encode, messages

# The specification's own example of a message without headers and with an empty payload.
EMPTY = bytes.fromhex("000000100000000005c248eb7d98c8ff")
HEADERS = {":message-type": "event", ":event-type": "contentBlockDelta", ":content-type": "application/json"}
ONE = encode(HEADERS, b'{"delta":{"text":"hi"}}')


def test_an_empty_message_is_the_specifications() -> None:
    assert encode({}, b"") == EMPTY
    (message,) = messages(EMPTY)
    assert (message.payload, message.headers) == (b"", {})


def test_headers_and_payload_come_back() -> None:
    headers: dict[str, str | bytes | bool | int] = {
        **HEADERS,
        "flag": True,
        "off": False,
        "count": -7,
        "blob": b"\x00\x01",
    }
    (message,) = messages(encode(headers, b"payload"))
    assert message.headers == headers
    assert (message.kind, message.name, message.payload) == ("event", "contentBlockDelta", b"payload")


def test_an_exception_is_named_by_its_own_header() -> None:
    (message,) = messages(encode({":message-type": "exception", ":exception-type": "throttlingException"}, b"{}"))
    assert (message.kind, message.name) == ("exception", "throttlingException")


def test_headers_of_every_other_type_are_read() -> None:
    values = b"\x01b\x02\xff" + b"\x01s\x03\xff\xfe" + b"\x01l\x05" + struct.pack(">q", 1 << 40)
    values += b"\x01t\x08" + struct.pack(">q", 1_700_000_000_000) + b"\x01u\x09" + bytes(range(16))
    begin = struct.pack(">II", 16 + len(values), len(values))
    whole = begin + struct.pack(">I", crc32(begin)) + values
    (message,) = messages(whole + struct.pack(">I", crc32(whole)))
    assert message.headers == {"b": -1, "s": -2, "l": 1 << 40, "t": 1_700_000_000_000, "u": bytes(range(16))}


def test_whole_messages_pass_without_a_copy() -> None:
    data = ONE + EMPTY
    assert Frames().feed(data) is data


def test_nothing_but_whole_messages_comes_out() -> None:
    frames = Frames()
    assert frames.feed(ONE + ONE[:9]) == ONE
    assert frames.rest == ONE[:9]
    assert frames.feed(ONE[9:] + EMPTY) == ONE + EMPTY
    assert frames.rest == b""


def test_a_corrupt_length_is_refused_before_anything_is_kept_for_it() -> None:
    broken = b"\x7f" + ONE[1:]
    with pytest.raises(ValueError, match="lengths"):
        Frames().feed(broken)


def test_a_message_over_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 20"):
        Frames(limit=20).feed(ONE)


def test_a_length_shorter_than_its_headers_is_refused() -> None:
    begin = struct.pack(">II", 16, 100)
    with pytest.raises(ValueError, match="bytes of headers"):
        Frames().feed(begin + struct.pack(">I", crc32(begin)))


@pytest.mark.parametrize("at", [13, len(ONE) // 2, len(ONE) - 5, len(ONE) - 1])
def test_a_changed_byte_is_seen(at: int) -> None:
    broken = bytearray(ONE)
    broken[at] ^= 1
    with pytest.raises(ValueError, match="sum is wrong"):
        list(messages(bytes(broken)))


def test_a_message_that_is_not_whole_is_seen() -> None:
    with pytest.raises(ValueError, match="within a message"):
        list(messages(ONE[:-1]))


@pytest.mark.parametrize("block", [b"\x05ab", b"\x01a\x0c", b"\x01a\x07\x00\xffxy", b"\x01\xff\x00", b"\x01a"])
def test_headers_that_are_none_are_refused(block: bytes) -> None:
    begin = struct.pack(">II", 16 + len(block), len(block))
    whole = begin + struct.pack(">I", crc32(begin)) + block
    with pytest.raises(ValueError, match="header"):
        list(messages(whole + struct.pack(">I", crc32(whole))))
