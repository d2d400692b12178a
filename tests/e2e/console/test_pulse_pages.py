"""NetPulse's pages in a real browser: bars that move, parts that renew themselves, and nothing that is only colour."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from holdfast.testing import eventually
from tests.e2e.console.browser import Tab, chromium
from tests.integration.console.fake_execution import KEY
from tests.integration.console.fake_netpulse import FakeNetpulse, beat, region, stamp
from tests.integration.console.visitor import console

PAGES = ("/", "/monitors", "/monitors/shop", "/monitors/new", "/incidents", "/incidents/inc_1", "/regions")
LONG = "A monitor with a name that somebody gave it on a Friday afternoon and that does not end " + "x" * 120
BARS = "document.querySelector('tr[data-m=shop] .strip')"


@asynccontextmanager
async def browsing() -> AsyncIterator[tuple[FakeNetpulse, str, Tab]]:
    """A scripted NetPulse, a console and a browser; fails when a script or the security policy complained."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        async with (
            FakeNetpulse().serving() as fake,
            console(netpulse=fake.url, demo_api_key=KEY) as url,
            chromium(Path(profile)) as tab,
        ):
            furnish(fake)
            await tab.window(1280)
            yield fake, url, tab
            assert tab.complaints == []


def furnish(fake: FakeNetpulse) -> None:
    """Monitors in every state, with content that is hard to lay out."""
    objective = {"target": 0.999, "window_s": 2_592_000.0, "budget_left": 0.4, "burn_1h": 1.0, "burn_6h": 2.0}
    fake.add("shop", doubt=0.3, group="Storefront", objective=objective, depends_on=["new"], tags={"host": "y" * 90})
    fake.history("shop")
    fake.add("long", name=LONG, group="g" * 90, state="down", target="https://" + "z" * 200)
    fake.add("new", state="pending", beats=[], last=[], uptime={}, p95_ms=None, cert_days=None, since=None)
    for state in ("partial", "slow", "flapping", "unknown", "maintenance", "paused"):
        fake.add(state, state=state, simulated="slow" if state == "slow" else None)
    fake.happen("inc_1", title=LONG, monitor="long")
    fake.regions = [region("eu"), region("r" * 60, state="blind", reason="none of 2 canaries answers")]


async def live(tab: Tab) -> None:
    """Wait until events come."""
    await tab.until("document.querySelector('[data-live-pulse]').innerText === 'Live'")


async def test_a_check_moves_the_bar_of_its_monitor_at_once_and_nothing_else_on_the_page() -> None:
    async with browsing() as (fake, url, tab):
        await tab.open(f"{url}/monitors")
        await live(tab)
        tall = "document.documentElement.scrollHeight"
        height = await tab.evaluate(tall)
        fake.tell("check", {"monitor": "shop", "region": "eu", "outcome": "down", "at": stamp(0)})
        await tab.until(f"{BARS}.querySelector('.partial')")
        fake.tell("check", {"monitor": "shop", "region": "eu", "outcome": "down", "at": stamp(-60)})
        await tab.until(f"{BARS}.querySelector('.down')")
        assert await tab.evaluate(f"{BARS}.querySelector('.down').getAttribute('d')") == "M236 12h3"
        assert await tab.evaluate(f"{BARS}.querySelector('.partial').getAttribute('d')") == "M232 12h3"
        assert "2 of 60 with failures" in await tab.evaluate(f"{BARS}.getAttribute('aria-label')")
        assert await tab.evaluate(tall) == height


async def test_the_script_draws_bars_as_the_server_does() -> None:
    async with browsing() as (fake, url, tab):
        kinds = [beat(59 - n, up=n % 3, down=n % 2, unknown=n % 5) for n in range(60)]
        fake.add("shop", beats=kinds)
        await tab.open(f"{url}/monitors")
        assert await tab.evaluate(
            f"(svg => {{ const made = new Map([...svg.children].map(p => [p.className.baseVal, p.getAttribute('d')]));"
            " draw(svg, svg.closest('td').dataset.b);"
            " return [...svg.children].every(p => made.get(p.className.baseVal) === p.getAttribute('d'))"
            f" && svg.children.length === made.size; }})({BARS})"
        )


async def test_an_incident_that_begins_shows_on_top_without_loading_the_page_again() -> None:
    async with browsing() as (fake, url, tab):
        await tab.open(f"{url}/monitors")
        await live(tab)
        await tab.evaluate("window.isTheSame = true")
        fake.add("shop", state="down", group="Storefront")
        fake.happen("inc_2", title="Shop is down")
        fake.tell("incident", {"id": "inc_2", "state": "open"})
        await tab.until("document.querySelector('#standing').innerText.includes('Shop is down')")
        await tab.until("document.querySelector('tr[data-m=shop]').innerText.includes('down')")
        assert await tab.evaluate("window.isTheSame")


async def test_when_the_stream_breaks_the_page_says_so_and_comes_back() -> None:
    async with browsing() as (fake, url, tab):
        await tab.open(f"{url}/monitors")
        await live(tab)
        fake.break_streams()
        await tab.until("document.querySelector('[data-live-pulse]').innerText.includes('reconnect')")
        await live(tab)
        for last in (
            *[False] * 20,
            True,
        ):  # the page may be live a moment before its events come from the service again
            fake.tell("check", {"monitor": "shop", "region": "eu", "outcome": "down", "at": stamp(0)})
            try:
                await tab.until(f"{BARS}.querySelector('.partial')", within_s=1.0)
                break
            except AssertionError:
                if last:
                    raise


async def test_a_note_that_somebody_writes_stays_while_the_page_renews_itself() -> None:
    async with browsing() as (fake, url, tab):
        await tab.open(f"{url}/incidents/inc_1")
        await live(tab)
        await tab.type("#note", "looking into it")
        fake.incidents["inc_1"].update(state="acknowledged", acknowledged=stamp(0), acknowledged_by="ada")
        fake.tell("incident", {"id": "inc_1"})
        await tab.until("document.querySelector('h1').innerText.includes('acknowledged')")
        assert await tab.evaluate("document.querySelector('#note').value") == "looking into it"
        await tab.click(".note button")
        await tab.until("!document.querySelector('#note').value")
        assert fake.done == [("/v1/incidents/inc_1/notes", {"text": "looking into it"})]


async def test_an_incident_is_acknowledged_with_its_button() -> None:
    async with browsing() as (fake, url, tab):
        await tab.open(f"{url}/incidents/inc_1")
        await tab.click("form[action$=acknowledge] button")
        await eventually(lambda: fake.done == [("/v1/incidents/inc_1/ack", {})], "the API was asked")


async def test_without_a_script_pages_are_whole_and_filters_work() -> None:
    async with browsing() as (_, url, tab):
        await tab.window(1280, script=False)
        await tab.call("Page.navigate", url=f"{url}/monitors?show=down")
        await tab.until("document.querySelector('tr[data-m=long]') && !document.querySelector('tr[data-m=shop]')")
        assert await tab.evaluate("document.querySelectorAll('.strip path').length > 0")


@pytest.mark.parametrize("width", [390, 1280])
async def test_no_page_scrolls_sideways(width: int) -> None:
    async with browsing() as (_, url, tab):
        await tab.window(width)
        for path in PAGES:
            await tab.open(url + path)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width, path


async def test_every_control_has_a_name_and_every_picture_words() -> None:
    async with browsing() as (_, url, tab):
        for path in PAGES:
            await tab.open(url + path)
            nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
            spoken = {"button", "link", "textbox", "searchbox", "combobox", "image", "region", "DisclosureTriangle"}
            nameless = [
                node["role"]["value"]
                for node in nodes
                if not node["ignored"]
                and node["role"]["value"] in spoken
                and not node.get("name", {}).get("value", "").strip()
            ]
            assert nameless == [], path
            assert await tab.evaluate("document.querySelectorAll('h1').length") == 1, path


async def test_two_hundred_monitors_are_shown_quickly() -> None:
    async with browsing() as (fake, url, tab):
        for n in range(200):
            fake.add(f"m-{n}", group=f"Group {n // 20}")
        await tab.open(f"{url}/monitors")
        assert await tab.evaluate("document.querySelectorAll('tr[data-m]').length") == 209
        assert await tab.evaluate("performance.getEntriesByType('navigation')[0].encodedBodySize") < 160_000
