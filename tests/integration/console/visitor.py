"""The console on a real socket, and somebody who reads its pages without a script."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from holdfast.console import ConsoleSettings, serve
from tests.integration.console.fake_execution import KEY, FakeExecution


@dataclass
class Page:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def words(self) -> str:
        """What a reader sees of it, more or less."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    def hidden(self, name: str) -> str:
        """The value of a hidden field. Raises ``AssertionError`` when the page has none of that name."""
        found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)">', self.text)
        assert found, f"no hidden field {name} in\n{self.text}"
        return html.unescape(found[1])


class Visitor:
    """A browser with cookies; redirects are not followed."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http
        self.page = Page(0, {}, "")
        """The last one that came."""

    async def get(self, path: str, **headers: str) -> Page:
        """Open a page."""
        return await self._ask("GET", path, headers=headers)

    async def post(self, path: str, *, headers: Mapping[str, str] | None = None, **fields: str) -> Page:
        """Send a form of the last page: with its token, unless another one is given."""
        sent = {"csrf": self.page.hidden("csrf") if "csrf" not in fields else "", **fields}
        return await self._ask("POST", path, data=sent, headers=headers or {})

    async def sign_in(self, key: str = KEY) -> Page:
        """Show a key."""
        await self.get("/sign-in")
        return await self.post("/sign-in", key=key)

    def cookie(self) -> str:
        """The value of the session's cookie."""
        return next(cookie.value for cookie in self.http.cookie_jar if cookie.key == "holdfast")

    async def _ask(self, method: str, path: str, **options: Any) -> Page:
        async with self.http.request(method, self.url + path, allow_redirects=False, **options) as answer:
            page = Page(answer.status, answer.headers.copy(), await answer.text())
        if page.status != 303:
            self.page = page
        return page


@asynccontextmanager
async def visitor(url: str) -> AsyncIterator[Visitor]:
    """A browser without cookies."""
    jar = aiohttp.CookieJar(unsafe=True)  # "unsafe": cookies of hosts that are addresses as well
    timeout = aiohttp.ClientTimeout(total=90)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as http:
        yield Visitor(url, http)


@asynccontextmanager
async def console(**settings: Any) -> AsyncIterator[str]:
    """A console that serves; its URL."""
    ready: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(ConsoleSettings(**{"listen": "127.0.0.1:0", **settings}), ready=ready.set_result))
    try:
        async with asyncio.timeout(60):
            either: set[asyncio.Future[Any]] = {task, ready}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            task.result()
        yield ready.result()["console"]
    finally:
        ready.cancel()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def platform(**settings: Any) -> AsyncIterator[tuple[FakeExecution, Visitor]]:
    """A fake execution service, a console over it, and a visitor who has not signed in."""
    async with FakeExecution().serving() as fake, console(execution=fake.url, **settings) as url, visitor(url) as who:
        yield fake, who
