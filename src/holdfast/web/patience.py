"""Waiting for a store that is away when the API starts: both may be coming back from the same outage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

from holdfast.resilience import equal_jitter
from holdfast.store import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S: Final = 20.0
"""Less than the 30 s in which a supervisor wants to see a service ready."""
_FIRST_S: Final = 0.1
_LONGEST_S: Final = 2.0


async def once_it_answers(work: Callable[[], Awaitable[T]], *, rng: Random, patience_s: float = PATIENCE_S) -> T:
    """Do the work, again and again while the store is unavailable. Raises ``StoreUnavailable`` after ``patience_s``."""
    loop = asyncio.get_running_loop()
    until, attempt = loop.time() + patience_s, 0
    while True:
        try:
            return await work()
        except StoreUnavailable as error:
            wait_s = equal_jitter(attempt, rng, base_s=_FIRST_S, cap_s=_LONGEST_S)
            attempt += 1
            if loop.time() + wait_s >= until:
                raise
            log.warning("the store is away", extra={"action": "store_away", "why": str(error), "again_in_s": wait_s})
            await asyncio.sleep(wait_s)
