"""The file server of the status page: a process of its own that needs the files and nothing else.

It serves what :mod:`.render` writes: known kinds of files, below one directory, under names without a dot at their
beginning. A symbolic link that leads out of the directory is not followed, a directory is not listed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import signal
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

log = logging.getLogger(__name__)

FILE_BYTES: Final = 8 * 2**20
"""Larger files are none of ours."""
DRAIN_S: Final = 2.0
TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "json": "application/json",
    "rss": "application/rss+xml",
    "atom": "application/atom+xml",
}
_SHARED: Final = frozenset({"svg", "json", "rss", "atom"})
"""Kinds that pages of others may load: badges, the JSON, feeds."""
_PATH: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/){0,4}[A-Za-z0-9_-][A-Za-z0-9._-]*\.([a-z]+)")


async def serve_status(
    directory: Path, listen: str, *, ready: Callable[[Mapping[str, str]], None], subscribe_url: str = ""
) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. ``ready`` is called once it listens, with its URL (real port).

    ``subscribe_url`` is where the page's form sends to: the only foreign place that browsers may. Raises ``OSError``
    when the address cannot be taken, and ``ValueError`` when it is none.
    """
    parts = urlsplit(f"//{listen}")
    if not parts.hostname or parts.port is None:
        raise ValueError(f"{listen!r} is not HOST:PORT")
    runner = web.AppRunner(
        status_app(directory, subscribe_url=subscribe_url),
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
    try:
        site = web.TCPSite(runner, parts.hostname, parts.port)
        await site.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        try:
            ready({"status": f"http://{listen.rpartition(':')[0]}:{runner.addresses[0][1]}"})
            await stopped.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
    finally:
        await runner.cleanup()
    return 0


def status_app(directory: Path, *, subscribe_url: str = "") -> web.Application:
    """The application that serves the files below ``directory``."""
    files = _Files(directory, _headers(subscribe_url))
    app = web.Application(client_max_size=1024)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/{path:.*}", files.answer)
    return app


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _headers(subscribe_url: str) -> dict[str, str]:
    parts = urlsplit(subscribe_url)
    origin = f" {parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} and parts.netloc else ""
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self'; form-action 'self'{origin}; frame-ancestors 'none'; base-uri 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-cache",  # keep it, but ask each time whether it still holds
    }


class _Files:
    """Answers from a directory."""

    def __init__(self, directory: Path, headers: Mapping[str, str]) -> None:
        self._directory = directory
        self._headers = headers

    async def answer(self, request: web.Request) -> web.Response:
        """A file, 304, or 404."""
        name = request.match_info["path"] or "index.html"
        matched = _PATH.fullmatch(name)
        kind = "" if matched is None else matched[1]
        if kind not in TYPES:
            return self._missing()
        try:
            data = await asyncio.to_thread(read_below, self._directory, name)
        except OSError:
            return self._missing()
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        headers = {**self._headers, "ETag": tag, "Cross-Origin-Resource-Policy": "same-origin"}
        if kind in _SHARED:
            headers.update({"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"})
        if tag in (part.strip().removeprefix("W/") for part in request.headers.get("If-None-Match", "").split(",")):
            return web.Response(status=304, headers=headers)
        return web.Response(body=data, content_type=TYPES[kind], charset="utf-8", headers=headers)

    def _missing(self) -> web.Response:
        text = "There is no such page. The status page begins at /.\n"
        return web.Response(status=404, text=text, headers=self._headers)


def read_below(directory: Path, name: str) -> bytes:
    """The content of a file below a directory, wherever links lead. Raises ``OSError``."""
    root = os.path.realpath(directory)
    path = os.path.realpath(Path(root) / name)
    if os.path.commonpath((root, path)) != root:
        raise FileNotFoundError(name)
    # Not through a link that took the place of the file since: the path has none in its last part.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > FILE_BYTES:
            raise FileNotFoundError(name)
        return file.read(FILE_BYTES)
