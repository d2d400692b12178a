"""Live events by HTTP: pushed, bounded, ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from holdfast.netpulse.shell.api import events as module
from holdfast.testing import eventually
from tests.integration.netpulse.api.harness import Api, looped, running


class Frames:
    """What comes on a stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> dict[str, str]:
        """The next frame: its fields, and comments as ``comment``."""
        found: dict[str, str] = {}
        async with asyncio.timeout(10):
            while line := (await self.answer.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                found[name or "comment"] = value
        return found

    async def ended(self) -> bool:
        """Whether nothing comes any more."""
        async with asyncio.timeout(10):
            return not await self.answer.content.readline()


@asynccontextmanager
async def listening(api: Api, query: str = "", **headers: str) -> AsyncIterator[Frames]:
    """A stream whose first frame has come."""
    headers = {"Authorization": "Bearer viewer", **headers}
    async with api.session.get(f"{api.url}/v1/events{query}", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        frames = Frames(answer)
        assert "retry" in await frames.next()
        yield frames


@looped
async def test_an_event_is_pushed_as_it_happens_to_its_tenant_alone() -> None:
    async with running() as api, listening(api) as mine, listening(api, Authorization="Bearer other") as theirs:
        api.netpulse.check("web", "eu")
        frame = await mine.next()
        assert (frame["id"], frame["event"]) == ("1", "check")
        assert json.loads(frame["data"])["monitor"] == "web"
        api.netpulse.emit("", "region", {"region": "eu", "state": "lost"})
        assert (await mine.next())["event"] == (await theirs.next())["event"] == "region"


@looped
async def test_only_the_kinds_that_are_wanted_come_and_reset_always() -> None:
    async with running() as api, listening(api, "?kinds=incident") as frames:
        api.netpulse.emit("default", "monitor", {})
        api.netpulse.emit("default", "incident", {"id": "inc_1"})
        api.netpulse.emit("default", "reset", {})
        assert (await frames.next())["event"] == "incident"
        assert (await frames.next())["event"] == "reset"
        assert (await api.refused("GET", "/v1/events?kinds=weather"))["field"] == "kinds"


@looped
async def test_who_comes_back_is_told_to_look_anew() -> None:
    async with running() as api, listening(api, **{"Last-Event-ID": "17"}) as frames:
        assert (await frames.next())["event"] == "reset"


@looped
async def test_a_silent_stream_shows_that_it_lives() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "KEEP_ALIVE_S", 0.01)
        async with running() as api, listening(api) as frames:
            assert (await frames.next())["comment"] == "still here"


@looped
async def test_a_stream_ends_soon_after_its_key_was_revoked() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "KEEP_ALIVE_S", 0.01)
        async with running() as api, listening(api) as frames:
            api.identities.revoked.add("viewer")
            while (await frames.next()).get("comment") == "still here":
                pass
            assert await frames.ended()
            await eventually(lambda: api.netpulse.listeners == 0, "nobody listens")


@looped
async def test_a_store_that_is_away_does_not_end_streams() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "KEEP_ALIVE_S", 0.01)
        async with running() as api, listening(api) as frames:
            api.identities.broken = True
            await frames.next()
            api.netpulse.check("web", "eu")
            while "event" not in (frame := await frames.next()):
                pass
            assert frame["event"] == "check"


@looped
async def test_streams_end_when_the_process_does() -> None:
    async with running() as api, listening(api) as frames:
        api.server.stop()
        assert (await frames.next())["comment"] == "the stream ends here, come back"
        assert await frames.ended()


@looped
async def test_a_client_that_goes_away_is_forgotten() -> None:
    async with running() as api:
        async with listening(api):
            assert api.netpulse.listeners == 1
        api.netpulse.check("web", "eu")
        await eventually(lambda: api.netpulse.listeners == 0, "nobody listens")
        await eventually(lambda: api.service.held.total == 0, "the place is free")


@looped
async def test_a_tenant_has_so_many_streams_and_no_more() -> None:
    async with running() as api:
        api.service.held.per_tenant = 1
        async with listening(api):
            problem = await api.refused("GET", "/v1/events")
            assert (problem["status"], problem["type"]) == (429, "/problems/too-many-streams")
            async with listening(api, Authorization="Bearer other"):
                pass
        await eventually(lambda: api.service.held.total == 0, "the places are free")
