"""Pictures of a page of ours, taken by a real Chromium."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from holdfast.blog.errors import ShootFailed
from holdfast.blog.shell.browser import browser, find_browser
from holdfast.blog.shell.images import size_of
from holdfast.blog.shell.shoot import shoot
from tests.machine import free_port, require_tool

pytestmark = pytest.mark.timeout(180)

PAGE = """<!doctype html><title>Backends</title><h1>Backends</h1>
<form><input id="q"><button id="go" type="button">Look</button></form><main style="width:300px;height:200px"></main>
<script>
document.getElementById("go").addEventListener("click", () => {
  const found = document.createElement("p");
  found.className = "found";
  found.textContent = document.getElementById("q").value;
  document.querySelector("main").append(found);
});
</script>"""


@asynccontextmanager
async def console() -> AsyncIterator[str]:
    """A page that does something when it is told to."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/backends", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def content_of(tmp_path: Path, steps: str, more: str = "") -> Path:
    content = tmp_path / "content"
    content.mkdir()
    (content / "shots.yaml").write_text(f"shots/backends.png:\n  steps: [{steps}]\n  size: [640, 480]\n{more}")
    return content


WALK = "{open: /backends}, {type: {into: '#q', text: c}}, {click: '#go'}, {wait: .found, text: c}"


def test_a_picture_is_taken_after_its_steps_and_written_into_its_place(tmp_path: Path) -> None:
    require_tool("chromium")
    content = content_of(tmp_path, WALK)
    said: list[str] = []

    async def take() -> tuple[Path, ...]:
        async with console() as url:
            return await shoot(content, (), url=url, told=said.append)

    (written,) = asyncio.run(take())
    assert written == content / "public" / "shots" / "backends.png"
    assert size_of(written) == (640, 480)
    assert [path.name for path in written.parent.iterdir()] == ["backends.png"]
    assert str(written) in said[0]


def test_one_element_alone_can_be_the_picture_and_two_of_it_are_alike(tmp_path: Path) -> None:
    require_tool("chromium")
    content = content_of(tmp_path, "{open: /backends}", "  only: main\n")

    async def take() -> bytes:
        async with console() as url:
            (written,) = await shoot(content, ["shots/backends.png"], url=url)
        assert size_of(written) == (300, 200)
        return written.read_bytes()

    assert asyncio.run(take()) == asyncio.run(take())


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ("{open: /backends}, {wait: .never, within: 0.2}", r"step 2 .*'.never' did not come within 0.2 s.*Backends"),
        ("{open: /backends}, {click: '#nowhere', within: 0.2}", "step 2 .*did not come"),
        ("{open: /elsewhere}, {wait: main, within: 0.2}", "404"),
        ("{open: /backends}, {wait: h1, text: Frontends, within: 0.2}", "'h1' with 'Frontends' did not come.*Backends"),
    ],
)
def test_what_does_not_come_is_told_with_what_is_there_instead(tmp_path: Path, steps: str, says: str) -> None:
    require_tool("chromium")
    content = content_of(tmp_path, steps)
    kept = content / "public" / "shots" / "backends.png"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"the last one")

    async def take() -> None:
        async with console() as url:
            await shoot(content, (), url=url)

    with pytest.raises(ShootFailed, match=says) as caught:
        asyncio.run(take())
    assert str(caught.value).startswith("shots/backends.png, step 2")
    assert kept.read_bytes() == b"the last one"


def test_a_console_that_is_not_up_is_told_with_the_command_that_starts_it(tmp_path: Path) -> None:
    require_tool("chromium")
    content = content_of(tmp_path, "{open: /backends}")
    with pytest.raises(ShootFailed, match=r"ERR_CONNECTION_REFUSED.*make up"):
        asyncio.run(shoot(content, (), url=f"http://127.0.0.1:{free_port()}"))


def test_a_picture_that_nobody_described_is_told_with_those_that_are(tmp_path: Path) -> None:
    content = content_of(tmp_path, "{open: /}")
    with pytest.raises(ShootFailed, match=r"has no shots/other.png; it has shots/backends.png"):
        asyncio.run(shoot(content, ["shots/other.png"], url="http://127.0.0.1:9"))


def test_a_program_that_is_no_browser_is_told_with_what_it_said(tmp_path: Path) -> None:
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\necho no display here >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(ShootFailed, match="no display here"):
        asyncio.run(shoot(content_of(tmp_path, "{open: /}"), (), url="http://127.0.0.1:9", program=str(program)))


def test_a_browser_ends_with_everything_that_it_started_and_knows_none_of_our_secrets(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    require_tool("chromium")
    scratch = tempfile.TemporaryDirectory(prefix="hf-")  # a short path: it has to hold a socket
    request.addfinalizer(scratch.cleanup)
    folder = Path(scratch.name)
    monkeypatch.setenv("HOLDFAST_TEST_SECRET", "canary-of-shoot")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)

    def started() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
                if str(folder).encode() in command and int(process.name) != os.getpid():
                    assert b"canary-of-shoot" not in (process / "environ").read_bytes()
                    found.append(process.name)
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    async def walk() -> int:
        async with browser(find_browser()) as tab, console() as url:
            await tab.open(f"{url}/backends")
            return len(started())

    assert asyncio.run(walk()) > 0
    assert started() == []
    assert list(folder.iterdir()) == []
