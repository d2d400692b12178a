"""However the network cuts traffic into pieces, the messages are the same."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from holdfast.http1 import Limits, RequestReader, ResponseReader

NAMES = st.sampled_from([b"Accept", b"X-A", b"x-b", b"Cookie", b"Via", b"User-Agent", b"TE", b"Keep-Alive"])
VALUES = st.sampled_from([b"", b"a", b"a b\tc", b"\xe9", b"=;,", b"x" * 70, b'"q"'])
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=4).map(
    lambda fields: b"".join(b"%b: %b\r\n" % field for field in fields)
)
BODIES = st.binary(max_size=40) | st.sampled_from([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"0\r\n\r\n", b"\r\n\r\n"])


@st.composite
def framed(draw: st.DrawFn, body: bytes) -> tuple[bytes, bytes]:
    """The framing field and the bytes of a body."""
    if draw(st.booleans()):
        return b"Content-Length: %d\r\n" % len(body), body
    wire = b""
    rest = body
    while rest:
        size = draw(st.integers(1, len(rest)))
        extension = draw(st.sampled_from([b"", b";x", b";x=y", b';x="y z"']))
        wire += b"%x%b\r\n%b\r\n" % (size, extension, rest[:size])
        rest = rest[size:]
    trailer = draw(st.sampled_from([b"", b"X-Trailer: t\r\n"]))
    return b"Transfer-Encoding: chunked\r\n", wire + b"0\r\n" + trailer + b"\r\n"


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"M-SEARCH"]))
    target = draw(st.sampled_from([b"/", b"/a/b?c=d", b"http://b:80/x", b"//x", b"/%20"]))
    fields = draw(FIELDS)
    if draw(st.booleans()):
        framing, wire = draw(framed(draw(BODIES)))
    else:
        framing, wire = b"", b""
    blank = draw(st.sampled_from([b"", b"", b"\r\n"]))
    wish = draw(st.sampled_from([b"", b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"]))
    return blank + method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n" + fields + wish + framing + b"\r\n" + wire


def read_requests(pieces: list[bytes]) -> list[tuple[object, ...]]:
    reader = RequestReader(Limits())
    for piece in pieces:
        reader.feed(piece)
    assert not reader.mid_head
    assert reader.current is None
    read: list[tuple[object, ...]] = []
    for request in reader.arrived:
        head = request.head
        shown = (
            head.method,
            head.target,
            head.host,
            head.block,
            head.length,
            head.chunked,
            head.keep_alive,
            head.upgrade,
        )
        read.append((*shown, b"".join(request.pieces), request.complete))
    return read


@st.composite
def cuts(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(1, max(1, len(wire) - 1)), max_size=6)))
    edges = [0, *places, len(wire)]
    return [wire[start:end] for start, end in itertools.pairwise(edges) if wire[start:end]]


@given(st.data(), st.lists(requests(), min_size=1, max_size=3))
def test_requests_cut_anywhere_are_the_same_requests(data: st.DataObject, wires: list[bytes]) -> None:
    wire = b"".join(wires)
    whole = read_requests([wire])
    assert len(whole) == len(wires)
    assert read_requests(wires) == whole
    assert read_requests(data.draw(cuts(wire))) == whole
    assert read_requests([wire[at : at + 1] for at in range(len(wire))]) == whole
    for cut in range(1, len(wire)):
        assert read_requests([wire[:cut], wire[cut:]]) == whole, cut


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bool, bytes]:
    """The bytes of an answer, whether the request was HEAD, and the body that the client is owed."""
    interim = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 x\r\nLink: y\r\n\r\n"]))
    to_head = draw(st.booleans())
    status = draw(st.sampled_from([200, 201, 204, 304, 404, 500, 503]))
    start = interim + b"HTTP/1.1 %d %b\r\n" % (status, draw(st.sampled_from([b"OK", b"", b"Not Found"]))) + draw(FIELDS)
    body = draw(BODIES)
    framing, wire = draw(framed(body))
    if status in (204, 304):
        return start + b"\r\n", to_head, b""
    if to_head:
        return start + framing + b"\r\n", True, b""
    return start + framing + b"\r\n" + wire, False, body


def read_answer(reader: ResponseReader, pieces: list[bytes], *, to_head: bool) -> tuple[object, ...]:
    reader.expect(to_head=to_head)
    interim = []
    for piece in pieces:
        reader.feed(piece)
        interim += [(head.status, head.block) for head in reader.interim]
        reader.interim.clear()
    head = reader.head
    assert head is not None
    shown = (head.status, head.reason, head.block, head.length, head.chunked, head.until_close, head.keep_alive)
    return (*shown, b"".join(reader.pieces), reader.complete, interim)


@given(st.data(), st.lists(answers(), min_size=1, max_size=3))
def test_answers_cut_anywhere_are_the_same_answers(
    data: st.DataObject, exchanges: list[tuple[bytes, bool, bytes]]
) -> None:
    reader = ResponseReader(Limits())
    for wire, to_head, body in exchanges:
        whole = read_answer(ResponseReader(Limits()), [wire], to_head=to_head)
        assert whole[-3:-1] == (body, True)
        for cut in range(1, len(wire)):
            assert read_answer(ResponseReader(Limits()), [wire[:cut], wire[cut:]], to_head=to_head) == whole, cut
        # On one connection after the others, as they come and from memory.
        assert read_answer(reader, data.draw(cuts(wire)), to_head=to_head) == whole
        for _ in range(2):
            if reader.dirty:
                reader = ResponseReader(Limits())
            assert read_answer(reader, [wire], to_head=to_head) == whole
        if reader.dirty:
            reader = ResponseReader(Limits())


@given(BODIES, st.lists(st.integers(0, 60), max_size=4))
def test_a_body_that_ends_with_the_connection_is_whole_wherever_it_is_cut(body: bytes, places: list[int]) -> None:
    wire = b"HTTP/1.1 200 OK\r\n\r\n" + body
    edges = [0, *sorted(min(place, len(wire)) for place in places), len(wire)]
    reader = ResponseReader(Limits())
    reader.expect(to_head=False)
    for start, end in itertools.pairwise(edges):
        if start < end:
            reader.feed(wire[start:end])
    assert not reader.complete
    assert reader.eof()
    assert b"".join(reader.pieces) == body
