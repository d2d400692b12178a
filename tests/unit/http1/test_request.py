"""What a request must look like to be forwarded, and what is made of it."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from holdfast.http1 import BadMessage, Limits, Request, RequestReader

HEAD = b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def read(*pieces: bytes, limits: Limits | None = None) -> list[Request]:
    reader = RequestReader(limits or Limits())
    for piece in pieces:
        reader.feed(piece)
    return list(reader.arrived)


def refused(*pieces: bytes, limits: Limits | None = None) -> tuple[int, str]:
    with pytest.raises(BadMessage) as caught:
        read(*pieces, limits=limits)
    return caught.value.status, caught.value.reason


def feed_again_and_again(reader: RequestReader, piece: bytes) -> None:
    for _ in range(1000):
        reader.feed(piece)


def body(request: Request) -> bytes:
    return b"".join(request.pieces)


def test_a_plain_request_has_its_parts() -> None:
    [request] = read(HEAD + b"Accept: */*\r\nUser-Agent:  curl \r\n\r\n")
    head = request.head
    assert (head.method, head.target, head.host) == (b"GET", b"/a?b=c", b"example.com")
    assert head.block == b"Accept: */*\r\nUser-Agent: curl\r\n"
    assert (head.length, head.chunked, head.has_body, request.complete) == (None, False, False, True)
    assert head.keep_alive
    assert head.idempotent
    assert head.upgrade is None


def test_a_field_may_be_empty_wherever_the_bytes_are_cut() -> None:
    whole = HEAD + b"X-Empty:\r\nX-Blank: \t \r\nX: y\r\n\r\n"
    for cut in range(1, len(whole)):
        [request] = read(whole[:cut], whole[cut:])
        assert request.head.block == b"X-Empty: \r\nX-Blank: \r\nX: y\r\n", cut


def test_bodies_are_fixed_chunked_or_none() -> None:
    requests = read(
        POST + b"Content-Length: 5\r\n\r\nhello"
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer-Field: z\r\n\r\n"
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert [body(request) for request in requests] == [b"hello", b"abcde", b""]
    assert [request.head.length for request in requests] == [5, None, 0]
    assert [request.head.chunked for request in requests] == [False, True, False]
    assert all(request.complete for request in requests)
    assert b"Trailer-Field" not in requests[1].head.block


def test_a_repeated_request_is_recognised_and_shares_its_head() -> None:
    once = HEAD + b"Accept: */*\r\n\r\n"
    first, second, third = read(once, once, once)
    assert first.head is second.head is third.head
    assert second.complete


def test_a_repetition_in_the_middle_of_something_else_is_not_taken_for_one() -> None:
    once = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    requests = read(once, POST + b"Content-Length: %d\r\n\r\n" % len(once), once, once)
    assert [(request.head.method, body(request)) for request in requests] == [
        (b"GET", b""),
        (b"POST", once),
        (b"GET", b""),
    ]
    # As the first half of a head with the same bytes:
    with pytest.raises(BadMessage):
        read(once, b"GET / HTTP/1.1\r\nHost: b\r\n", once)


def test_a_request_that_asks_to_close_is_not_repeated_from_memory() -> None:
    once = HEAD + b"Connection: close\r\n\r\n"
    assert refused(once, once) == (400, "bad_request")


@pytest.mark.parametrize(
    ("connection", "left"),
    [
        (b"x-one", b"X-Two: 2\r\n"),
        (b"X-One, x-two", b""),
        (b"close, x-two", b"X-One: 1\r\n"),
        (b"x-one\r\nConnection: x-two", b""),
        (b"host, content-length, x-forwarded-for", b"X-One: 1\r\nX-Two: 2\r\n"),
        (b",, ,", b"X-One: 1\r\nX-Two: 2\r\n"),
    ],
)
def test_fields_named_by_connection_end_here(connection: bytes, left: bytes) -> None:
    [request] = read(HEAD + b"X-One: 1\r\nX-Two: 2\r\nConnection: " + connection + b"\r\n\r\n")
    assert request.head.block == left
    assert request.head.host == b"example.com"


def test_hop_by_hop_fields_end_here() -> None:
    [request] = read(
        HEAD + b"Keep-Alive: 5\r\nTE: trailers\r\nTrailer: X\r\nProxy-Connection: close\r\nProxy-Authorization: x\r\n"
        b"Upgrade: websocket\r\n\r\n"
    )
    assert request.head.block == b""
    assert request.head.upgrade is None


def test_fields_that_the_proxy_makes_are_kept_aside() -> None:
    [request] = read(HEAD + b"X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\nForwarded: for=x\r\n\r\n")
    assert request.head.block == b""
    assert request.head.owned == {b"x-forwarded-for": b"1.2.3.4, 5.6.7.8", b"forwarded": b"for=x"}


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"http://b/x?y", b"b", b"/x?y"),
        (b"http://b", b"b", b"/"),
        (b"http://b?y", b"b", b"/?y"),
        (b"HTTPS://b:8443/x", b"b:8443", b"/x"),
        (b"http://[::1]:80/", b"[::1]:80", b"/"),
        (b"//b/x", b"a", b"//b/x"),
        (b"/?x=http://c/../d", b"a", b"/?x=http://c/../d"),
        (b"/a..b/...", b"a", b"/a..b/..."),
    ],
)
def test_an_absolute_target_replaces_host(target: bytes, host: bytes, path: bytes) -> None:
    [request] = read(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (request.head.host, request.head.target) == (host, path)


@pytest.mark.parametrize(
    "target",
    [
        b"/a/../b",
        b"/..",
        b"/./a",
        b"/a/.",
        b"/%2e%2e/b",
        b"/a/%2E./b",
        b"/a/..%2fb",
        b"/a/..%2Fb",
        b"/a/..\\b",
        b"/a%5c..%5cb",
        b"/%2e",
    ],
)
def test_a_path_that_climbs_is_refused_however_it_is_written(target: bytes) -> None:
    assert refused(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n") == (400, "dot_segment")


@pytest.mark.parametrize(
    "line",
    [
        b"GET /%2e%2e/b HTTP/1.1",
        b"GET /a/%2E%2E HTTP/1.1",
        b"GET /a/..%2fb HTTP/1.1",
        b"GET /a/../b HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET /\xe9 HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET http://u@b/ HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET / HTTP/2.0",
        b"TRACE / HTTP/1.1",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1",
    ],
)
def test_known_fields_vouch_for_no_request_line(line: bytes) -> None:
    fields = b"\r\nHost: a\r\nAccept: */*\r\n\r\n"
    alone = refused(line + fields)
    assert refused(b"GET / HTTP/1.1" + fields, line + fields) == alone
    assert refused(b"GET / HTTP/1.1" + fields, b"GET /b HTTP/1.1" + fields, line + fields) == alone


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9"])
def test_another_version_is_refused_first_or_pipelined(version: bytes) -> None:
    other = b"GET / " + version + b"\r\nHost: a\r\n\r\n"
    assert refused(other) == (505, "version_not_supported")
    assert refused(HEAD + b"\r\n" + other) == (505, "version_not_supported")


@pytest.mark.parametrize("host", [b":80", b"a b", b"u@a", b"a/b", b"a:b", b"[::1", b"a\xe9", b"a:999999", b'a"b'])
def test_a_host_that_is_none_is_refused(host: bytes) -> None:
    assert refused(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n") == (400, "bad_host")


# Upgrades.


def test_what_follows_a_wish_for_another_protocol_is_kept_for_it() -> None:
    reader = RequestReader(Limits())
    reader.feed(HEAD + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00")
    reader.feed(b"\x82")
    [request] = reader.arrived
    assert request.head.upgrade == b"websocket"
    assert reader.early == b"\x81\x00\x82"
    assert not request.head.keep_alive, "should the backend decline, nothing that followed was read as HTTP"


@pytest.mark.parametrize("wish", [b"h2c", b"H2C", b"websocket, h2c", b"h2c,websocket", b" "])
def test_a_wish_for_h2c_is_dropped_and_http_goes_on(wish: bytes) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\nUpgrade: " + wish + b"\r\n"
    first, second, third = read(HEAD + upgrade + b"\r\n" + HEAD + upgrade + b"\r\n" + HEAD, b"X: y\r\n\r\n")
    assert first.head.upgrade is None
    assert first.head.keep_alive
    assert first.head.block == second.head.block == b""
    assert third.head.block == b"X: y\r\n"


@pytest.mark.parametrize(
    ("framing", "wire"),
    [(b"Content-Length: 5\r\n", b"hello"), (b"Transfer-Encoding: chunked\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")],
)
def test_a_request_with_a_dropped_wish_keeps_its_body(framing: bytes, wire: bytes) -> None:
    """llhttp takes the body for the other protocol; forwarding the length without it would swallow the next request."""
    whole = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + framing + b"\r\n" + wire + HEAD + b"\r\n"
    for cut in range(1, len(whole)):
        first, second = read(whole[:cut], whole[cut:])
        assert (body(first), first.complete) == (b"hello", True), cut
        assert (second.head.target, second.complete) == (b"/a?b=c", True), cut


def test_thousands_of_dropped_wishes_in_one_read_are_no_recursion() -> None:
    one = HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert len(read(one * 3000)) == 3000


def test_an_upgrade_with_a_body_is_refused() -> None:
    wish = b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello"
    assert refused(POST + wish) == (400, "upgrade_with_body")


def test_an_http_1_0_client_cannot_upgrade() -> None:
    [request] = read(b"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert request.head.upgrade is None


# Limits.

SMALL = Limits(request_line=64, header_block=256, headers=4, body=10)


@pytest.mark.parametrize(
    ("wire", "status", "reason"),
    [
        (b"GET /" + b"a" * 64 + b" HTTP/1.1\r\n", 414, "request_line_too_long"),
        (HEAD + b"X: " + b"a" * 300 + b"\r\n\r\n", 431, "header_block_too_large"),
        (HEAD + b"X: 1\r\n" * 4 + b"\r\n", 431, "too_many_headers"),
        (POST + b"Content-Length: 11\r\n\r\n", 413, "body_too_large"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nb\r\nhello world", 413, "body_too_large"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: 1\r\n" * 6, 431, "too_many_trailers"),
    ],
)
def test_each_limit_holds_whole_and_byte_by_byte(wire: bytes, status: int, reason: str) -> None:
    assert refused(wire, limits=SMALL) == (status, reason)
    assert refused(*(wire[at : at + 1] for at in range(len(wire))), limits=SMALL) == (status, reason)


@pytest.mark.parametrize(
    "start",
    [
        HEAD + b"X: ",
        HEAD + b"X",
        b"GET /",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;a=",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nY: ",
    ],
)
def test_what_never_ends_is_cut_off_and_not_kept(start: bytes) -> None:
    reader = RequestReader(Limits())
    reader.feed(start)
    tracemalloc.start()
    try:
        with pytest.raises(BadMessage) as caught:
            feed_again_and_again(reader, b"a" * 4096)
        assert caught.value.status in (414, 431)
        assert tracemalloc.get_traced_memory()[1] < 512 * 1024
    finally:
        tracemalloc.stop()


def test_a_long_body_in_small_chunks_meets_no_limit_of_heads() -> None:
    reader = RequestReader(Limits())
    reader.feed(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(20_000):
        reader.feed(b"1;extension=1\r\na\r\n")
    reader.feed(b"0\r\n\r\n")
    [request] = reader.arrived
    assert body(request) == b"a" * 20_000
    assert request.complete


def test_names_of_fields_are_remembered_only_while_they_are_few_and_short() -> None:
    tracemalloc.start()
    try:
        for number in range(2000):
            [request] = read(HEAD + b"%08d" % number + b"n" * 8000 + b": v\r\n\r\n")
            assert request.head.block.endswith(b"n: v\r\n")
        del request
        gc.collect()  # readers that were not closed are cycles
        assert tracemalloc.get_traced_memory()[0] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_requests_that_were_whole_before_a_fault_are_kept() -> None:
    reader = RequestReader(Limits())
    with pytest.raises(BadMessage):
        reader.feed(HEAD + b"\r\n" + HEAD + b"X : y\r\n\r\n")
    assert [request.complete for request in reader.arrived] == [True]


def test_blank_lines_between_requests_are_ignored() -> None:
    assert len(read(b"\r\n", b"\r\n" + HEAD + b"\r\n", b"\r\n\r\n", HEAD + b"\r\n")) == 2


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(headers=0)
