"""A webhook that writes down what it was told, and refuses now and then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

REFUSED_EVERY: Final = 5
"""One message in so many is refused with 503 at first: receivers have bad moments, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message that was accepted."""

    at: float
    key: str
    event: str
    incident: str
    condition: str
    members: tuple[str, ...]


class Pager:
    """Listens on a free port of loopback."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.url = ""
        self._seen = 0
        self._refused: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post("/", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"

    async def stop(self) -> None:
        """End it."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        self._seen += 1
        if self._seen % REFUSED_EVERY == 0 and body["key"] not in self._refused:
            self._refused.add(body["key"])
            return web.Response(status=503)
        incident = body["incident"]
        self.told.append(
            Told(
                at=time.time(),
                key=body["key"],
                event=body["event"],
                incident=incident["id"],
                condition=incident["condition"],
                members=tuple(each if isinstance(each, str) else str(each) for each in body["members"]),
            )
        )
        return web.Response(status=204)
