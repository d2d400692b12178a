"""PostgreSQL's ``LISTEN``: one connection for all listeners of this process.

One channel carries them all, as ``CHANNEL PAYLOAD``: names need no quoting, a new listener no round trip, and there
is no moment in which a channel is wanted and not yet listened to. While the connection is down, every listener is
told once a second that it may have missed something (it polls, in effect), and once more when it is up again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from random import Random
from typing import TYPE_CHECKING, Any, Final

import psycopg

from holdfast.resilience.backoff import equal_jitter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.store.listeners import Listeners

CHANNEL: Final = "holdfast"

POLL_S: Final = 1.0
"""How often listeners look for themselves while nobody tells them."""

_CONNECT_S: Final = 6.0
"""A second more than libpq's own limit, for the ``LISTEN`` after it."""

_log = logging.getLogger(__name__)


class Notices:
    """Hears what any process of this store says, and tells the listeners. Runs on the loop."""

    def __init__(self, conninfo: Mapping[str, Any], name: str, listeners: Listeners) -> None:
        self._conninfo = conninfo
        self._name = name
        self._listeners = listeners
        self._up = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def start(self) -> None:
        """Begin, and wait until it listens; when that takes too long it goes on trying beside."""
        self._tasks = (asyncio.create_task(self._listen()), asyncio.create_task(self._poll()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CONNECT_S):
                await self._up.wait()

    async def close(self) -> None:
        """End, and wait until the connection is closed."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _listen(self) -> None:
        chance = Random()
        failures = 0
        while True:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    connection = await psycopg.AsyncConnection.connect(**self._conninfo, autocommit=True)
                async with connection:
                    async with asyncio.timeout(_CONNECT_S):
                        await connection.execute(f"LISTEN {CHANNEL}".encode())
                    failures = 0
                    self._up.set()
                    self._listeners.tell_all()
                    async for notice in connection.notifies():
                        channel, _, payload = notice.payload.partition(" ")
                        self._listeners.tell([(channel, payload)])
            except (psycopg.Error, OSError) as error:  # TimeoutError among them
                if self._up.is_set() or failures == 0:
                    _log.warning(
                        "does not hear %s, listeners poll: %s",
                        self._name,
                        type(error).__name__,
                        extra={"action": "store_listen_failed"},
                    )
                self._up.clear()
                await asyncio.sleep(equal_jitter(failures, chance, base_s=0.05, cap_s=POLL_S))
                failures += 1

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if not self._up.is_set():
                self._listeners.tell_all()
