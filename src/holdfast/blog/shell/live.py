"""``holdfast blog serve``: drafts shown, built again when something is saved, pages that load themselves again.

A post that cannot be published takes the place of every page with what is wrong, its file and its line, until it is
mended. Changes are found by looking at the times of files: a few hundred of them take a millisecond, and it works on
every file system.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from holdfast.blog.core.fault import Fault
from holdfast.blog.core.site import Address
from holdfast.blog.errors import BlogError, Refused
from holdfast.blog.shell.assets import Assets
from holdfast.blog.shell.build import Built, Options, build
from holdfast.blog.shell.pages import Pages, Picture
from holdfast.blog.shell.website import TYPES, Website, media_type, respond, website_app
from holdfast.web.listening import listen, url

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.3
LIVE: Final = "_live"
"""Path of the events."""
_BROWSERS: Final = 64
"""That listen at once; one more is told to come back."""
_BEAT_S: Final = 15.0
_DRAIN_S: Final = 1.0
_MISDIRECTED: Final = b"Drafts are shown to this machine only: open http://127.0.0.1 or http://localhost.\n"
_SUFFIXES: Final = (".md", ".json", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a site is made of, and where it is put."""

    content: Path
    evidence: Path
    out: Path
    title: str
    about: str


async def serve_live(
    sources: Sources,
    address: str,
    *,
    ready: Callable[[str], None],
    told: Callable[[Built | BlogError], None],
    today: Callable[[], dt.date],
    allow_stale: bool = True,
) -> None:
    """Serve until SIGTERM or SIGINT. ``ready`` gets the URL, ``told`` what became of each build.

    Raises :class:`~holdfast.web.listening.AddressError`.
    """
    sock = await listen(address, setting="--port")
    desk = _Desk(sources, f"{url(sock)}/", today=today, allow_stale=allow_stale, told=told)
    app = website_app(desk.answer)
    app.on_shutdown.append(desk.close)
    # A browser that has gone gives its place to the next one at once.
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=_DRAIN_S
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    await runner.setup()
    seen = await asyncio.to_thread(desk.times)  # before the build, so that what is saved meanwhile is built again
    await desk.build()
    watching = asyncio.create_task(desk.watch(seen), name="sources of the blog")
    try:
        await web.SockSite(runner, sock).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        ready(url(sock))
        await asyncio.wait({watching, asyncio.ensure_future(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        stopped.set()
        watching.cancel()
        (ended,) = await asyncio.gather(watching, return_exceptions=True)
        await runner.cleanup()
        sock.close()
    if isinstance(ended, Exception):
        raise ended


class _Desk:
    """The author's view of the site."""

    def __init__(
        self,
        sources: Sources,
        base: str,
        *,
        today: Callable[[], dt.date],
        allow_stale: bool,
        told: Callable[[Built | BlogError], None],
    ) -> None:
        self._sources, self._today, self._allow_stale, self._told = sources, today, allow_stale, told
        self._address = Address(base=base, title=sources.title, about=sources.about)
        self._website = Website(sources.out, self._address, problem=self._overlay)
        self._assets = Assets(live=True)
        self._failed: BlogError | None = None
        self._number = 0
        self._changed = asyncio.Condition()
        self._closing = False
        self._browsers = 0

    async def build(self) -> None:
        """Once; what is wrong is shown, not raised."""
        built: Built | None = None
        try:
            built = await asyncio.to_thread(self._build)
            self._website.reload()
            self._failed = None
        except BlogError as error:
            self._failed = error
        except OSError as error:
            self._failed = BlogError(f"the site was not written: {error}; see that {self._sources.out} is writable")
        except Exception as error:
            log.exception("the site was not built")
            self._failed = BlogError(
                f"the site was not built: {type(error).__name__}: {error}; this is a fault of holdfast, and its trace "
                "is on the terminal: undo the last change to go on writing, and report it"
            )
        self._told(self._failed or built or BlogError("nothing was built"))
        async with self._changed:
            # Also after a fault, and when nothing was written: whoever saved a file wants to see that it was seen.
            self._number += 1
            self._changed.notify_all()

    def _build(self) -> Built:
        options = Options(drafts=True, allow_stale=self._allow_stale, cards=False, live=LIVE)
        sources = self._sources
        return build(
            sources.content, sources.evidence, sources.out, address=self._address, today=self._today(), options=options
        )

    async def watch(self, seen: frozenset[tuple[str, int, int]]) -> None:
        """Build whenever a source has changed since it was ``seen``, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                now = await asyncio.to_thread(self.times)
            except (OSError, RecursionError) as error:
                log.warning("the sources could not be looked at: %s", error)
                continue
            if now != seen:
                seen = now
                await self.build()

    def times(self) -> frozenset[tuple[str, int, int]]:
        """Every source with its time and size."""
        return frozenset(_files(self._sources.content)) | frozenset(_files(self._sources.evidence))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Events, pages, or what is wrong."""
        if not _is_this_machine(request.host):
            return respond(_MISDIRECTED, status=421, kind=TYPES["txt"])
        path = request.path.removeprefix("/")
        if path == LIVE:
            return await self._events(request)
        if path in self._assets.files:
            return respond(self._assets.files[path], kind=media_type(path))
        if self._failed is not None and media_type(path.rpartition("/")[2] or "index.html").startswith("text/html"):
            return respond(self._overlay(), status=503)
        if self._failed is not None and "." not in path.rpartition("/")[2]:
            return respond(self._overlay(), status=503)
        return await self._website.answer(request)

    def _overlay(self) -> bytes:
        card = Picture(path="", width=0, height=0)
        pages = Pages(self._address, self._assets, card=card, live=LIVE)
        failed = self._failed
        if isinstance(failed, Refused):
            shown = [
                (_place(fault), fault.message, f"{fault.remedy[:1].upper()}{fault.remedy[1:]}.")
                for fault in failed.faults
            ]
            count = f"{len(shown)} {'fault keeps' if len(shown) == 1 else 'faults keep'} the site from being built"
            return pages.faults(count, "Mend what is named here and save: this page loads itself again.", shown)
        shown = [("", str(failed), "")] if failed else []
        return pages.faults("The site was not built", "This page loads itself again after the next change.", shown)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._browsers >= _BROWSERS:
            return respond(b"", status=503, more={"Retry-After": "5"})
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "Server": "holdfast"}
        response = web.StreamResponse(headers=headers)
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        self._browsers += 1
        try:
            await response.prepare(request)
            told = -1
            while not self._closing:
                if told != self._number:
                    told = self._number
                    await response.write(f"retry: 500\ndata: {os.getpid()}-{told}\n\n".encode())
                try:
                    async with asyncio.timeout(_BEAT_S), self._changed:
                        await self._changed.wait_for(partial(self._has_news, told))
                except TimeoutError:
                    await response.write(b": still here\n\n")
        except ConnectionResetError:
            pass  # the browser went on
        finally:
            self._browsers -= 1
        return response

    def _has_news(self, told: int) -> bool:
        return self._closing or self._number != told

    async def close(self, _: web.Application) -> None:
        """Let go of the browsers that listen."""
        async with self._changed:
            self._closing = True
            self._changed.notify_all()


def _place(fault: Fault) -> str:
    return f"{fault.file}:{fault.line}" if fault.line else fault.file


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Every source with its time and size. What vanishes meanwhile is seen at the next look."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or not name.lower().endswith(_SUFFIXES):
                continue  # what editors leave while they save
            try:
                about = os.stat(os.path.join(root, name))  # noqa: PTH116, PTH118 - a Path for each of thousands, thrice a second
            except OSError:
                continue
            yield os.path.join(root, name), about.st_mtime_ns, about.st_size  # noqa: PTH118


def _is_this_machine(host: str) -> bool:
    """Of a ``Host``. A page elsewhere whose name was made to resolve to us (DNS rebinding) could read drafts."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
