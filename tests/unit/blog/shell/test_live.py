"""While one writes: drafts are shown, what is saved is seen, and what is wrong stands in the page with its line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import ClientSession

from holdfast.blog.errors import BlogError
from holdfast.blog.shell import live
from holdfast.blog.shell.build import Built
from holdfast.blog.shell.live import LIVE, Sources, serve_live
from tests.unit.blog.shell.scene import TODAY, Scene, post

Visit = Callable[[ClientSession, str, "asyncio.Queue[Built | BlogError]"], Coroutine[Any, Any, None]]


def visited(scene: Scene, visit: Visit) -> None:
    """Serve a scene, and end when the visit has."""

    async def run() -> None:
        told: asyncio.Queue[Built | BlogError] = asyncio.Queue()
        where: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        sources = Sources(content=scene.content, evidence=scene.evidence, out=scene.out, title="Test", about="A test.")
        serving = asyncio.create_task(
            serve_live(sources, "127.0.0.1:0", ready=where.set_result, told=told.put_nowait, today=lambda: TODAY)
        )
        async with asyncio.timeout(30):
            try:
                async with ClientSession() as client:
                    await visit(client, await where, told)
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(run())


async def text(client: ClientSession, url: str) -> tuple[int, str]:
    async with client.get(url) as answer:
        return answer.status, await answer.text()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.write("an-idea", post("Idea", more="draft: true\n"))
    return made


def test_drafts_are_shown_and_pages_listen_for_changes(scene: Scene) -> None:
    async def visit(client: ClientSession, url: str, _: object) -> None:
        status, page = await text(client, f"{url}/posts/an-idea/")
        assert status == 200
        assert "Draft" in page
        assert f'data-live="/{LIVE}"' in page

    visited(scene, visit)


def test_what_is_saved_is_built_and_told_to_the_browser(scene: Scene) -> None:
    async def visit(client: ClientSession, url: str, told: asyncio.Queue[Built | BlogError]) -> None:
        assert isinstance(await told.get(), Built)
        async with client.get(f"{url}/{LIVE}") as events:
            assert events.content_type == "text/event-stream"
            first = await events.content.readuntil(b"\n\n")
            scene.write("an-idea", post("A better idea", more="draft: true\n"))
            assert isinstance(await told.get(), Built)
            assert await events.content.readuntil(b"\n\n") != first
        assert "A better idea" in (await text(client, f"{url}/"))[1]

    visited(scene, visit)


def test_a_fault_takes_the_place_of_the_page_until_it_is_mended(scene: Scene) -> None:
    async def visit(client: ClientSession, url: str, told: asyncio.Queue[Built | BlogError]) -> None:
        await told.get()
        scene.write("an-idea", post("Idea", says="It failed 17 <b>times</b>."))
        assert isinstance(await told.get(), BlogError)
        for path in ("/", "/posts/an-idea/", "/posts/an-idea"):
            status, page = await text(client, f"{url}{path}")
            assert status == 503
            assert "content/posts/an-idea.md:" in page
            assert "{ev:drill.metric}" in page
            assert "<b>" not in page
        style = (await text(client, f"{url}/"))[1].split('rel="stylesheet" href="')[1].split('"')[0]
        assert (await text(client, f"{url}{style}"))[0] == 200
        scene.write("an-idea", post("Idea again"))
        assert isinstance(await told.get(), Built)
        assert "Idea again" in (await text(client, f"{url}/posts/an-idea/"))[1]

    visited(scene, visit)


def test_it_starts_with_posts_that_are_wrong(scene: Scene) -> None:
    scene.write("an-idea", "nothing of the kind")

    async def visit(client: ClientSession, url: str, _: object) -> None:
        status, page = await text(client, f"{url}/")
        assert status == 503
        assert "content/posts/an-idea.md" in page

    visited(scene, visit)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:1", 200),
        ("127.0.0.1:1", 200),
        ("127.8.8.8", 200),
        ("[::1]:1", 200),
        ("evil.example", 421),
        ("localhost.evil.example:1", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("[", 421),
    ],
)
def test_drafts_are_shown_to_who_asks_this_machine_by_its_own_names(scene: Scene, host: str, status: int) -> None:
    async def visit(client: ClientSession, url: str, _: object) -> None:
        async with client.get(f"{url}/posts/an-idea/", headers={"Host": host}) as answer:
            assert answer.status == status
            assert ("Idea" in await answer.text()) == (status == 200)

    visited(scene, visit)


def test_a_fault_of_ours_is_shown_and_does_not_end_the_watch(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def visit(client: ClientSession, url: str, told: asyncio.Queue[Built | BlogError]) -> None:
        await told.get()
        with monkeypatch.context() as patch:
            patch.setattr(live, "build", Mock(side_effect=IndexError("out of range")))
            scene.write("an-idea", post("Another idea"))
            assert "IndexError" in str(await told.get())
            status, page = await text(client, f"{url}/")
            assert status == 503
            assert "this is a fault of holdfast" in page
        scene.write("an-idea", post("Idea again"))
        assert isinstance(await told.get(), Built)
        assert "Idea again" in (await text(client, f"{url}/posts/an-idea/"))[1]

    visited(scene, visit)


def test_browsers_that_have_gone_leave_their_places(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_BROWSERS", 1)

    async def visit(client: ClientSession, url: str, _: object) -> None:
        async with client.head(f"{url}/{LIVE}") as answer:
            assert answer.content_type == "text/event-stream"
        for _ in range(3):
            while True:  # the place is free as soon as the server has heard of the end
                async with client.get(f"{url}/{LIVE}") as events:
                    if events.status == 200:
                        await events.content.readuntil(b"\n\n")
                        async with client.get(f"{url}/{LIVE}") as refused:
                            assert refused.status == 503
                        break

    visited(scene, visit)
