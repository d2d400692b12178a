"""NetPulse's pages over the real API: what the fake says in the other tests is what the API says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.console.visitor import Visitor, console, visitor
from tests.integration.netpulse.api.harness import Api, running
from tests.integration.netpulse.status.test_in_the_api import routers


@asynccontextmanager
async def over(key: str) -> AsyncIterator[tuple[Api, Visitor]]:
    """The API with its scripted world, a console over it, and somebody with a key."""
    async with running() as api, console(netpulse=api.url, demo_api_key=key) as url, visitor(url) as who:
        yield api, who


async def test_every_page_shows_the_scripted_world() -> None:
    async with over("admin") as (api, who):
        assert "Checkout is down" in (await who.get("/monitors")).words
        page = await who.get("/monitors/checkout")
        assert page.status == 200
        assert 'class="chart"' in page.text
        assert "days with failures" in page.words
        for it in (await api.ok("GET", "/v1/incidents?limit=10"))["incidents"]:
            assert (await who.get(f"/incidents/{it['id']}")).status == 200
        assert "Reaches none of its canaries." in (await who.get("/regions")).words
        assert "incidents stand." in (await who.get("/")).words


async def test_what_editors_do_is_done() -> None:
    async with over("admin") as (api, who):
        standing = await api.ok("GET", "/v1/incidents?standing=true&monitor=checkout")
        id = standing["incidents"][0]["id"]
        await who.get(f"/incidents/{id}")
        for action, fields in (("note", {"text": "a cable"}), ("acknowledge", {}), ("resolve", {})):
            assert (await who.post(f"/incidents/{id}/{action}", headers=None, **fields)).status == 303, action
        await who.get("/monitors/search")
        assert (await who.post("/monitors/search/simulate", kind="down")).status == 303
        assert (await who.post("/monitors/search/simulate", kind="end")).status == 303
        await who.get("/regions")
        assert (await who.post("/channels/ops/test")).status == 303
        done = [action for _, action, _ in api.actions]
        assert done == [
            "incident.note",
            "incident.acknowledge",
            "incident.resolve",
            "monitor.simulate",
            "monitor.simulate",
            "channel.test",
        ]


@pytest.mark.parametrize(
    ("key", "buttons"),
    [("viewer", set()), ("editor", {"incidents", "monitors"}), ("owner", {"incidents", "monitors", "channels"})],
)
async def test_each_role_sees_the_buttons_that_it_may_use(key: str, buttons: set[str]) -> None:
    async with over(key) as (api, who):
        standing = await api.ok("GET", "/v1/incidents?standing=true&monitor=checkout")
        seen: set[str] = set()
        for path in (f"/incidents/{standing['incidents'][0]['id']}", "/monitors/checkout", "/regions"):
            seen |= set(
                re.findall(r'method="post" action="/(incidents|monitors|channels)/', (await who.get(path)).text)
            )
        assert seen == buttons


async def test_what_an_editor_publishes_is_on_its_way_to_the_public() -> None:
    async with (
        running(more=routers) as api,
        console(netpulse=api.url, demo_api_key="editor") as url,
        visitor(url) as who,
    ):
        standing = await api.ok("GET", "/v1/incidents?standing=true&monitor=checkout")
        page = f"/incidents/{standing['incidents'][0]['id']}"
        assert "What the public reads" in (await who.get(page)).words
        assert (await who.post(f"{page}/publish", status="identified", body="A cable was cut.")).status == 303
        assert "Identified A cable was cut." in (await who.get(page)).words
        assert (await who.post(f"{page}/publish", status="broken", body="x")).status == 422


async def test_checks_come_as_they_happen() -> None:
    async with over("viewer") as (api, who), who.http.get(f"{who.url}/events") as events:
        assert (await events.content.readuntil(b"\n\n")).startswith(b":")
        api.netpulse.check("checkout", "eu")
        while b"event: check" not in (text := await events.content.readuntil(b"\n\n")):
            pass
        assert b'"monitor":"checkout"' in text
