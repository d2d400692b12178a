"""What the public status page shows, gathered from what the engine knows."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from holdfast.netpulse.core.maintenance import Window as Recurrence
from holdfast.netpulse.core.matching import matches
from holdfast.netpulse.core.ports import Records
from holdfast.netpulse.core.settings import MaintenanceSettings
from holdfast.netpulse.core.status import DAYS, StatusSource, StatusView, Window, status_view
from holdfast.netpulse.core.world import World, labels_of
from holdfast.netpulse.shell.engine.runtime import Runtime
from holdfast.netpulse.shell.status import StatusPublisher, StatusUpdates, Subscribers
from holdfast.store import StoreUnavailable

log = logging.getLogger(__name__)

_LOOK_S: Final = 5.0
_FORGET_EVERY_S: Final = 3600.0
_INCIDENTS: Final = 200
"""Most that the page tells of."""


class Publishing:
    """Runs beside the engine."""

    def __init__(self, runtime: Runtime, records: Records, subscribers: Subscribers | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._runtime = runtime
        self._records = records
        self._subscribers = subscribers
        self._telling: asyncio.Task[None] | None = None
        self._clock = loop.time
        self._publisher: StatusPublisher | None = None
        self._directory = ""
        self._recurrences: dict[str, tuple[MaintenanceSettings, Recurrence]] = {}
        self._forgot = 0.0

    async def run(self) -> None:
        """Until cancelled: soon after something happened, and now and then."""
        listener = self._runtime.subscribe(self._runtime.settings.tenant)
        changed = asyncio.Event()

        async def listen() -> None:
            async for kind, _ in listener:
                if kind in {"incident", "monitor", "reset"}:
                    changed.set()

        listening = asyncio.create_task(listen(), name="status page listens")
        try:
            while True:
                changed.clear()
                await self._publish()
                try:
                    async with asyncio.timeout(_LOOK_S):
                        await changed.wait()
                except TimeoutError:
                    pass
        finally:
            listener.close()
            tasks = [task for task in (listening, self._telling) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish(self) -> None:
        settings = self._runtime.settings
        if settings.status is None:
            return
        if self._publisher is None or self._directory != settings.status.directory:
            self._directory = settings.status.directory
            self._publisher = StatusPublisher(Path(self._directory), clock=self._clock)
        try:
            if self._clock() - self._forgot > _FORGET_EVERY_S:
                self._forgot = self._clock()
                await StatusUpdates(self._records).forget(before=self._runtime.now() - (DAYS + 1) * 86_400.0)
            source = await self._source()
        except StoreUnavailable as error:
            log.warning("the status page is old: %s", error, extra={"action": "status_page"})
            return
        view = status_view(source, now=self._runtime.now())
        await self._publisher.publish(view)
        if self._subscribers is not None and (self._telling is None or self._telling.done()):
            # Beside it: the page does not wait for somebody's mail server.
            self._telling = asyncio.create_task(self._tell(self._subscribers, view), name="status subscribers")

    async def _tell(self, subscribers: Subscribers, view: StatusView) -> None:
        try:
            await subscribers.tell(view)
        except* StoreUnavailable as errors:
            log.warning("subscribers are told later: %s", errors.exceptions[0], extra={"action": "status_subscriber"})

    async def _source(self) -> StatusSource:
        runtime, settings, now = self._runtime, self._runtime.settings, self._runtime.now()
        assert settings.status is not None  # noqa: S101 - looked at by the caller
        tenant = settings.tenant
        monitors = [view for view in await runtime.monitors(tenant) if view.public]
        keys = [f"{tenant}/{view.id}" for view in monitors]
        incidents = await runtime.incidents(tenant, standing=None, monitor=None, limit=_INCIDENTS, before=None)
        return StatusSource(
            settings=settings.status,
            monitors=monitors,
            incidents=incidents,
            spans=await self._records.spans(keys, since=now - DAYS * 86_400.0, until=now) if keys else (),
            watched_since={key: runtime.board.first(key) or now for key in keys},
            updates=await StatusUpdates(self._records).by_incident(),
            windows=self._windows(runtime.world, tenant, now),
            subscribe_url="" if self._subscribers is None else settings.public_url,
        )

    def _windows(self, world: World, tenant: str, now: float) -> list[Window]:
        """Public maintenances that run, and the next of those that come."""
        public = {name: each for name, each in world.maintenance.get(tenant, {}).items() if each.public}
        self._recurrences = {
            name: known
            if (known := self._recurrences.get(name)) is not None and known[0] == settings
            else (settings, Recurrence(settings))
            for name, settings in public.items()
        }
        found = []
        for name, (settings, recurrence) in self._recurrences.items():
            monitors = tuple(
                entry.id
                for entry in world.entries.values()
                if entry.tenant == tenant and matches(settings.match, labels_of(entry))
            )
            found += [
                Window(
                    id=name,
                    title=settings.title or "Maintenance",
                    starts=occurrence.since,
                    ends=occurrence.until,
                    monitors=monitors,
                )
                for occurrence in (recurrence.at(now), recurrence.coming(now))
                if occurrence is not None
            ]
        return found
