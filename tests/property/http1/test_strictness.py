"""What we take for a request, another strict reader takes for the same one; and nothing makes the readers fall over."""

from __future__ import annotations

import contextlib

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.http1 import BadMessage, Limits, RequestReader, ResponseReader

SEEDS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /x?y=z HTTP/1.0\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nConnection: x-a, close\r\nX-A: 1\r\n\r\n",
    b"GET http://b/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nX-Request-Id: 7\r\n\r\n",
    b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\nContent-Length: 3\r\n\r\nabc",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nSet-Cookie: a\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nuntil close",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nConnection: x-a\r\nX-A: 1\r\n\r\n",
]
SPLINTERS = [
    *(bytes((byte,)) for byte in b"\r\n \t\x00\x0b\x7f\xff:,;05-+/#@\\"),
    b"\r\n",
    b"..",
    b"%2e",
    b"chunked",
    b"Content-Length: 5\r\n",
    b"Content-Length: 6\r\n",
    b"Host: b\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Connection: close\r\n",
    b"Upgrade: h2c\r\n",
    b"HTTP/1.1",
    b"HTTP/2.0",
    b"X:" + b" " * 50,
    b"f" * 17 + b"\r\n",
]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A valid message to which a few things happened."""
    wire = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(wire)))
        length = draw(st.sampled_from([0, 0, 1, 1, 2, 8]))
        insert = draw(st.sampled_from(SPLINTERS) | st.sampled_from(seeds) | st.binary(max_size=3))
        wire = wire[:at] + insert + wire[at + length :]
    return wire


def ours(wire: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
    """Method, target, host and body of the first request, if we take it."""
    reader = RequestReader(Limits())
    try:
        reader.feed(wire)
    except BadMessage:
        if len(reader.arrived) < 2:
            return None  # the fault may be in the first
    if not reader.arrived or not reader.arrived[0].complete or reader.arrived[0].head.upgrade is not None:
        return None
    request = reader.arrived[0]
    return request.head.method, request.head.target, request.head.host, b"".join(request.pieces)


def theirs(wire: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target and body of the first request, as h11 reads it. Raises ``h11.RemoteProtocolError``."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)
    connection.receive_data(wire)
    request = connection.next_event()
    assert isinstance(request, h11.Request), request
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage), event
    return bytes(request.method), bytes(request.target), body


@given(mutated(SEEDS))
@example(SEEDS[3])
@example(SEEDS[-1])
def test_what_we_take_h11_takes_for_the_same_request(wire: bytes) -> None:
    """The one who disagrees about where a request ends is the one who gets smuggled to."""
    taken = ours(wire)
    if taken is None:
        return
    method, target, host, body = taken
    their_method, their_target, their_body = theirs(wire.lstrip(b"\r\n"))
    assert (method, body) == (their_method, their_body)
    assert their_target == target or their_target.endswith((target, host + target[1:]))


@given(mutated(SEEDS), st.integers(1, 30))
def test_no_bytes_make_the_request_reader_fall_over(wire: bytes, step: int) -> None:
    reader = RequestReader(Limits(request_line=64, header_block=256, headers=8, body=64))
    fault = None
    try:
        for at in range(0, len(wire), step):
            reader.feed(wire[at : at + step])
    except BadMessage as error:
        fault = error
    assert fault is None or (fault.reason and fault.status in (400, 413, 414, 417, 431, 501, 505))
    for request in list(reader.arrived)[:-1]:
        assert request.complete, "only the last one can be incomplete"


@given(mutated(ANSWERS), st.integers(1, 30), st.booleans())
def test_no_bytes_make_the_response_reader_fall_over(wire: bytes, step: int, to_head: bool) -> None:
    reader = ResponseReader(Limits(header_block=256, headers=8))
    reader.expect(to_head=to_head)
    try:
        for at in range(0, len(wire), step):
            reader.feed(wire[at : at + step])
            if reader.tunnel is None and reader.complete:
                break
    except BadMessage:
        pass
    reader.eof()
    head = reader.head
    if head is not None and reader.complete and head.length is not None and not to_head and head.status != 304:
        assert sum(map(len, reader.pieces)) == head.length
    if head is not None:
        assert b"\r\n\r\n" not in head.block
        assert b"\n" not in head.block.replace(b"\r\n", b"")
        assert not any(control in head.block + head.reason for control in (b"\x00", b"\x0b", b"\x7f"))


@given(mutated(SEEDS))
def test_what_is_forwarded_cannot_hold_another_message(wire: bytes) -> None:
    reader = RequestReader(Limits())
    with contextlib.suppress(BadMessage):
        reader.feed(wire)
    for request in reader.arrived:
        head = request.head
        for part in (head.method, head.target, head.host, head.upgrade or b"", *head.owned.values()):
            assert not set(part) & set(b"\r\n\x00"), part
        assert b" " not in head.target
        assert b"\n" not in head.block.replace(b"\r\n", b"")
        assert b"\r" not in head.block.replace(b"\r\n", b"")
        names = [line.partition(b":")[0].lower() for line in head.block.split(b"\r\n")]
        assert not {b"content-length", b"transfer-encoding", b"host", b"connection", b"upgrade"} & set(names)
        if head.length is not None and request.complete:
            assert sum(map(len, request.pieces)) == head.length
