"""What an answer must look like to be relayed, and when its connection may be used again."""

from __future__ import annotations

import tracemalloc

import pytest

from holdfast.http1 import BadMessage, Limits, ResponseReader

OK = b"HTTP/1.1 200 OK\r\n"


def read(*pieces: bytes, to_head: bool = False, limits: Limits | None = None) -> ResponseReader:
    reader = ResponseReader(limits or Limits())
    reader.expect(to_head=to_head)
    for piece in pieces:
        reader.feed(piece)
    return reader


def feed_again_and_again(reader: ResponseReader, piece: bytes) -> None:
    for _ in range(1000):
        reader.feed(piece)
        reader.interim.clear()


def refused(*pieces: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(BadMessage) as caught:
        read(*pieces, limits=limits)
    return caught.value.reason


def test_a_plain_answer_has_its_parts() -> None:
    reader = read(OK + b"Content-Length: 2\r\nServer: x\r\nKeep-Alive: 5\r\nX-Request-Id: theirs\r\n\r\nok")
    head = reader.head
    assert head is not None
    assert (head.status, head.reason, head.length, head.block) == (200, b"OK", 2, b"Server: x\r\n")
    assert (reader.pieces, reader.complete, reader.dirty, head.keep_alive) == ([b"ok"], True, False, True)


def test_the_same_answer_again_is_recognised() -> None:
    wire = OK + b"Content-Length: 2\r\n\r\nok"
    reader = read(wire)
    first = reader.head
    for _ in range(2):
        reader.expect(to_head=False)
        reader.feed(wire)
        assert reader.head is first
        assert reader.pieces == [b"ok"]
        assert reader.complete
    reader.expect(to_head=True)
    reader.feed(wire)
    assert reader.dirty, "to HEAD the same bytes are an answer and two bytes too many"


def test_answers_to_head_have_no_body_whatever_they_announce() -> None:
    for framing in (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"", b"Content-Length: 0\r\n"):
        reader = read(OK + framing + b"\r\n", to_head=True)
        assert (reader.complete, reader.dirty, reader.pieces) == (True, False, [])


def test_a_body_in_an_answer_to_head_spoils_the_connection_only() -> None:
    reader = read(OK + b"Content-Length: 5\r\n\r\nhello", to_head=True)
    assert (reader.complete, reader.dirty, reader.pieces) == (True, True, [])


def test_after_an_answer_to_head_the_connection_works_on() -> None:
    reader = read(OK + b"Content-Length: 5\r\n\r\n", to_head=True)
    reader.expect(to_head=False)
    reader.feed(OK + b"Content-Length: 2\r\n\r\nok")
    assert (reader.complete, reader.dirty, reader.pieces) == (True, False, [b"ok"])


@pytest.mark.parametrize("status", [204, 304])
def test_no_content_and_not_modified_have_no_body(status: int) -> None:
    reader = read(b"HTTP/1.1 %d x\r\n\r\n" % status)
    assert (reader.complete, reader.dirty) == (True, False)
    assert read(b"HTTP/1.1 %d x\r\n\r\nbody" % status).dirty


def test_not_modified_again_and_again_has_no_body_either() -> None:
    reader = ResponseReader(Limits())
    for _ in range(3):
        reader.expect(to_head=False)
        reader.feed(b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n")
        assert (reader.complete, reader.dirty, reader.pieces) == (True, False, [])


def test_a_length_of_no_content_is_not_passed_on() -> None:
    head = read(b"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n").head
    assert head is not None
    assert head.length is None
    head = read(b"HTTP/1.1 304 x\r\nContent-Length: 7\r\n\r\n").head
    assert head is not None
    assert head.length == 7, "for 304 it is that of the representation"


def test_without_a_length_only_the_end_of_the_connection_ends_a_body() -> None:
    reader = read(OK + b"\r\n", b"some")
    assert not reader.complete
    assert reader.eof()
    assert reader.complete


def test_a_body_that_is_cut_does_not_end_properly() -> None:
    assert not read(OK + b"Content-Length: 5\r\n\r\nhell").eof()
    assert not read(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").eof()
    assert not read(OK).eof()
    assert not read().eof()


def test_interim_answers_come_before_the_answer() -> None:
    reader = read(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok"
    )
    assert [(head.status, head.block) for head in reader.interim] == [(100, b""), (103, b"Link: x\r\n")]
    assert reader.pieces == [b"ok"]


@pytest.mark.parametrize("status", [100, 101, 102, 103, 104, 150, 199])
def test_an_interim_answer_has_no_body(status: int) -> None:
    """Its body would stand before that of the answer, beyond the length that the client is told."""
    interim = b"HTTP/1.1 %d x\r\nContent-Length: 5\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\nhello" % status
    assert refused(interim + OK + b"Content-Length: 2\r\n\r\nok") == "body_not_allowed"


def test_too_many_interim_answers_are_refused_even_one_at_a_time() -> None:
    reader = read()
    with pytest.raises(BadMessage) as caught:
        feed_again_and_again(reader, b"HTTP/1.1 102 Processing\r\n\r\n")
    assert caught.value.reason == "too_many_interim"


def test_switching_protocols_hands_over_what_follows() -> None:
    reader = read(b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81", b"\x00")
    assert reader.head is not None
    assert reader.head.upgrade == b"websocket"
    assert reader.tunnel == b"\x81\x00"


@pytest.mark.parametrize("fields", [b"", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"])
def test_switching_to_nothing_is_refused(fields: bytes) -> None:
    assert refused(b"HTTP/1.1 101 x\r\n" + fields + b"\r\nTUNNEL") == "bad_upgrade"


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"<html>", "not_http"),
        (b"\r\n" + OK, "not_http"),
        (b"http/1.1 200 OK\r\n\r\n", "not_http"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "version_not_supported"),
        (b"HTTP/0.9 200 OK\r\n\r\n", "version_not_supported"),
        (b"HTTP/1.1 099 x\r\n\r\n", "bad_status"),
        (b"HTTP/1.1 600 x\r\n\r\n", "bad_status"),
        (b"HTTP/1.1 2000 x\r\n\r\n", "bad_response"),
        (b"HTTP/1.1 200 a\x00b\r\n\r\n", "bad_reason"),
        (b"HTTP/1.1 200 a\x1b[2Jb\r\n\r\n", "bad_reason"),
        (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", "bad_response"),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_response"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "bad_transfer_coding"),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_transfer_coding"),
        (b"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n", "body_not_allowed"),
        (OK + b"Connection: a b\r\n\r\n", "bad_connection_option"),
    ],
)
def test_an_answer_beyond_doubt_or_none(wire: bytes, reason: str) -> None:
    assert refused(wire) == reason


@pytest.mark.parametrize("excess", [b"X", OK + b"Content-Length: 2\r\n\r\nno", b"HTTP/1.1 200 ", b"\x00"])
def test_bytes_after_the_end_spoil_the_connection_and_not_the_answer(excess: bytes) -> None:
    reader = read(OK + b"Content-Length: 2\r\n\r\nok" + excess)
    assert (reader.pieces, reader.complete, reader.dirty) == ([b"ok"], True, True)


def test_bytes_after_the_end_in_another_read_are_refused() -> None:
    assert refused(OK + b"Content-Length: 2\r\n\r\nok", b"more") == "answered_twice"


@pytest.mark.parametrize(
    ("fields", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_a_connection_is_kept_when_both_ends_may(fields: bytes, keep: bool) -> None:
    head = read(fields + b"Content-Length: 0\r\n\r\n").head
    assert head is not None
    assert head.keep_alive is keep


def test_fields_named_by_connection_end_here() -> None:
    head = read(OK + b"Connection: x-one\r\nX-One: 1\r\nX-Two: 2\r\nContent-Length: 0\r\n\r\n").head
    assert head is not None
    assert head.block == b"X-Two: 2\r\n"


def test_limits_hold_for_heads() -> None:
    limits = Limits(header_block=128, headers=3)
    assert refused(OK + b"X: " + b"a" * 200, limits=limits) == "header_block_too_large"
    assert refused(OK + b"X: " + b"a" * 200 + b"\r\n\r\n", limits=limits) == "header_block_too_large"
    assert refused(OK + b"X: 1\r\n" * 4 + b"\r\n", limits=limits) == "too_many_headers"


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 ",
        OK + b"X: ",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;",
        b"HTTP/1.1 103 x\r\nX: ",
    ],
)
def test_what_never_ends_is_cut_off_and_not_kept(start: bytes) -> None:
    reader = read(start)
    tracemalloc.start()
    try:
        with pytest.raises(BadMessage):
            feed_again_and_again(reader, b"a" * 4096)
        assert tracemalloc.get_traced_memory()[1] < 512 * 1024
    finally:
        tracemalloc.stop()


KNOWN = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX: y\r\n\r\n"


def knowing() -> ResponseReader:
    """A reader that has seen the head of ``KNOWN`` once."""
    reader = ResponseReader(Limits())
    reader.expect(to_head=False)
    reader.feed(KNOWN + b"0123456789")
    reader.expect(to_head=False)
    return reader


@pytest.mark.parametrize("cut", range(11))
def test_a_known_head_may_come_with_any_part_of_its_body(cut: int) -> None:
    reader = knowing()
    reader.feed(KNOWN + b"abcdefghij"[:cut])
    assert reader.complete == (cut == 10)
    if cut < 10:
        reader.feed(b"abcdefghij"[cut:])
    assert reader.head is not None
    assert (reader.head.status, b"".join(reader.pieces), reader.complete, reader.dirty) == (
        200,
        b"abcdefghij",
        True,
        False,
    )


@pytest.mark.parametrize("cut", [0, 5, 10])
def test_bytes_after_a_body_under_a_known_head_spoil_the_connection_and_not_the_answer(cut: int) -> None:
    reader = knowing()
    reader.feed(KNOWN + b"abcdefghij"[:cut] if cut < 10 else KNOWN + b"abcdefghij and more")
    if cut < 10:
        reader.feed(b"abcdefghij"[cut:] + b" and more")
    assert (b"".join(reader.pieces), reader.complete, reader.dirty) == (b"abcdefghij", True, True)


def test_a_connection_that_ends_inside_a_body_under_a_known_head_has_not_answered() -> None:
    reader = knowing()
    reader.feed(KNOWN + b"abc")
    assert not reader.eof()


def test_the_answer_to_head_is_not_taken_for_a_known_one() -> None:
    reader = knowing()
    reader.expect(to_head=True)
    reader.feed(KNOWN)
    assert reader.complete
    assert reader.pieces == []


def test_after_known_answers_an_unknown_one_is_parsed_as_ever() -> None:
    reader = knowing()
    reader.feed(KNOWN + b"abcdefghij")
    reader.expect(to_head=False)
    reader.feed(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
    assert reader.head is not None
    assert (reader.head.status, reader.pieces, reader.complete) == (404, [b"no"], True)


def test_a_large_body_under_a_known_head_is_handed_on_without_a_copy() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    reader = ResponseReader(Limits())
    for _ in range(2):
        reader.expect(to_head=False)
        data = head + b"x" * 100_000
        reader.feed(data)
    (piece,) = reader.pieces
    assert isinstance(piece, memoryview)
    assert piece.obj is data
