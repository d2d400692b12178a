"""The file server of the status page, on a real socket."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from holdfast.netpulse.core.status import status_view
from holdfast.netpulse.shell.status import render, serve_status
from tests.unit.netpulse.status.views import NOW, incident, source


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """The page of a small world, and a client of it."""
    render(status_view(source(incidents=[incident()]), now=NOW), directory)
    ready: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
    api = "https://pulse.example/v1/status/subscribers"
    task = asyncio.create_task(serve_status(directory, "127.0.0.1:0", ready=ready.set_result, subscribe_url=api))
    try:
        async with asyncio.timeout(10):
            url = (await ready)["status"]
        async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=10)) as http:
            yield http
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/incidents/inc_1.html", "text/html"),
        ("/style.css", "text/css"),
        ("/status.js", "text/javascript"),
        ("/badges/overall.svg", "image/svg+xml"),
        ("/feed.rss", "application/rss+xml"),
        ("/feed.atom", "application/atom+xml"),
        ("/api/v2/summary.json", "application/json"),
    ],
)
async def test_every_kind_of_file_is_served_with_its_type_and_strict_headers(
    path: str, kind: str, tmp_path: Path
) -> None:
    async with served(tmp_path) as http, http.get(path) as answer:
        assert (answer.status, answer.content_type) == (200, kind)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self' https://pulse.example;" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        shared = path.endswith((".svg", ".rss", ".atom", ".json"))
        assert answer.headers.get("Access-Control-Allow-Origin") == ("*" if shared else None)


async def test_what_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    async with served(tmp_path) as http:
        async with http.get("/") as answer:
            tag = answer.headers["ETag"]
        async with http.get("/", headers={"If-None-Match": f'"x", W/{tag}'}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        render(status_view(source(), now=NOW), tmp_path)
        async with http.get("/", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/incidents",
        "/incidents/",
        "/api/v2/",
        "/.hidden.html",
        "/nowhere.html",
        "/secret.txt",
        "/out.html",
        "/pipe.html",
        "/linked/secret.html",
        "/%2e%2e/secret.html",
        "/incidents/..%2f..%2fsecret.html",
        "/%00.html",
        "/" + "a/" * 10 + "x.html",
    ],
)
async def test_nothing_else_is_served_wherever_links_lead(path: str, tmp_path: Path) -> None:
    page = tmp_path / "page"
    async with served(page) as http:
        (tmp_path / "secret.html").write_text("secret")
        (page / "secret.txt").write_text("secret")
        (page / ".hidden.html").write_text("secret")
        (page / "out.html").symlink_to(tmp_path / "secret.html")
        (page / "linked").symlink_to(tmp_path)
        os.mkfifo(page / "pipe.html")
        async with http.get(path) as answer:
            assert answer.status == 404
            assert "secret" not in await answer.text()
            assert "Content-Security-Policy" in answer.headers


async def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    async with served(tmp_path) as http:
        (tmp_path / "status.html").symlink_to("index.html")
        async with http.get("/status.html") as answer:
            assert answer.status == 200


async def test_only_reading_is_allowed(tmp_path: Path) -> None:
    async with served(tmp_path) as http:
        async with http.post("/index.html", data=b"x") as answer:
            assert answer.status == 405
        async with http.head("/") as answer:
            assert answer.status == 200


async def test_the_page_stands_without_its_engine_and_ends_when_it_is_told(tmp_path: Path) -> None:
    render(status_view(source(), now=NOW), tmp_path)
    ready = asyncio.Event()
    task = asyncio.create_task(serve_status(tmp_path, "127.0.0.1:0", ready=lambda _: ready.set()))
    async with asyncio.timeout(10):
        await ready.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await task == 0


async def test_an_address_that_is_none_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not HOST:PORT"):
        await serve_status(tmp_path, "nonsense", ready=lambda _: None)
