"""A built site over HTTP: the files that its manifest names, and nothing else on the disk.

A path is looked up among those of the manifest, so none can lead out of the folder. A site stands at the path of its
URL; in front of it a balancer may have stripped that path or not, so it is answered with and without.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from aiohttp import web

from holdfast.blog.core.site import Address
from holdfast.blog.shell import output
from holdfast.blog.shell.files import LARGEST
from holdfast.blog.shell.policy import POLICY

TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "pdf": "application/pdf",
    "xml": "application/xml",
    "atom": "application/atom+xml",
    "rss": "application/rss+xml",
}
_OWN_TYPES: Final = {"feed.json": "application/feed+json"}
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Server": "holdfast",
}
"""Of every answer. Pictures of a blog may be shown elsewhere: cards are made for that."""
_ASK: Final = "no-cache"  # keep it, but ask each time whether it still holds
_FOR_EVER: Final = "public, max-age=31536000, immutable"  # its name changes with its content

Page = Callable[[], bytes]


class Website:
    """Answers from a folder. :meth:`reload` it when the folder has been built again."""

    def __init__(self, folder: Path, address: Address, *, problem: Page) -> None:
        """``problem`` is the page for when there is no site."""
        self._folder = folder
        self._prefix = (urlsplit(address.base).path or "/").rstrip("/")
        self._problem = problem
        self.manifest: output.Manifest | None = None

    def reload(self) -> None:
        """Take the manifest as it stands. Raises :class:`~holdfast.blog.errors.OutputNotOurs`."""
        found = output.read_manifest(self._folder)
        self.manifest = found if found is not None and found.files else None  # the first build was cut off

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A file, a redirect, 304, or 404."""
        manifest = self.manifest
        if manifest is None:
            return respond(self._problem(), status=503, more={"Retry-After": "5"})
        path = request.path
        if self._prefix and path.startswith(f"{self._prefix}/"):
            path = path[len(self._prefix) :]
        name = path.removeprefix("/")
        if name == "" or name.endswith("/"):
            name += "index.html"
        elif f"{name}/index.html" in manifest.files:
            return self._redirect(f"{name}/", request)
        folder = name.removesuffix("index.html")
        if folder in manifest.redirects:
            return self._redirect(manifest.redirects[folder], request)
        file = manifest.files.get(name)
        if file is None:
            return await self._missing(manifest)
        return await self._file(name, file, request)

    def _redirect(self, path: str, request: web.Request) -> web.Response:
        raw = request.rel_url.raw_query_string  # as it came: decoded, it could hold a line's end
        query = f"?{raw}" if raw else ""
        where = f"{self._prefix}/{quote(path)}{query}"
        return web.Response(status=301, headers={**HEADERS, "Location": where, "Cache-Control": _ASK})

    async def _missing(self, manifest: output.Manifest) -> web.StreamResponse:
        try:
            data = (await asyncio.to_thread(read_below, self._folder, "404.html"))[0] if manifest.files else b""
        except OSError:
            data = b"There is no such page.\n"
        return respond(data, status=404)

    async def _file(self, name: str, file: output.File, request: web.Request) -> web.StreamResponse:
        tag = f'"{file.digest[:32]}"'
        headers = {"ETag": tag, "Cache-Control": _FOR_EVER if name.startswith("static/") else _ASK}
        if tag in _tags(request.headers.get("If-None-Match", "")):
            return web.Response(status=304, headers={**HEADERS, **headers})
        try:
            data, modified = await asyncio.to_thread(read_below, self._folder, name)
        except OSError:
            return await self._missing(output.Manifest())
        headers["Last-Modified"] = formatdate(modified, usegmt=True)
        if "If-None-Match" not in request.headers and _unmodified(request.headers.get("If-Modified-Since"), modified):
            return web.Response(status=304, headers={**HEADERS, **headers})
        return respond(data, kind=media_type(name), more=headers)


def respond(
    data: bytes, *, status: int = 200, kind: str = TYPES["html"], more: Mapping[str, str] | None = None
) -> web.Response:
    """An answer with the headers that all have. A HEAD gets the same without the body."""
    headers = {**HEADERS, "Cache-Control": _ASK, **(more or {}), "Content-Type": kind}
    return web.Response(body=data, status=status, headers=headers)


def media_type(name: str) -> str:
    """By the ending; what is not known is bytes, which no browser runs."""
    return _OWN_TYPES.get(name) or TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")


def website_app(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.Application:
    """The application around :meth:`Website.answer`: GET and HEAD, and small requests only."""
    app = web.Application(client_max_size=1024)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _healthz)
    app.router.add_get("/{path:.*}", answer)
    return app


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def read_below(folder: Path, name: str) -> tuple[bytes, float]:
    """Content and time of a file below a folder, wherever links lead. Raises ``OSError``."""
    root = os.path.realpath(folder)
    path = os.path.realpath(Path(root) / name)
    if os.path.commonpath((root, path)) != root:
        raise FileNotFoundError(name)
    # Not through a link that took the place of the file since: the path has none in its last part.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
            raise FileNotFoundError(name)
        return file.read(LARGEST), about.st_mtime


def _tags(header: str) -> set[str]:
    return {part.strip().removeprefix("W/") for part in header.split(",")}


def _unmodified(since: str | None, modified: float) -> bool:
    if not since:
        return False
    try:
        return int(modified) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False
