"""Server-sent events: frames are whole, and nothing of them is lost."""

from __future__ import annotations

import pytest

from holdfast.gateway.core.wire.sse import Frames, payloads


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
def test_a_frame_ends_with_a_blank_line_however_lines_end(end: bytes) -> None:
    frames = Frames()
    assert frames.feed(b"data: a" + end + b"data: b") == b"data: a" + end
    assert frames.rest == b"data: b"
    assert frames.feed(end) == b"data: b" + end
    assert frames.rest == b""


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_end_of_one_line_is_not_the_end_of_a_frame(end: bytes) -> None:
    frames = Frames()
    assert frames.feed(b"data: a" + end + b"data: b" + end) == b""


def test_whole_frames_are_handed_on_without_a_copy() -> None:
    frames = Frames()
    frames.feed(b"data: a\n\n")
    data = b"data: b\n\ndata: c\n\n"
    assert frames.feed(data) is data


def test_a_byte_order_mark_is_left_out_even_when_it_comes_in_pieces() -> None:
    frames = Frames()
    assert [frames.feed(bytes([byte])) for byte in b"\xef\xbb\xbf"] == [b"", b"", b""]
    assert frames.feed(b"data: a\n\n") == b"data: a\n\n"


def test_a_line_feed_after_a_frame_that_ended_with_a_carriage_return_belongs_to_its_end() -> None:
    frames = Frames()
    assert frames.feed(b"data: a\r\n\r") == b"data: a\r\n\r"
    assert frames.feed(b"\n") == b"\n"
    assert frames.rest == b""


def test_a_frame_without_end_is_not_kept_beyond_the_limit() -> None:
    frames = Frames(limit=10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        frames.feed(b"data: 123456")


def test_payloads_are_joined_over_lines_and_comments_are_passed_over() -> None:
    frames = b": ping\n\nevent: delta\ndata: a\ndata:b\nid: 7\n\ndata\n\nevent: lonely\n\ndata: c\r\n\r\n"
    assert list(payloads(frames)) == [(b"delta", b"a\nb"), (b"", b""), (b"", b"c")]
