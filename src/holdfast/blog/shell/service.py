"""The way in for ``holdfast run blog``: build at the start and on SIGHUP, serve what was built last.

The build is a process of its own. It needs libraries that drawing takes and memory that serving does not, it may take
its time without a reader noticing, and whatever becomes of it the last good site stands. Its faults are in the log,
and on the page while there is no site at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from aiohttp import web

from holdfast.blog.core.settings import BlogSettings, address_of
from holdfast.blog.errors import BlogError
from holdfast.blog.shell.website import Website, website_app
from holdfast.web.listening import listen, url

log = logging.getLogger(__name__)

BUILD_S: Final = 600.0
"""A build that takes longer hangs."""
DRAIN_S: Final = 2.0
_ANSWER_BYTES: Final = 2**20
_FAULTS_LOGGED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a build."""

    posts: int = 0
    problems: tuple[str, ...] = ()
    """What keeps the site from being built, each with its place and its remedy; empty when it was."""


async def serve(settings: BlogSettings, *, ready: Callable[[Mapping[str, str]], None]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. ``ready`` is called once it listens, with its URL (real port).

    Raises :class:`~holdfast.web.listening.AddressError`.
    """
    state = _State(settings)
    sock = await listen(settings.listen, setting="blog.listen")
    runner = web.AppRunner(
        website_app(state.website.answer),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=DRAIN_S,
        keepalive_timeout=30,
        max_line_size=4096,
        max_field_size=4096,
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    await runner.setup()
    building = asyncio.create_task(state.keep_built(), name="build of the blog")
    try:
        await web.SockSite(runner, sock).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, state.wanted.set)
        ready({"blog": url(sock)})
        await stopped.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)
        await runner.cleanup()
        sock.close()
    return 0


class _State:
    """The site, and what became of its last build."""

    def __init__(self, settings: BlogSettings) -> None:
        self._settings = settings
        self.website = Website(Path(settings.output), address_of(settings), problem=self.page)
        self.wanted = asyncio.Event()
        self.wanted.set()
        self._outcome: Outcome | None = None
        with contextlib.suppress(BlogError):
            self.website.reload()  # what an earlier run built is there at once

    async def keep_built(self) -> None:
        """Build whenever it is wanted, one at a time, until cancelled."""
        while True:
            await self.wanted.wait()
            self.wanted.clear()
            outcome = self._outcome = await build_apart(self._settings)
            for problem in outcome.problems[:_FAULTS_LOGGED]:
                log.error("%s", problem, extra={"action": "blog_build"})
            if outcome.problems:
                kept = "the last good site stands" if self.website.manifest else "there is no site yet"
                text = "the blog was not built; %s; mend what is named above, then send SIGHUP"
                log.error(text, kept, extra={"action": "blog_build", "faults": len(outcome.problems)})
                continue
            try:
                self.website.reload()
            except BlogError as error:
                log.warning("%s", error, extra={"action": "blog_build"})
            else:
                log.info("the blog is built", extra={"action": "blog_build", "posts": outcome.posts})

    def page(self) -> bytes:
        """While there is no site."""
        if self._outcome is None:
            return _page("The blog is being built", "Load the page again in a moment.", ())
        about = "Nothing was published. The log of the service says the same; SIGHUP builds again."
        return _page("The blog could not be built", about, self._outcome.problems)


async def build_apart(settings: BlogSettings) -> Outcome:
    """Build in a process of its own, which is ended when this is cancelled."""
    mark = ["--allow-stale"] if settings.stale == "mark" else []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "holdfast", "blog", "build", "--json", *mark),
        *("--content", settings.content, "--evidence", settings.evidence, "-o", settings.output),
        *("--base-url", settings.url, "--title", settings.title, "--about", settings.about),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_ANSWER_BYTES,
    )
    try:
        async with asyncio.timeout(BUILD_S):
            said, complained = await process.communicate()
    except TimeoutError:
        return Outcome(problems=(f"the build said nothing for {BUILD_S:.0f} s; run 'holdfast blog build' by hand",))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    return _outcome(process.returncode or 0, said, complained.decode(errors="replace"))


def _outcome(code: int, said: bytes, complained: str) -> Outcome:
    try:
        told = json.loads(said)
        faults = told.get("faults", [])
    except (ValueError, AttributeError):
        last = complained.strip().splitlines()[-20:] or ["it said nothing"]
        return Outcome(problems=tuple(last) if code else (f"the build answered no JSON: {said[:200]!r}",))
    if not code:
        return Outcome(posts=int(told.get("posts", 0)))
    problems = tuple(
        f"{fault['file']}{':' + str(fault['line']) if fault['line'] else ''}: {fault['message']}; {fault['remedy']}"
        for fault in faults
    )
    return Outcome(problems=problems or tuple(complained.strip().splitlines()[-20:]) or (f"exit code {code}",))


def _page(title: str, about: str, problems: tuple[str, ...]) -> bytes:
    """Without style: there is no site that it could come from."""
    items = "".join(f"<li>{escape(problem)}</li>\n" for problem in problems)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{escape(title)}</title></head>\n'
        f"<body><main><h1>{escape(title)}</h1>\n<p>{escape(about)}</p>\n<ul>\n{items}</ul></main></body>\n</html>\n"
    ).encode()
