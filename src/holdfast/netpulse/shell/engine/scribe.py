"""Decisions go to the records one after the other, and are acted on when they are there."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final

from holdfast.netpulse.core.incident import Decisions
from holdfast.netpulse.core.ports import Records
from holdfast.resilience import equal_jitter
from holdfast.store import StoreUnavailable

log = logging.getLogger(__name__)

PENDING: Final = 2000
"""Decisions that may wait for the records. With more, agents are told to keep their results."""
_BACKOFF_MIN_S: Final = 0.1
_BACKOFF_MAX_S: Final = 5.0


class Scribe:
    """Keeps order: what was decided first is stored first, and nothing is acted on before it is stored."""

    def __init__(self, records: Records, *, act: Callable[[Decisions], None], rng: Random) -> None:
        self._records = records
        self._act = act
        self._rng = rng
        self._waiting: deque[tuple[Decisions, asyncio.Event]] = deque()
        """Each with what is set once it is stored."""
        self._there = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether more than :data:`PENDING` decisions wait."""
        return len(self._waiting) >= PENDING

    def put(self, decisions: Decisions) -> None:
        """Store these after those before. What needs no storing is acted on at once."""
        if not decisions.to_store:
            self._act(decisions)
            return
        self._waiting.append((decisions, asyncio.Event()))
        self._there.set()

    async def flushed(self) -> None:
        """Return when everything put so far has been stored and acted on, whatever comes meanwhile."""
        if self._waiting:
            await self._waiting[-1][1].wait()

    async def run(self) -> None:
        """Until cancelled. Raises what is no passing failure of the store: then this process has to end."""
        while True:
            await self._there.wait()
            self._there.clear()
            while self._waiting:
                decisions, stored = self._waiting[0]
                await self._store(decisions)
                self._waiting.popleft()
                self._act(decisions)
                stored.set()

    async def _store(self, decisions: Decisions) -> None:
        attempt = 0
        while True:
            try:
                await self._records.decide(decisions)
                return
            except StoreUnavailable as error:
                wait_s = equal_jitter(attempt, self._rng, base_s=_BACKOFF_MIN_S, cap_s=_BACKOFF_MAX_S)
                attempt += 1
                log.warning(
                    "decisions wait for the store: %s",
                    error,
                    extra={"action": "decide", "waiting": len(self._waiting), "again_in_s": round(wait_s, 2)},
                )
                await asyncio.sleep(wait_s)
