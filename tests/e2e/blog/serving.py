"""A built site behind a real server, in a thread beside the browser's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

from holdfast.blog.core.site import Address
from holdfast.blog.shell.build import Options
from holdfast.blog.shell.website import Website, website_app
from tests.machine import free_port
from tests.unit.blog.shell.scene import Scene


@dataclass(frozen=True)
class Served:
    """Where a scene is served."""

    scene: Scene
    url: str


@contextmanager
def served(scene: Scene, options: Options) -> Iterator[Served]:
    """Build a scene and serve it until the end of the block."""
    port = free_port()
    address = Address(base=f"http://127.0.0.1:{port}/blog/", title="Test blog", about="Posts of a test.")
    scene.build(options, address=address)
    website = Website(scene.out, address, problem=lambda: b"")
    website.reload()
    up, done = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        runner = web.AppRunner(website_app(website.answer), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        up.set()
        await done.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert up.wait(10)
        yield Served(scene, address.base)
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        loop.close()
