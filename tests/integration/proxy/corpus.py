"""Requests and answers that are malformed, ambiguous or odd, and what has to become of each.

Sources of the ideas: RFC 9112 sections 3, 5, 6, 7 and 11; the request smuggling write-ups of CL.TE, TE.CL and
TE.TE; the chunk-extension and trailer attacks on several servers; h2c smuggling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOST: Final = b"Host: a\r\n"
GET: Final = b"GET / HTTP/1.1\r\n" + HOST
POST: Final = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
KIB: Final = 1024

Reached = tuple[bytes, bytes, bytes]
"""Method, target and body of a request at the backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCase:
    """``sent`` over one connection; then ``answers`` come, ``kept`` says whether the connection lives on."""

    name: str
    sent: bytes
    answers: tuple[int, ...] = (400,)
    kept: bool = False
    reached: tuple[Reached, ...] = ()


def refused(name: str, sent: bytes, status: int = 400) -> RequestCase:
    """One answer, the end, and nothing at the backend."""
    return RequestCase(name=name, sent=sent, answers=(status,))


def after_one(name: str, sent: bytes, status: int = 400) -> RequestCase:
    """A good ``GET /`` in front of what is refused: it is answered, the rest is not."""
    return RequestCase(name=name, sent=GET + b"\r\n" + sent, answers=(200, status), reached=((b"GET", b"/", b""),))


def passed(name: str, sent: bytes, *reached: Reached, kept: bool = True) -> RequestCase:
    """Odd, but beyond doubt: every request is answered 200."""
    return RequestCase(name=name, sent=sent, answers=(200,) * len(reached), kept=kept, reached=reached)


def gone(name: str, sent: bytes) -> RequestCase:
    """A client that ends before its request does: no answer, nothing at the backend."""
    return RequestCase(name=name, sent=sent, answers=())


def with_length(value: bytes, body: bytes = b"hello") -> bytes:
    return POST + b"Content-Length: " + value + b"\r\n\r\n" + body


def with_coding(value: bytes) -> bytes:
    return POST + b"Transfer-Encoding: " + value + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def line(text: bytes) -> bytes:
    return text + b"\r\n" + HOST + b"\r\n"


HELLO: Final = (b"POST", b"/", b"hello")
BOTH: Final = b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"

REQUESTS: Final = (
    # Two lengths: the reader that believes the other one gets smuggled to.
    refused("CL.TE", POST + BOTH + b"\r\n0\r\n\r\nG"),
    refused(
        "TE.CL", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2e\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"
    ),
    refused("CL.TE with the smuggled request", POST + BOTH + b"\r\n0\r\n\r\n" + SMUGGLED),
    after_one("CL.TE behind a good request", POST + BOTH + b"\r\n0\r\n\r\n" + SMUGGLED),
    refused("CL 0 and TE", POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    refused("two equal lengths", with_length(b"5\r\nContent-Length: 5")),
    refused("two different lengths", with_length(b"5\r\nContent-Length: 6")),
    refused("a list of equal lengths", with_length(b"5, 5")),
    refused("a list of different lengths", with_length(b"5, 6")),
    refused("a length with a plus", with_length(b"+5")),
    refused("a negative length", with_length(b"-5")),
    refused("a length in hexadecimal", with_length(b"0x5")),
    refused("a length with an underscore", with_length(b"1_0")),
    refused("a length with a space inside", with_length(b"5 5")),
    refused("a length with a fraction", with_length(b"5.0")),
    refused("an empty length", with_length(b"")),
    refused("a length beyond 64 bits", with_length(b"18446744073709551621")),
    refused("a length in other digits", with_length("٥".encode())),
    refused("a quoted length", with_length(b'"5"')),
    passed("a length with leading zeros", with_length(b"0005"), HELLO),
    passed("a length with blanks around", with_length(b" \t5 \t"), HELLO),
    passed("a length with GET", GET + b"Content-Length: 5\r\n\r\nhello", (b"GET", b"/", b"hello")),
    passed("the body looks like a request", with_length(b"%d" % len(SMUGGLED), SMUGGLED), (b"POST", b"/", SMUGGLED)),
    passed("an underscore is no hyphen", GET + b"Content_Length: 5\r\n\r\n", (b"GET", b"/", b"")),
    # Transfer codings, TE.TE.
    refused("TE twice", with_coding(b"chunked\r\nTransfer-Encoding: chunked")),
    refused("TE chunked and identity", with_coding(b"chunked\r\nTransfer-Encoding: identity")),
    refused("TE identity and chunked", with_coding(b"identity\r\nTransfer-Encoding: chunked"), 501),
    refused("TE identity", with_coding(b"identity"), 501),
    refused("TE xchunked", with_coding(b"xchunked"), 501),
    refused("TE gzip, chunked", with_coding(b"gzip, chunked"), 501),
    refused("TE chunked, gzip", with_coding(b"chunked, gzip")),
    refused("TE chunked, chunked", with_coding(b"chunked, chunked")),
    refused("TE with a parameter", with_coding(b"chunked;q=1"), 501),
    refused("TE quoted", with_coding(b'"chunked"'), 501),
    refused("TE with a comma in front", with_coding(b",chunked"), 501),
    refused("TE empty", with_coding(b"")),
    refused("TE with a vertical tab", with_coding(b"\x0bchunked")),
    refused("TE with NUL", with_coding(b"chunked\x00")),
    refused("TE with a space before the colon", POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    refused("TE folded", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    refused("TE with HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    passed("TE in another spelling", with_coding(b"\tCHUNKED "), HELLO),
    # Chunks.
    refused("a chunk size in the negative", CHUNKED + b"-1\r\n\r\n"),
    refused("a chunk size with 0x", CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n"),
    refused("a chunk size with a plus", CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n"),
    refused("a chunk size with a space in front", CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n"),
    refused("a chunk size with a space behind", CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n"),
    refused("a chunk size beyond 64 bits", CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    refused("no chunk size", CHUNKED + b"\r\nhello\r\n0\r\n\r\n"),
    refused("a chunk size with a bare LF", CHUNKED + b"5\nhello\r\n0\r\n\r\n"),
    refused("a chunk size with a bare CR", CHUNKED + b"5\rhello\r\n0\r\n\r\n"),
    refused("a chunk without CRLF behind it", CHUNKED + b"5\r\nhello0\r\n\r\n"),
    refused("a chunk longer than its size", CHUNKED + b"3\r\nhello\r\n0\r\n\r\n"),
    refused("a chunk with LF behind it", CHUNKED + b"5\r\nhello\n0\r\n\r\n"),
    refused("a chunk extension with LF", CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    refused("a chunk extension with NUL", CHUNKED + b"5;\x00\r\nhello\r\n0\r\n\r\n"),
    refused("a chunk extension with CRLF in quotes", CHUNKED + b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n'),
    refused("a chunk extension without end", CHUNKED + b"5;" + b"a" * 600 * KIB, 431),
    refused("a trailer without end", CHUNKED + b"0\r\nX: " + b"a" * 600 * KIB, 431),
    refused("a trailer with a length", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n"),
    refused("too many trailers", CHUNKED + b"0\r\n" + b"X: y\r\n" * 200, 431),
    passed("a chunk extension", CHUNKED + b'5;a=b;c="d e"\r\nhello\r\n0;z\r\n\r\n', HELLO),
    passed("a trailer", CHUNKED + b"5\r\nhello\r\n0\r\nHost: b\r\nX: y\r\n\r\n", HELLO),
    passed("a chunk size with leading zeros", CHUNKED + b"00005\r\nhello\r\n000\r\n\r\n", HELLO),
    # Fields.
    refused("a folded field", GET + b"X: a\r\n b\r\n\r\n"),
    refused("a fold before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    refused("a space before a colon", GET + b"X : a\r\n\r\n"),
    refused("a bare LF behind a field", GET + b"X: a\n\r\n"),
    refused("a bare LF at the end of the head", GET + b"\n"),
    refused("a bare CR in a field", GET + b"X: a\rContent-Length: 5\r\n\r\n"),
    refused("NUL in a value", GET + b"X: a\x00b\r\n\r\n"),
    refused("NUL in a name", GET + b"X\x00: a\r\n\r\n"),
    refused("a control byte in a value", GET + b"X: a\x01b\r\n\r\n"),
    refused("DEL in a value", GET + b"X: a\x7fb\r\n\r\n"),
    refused("no name", GET + b": a\r\n\r\n"),
    refused("no colon", GET + b"nonsense\r\n\r\n"),
    refused("a name that is no token", GET + b"X(y): a\r\n\r\n"),
    refused("a name beyond ASCII", GET + b"X\xe9: a\r\n\r\n"),
    refused("an expectation that nobody knows", GET + b"Expect: the-unexpected\r\n\r\n", 417),
    passed("obs-text in a value", GET + b"X: \xe9\r\n\r\n", (b"GET", b"/", b"")),
    passed("an empty field", GET + b"X:\r\n\r\n", (b"GET", b"/", b"")),
    # Request lines.
    refused("HTTP/0.9", b"GET /\r\n\r\n"),
    after_one("HTTP/0.9 behind a good request", b"GET /\r\n\r\n", 505),
    refused("HTTP/2.0", line(b"GET / HTTP/2.0"), 505),
    after_one("HTTP/2.0 behind a good request", line(b"GET / HTTP/2.0"), 505),
    refused("HTTP/1.2", line(b"GET / HTTP/1.2")),
    refused("HTTP/1.10", line(b"GET / HTTP/1.10")),
    refused("http/1.1", line(b"GET / http/1.1")),
    refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    refused("RTSP", line(b"GET / RTSP/1.0")),
    refused("a method of RTSP", line(b"DESCRIBE / HTTP/1.1")),
    refused("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n"),
    refused("a proxy protocol header", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GET + b"\r\n"),
    refused("two spaces before the version", line(b"GET /  HTTP/1.1")),
    refused("a tab for a space", line(b"GET\t/\tHTTP/1.1")),
    refused("a space in front", line(b" GET / HTTP/1.1")),
    refused("a space in the target", line(b"GET /a b HTTP/1.1")),
    refused("a bare LF behind the request line", b"GET / HTTP/1.1\n" + HOST + b"\r\n"),
    refused("CR CR LF behind the request line", b"GET / HTTP/1.1\r\r\n" + HOST + b"\r\n"),
    refused("NUL in the target", line(b"GET /\x00 HTTP/1.1")),
    refused("a byte beyond ASCII in the target", line(b"GET /\xe9 HTTP/1.1")),
    refused("a method in lower case", line(b"get / HTTP/1.1")),
    refused("a method that nobody knows", line(b"FROB / HTTP/1.1")),
    refused("CONNECT", line(b"CONNECT a:443 HTTP/1.1"), 501),
    refused("TRACE", line(b"TRACE / HTTP/1.1"), 501),
    refused("garbage", b"\xde\xad\xbe\xef\r\n\r\n"),
    passed("blank lines in front", b"\r\n\r\n" + GET + b"\r\n", (b"GET", b"/", b"")),
    # Targets and hosts.
    refused("no Host", b"GET / HTTP/1.1\r\n\r\n"),
    refused("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    refused("a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    refused("a Host with user information", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    refused("a Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    refused("a Host of a port only", b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
    refused("a fragment", line(b"GET /#f HTTP/1.1")),
    refused("a dot segment", line(b"GET /a/../b HTTP/1.1")),
    refused("an encoded dot segment", line(b"GET /a/%2e%2E/b HTTP/1.1")),
    refused("a dot segment with an encoded slash", line(b"GET /a/..%2fb HTTP/1.1")),
    refused("a dot segment with a backslash", line(b"GET /a/..\\b HTTP/1.1")),
    refused("user information in the target", line(b"GET http://u@b/ HTTP/1.1")),
    refused("another scheme", line(b"GET ftp://b/ HTTP/1.1")),
    refused("a target without a slash", line(b"GET a HTTP/1.1")),
    refused("an asterisk with GET", line(b"GET * HTTP/1.1")),
    passed("an asterisk with OPTIONS", line(b"OPTIONS * HTTP/1.1"), (b"OPTIONS", b"*", b"")),
    passed("the absolute form", line(b"GET http://b/x HTTP/1.1"), (b"GET", b"/x", b"")),
    passed("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", (b"GET", b"/", b""), kept=False),
    # Connection and Upgrade.
    refused("an option that is no token", GET + b"Connection: a b\r\n\r\n"),
    refused("an upgrade with a body", with_length(b"5\r\nConnection: Upgrade\r\nUpgrade: websocket")),
    passed("Connection: host", GET + b"Connection: host, content-length\r\n\r\n", (b"GET", b"/", b"")),
    passed("Connection: content-length", with_length(b"5\r\nConnection: content-length"), HELLO),
    passed("Connection: close among others", GET + b"Connection: x, close\r\n\r\n", (b"GET", b"/", b""), kept=False),
    passed(
        "h2c with a body and a request behind it",
        with_length(b"5\r\nConnection: Upgrade\r\nUpgrade: h2c") + GET + b"\r\n",
        HELLO,
        (b"GET", b"/", b""),
    ),
    passed(
        "an upgrade that is declined, with a request behind it",
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + SMUGGLED,
        (b"GET", b"/", b""),
        kept=False,
    ),
    RequestCase(
        name="a request behind Connection: close",
        sent=GET + b"Connection: close\r\n\r\n" + SMUGGLED,
        answers=(200,),
        reached=((b"GET", b"/", b""),),
    ),
    # Too much.
    refused("a request line too long", line(b"GET /" + b"a" * 9 * KIB + b" HTTP/1.1"), 414),
    refused("a request line without end", b"GET /" + b"a" * 64 * KIB, 414),
    refused("a field too long", GET + b"X: " + b"a" * 33 * KIB + b"\r\n\r\n", 431),
    refused("a field without end", GET + b"X: " + b"a" * 64 * KIB, 431),
    refused("too many fields", GET + b"X: y\r\n" * 101 + b"\r\n", 431),
    refused("a body too long by its length", with_length(b"1000001", b""), 413),
    refused("a body too long by its chunks", CHUNKED + b"f4241\r\n" + b"a" * 1_000_001, 413),
    # Too little.
    gone("nothing", b""),
    gone("half a request line", b"GET / HT"),
    gone("half a head", GET),
    gone("a head without its last LF", GET + b"\r"),
    gone("blank lines", b"\r\n" * 5),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCase:
    """``sent`` by a backend for the first request; ``status`` and ``body`` are what the client gets.

    ``status`` 502: for a POST; a GET is tried again. ``status`` 0: the client's connection is cut.
    ``reused``: whether the next request may use the same connection to the backend.
    """

    name: str
    sent: bytes
    status: int = 502
    body: bytes = b""
    reused: bool = False
    ends: bool = False
    method: bytes = b"POST"


def no_answer(name: str, sent: bytes, *, ends: bool = False) -> AnswerCase:
    return AnswerCase(name=name, sent=sent, ends=ends)


def cut(name: str, sent: bytes, *, ends: bool = True) -> AnswerCase:
    return AnswerCase(name=name, sent=sent, status=0, ends=ends)


def relayed(name: str, sent: bytes, body: bytes = b"ok", *, reused: bool = False, ends: bool = False) -> AnswerCase:
    return AnswerCase(name=name, sent=sent, status=200, body=body, reused=reused, ends=ends)


OK: Final = b"HTTP/1.1 200 OK\r\n"
TWO: Final = b"Content-Length: 2\r\n"
FINE: Final = OK + TWO + b"\r\nok"
IN_CHUNKS: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"

ANSWERS: Final = (
    # Two lengths.
    no_answer("two equal lengths", OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    no_answer("two different lengths", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    no_answer("a list of lengths", OK + b"Content-Length: 2, 2\r\n\r\nok"),
    no_answer("a negative length", OK + b"Content-Length: -2\r\n\r\nok"),
    no_answer("a length with a plus", OK + b"Content-Length: +2\r\n\r\nok"),
    no_answer("a length beyond 64 bits", OK + b"Content-Length: 18446744073709551618\r\n\r\nok"),
    no_answer("a length beside chunks", OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    no_answer("another coding", OK + b"Transfer-Encoding: gzip\r\n\r\nok"),
    no_answer("a coding around chunks", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    no_answer("chunks in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    # Heads.
    no_answer("HTTP/0.9", b"<html>hello</html>", ends=True),
    no_answer("garbage", b"\x00\xff\x00\xff\r\n\r\n"),
    no_answer("HTTP/2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    no_answer("RTSP", b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    no_answer("TLS", b"\x15\x03\x01\x00\x02\x02\x16"),
    no_answer("a blank line in front", b"\r\n" + FINE),
    no_answer("status 099", b"HTTP/1.1 099 x\r\n\r\n"),
    no_answer("status 600", b"HTTP/1.1 600 x\r\nContent-Length: 2\r\n\r\nok"),
    no_answer("a status of four digits", b"HTTP/1.1 2000 x\r\n\r\n"),
    no_answer("a status that is none", b"HTTP/1.1 OK\r\n\r\n"),
    no_answer("NUL in the reason", b"HTTP/1.1 200 a\x00b\r\nContent-Length: 2\r\n\r\nok"),
    no_answer("a bare CR in a field", OK + b"X: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok"),
    no_answer("a bare LF behind a field", OK + b"X: a\nContent-Length: 2\r\n\r\nok"),
    no_answer("a folded field", OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok"),
    no_answer("a space before a colon", OK + b"Content-Length : 2\r\n\r\nok"),
    no_answer("NUL in a field", OK + b"X: \x00\r\nContent-Length: 2\r\n\r\nok"),
    no_answer("a field too long", OK + b"X: " + b"a" * 33 * KIB + b"\r\n\r\n"),
    no_answer("a field without end", OK + b"X: " + b"a" * 300 * KIB),
    no_answer("too many fields", OK + b"X: y\r\n" * 101 + b"\r\n"),
    # Interim answers.
    no_answer("a 1xx with a body", b"HTTP/1.1 199 x\r\nContent-Length: 5\r\n\r\nhello" + FINE),
    no_answer("101 that nobody asked for", b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + FINE),
    no_answer("101 to nothing", b"HTTP/1.1 101 x\r\n\r\n" + FINE),
    no_answer("nothing but 100", b"HTTP/1.1 100 Continue\r\n\r\n", ends=True),
    # Bodies that must not be.
    no_answer("204 with a length", b"HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\nok"),
    no_answer("304 with chunks", b"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    AnswerCase(name="204 with a body", sent=b"HTTP/1.1 204 x\r\n\r\nbody", status=204),
    AnswerCase(name="304 with a body", sent=b"HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\nbody", status=304),
    AnswerCase(name="HEAD with a body", sent=FINE, status=200, method=b"HEAD"),
    AnswerCase(name="HEAD with two answers", sent=OK + b"Content-Length: 2\r\n\r\n" + FINE, status=200, method=b"HEAD"),
    AnswerCase(name="HEAD with chunks", sent=IN_CHUNKS + b"2\r\nok\r\n0\r\n\r\n", status=200, method=b"HEAD"),
    # Too much.
    relayed("two answers", FINE + OK + b"Content-Length: 4\r\n\r\nevil"),
    relayed("a byte too much", FINE + b"X"),
    relayed("a chunked answer and more", IN_CHUNKS + b"2\r\nok\r\n0\r\n\r\n" + FINE),
    relayed("an answer that closes, and more", OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok" + FINE),
    # Too little.
    no_answer("nothing", b"", ends=True),
    no_answer("half a status line", b"HTTP/1.1 20", ends=True),
    no_answer("half a head", OK + b"Content-Length: 2\r\n", ends=True),
    cut("half a body", OK + b"Content-Length: 10\r\n\r\nhello"),
    cut("no body", OK + b"Content-Length: 10\r\n\r\n"),
    cut("half a chunk", IN_CHUNKS + b"5\r\nhe"),
    cut("chunks without the last", IN_CHUNKS + b"2\r\nok\r\n"),
    cut("chunks without the last CRLF", IN_CHUNKS + b"2\r\nok\r\n0\r\n"),
    # Chunks. The head is good and may be out already: what follows cannot be taken back.
    no_answer("a bad chunk size at once", IN_CHUNKS + b"xyz\r\nok\r\n0\r\n\r\n"),
    no_answer("a chunk without CRLF behind it", IN_CHUNKS + b"2\r\nokay\r\n0\r\n\r\n"),
    no_answer("a chunk size beyond 64 bits", IN_CHUNKS + b"10000000000000002\r\nok\r\n0\r\n\r\n"),
    # Odd, but beyond doubt.
    relayed("an answer as it should be", FINE, reused=True),
    relayed("no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", reused=True),
    relayed("leading zeros", OK + b"Content-Length: 0002\r\n\r\nok", reused=True),
    relayed("chunks with extensions and trailers", IN_CHUNKS + b"2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n", reused=True),
    relayed("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    relayed("HTTP/1.0 that is kept", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + TWO + b"\r\nok", reused=True),
    relayed("an end by closing", OK + b"\r\nok", ends=True),
    relayed("an end by closing without a byte", OK + b"\r\n", b"", ends=True),
    relayed("Connection: content-length", OK + b"Connection: content-length\r\n" + TWO + b"\r\nok", reused=True),
    relayed("a mere offer to upgrade", OK + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + TWO + b"\r\nok", reused=True),
)
