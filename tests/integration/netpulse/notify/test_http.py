"""Requests to channels whose servers are wrong, slow or hostile, and to where they may not lead."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from holdfast.netpulse.core.delivery import Again, Answer, Refused, Request
from holdfast.netpulse.shell.notify.http import BODY_LIMIT
from tests.integration.netpulse.notify.services import a_network, serving
from tests.machine import free_port

pytestmark = pytest.mark.anyio

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def behaving(behave: Behaviour) -> AsyncIterator[str]:
    """A server that does as ``behave`` does; its address."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(OSError, EOFError):
                await behave(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(
    url: str, *, timeout_s: float = 5.0, allow_private: bool = True, **network: Any
) -> Answer | Again | Refused:
    async with a_network(**network) as own:
        return await own.request(Request(url=url, body=b"{}"), timeout_s=timeout_s, allow_private=allow_private)


def names(**addresses: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        if host not in addresses:
            raise OSError(host)
        return addresses[host]

    return resolve


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://2130706433/",
    ],
)
async def test_a_private_address_is_not_called_unless_the_channel_allows_it(url: str) -> None:
    outcome = await ask(url, allow_private=False)
    assert isinstance(outcome, Refused)
    assert "allow_private" in outcome.why


async def test_a_name_with_one_private_address_is_not_called() -> None:
    resolve = names(hook=["93.184.216.34", "10.0.0.1"])
    assert isinstance(await ask("http://hook/", allow_private=False, resolve=resolve), Refused)


async def test_the_address_that_was_judged_is_the_one_that_is_called() -> None:
    """A name that changes its mind (DNS rebinding) is asked once."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with serving(lambda _: web.Response(text="ok")) as service:
        port = service.url.rpartition(":")[2]
        answer = await ask(f"http://hook.test:{port}/x", resolve=resolve)
    assert answer == Answer(status=200, body=b"ok")
    assert asked == ["hook.test"]
    assert service.calls[0].headers["host"] == f"hook.test:{port}"


@pytest.mark.parametrize(
    "url", ["ftp://x.test/", "x.test", "", "http://", "http://user:pw@x.test/", "http://x.test:99999/", "http://[::1/"]
)
async def test_an_address_of_another_kind_is_refused(url: str) -> None:
    assert isinstance(await ask(url), Refused)


async def test_a_name_that_does_not_resolve_is_tried_again() -> None:
    assert await ask("http://nowhere/", resolve=names()) == Again("the name does not resolve")
    assert await ask("http://empty/", resolve=names(empty=[])) == Again("the name has no address")


async def test_nobody_listening_is_tried_again() -> None:
    assert await ask(f"http://127.0.0.1:{free_port()}/") == Again("no address takes a connection")


async def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    async with serving(lambda _: web.Response()) as service:
        port = service.url.rpartition(":")[2]
        outcome = await ask(f"http://two:{port}/", resolve=names(two=["127.0.0.2", "127.0.0.1"]))
    assert isinstance(outcome, Answer)


async def test_a_redirect_is_not_followed() -> None:
    async with serving(lambda _: web.Response(status=302, headers={"Location": "http://10.0.0.1/"})) as service:
        outcome = await ask(service.url)
    assert isinstance(outcome, Answer)
    assert outcome.status == 302
    assert len(service.calls) == 1


async def test_two_requests_that_come_first_share_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[aiohttp.ClientSession] = []

    made = aiohttp.ClientSession

    def counted(**settings: Any) -> aiohttp.ClientSession:
        opened.append(made(**settings))
        return opened[-1]

    async with serving(lambda _: web.Response(status=204)) as service, a_network() as own:
        monkeypatch.setattr(aiohttp, "ClientSession", counted)
        asks = [own.request(Request(url=service.url, body=b"{}"), timeout_s=5.0, allow_private=True) for _ in range(2)]
        await asyncio.gather(*asks)
    assert len(opened) == 1


async def test_an_endless_body_is_read_up_to_its_bound() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with behaving(endless) as url:
        outcome = await ask(url)
    assert isinstance(outcome, Answer)
    assert len(outcome.body) == BODY_LIMIT


async def test_a_compressed_body_is_not_unpacked() -> None:
    async with serving(lambda _: web.Response(body=b"\x1f\x8b bomb", headers={"Content-Encoding": "gzip"})) as service:
        outcome = await ask(service.url)
    assert isinstance(outcome, Answer)
    assert outcome.body == b"\x1f\x8b bomb"


async def test_a_body_that_drips_is_ended_by_the_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    async with behaving(drip) as url:
        assert await ask(url, timeout_s=0.2) == Again("no answer within 0.2 s")


@pytest.mark.parametrize(
    "says", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", b"\x00" * 99]
)
async def test_a_connection_that_breaks_is_tried_again(says: bytes) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(says)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with behaving(rude) as url:
        assert await ask(url) == Again("the connection broke, or the answer was not HTTP")


async def test_a_reset_is_tried_again() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with behaving(reset) as url:
        assert isinstance(await ask(url), Again)


@pytest.mark.parametrize(("field", "after_s"), [("7", 7.0), ("0", 0.0), ("-1", None), ("x", None), ("9" * 30, None)])
async def test_retry_after_is_read_when_it_is_a_number(field: str, after_s: float | None) -> None:
    async with serving(lambda _: web.Response(status=429, headers={"Retry-After": field})) as service:
        outcome = await ask(service.url)
    assert isinstance(outcome, Answer)
    assert outcome.retry_after_s == after_s


@asynccontextmanager
async def with_tls(identity: str) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """A server with a certificate for ``identity``: its port, and what a client needs to trust it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(identity).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with serving(lambda _: web.Response(text="ok"), tls=server) as service:
        yield service.url.rpartition(":")[2], client


async def test_a_certificate_is_checked_against_the_name_not_the_address() -> None:
    async with with_tls("hook.test") as (port, trust):
        there: dict[str, Any] = {
            "resolve": names(**{"hook.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}),
            "tls": trust,
        }
        assert isinstance(await ask(f"https://hook.test:{port}/", **there), Answer)
        assert await ask(f"https://other.test:{port}/", **there) == Again("the certificate is not valid for the name")
        assert isinstance(await ask(f"https://127.0.0.1:{port}/", **there), Again)


async def test_an_unknown_authority_is_tried_again_until_somebody_mends_it() -> None:
    async with with_tls("hook.test") as (port, _):
        outcome = await ask(f"https://hook.test:{port}/", resolve=names(**{"hook.test": ["127.0.0.1"]}))
    assert outcome == Again("the certificate is not valid for the name")


async def test_a_server_without_tls_is_tried_again() -> None:
    async with serving(lambda _: web.Response()) as service:
        outcome = await ask(service.url.replace("http:", "https:"))
    assert outcome == Again("TLS could not be agreed on")
