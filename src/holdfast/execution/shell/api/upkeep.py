"""What has to be done once a second, and survives that it cannot be done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from holdfast.execution.shell.api.service import Service, backlog_s
from holdfast.store import StoreError

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
"""Leases and deadlines are seconds; an expired one is found this late at most."""
DEADLINE_S: Final = 15.0
"""A round that takes longer is given up; the next one goes on where it was."""


class Upkeep:
    """Expires what is due, and keeps figures fresh, until cancelled."""

    def __init__(
        self, service: Service, *, rng: Random, also: Callable[[float], Awaitable[object]] | None = None
    ) -> None:
        """``also`` is called with the time in each round, for what others need to have done."""
        self._service = service
        self._rng = rng
        self._also = also
        self._failing = False

    async def run(self) -> None:
        """A round about every second, jittered so that replicas do not meet in the store."""
        while True:
            await self.round()
            await asyncio.sleep(EVERY_S * (0.75 + self._rng.random() / 2))

    async def round(self) -> None:
        """One round. A failure is logged, once until it works again."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._round()
        except (StoreError, TimeoutError) as error:
            if not self._failing:
                log.warning("upkeep fails", extra={"action": "upkeep", "why": repr(error)})
            self._failing = True
        except Exception:
            log.exception("upkeep failed", extra={"action": "upkeep"})
            self._failing = True
        else:
            if self._failing:
                log.info("upkeep works again", extra={"action": "upkeep"})
            self._failing = False

    async def _round(self) -> None:
        service = self._service
        now = service.clock()
        tidied = await service.queue.tidy(now=now)
        service.metrics.lost(tidied.leases_expired)
        if tidied.deadlines_expired or tidied.leases_expired:
            service.job_ended()
        if tidied.leases_expired or tidied.workers_gone:
            log.warning(
                "workers fell silent",
                extra={"action": "lease", "leases": tidied.leases_expired, "workers": tidied.workers_gone},
            )
        service.live = dict(await service.queue.languages(now=now))
        state = await service.state()
        service.metrics.state(state, backlog_s(state), service.scale(state).wanted_workers)
        if self._also is not None:
            await self._also(now)
