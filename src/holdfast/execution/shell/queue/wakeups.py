"""Who waits for what, in this process: one listener of the store per channel, fanned out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from holdfast.execution.shell.queue.book import JOBS, WORK
from holdfast.store import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from holdfast.store import Database

_AGAIN_S: Final = 1.0
"""After the store broke a listener off."""

_log = logging.getLogger(__name__)


class Wakeups:
    """Turns the store's notes into wake-ups. A watcher that is slow has one wake-up waiting, never two."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks: list[asyncio.Task[None]] = []
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._work = asyncio.Event()
        self.signals = 0
        """How often there may have been work so far."""

    def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._listen(WORK, self._on_work), name="queue work"),
            loop.create_task(self._listen(JOBS, self._on_jobs), name="queue jobs"),
        ]

    async def close(self) -> None:
        """Listen no more; those who wait go on by their deadlines."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def wait_for_work(self, *, deadline_s: float, seen: int | None) -> None:
        """Return when :attr:`signals` is beyond ``seen``, or after ``deadline_s``."""
        if seen is not None and seen != self.signals:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._work.wait(), deadline_s)

    async def watch(self, id: str) -> AsyncIterator[None]:
        """Yield at first, then after each note of the job."""
        woken = asyncio.Event()
        watchers = self._watchers.setdefault(id, set())
        watchers.add(woken)
        try:
            yield
            while True:
                await woken.wait()
                woken.clear()
                yield
        finally:
            watchers.discard(woken)
            if not watchers and self._watchers.get(id) is watchers:
                del self._watchers[id]

    def _on_work(self, _: str) -> None:
        self.signals += 1
        self._work.set()  # wakes those who wait now ...
        self._work = asyncio.Event()  # ... and nobody who comes later

    def _on_jobs(self, payload: str) -> None:
        ids = payload.split(",") if payload else list(self._watchers)  # nothing: some notes were missed
        for id in ids:
            for woken in self._watchers.get(id, ()):
                woken.set()

    async def _listen(self, channel: str, tell: Callable[[str], None]) -> None:
        while True:
            try:
                async for payload in self._database.listen(channel):
                    tell(payload)
                return  # the store was closed
            except StoreError as error:
                _log.warning("listening is interrupted", extra={"action": "queue.listen", "error": str(error)})
            await asyncio.sleep(_AGAIN_S)
            tell("")
