"""The process that plays all targets of the drill ``noise``, and takes everybody's pages.

Listens on one port of every address of its network namespace; a target is an address. What a target answers is in the
file ``DIRECTORY/targets/ADDRESS``: ``503``, or ``hang``; without a file it is well. (A file, because the drill that
injects the faults is outside of the namespace.) Pages are posted to ``/pages/CONTENDER`` and appended, with the time of
their arrival, to ``DIRECTORY/pages.jsonl``. Who has been seen asking leaves a file ``DIRECTORY/seen/CLIENT-ADDRESS``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Final

from aiohttp import web

PORT: Final = 8080
HANG_S: Final = 30.0
_BODY_LIMIT: Final = 4 * 2**20


class Targets:
    """All of them."""

    def __init__(self, directory: Path) -> None:
        self._states = directory / "targets"
        self._pages = directory / "pages.jsonl"
        self._seen = directory / "seen"

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.add_routes([web.get("/", self._answer), web.post("/pages/{contender}", self._take)])
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None  # noqa: S101 - a request that was read came by one
        mine, client = request.transport.get_extra_info("sockname")[0], request.transport.get_extra_info("peername")[0]
        who = "blackbox" if "blackbox" in request.headers.get("User-Agent", "").lower() else "holdfast"
        (self._seen / f"{who}-{client}").touch()
        state = self._states / mine
        said = state.read_text() if state.exists() else ""
        if said == "hang":
            await asyncio.sleep(HANG_S)
        return web.Response(status=503 if said else 200, text="")

    async def _take(self, request: web.Request) -> web.Response:
        page = {"at": time.time(), "contender": request.match_info["contender"], "body": await request.json()}
        with self._pages.open("a") as file:
            file.write(json.dumps(page) + "\n")
        return web.Response(status=204)


def main() -> None:
    """``python -m holdfast.drills.noise_targets DIRECTORY``: until SIGTERM."""
    web.run_app(Targets(Path(sys.argv[1])).app(), host="0.0.0.0", port=PORT, print=None, access_log=None)  # noqa: S104


if __name__ == "__main__":
    main()
