"""The event stream that the console passes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from holdfast.console import live
from holdfast.testing import eventually
from tests.integration.console.fake_execution import KEY, FakeExecution
from tests.integration.console.visitor import Visitor, console, platform


@asynccontextmanager
async def stream(who: Visitor, id: str, **headers: str) -> AsyncIterator[aiohttp.StreamReader]:
    sent = {"Accept": "text/event-stream", **headers}
    async with who.http.get(f"{who.url}/jobs/{id}/events", headers=sent) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert (await answer.content.readuntil(b"\n\n")).startswith(b":")
        yield answer.content


async def test_output_comes_as_it_is_written_and_the_stream_ends_with_the_job() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.begin("J")
        async with stream(who, "J") as events:
            assert await events.readuntil(b"\n\n") == b"id: 1\nevent: queued\ndata: {}\n\n"
            assert await events.readuntil(b"\n\n") == b"id: 2\nevent: started\ndata: {}\n\n"
            text = json.dumps({"text": "1\n"})
            fake.tell("J", "stdout", text)
            assert await events.readuntil(b"\n\n") == f"id: 3\nevent: stdout\ndata: {text}\n\n".encode()
            fake.jobs["J"]["status"] = "finished"
            fake.tell("J", "finished", "{}")
            assert b"event: finished" in await events.read()


async def test_a_browser_that_comes_back_goes_on_where_it_was() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.begin("J")
        async with stream(who, "J", **{"Last-Event-ID": "1"}) as events:
            assert (await events.readuntil(b"\n\n")).startswith(b"id: 2\n")


@pytest.mark.parametrize("nonsense", ["1 2", "x" * 65, "é"])
async def test_a_last_event_id_that_is_none_is_not_passed_on(nonsense: str) -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.begin("J")
        async with stream(who, "J", **{"Last-Event-ID": nonsense}) as events:
            assert (await events.readuntil(b"\n\n")).startswith(b"id: 1\n")
        assert all("Last-Event-ID" not in headers for _, _, headers in fake.asked)


async def test_a_reader_who_leaves_is_let_go_at_the_service_too() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.begin("J")
        async with stream(who, "J"):
            assert fake.streams == 1
        await eventually(lambda: fake.streams == 0, "the stream at the service has ended")


async def test_a_stream_of_nothing_more_tells_the_browser_not_to_come_back() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.begin("J")
        fake.problem = {"status": 204}
        assert (await who.get("/jobs/J/events")).status == 204


@pytest.mark.parametrize("status", [404, 429, 503])
async def test_what_the_service_refuses_is_refused_and_no_empty_stream(status: int) -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.begin("J")
        fake.problem = {"status": status, "title": "no"}
        assert (await who.get("/jobs/J/events")).status == status


async def test_streams_are_for_those_who_have_signed_in() -> None:
    async with platform() as (fake, who):
        fake.begin("J")
        assert (await who.get("/jobs/J/events", Accept="text/event-stream")).status == 401
        assert fake.asked == []


async def test_open_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_STREAMS", 1)
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.begin("J")
        async with stream(who, "J"):
            assert (await who.get("/jobs/J/events")).status == 503
            assert (await who.get("/jobs/J")).status == 200, "the page itself is there"
        await eventually(lambda: fake.streams == 0)
        async with stream(who, "J"):
            pass


async def test_a_stream_does_not_hold_up_the_end_of_the_console() -> None:
    async with FakeExecution().serving() as fake:
        fake.begin("J")
        async with console(execution=fake.url, demo_api_key=KEY) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(b"GET /jobs/J/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"event: started")
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
