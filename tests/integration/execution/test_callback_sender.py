"""Requests to receivers that are slow, wrong or hostile, over real sockets."""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain, repeat

import pytest
import trustme

from holdfast.execution.core.callback import Attempt
from holdfast.execution.core.settings import CallbackSettings
from holdfast.execution.shell.callbacks.sender import Sender, resolve
from holdfast.kernel import Duration
from tests.integration.execution.receiver import receiving

pytestmark = pytest.mark.anyio

OPEN = CallbackSettings(allow_private=True, timeout=Duration(5.0))
SHORT = CallbackSettings(allow_private=True, timeout=Duration(0.3))
CLOSED = CallbackSettings(timeout=Duration(5.0))


@asynccontextmanager
async def sending(settings: CallbackSettings = OPEN, **how: object) -> AsyncIterator[Sender]:
    sender = Sender(settings, **how)  # type: ignore[arg-type]
    try:
        yield sender
    finally:
        await sender.close()


class Names:
    """A resolver that gives its answers one after the other, the last one for ever, and notes the questions."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = chain(answers, repeat(answers[-1]))

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return next(self._answers)


async def test_a_body_is_posted_with_its_fields() -> None:
    async with receiving() as receiver, sending() as sender:
        url = f"http://127.0.0.1:{receiver.port}/hook?a=%2F&b#fragment"
        attempt = await sender.send(url, {"webhook-id": "x", "Content-Type": "application/json"}, b'{"n": 1}')
    assert attempt == Attempt(status=204)
    (delivery,) = receiver.deliveries
    assert delivery.request_line == "POST /hook?a=%2F&b HTTP/1.1"
    assert delivery.body == b'{"n": 1}'
    assert delivery.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert (delivery.headers["webhook-id"], delivery.headers["content-type"]) == ("x", "application/json")
    assert set(delivery.headers) <= {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "connection",
        "webhook-id",
    }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_an_invitation(status: int) -> None:
    async with receiving() as inner:
        redirect = f"HTTP/1.1 {status} Go\r\nLocation: http://127.0.0.1:{inner.port}/\r\nContent-Length: 0\r\n\r\n"
        async with receiving(redirect.encode()) as receiver, sending() as sender:
            attempt = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"")
    assert attempt.status == status
    assert inner.connections == 0


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("-5", None),
        ("1e9", None),
        ("9" * 12, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
    ],
)
async def test_a_retry_after_in_seconds_is_read(field: str, seconds: float | None) -> None:
    answer = f"HTTP/1.1 503 Busy\r\nRetry-After: {field}\r\nContent-Length: 0\r\n\r\n".encode()
    async with receiving(answer) as receiver, sending() as sender:
        attempt = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"")
    assert attempt == Attempt(status=503, retry_after_s=seconds)


# ---------------------------------------------------------------- hostile answers


async def test_a_receiver_that_does_not_answer_is_given_up_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with receiving(behave=silent) as receiver, sending(SHORT) as sender:
        attempt = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"")
    assert attempt == Attempt(failure="no answer within 300ms")


async def test_a_receiver_that_answers_byte_by_byte_is_given_up_in_time() -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with receiving(behave=trickle) as receiver, sending(SHORT) as sender:
        attempt = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"")
    assert attempt.failure == "no answer within 300ms"


async def test_a_gigabyte_of_answer_is_not_read() -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        for _i in range(1024):
            writer.write(bytes(2**20))
            await writer.drain()
            sent += 2**20

    async with receiving(behave=flood) as receiver, sending() as sender:
        attempt = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"")
    assert attempt == Attempt(status=200)
    assert sent < 64 * 2**20


@pytest.mark.parametrize(
    "piece",
    [b"X-Long: " + b"x" * 2**20, b"X: " + b"y" * 1000 + b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["a long field", "many fields", "interim answers"],
)
async def test_a_head_without_end_costs_little(piece: bytes) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" if piece.startswith(b"X") else b"")
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    tracemalloc.start()
    try:
        async with receiving(behave=endless) as receiver, sending(SHORT) as sender:
            attempt = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"")
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()
    assert attempt.status is None
    assert attempt.failure


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100, b"HTTP/1.1 200"])
async def test_what_is_no_answer_is_a_failure(answer: bytes) -> None:
    async with receiving(answer) as receiver, sending() as sender:
        attempt = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"")
    assert attempt == Attempt(failure="the connection broke, or the answer was not HTTP")


async def test_nobody_there_is_a_failure() -> None:
    async with receiving() as receiver:
        port = receiver.port
    async with sending() as sender:
        attempt = await sender.send(f"http://127.0.0.1:{port}/", {}, b"")
    assert attempt == Attempt(failure="no address takes a connection")


async def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    async with receiving() as receiver, sending(resolve=Names(["127.0.0.3", "127.0.0.1"])) as sender:
        attempt = await sender.send(f"http://hook.test:{receiver.port}/", {}, b"")
    assert attempt.status == 204
    assert receiver.deliveries[0].headers["host"] == f"hook.test:{receiver.port}"


# ---------------------------------------------------------------- forbidden addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "localhost.",
        "x.localhost",
    ],
)
async def test_loopback_is_not_called_in_any_spelling(host: str) -> None:
    async with receiving(host="127.0.0.1") as receiver, sending(CLOSED) as sender:
        attempt = await sender.send(f"http://{host}:{receiver.port}/", {}, b"")
    assert attempt.forbidden
    assert receiver.connections == 0


@pytest.mark.parametrize("found", [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["0.0.0.0"]])
async def test_a_name_that_stands_for_loopback_is_not_called(found: list[str]) -> None:
    async with receiving() as receiver, sending(CLOSED, resolve=Names(found)) as sender:
        attempt = await sender.send(f"http://hook.test:{receiver.port}/", {}, b"")
    assert attempt.forbidden
    assert "not on the public internet" in attempt.failure
    assert receiver.connections == 0


async def test_a_name_of_this_machine_is_not_called() -> None:
    # `localhost` is known by its text; this goes through the system's resolver.
    async def by_the_system(_: str, port: int) -> Sequence[str]:
        return await asyncio.to_thread(resolve, "localhost", port)

    async with receiving() as receiver, sending(CLOSED, resolve=by_the_system) as sender:
        attempt = await sender.send(f"http://hook.test:{receiver.port}/", {}, b"")
    assert attempt.forbidden
    assert receiver.connections == 0


async def test_a_name_that_changes_after_it_was_judged_changes_nothing() -> None:
    """DNS rebinding: good at the first look, inner at every other."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])

    def judge(found: list[str]) -> str | None:
        return None if found == ["127.0.0.1"] else "inner"

    async with (
        receiving(host="127.0.0.2") as inner,
        receiving(port=inner.port) as receiver,
        sending(resolve=names, judge=judge) as sender,
    ):
        first = await sender.send(f"http://hook.test:{receiver.port}/", {}, b"")
        second = await sender.send(f"http://hook.test:{receiver.port}/", {}, b"")
    assert (first.status, second.forbidden) == (204, True)
    assert names.asked == ["hook.test", "hook.test"], "one look per call, and what was seen is what is called"
    assert (receiver.connections, inner.connections) == (1, 0)


async def test_a_name_that_takes_too_long_to_resolve_is_given_up() -> None:
    async def never(_: str, __: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async with sending(SHORT, resolve=never) as sender:
        assert (await sender.send("http://hook.test/", {}, b"")).failure == "no answer within 300ms"


async def test_a_name_that_does_not_exist_is_a_failure() -> None:
    async def unknown(_: str, __: int) -> Sequence[str]:
        raise OSError("no such name")

    async with sending(resolve=unknown) as sender:
        assert await sender.send("http://hook.test/", {}, b"") == Attempt(failure="the name does not resolve")


async def test_the_environment_does_not_choose_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with sending() as sender:
            assert (await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"")).status == 204
    assert proxy.connections == 0


async def test_cookies_are_not_kept() -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with receiving(cookie, cookie) as receiver, sending() as sender:
        for _ in range(2):
            await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"")
    assert all("cookie" not in delivery.headers for delivery in receiver.deliveries)
    assert receiver.connections == 2


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(name).configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def test_the_certificate_is_checked_against_the_name_although_a_number_is_called(authority: trustme.CA) -> None:
    server, client = contexts(authority, "hook.test")
    async with receiving(tls=server) as receiver, sending(resolve=Names(["127.0.0.1"]), tls=client) as sender:
        good = await sender.send(f"https://hook.test:{receiver.port}/", {}, b"")
        wrong = await sender.send(f"https://other.test:{receiver.port}/", {}, b"")
    assert good.status == 204
    assert wrong == Attempt(failure="the certificate is not valid for the name")
    assert len(receiver.deliveries) == 1


async def test_a_certificate_that_nobody_vouches_for_is_not_taken(authority: trustme.CA) -> None:
    server, _ = contexts(authority, "hook.test")
    async with receiving(tls=server) as receiver, sending(resolve=Names(["127.0.0.1"])) as sender:
        attempt = await sender.send(f"https://hook.test:{receiver.port}/", {}, b"")
    assert attempt == Attempt(failure="the certificate is not valid for the name")
    assert receiver.deliveries == []


async def test_a_receiver_without_tls_is_a_failure() -> None:
    async with receiving(b"HTTP/1.1 400 Bad\r\n\r\n") as receiver, sending(SHORT) as sender:
        attempt = await sender.send(f"https://127.0.0.1:{receiver.port}/", {}, b"")
    assert attempt.status is None
    assert attempt.failure
