"""Who watches a run is told when there is more of it, whichever process works on it."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final

from holdfast.gateway.core.run_events import Ended
from holdfast.gateway.shell.sessions.store import EVENTS, SessionStore, Stored
from holdfast.store import Database, StoreError

log = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 15.0
"""A silent stream says that it is there: often enough for the usual 60 s of proxies."""
_RETRY_S: Final = 1.0


class Following:
    """Streams of events: those that are stored, then those that come. To be opened and closed."""

    def __init__(self, database: Database, store: SessionStore) -> None:
        self._database = database
        self._store = store
        self._watchers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Listen."""
        self._task = asyncio.create_task(self._listen(), name="gateway run events")

    async def close(self) -> None:
        """End all streams."""
        self._closed = True
        self._wake(None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def events(self, run: str, *, after: int) -> AsyncGenerator[list[Stored], None]:
        """Events of a run after a number; an empty list now and then, so that a stream shows that it lives.

        Ends after the last event, and when the process ends.
        """
        with self._watching(run) as sign:
            # Watched before it is read: what is stored in between gives a sign, and is read with the next pass.
            while not self._closed:
                sign.clear()
                found = await self._store.events(run, after=after)
                if found:
                    after = found[-1].number
                    yield found
                    if isinstance(found[-1].event, Ended):
                        return
                    continue
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await sign.wait()
                except TimeoutError:
                    yield []

    @contextmanager
    def _watching(self, run: str) -> Iterator[asyncio.Event]:
        sign = asyncio.Event()
        self._watchers[run].add(sign)
        try:
            yield sign
        finally:
            self._watchers[run].discard(sign)
            if not self._watchers[run]:
                del self._watchers[run]

    def _wake(self, run: str | None) -> None:
        for signs in list(self._watchers.values()) if run is None else [self._watchers.get(run, set())]:
            for sign in signs:
                sign.set()

    async def _listen(self) -> None:
        while True:
            try:
                async for run in self._database.listen(EVENTS):
                    self._wake(run or None)
            except StoreError as error:
                log.warning("events of runs are not heard: %s", error, extra={"action": "run_events_listen"})
            self._wake(None)
            await asyncio.sleep(_RETRY_S)
