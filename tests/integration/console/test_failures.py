"""When a service is not there, or is not what it should be: a page that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from holdfast.console import execution, service
from tests.integration.console.fake_execution import KEY
from tests.integration.console.visitor import console, platform, visitor
from tests.machine import free_port


@asynccontextmanager
async def answering(wire: bytes) -> AsyncIterator[str]:
    """A service that says this to whatever it is asked, and then nothing more."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(wire)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("problem", "status", "said"),
    [
        ({"status": 403, "title": "The key may not do this", "detail": "lacks the scope"}, 403, "Sign in with a key"),
        ({"status": 404, "title": "Not found", "detail": "no job"}, 404, "another tenant"),
        ({"status": 429, "title": "Too many requests", "retry_after_s": 7}, 429, "Try again in 7 seconds."),
        ({"status": 503, "title": "The queue is full", "retry_after_s": 60}, 503, "Try again in 60 seconds."),
        ({"status": 500, "title": "Internal error"}, 502, "Its log says more"),
        ({"status": 418}, 502, "The execution service answered 418"),
    ],
)
async def test_a_refusal_of_the_service_is_a_page_that_says_what_to_do(
    problem: dict[str, object], status: int, said: str
) -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.problem = problem
        page = await who.get("/jobs")
        assert page.status == status
        assert said in page.words
        assert ("retry-after" in page.headers) == ("retry_after_s" in problem)
        assert ("Load again" in page.words) == (status == 429 or status >= 500)


async def test_without_the_service_every_page_says_where_it_was_looked_for() -> None:
    port = free_port()
    async with (
        console(execution=f"http://127.0.0.1:{port}", demo_api_key=KEY) as url,
        visitor(url) as who,
    ):
        for path in ("/code", "/jobs", "/jobs/J"):
            page = await who.get(path)
            assert page.status == 502
            assert f"http://127.0.0.1:{port}" in page.words
        overview = await who.get("/")
        assert overview.status == 200
        assert "not ready" in overview.words


@pytest.mark.parametrize(
    "wire",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nnot json",
        b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"jobs": "x"}',
        b"HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 x\r\nContent-Length: 3\r\n\r\n<p>",
    ],
)
async def test_an_answer_that_is_none_is_a_page_and_no_fault_of_ours(wire: bytes) -> None:
    async with answering(wire) as address, console(execution=address, demo_api_key=KEY) as url, visitor(url) as who:
        page = await who.get("/jobs")
        assert page.status == 502
        assert "This page failed" not in page.words


async def test_a_service_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ANSWER_S", 0.1)
    wire = b"HTTP/1.1 200 OK\r\n"
    async with answering(wire) as address, console(execution=address, demo_api_key=KEY) as url, visitor(url) as who:
        assert (await who.get("/jobs")).status == 504


async def test_an_answer_beyond_the_bound_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "ANSWER_BYTES", 1000)
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b" " * 2000
    async with answering(wire) as address, console(execution=address, demo_api_key=KEY) as url, visitor(url) as who:
        page = await who.get("/jobs")
        assert (page.status, "too large" in page.words) == (502, True)


async def test_a_console_without_services_has_an_overview_that_says_so() -> None:
    async with console() as url, visitor(url) as who:
        assert (await who.get("/")).status == 303
        assert "Set `execution:`" in (await who.sign_in()).words


async def test_a_fault_of_ours_is_logged_and_shown_without_its_details(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(execution.ExecutionApi, "jobs", broken)
    async with platform(demo_api_key=KEY) as (_, who):
        page = await who.get("/jobs")
        assert page.status == 500
        assert "This page failed" in page.words
        assert "secret detail" not in page.text
        assert "secret detail" in caplog.text
