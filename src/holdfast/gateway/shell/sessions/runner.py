"""Works on runs: takes those that wait, keeps them from others, and lets go of them.

Any number of processes share the runs of a store. Each takes what nobody has, oldest first, at most ``concurrent`` and
at most half of that for one tenant, and renews its leases; what a process that died had is taken by another when its
lease is over, by the same one, under its name, at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from holdfast.gateway.shell.sessions.driver import Driver, Stopping, Tools
from holdfast.gateway.shell.sessions.store import LEASE_S, ORDERS, Record, SessionStore, Superseded
from holdfast.store import Database, StoreError

if TYPE_CHECKING:
    from holdfast.gateway.core.ports import Holder, ModelCaller
    from holdfast.gateway.core.settings import SessionSettings
    from holdfast.identity import Principal

log = logging.getLogger(__name__)

BEAT_S: Final = LEASE_S / 3
"""Leases are renewed, and forgotten runs looked for, this often: two renewals may fail."""
TRIM_S: Final = 3600.0
GRACE_S: Final = 5.0
"""What is under way may finish for so long when the process ends."""
_RETRY_S: Final = 1.0


class Runner:
    """The runs that this process works on."""

    def __init__(
        self,
        settings: SessionSettings,
        *,
        database: Database,
        store: SessionStore,
        owner: str,
        models: ModelCaller,
        tools: Tools,
        caller: Callable[[Holder], Awaitable[Principal | None]],
        clock: Callable[[], float],
    ) -> None:
        """``owner`` names this process among those that share the store."""
        self.settings = settings
        self._database = database
        self._store = store
        self._owner = owner
        self._models = models
        self._tools = tools
        self._caller = caller
        self._clock = clock
        self._active: dict[str, tuple[Driver, asyncio.Task[None]]] = {}
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._trimmed = float("-inf")

    @property
    def active(self) -> int:
        """Runs that are worked on here."""
        return len(self._active)

    async def open(self) -> None:
        """Begin. What a process of this name had is taken up again."""
        await self._store.release(self._owner)
        self._woken.set()
        self._tasks = [
            asyncio.create_task(self._listen(), name="gateway run orders"),
            asyncio.create_task(self._work(), name="gateway runs"),
        ]

    async def close(self) -> None:
        """Let go of all runs, between two steps where that can be waited for."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        running = [task for _, task in self._active.values()]
        for driver, _ in self._active.values():
            driver.stopping = True
        if running:
            await asyncio.wait(running, timeout=GRACE_S)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        try:
            await self._store.release(self._owner)
        except StoreError as error:
            log.warning("runs are not released: %s", error, extra={"action": "runs_release"})

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        beat = loop.time() + BEAT_S
        while True:
            self._woken.clear()
            try:
                await self._obey()
                await self._take()
                if loop.time() >= beat:
                    beat = loop.time() + BEAT_S
                    await self._keep()
            except StoreError as error:
                log.warning("runs are not looked for: %s", error, extra={"action": "runs"})
                await asyncio.sleep(_RETRY_S)
            try:
                async with asyncio.timeout_at(beat):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _obey(self) -> None:
        """End what somebody wants to end."""
        if not self._active:
            return
        for id in await self._store.to_cancel(self._owner):
            driver, task = self._active.get(id, (None, None))
            if driver is not None and task is not None and not driver.cancelled:
                driver.cancelled = True
                task.cancel()

    async def _take(self) -> None:
        room = self.settings.concurrent - len(self._active)
        if room <= 0:
            return
        most = max(1, self.settings.concurrent // 2)
        taken = Counter(driver.record.tenant for driver, _ in self._active.values())
        full = [tenant for tenant, count in taken.items() if count >= most]
        # One at a time of what may fill a tenant's part, so that the part is looked at again after each.
        for record in await self._store.claim(self._owner, room=min(room, 1), full=full, now=self._clock()):
            self._begin(record)
            self._woken.set()

    def _begin(self, record: Record) -> None:
        driver = Driver(
            record,
            store=self._store,
            owner=self._owner,
            models=self._models,
            tools=self._tools,
            caller=self._caller,
            clock=self._clock,
        )
        task = asyncio.create_task(self._drive(driver), name=f"gateway {record.id}")
        self._active[record.id] = driver, task

    async def _drive(self, driver: Driver) -> None:
        id = driver.record.id
        try:
            await driver.drive()
        except Stopping:
            pass
        except Superseded as error:
            log.warning("%s", error, extra={"action": "run_superseded", "run": id})
        except StoreError as error:
            # Its lease ends, and whoever takes it goes on after what is stored.
            log.warning("a run is left: %s", error, extra={"action": "run_left", "run": id})
        except Exception:
            log.exception("a run failed in an unforeseen way", extra={"action": "run_error", "run": id})
        finally:
            del self._active[id]
            self._woken.set()

    async def _keep(self) -> None:
        """Renew the leases, and leave what another process has by now; remove what is old."""
        if self._active:
            mine = await self._store.renew(self._owner, list(self._active), now=self._clock())
            for id, (_, task) in tuple(self._active.items()):
                if id not in mine and not task.done():
                    log.warning("a run was taken over", extra={"action": "run_superseded", "run": id})
                    task.cancel()
        if self._clock() - self._trimmed >= TRIM_S:
            self._trimmed = self._clock()
            while await self._store.trim(before=self._clock() - float(self.settings.retention)):
                pass

    async def _listen(self) -> None:
        while True:
            try:
                async for _ in self._database.listen(ORDERS):
                    self._woken.set()
            except StoreError as error:
                log.warning("orders of runs are not heard: %s", error, extra={"action": "runs_listen"})
            await asyncio.sleep(_RETRY_S)
