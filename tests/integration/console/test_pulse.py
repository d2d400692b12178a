"""NetPulse's pages over a scripted API, read without a script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.integration.console.fake_execution import KEY
from tests.integration.console.fake_netpulse import FakeNetpulse, beat, region, stamp
from tests.integration.console.visitor import Visitor, console, visitor


@asynccontextmanager
async def pulse(*, demo: bool = True, **settings: Any) -> AsyncIterator[tuple[FakeNetpulse, Visitor]]:
    """A scripted NetPulse, a console over it, and a visitor."""
    async with (
        FakeNetpulse().serving() as fake,
        console(netpulse=fake.url, demo_api_key=KEY if demo else None, **settings) as url,
        visitor(url) as who,
    ):
        yield fake, who


async def test_the_overview_shows_the_worst_first_with_a_sign_and_a_word_for_each_state() -> None:
    async with pulse() as (fake, who):
        fake.add("blog")
        fake.add("shop", state="down", doubt=1.0, beats=[beat(1), beat(0, up=0, down=3)])
        fake.happen("inc_1", monitor="shop")
        page = await who.get("/monitors")
        assert page.status == 200
        assert page.words.index("shop is down") < page.words.index("Shop") < page.words.index("Blog")
        assert "✕ down" in page.words
        assert "1 of 60 with failures" in page.text
        assert 'd="M232 12h3"' in page.text
        assert 'd="M236 12h3"' in page.text


async def test_two_hundred_monitors_are_a_page_of_less_than_150_kilobytes() -> None:
    async with pulse() as (fake, who):
        for n in range(200):
            fake.add(f"monitor-{n:03}", name=f"Monitor number {n:03} of the shop", group=f"Group {n // 20}")
        assert len((await who.get("/monitors")).text.encode()) < 150_000


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("show=down", {"Shop"}),
        ("q=bl", {"Blog"}),
        ("q=team+core", {"Shop"}),
        ("q=nothing", set()),
        ("", {"Shop", "Blog"}),
    ],
)
async def test_monitors_are_filtered_by_state_and_words_without_a_script(query: str, shown: set[str]) -> None:
    async with pulse() as (fake, who):
        fake.add("shop", state="down", tags={"team": "core"}, group="Team shop")
        fake.add("blog")
        page = await who.get(f"/monitors?{query}")
        assert {name for name in ("Shop", "Blog") if f">{name}</a>" in page.text} == shown
        assert ("No monitor fits" in page.words) == (not shown)


async def test_monitors_come_in_pages_and_all_are_shown() -> None:
    async with pulse() as (fake, who):
        fake.page = 2
        for name in "abcde":
            fake.add(name)
        assert (await who.get("/monitors")).text.count("<tr data-m=") == 5


async def test_without_monitors_the_page_says_how_to_begin() -> None:
    async with pulse() as (_, who):
        assert "Nothing is watched yet" in (await who.get("/monitors")).words


async def test_a_monitor_shows_latency_phases_days_doubt_and_checks() -> None:
    async with pulse() as (fake, who):
        objective = {"target": 0.999, "window_s": 2_592_000.0, "budget_left": 0.42, "burn_1h": 0.5, "burn_6h": 1.0}
        fake.add("shop", doubt=0.31, objective=objective)
        fake.history("shop")
        page = await who.get("/monitors/shop")
        assert page.status == 200
        assert page.text.count('class="line line-') == 6, "a line and its key for each region"
        assert "31 % of what an alarm needs" in page.words
        assert "42 % of the error budget of 30 d is left" in page.words
        assert "status, 503, 503 Service Unavailable, confirmation" in page.words
        assert "first byte 25 ms" in page.words


async def test_a_monitor_that_was_never_checked_has_a_page_too() -> None:
    async with pulse() as (fake, who):
        fake.add("new", state="pending", beats=[], last=[], uptime={}, p95_ms=None, cert_days=None, since=None)
        page = await who.get("/monitors/new")
        assert (page.status, "No figures yet" in page.words) == (200, True)


async def test_an_incident_shows_why_with_which_evidence_and_who_was_told() -> None:
    async with pulse() as (fake, who):
        fake.add("shop")
        fake.happen("inc_1")
        page = await who.get("/incidents/inc_1")
        assert "the evidence reached 13.1 of 13.0 after 20 seconds" in page.words
        assert "domain aws 6.50 6.5 100 %" in page.words
        assert "good path 98 %, bad path 2 %" in page.words
        assert "✕ given up" in page.words
        assert "550 no such mailbox" in page.words


@pytest.mark.parametrize(
    ("action", "sent", "path", "body"),
    [
        ("acknowledge", {}, "ack", {}),
        ("resolve", {}, "resolve", {}),
        ("note", {"text": "looking\r\ninto it"}, "notes", {"text": "looking\ninto it"}),
    ],
)
async def test_what_is_done_about_an_incident_goes_to_the_api(
    action: str, sent: dict[str, str], path: str, body: dict[str, str]
) -> None:
    async with pulse() as (fake, who):
        fake.happen("inc_1")
        await who.get("/incidents/inc_1")
        answer = await who.post(f"/incidents/inc_1/{action}", headers=None, **sent)
        assert (answer.status, answer.headers["location"]) == (303, "/incidents/inc_1")
        assert fake.done == [(f"/v1/incidents/inc_1/{path}", body)]


async def test_a_monitor_is_simulated_and_a_channel_tested_by_those_who_may() -> None:
    async with pulse() as (fake, who):
        fake.add("shop")
        await who.get("/monitors/shop")
        assert (await who.post("/monitors/shop/simulate", kind="down")).status == 303
        assert (await who.post("/monitors/shop/simulate", kind="end")).status == 303
        assert (await who.post("/monitors/shop/simulate", kind="fire")).status == 400
        await who.get("/regions")
        assert (await who.post("/channels/on-call/test")).status == 303
        assert fake.done == [
            ("/v1/simulate", {"monitor": "shop", "kind": "down", "for": "300s"}),
            ("/v1/simulate", {"monitor": "shop", "kind": "down", "for": "0"}),
            ("/v1/channels/on-call/test", {}),
        ]


@pytest.mark.parametrize("path", ["/monitors", "/monitors/shop", "/incidents/inc_1", "/regions"])
async def test_who_may_only_read_sees_no_buttons_that_do_nothing(path: str) -> None:
    async with pulse() as (fake, who):
        fake.add("shop")
        fake.happen("inc_1")
        fake.scopes = ["netpulse:read"]
        page = await who.get(path)
        assert page.status == 200
        assert re.findall(r'method="post" action="/(?!theme|sign-out)', page.text) == []


async def test_a_form_without_its_token_does_nothing() -> None:
    async with pulse() as (fake, who):
        fake.happen("inc_1")
        await who.get("/incidents/inc_1")
        assert (await who.post("/incidents/inc_1/resolve", csrf="")).status == 403
        assert fake.done == []


async def test_a_region_that_is_blind_says_why() -> None:
    async with pulse() as (fake, who):
        fake.regions = [region("eu", state="blind", reason="none of 2 canaries answers"), region("us", agents=[])]
        page = await who.get("/regions")
        assert "◌ blind" in page.words
        assert "None of 2 canaries answers." in page.words
        assert "holdfast run agent --region us" in page.words


@pytest.mark.parametrize("path", ["/monitors/nowhere", "/incidents/nowhere", "/incidents/..%2f..%2fx"])
async def test_what_is_not_there_is_said_so(path: str) -> None:
    async with pulse() as (fake, who):
        fake.add("shop")
        fake.happen("inc_1")
        assert (await who.get(path)).status == 404


async def test_the_services_words_come_through_when_it_refuses() -> None:
    async with pulse() as (fake, who):
        fake.problem = {"status": 503, "title": "The records cannot be written", "detail": "the disk is full"}
        page = await who.get("/monitors")
        assert (page.status, "The disk is full." in page.words) == (503, True)


async def test_with_netpulse_alone_a_key_is_tried_there() -> None:
    async with pulse(demo=False) as (_, who):
        assert (await who.sign_in("hf_wrong")).status == 401
        assert (await who.sign_in(KEY)).status == 303
        assert "NetPulse" in (await who.get("/")).words


async def test_incidents_are_listed_newest_first_and_paged() -> None:
    async with pulse() as (fake, who):
        for n in range(26):
            fake.happen(f"inc_{n:02}", title=f"number {n:02}", state="resolved", resolved=stamp())
        page = await who.get("/incidents")
        assert page.words.index("number 25") < page.words.index("number 01")
        assert "before=inc_01" in page.text
        assert "number 00" in (await who.get("/incidents?before=inc_01")).words
        assert "No incident stands" in (await who.get("/incidents?show=standing")).words


async def test_events_are_passed_on() -> None:
    async with pulse() as (fake, who), who.http.get(f"{who.url}/events") as events:
        assert (await events.content.readuntil(b"\n\n")).startswith(b":")
        fake.tell("check", {"monitor": "shop", "outcome": "up"})
        assert b'"monitor": "shop"' in await events.content.readuntil(b"\n\n")
