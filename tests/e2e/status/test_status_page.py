"""The public status page in a real browser, served by its own process's code."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from holdfast.netpulse.core.incident import Span
from holdfast.netpulse.core.status import StatusView, status_view
from holdfast.netpulse.shell.status import render
from holdfast.netpulse.shell.status.server import status_app
from tests.e2e.console.browser import Tab, chromium
from tests.unit.netpulse.status.views import DAY, NOW, incident, monitor, source

STALE = "document.querySelector('.stale').hidden"


def world(**changes: object) -> StatusView:
    """A shop that is down, a long name, and a day with an outage."""
    monitors = [monitor("shop", state="down"), monitor("long", name="x" * 200), monitor("blog")]
    spans = [Span(monitor="shop", kind="down", since=NOW - 3 * DAY, until=NOW - 3 * DAY + 600)]
    made = source(monitors=monitors, spans=spans, incidents=[incident()], subscribe_url="http://127.0.0.1:9")
    return replace(status_view(made, now=NOW), **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def browsing(view: StatusView) -> AsyncIterator[tuple[str, Tab]]:
    """The page of a view, and a browser; fails when a script or the security policy complained."""
    with tempfile.TemporaryDirectory(prefix="status-", ignore_cleanup_errors=True) as directory:
        files = Path(directory) / "page"
        render(view, files)
        runner = web.AppRunner(status_app(files), access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with chromium(Path(directory) / "profile") as tab:
                await tab.window(1280)
                yield f"http://127.0.0.1:{runner.addresses[0][1]}", tab
                assert tab.complaints == []
        finally:
            await runner.cleanup()


async def test_a_page_that_nobody_renewed_says_so_and_a_fresh_one_does_not() -> None:
    async with browsing(world()) as (url, tab):
        await tab.open(url)
        await tab.until(f"!{STALE}")
        assert "may be out of date" in await tab.text(".banner")
    async with browsing(world(generated=time.time())) as (url, tab):
        await tab.open(url)
        assert await tab.evaluate(STALE)


async def test_a_day_under_the_pointer_says_what_it_was_like() -> None:
    async with browsing(world()) as (url, tab):
        await tab.open(url)
        point = "(part => { const r = document.querySelector('.bars[data-first] rect').getBoundingClientRect();"
        box = await tab.evaluate(f"{point} return [r.x + r.width / 2, r.y + r.height / 2]; }})()")
        await tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
        await tab.until("document.querySelector('.tip').innerText === '2026-01-28: 10 min down'")


async def test_no_page_scrolls_sideways_and_every_control_has_a_name() -> None:
    async with browsing(world()) as (url, tab):
        for width in (390, 1280):
            await tab.window(width)
            for path in ("/", "/history.html", "/incidents/inc_1.html"):
                await tab.open(url + path)
                assert await tab.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
                spoken = {"button", "link", "textbox", "image", "region"}
                assert [
                    node["role"]["value"]
                    for node in nodes
                    if not node["ignored"]
                    and node["role"]["value"] in spoken
                    and not node.get("name", {}).get("value", "").strip()
                ] == [], path


async def test_without_a_script_everything_is_there() -> None:
    async with browsing(world()) as (url, tab):
        await tab.window(1280, script=False)
        await tab.call("Page.navigate", url=url)
        await tab.until("document.querySelector('.bars rect title')?.textContent === '2026-01-28: 10 min down'")
        assert "Shop is not reachable" in await tab.text("main")
