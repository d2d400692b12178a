"""Server-sent events of a job."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.execution.core.job import Result, Verdict
from holdfast.execution.shell.api import events as module
from holdfast.testing import eventually
from tests.integration.execution.harness import Api, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp
    import pytest

OK = Result(verdict=Verdict.OK)


@dataclass
class Got:
    """An event as a client sees it."""

    id: str | None
    kind: str
    data: dict[str, Any]


@asynccontextmanager
async def listening(
    api: Api, id: str, *, after: int | None = None, query: str = ""
) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = {"Authorization": "Bearer ada"} | ({} if after is None else {"Last-Event-ID": str(after)})
    async with api.session.get(f"{api.url}/v1/jobs/{id}/events{query}", headers=headers) as answer:
        yield answer


async def take(answer: aiohttp.ClientResponse, count: int | None = None) -> list[Got]:
    """That many events, or all until the stream ends."""
    found: list[Got] = []
    while count is None or len(found) < count:
        fields: dict[str, str] = {}
        while line := (await asyncio.wait_for(answer.content.readline(), 5)).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        if "event" in fields:
            found.append(Got(fields.get("id"), fields["event"], json.loads(fields["data"])))
        elif not fields and answer.content.at_eof():
            break
    return found


def test_events_are_pushed_as_they_happen_and_end_with_the_job() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            async with listening(api, id) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert [event.kind for event in await take(answer, 1)] == ["queued"]
                await api.queue.print(id, "stdout", b"hello ")
                (live,) = await take(answer, 1)
                assert (live.kind, live.data["text"]) == ("stdout", "hello ")
                api.queue.end(id, OK, 2.0)
                await api.queue.print(id, "stderr", b"")
                (last,) = [event for event in await take(answer) if event.id]
                assert (last.kind, last.data) == ("finished", {"at": "1970-01-01T00:00:02.000Z", "verdict": "ok"})

    asyncio.run(scenario())


def test_a_character_cut_between_pieces_arrives_whole() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            for data in ("aé".encode()[:2], "é".encode()[1:] + b"\xff"):
                await api.queue.print(id, "stdout", data)
            api.queue.end(id, OK, 2.0)
            async with listening(api, id) as answer:
                text = [event.data["text"] for event in await take(answer) if event.kind == "stdout"]
            assert text == ["a", "é\ufffd"]
            async with listening(api, id, after=2) as answer:
                assert [event.data.get("text") for event in await take(answer)] == ["é\ufffd", None]
            async with listening(api, id, query="?encoding=base64") as answer:
                assert [e.data["base64"] for e in await take(answer) if e.kind == "stdout"] == ["YcM=", "qf8="]

    asyncio.run(scenario())


def test_output_that_ends_within_a_character_is_shown_as_replaced() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            await api.queue.print(id, "stderr", b"\xc3")
            api.queue.end(id, OK, 2.0)
            async with listening(api, id) as answer:
                got = [(event.kind, event.data.get("text")) for event in await take(answer)]
            assert got == [("queued", None), ("stderr", "\ufffd"), ("finished", None)]

    asyncio.run(scenario())


def test_a_client_that_comes_back_goes_on_after_the_last_event() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            for n in range(3):
                await api.queue.print(id, "stdout", b"%d" % n)
            async with listening(api, id, after=2) as answer:
                assert [event.data["text"] for event in await take(answer, 2)] == ["1", "2"]
            api.queue.end(id, OK, 2.0)
            async with listening(api, id, after=4) as answer:
                assert [(event.id, event.kind) for event in await take(answer)] == [("5", "finished")]
            async with listening(api, id, after=5) as answer:
                assert answer.status == 204
            for wrong in ("x", "-1", "1" * 30):
                reply = await api.ask("GET", f"/v1/jobs/{id}/events", headers={"Last-Event-ID": wrong})
                assert (reply.status, reply.json()["field"]) == (422, "Last-Event-ID")

    asyncio.run(scenario())


def test_a_dead_job_that_was_replayed_goes_on() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            await api.queue.die(id, 1.0)
            async with listening(api, id) as answer:
                assert [event.kind for event in await take(answer)] == ["queued", "dead"]
            await api.queue.replay("ada", ids=None, reason=None, language=None, now=2.0)
            async with listening(api, id) as answer:
                assert [event.kind for event in await take(answer, 3)] == ["queued", "dead", "replayed"]
                api.queue.end(id, OK, 3.0)
                await api.queue.print(id, "stdout", b"x")
                assert (await take(answer))[0].kind == "finished"

    asyncio.run(scenario())


def test_a_job_whose_events_have_expired_still_ends_its_stream() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            api.queue.end(id, OK, 2.0)
            api.queue.log[id].clear()
            async with listening(api, id) as answer:
                assert [(event.id, event.kind) for event in await take(answer)] == [(None, "finished")]

    asyncio.run(scenario())


def test_a_silent_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE_S", 0.02)

    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            async with listening(api, id) as answer:
                await take(answer, 1)
                assert await asyncio.wait_for(answer.content.readline(), 5) == b": still here\n"

    asyncio.run(scenario())


def test_streams_of_a_tenant_are_bounded_and_their_places_come_back() -> None:
    async def scenario() -> None:
        async with running() as api:
            api.service.held.per_tenant = 1
            id = await api.submitted()
            async with listening(api, id) as answer:
                await take(answer, 1)
                full = await api.ask("GET", f"/v1/jobs/{id}/events")
                assert (full.status, full.json()["type"]) == (429, "/problems/too-many-streams")
                assert int(full.headers["retry-after"]) >= 1
                poll = await api.ask("GET", f"/v1/jobs/{id}?wait=1s")
                assert poll.status == 429
            await eventually(lambda: api.service.held.total == 0, "the place is free again")

    asyncio.run(scenario())


def test_streams_end_when_the_service_stops() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            id = await api.submitted()
            async with listening(api, id) as answer:
                await take(answer, 1)
                api.server.stop()
                rest = await answer.content.read()
            assert b"come back with Last-Event-ID" in rest
            await api.task

    asyncio.run(scenario())


def test_a_store_that_fails_ends_the_stream_so_that_the_client_comes_back() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            id = await api.submitted()
            async with listening(api, id) as answer:
                await take(answer, 1)
                api.queue.broken = True
                await api.queue.print(id, "stdout", b"lost")
                assert b"does not answer" in await answer.content.read()

    asyncio.run(scenario())
