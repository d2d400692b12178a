"""Brings what is spooled to the engine, in order, one batch at a time.

While a batch is under way the next one grows, so batches are as large as they have to be. After a cut the backlog goes
first, up to 1,000 results per round trip: at 50 ms for one, commit included, an hour of 100 checks a second is caught
up with in 20 s, and fresh results are late by that much. They cannot overtake: a receipt covers all numbers below it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from holdfast.netpulse.core.protocol import BATCH_RESULTS, Batch
from holdfast.netpulse.shell.agent.errors import Forbidden, Rejected, Unanswered
from holdfast.resilience import equal_jitter

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from holdfast.netpulse.core.protocol import Receipt
    from holdfast.netpulse.shell.agent.clock import Clock
    from holdfast.netpulse.shell.agent.ports import Engine
    from holdfast.netpulse.shell.agent.spool import Spool

log = logging.getLogger(__name__)

BACKOFF_S: Final = (0.1, 5.0)
"""First and longest ceiling between two attempts to reach the engine."""
FORBIDDEN_S: Final = 30.0
"""Between two attempts of an agent that the engine will not have."""


class Waiting:
    """How long to wait before the engine is tried again; one for both conversations."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._answered = asyncio.Event()

    def answered(self) -> None:
        """The engine is there: nobody need wait any longer."""
        self._answered.set()

    async def back_off(self, what: str, failures: int, error: Exception) -> None:
        """Wait, the longer the more often it failed; less when the engine answers the other conversation."""
        base, cap = BACKOFF_S
        wait_s = equal_jitter(failures, self._rng, base_s=base, cap_s=cap)
        if isinstance(error, Unanswered):
            wait_s = max(wait_s, error.retry_after_s)
        if isinstance(error, Forbidden):
            wait_s = FORBIDDEN_S * (0.5 + self._rng.random() / 2)
        if failures in (0, 5) or failures % 60 == 0:  # (at the longest wait that is every four minutes)
            # Once is an engine that starts, perhaps beside this agent; a certificate that is refused is not.
            level = logging.INFO if failures == 0 and not isinstance(error, Forbidden) else logging.WARNING
            said = {"action": f"{what}_failed", "error": str(error), "failures": failures + 1}
            log.log(level, "no answer", extra=said)
        self._answered.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._answered.wait()


class Delivery:
    """Sends until cancelled."""

    def __init__(
        self,
        engine: Engine,
        spool: Spool,
        clock: Clock,
        waiting: Waiting,
        *,
        agent: str,
        region: str,
        received: Callable[[Receipt], None],
    ) -> None:
        """``received`` is called with each receipt."""
        self._engine = engine
        self._spool = spool
        self._clock = clock
        self._waiting = waiting
        self._agent, self._region = agent, region
        self._received = received
        self._most = BATCH_RESULTS

    async def run(self) -> None:
        """Send whatever comes."""
        failures = 0
        while True:
            try:
                await self.send()
                failures = 0
            except Unanswered as error:
                await self._waiting.back_off("results", failures, error)
                failures += 1

    async def finish(self) -> None:
        """Send what is there, once each. Raises :class:`Unanswered`."""
        while self._spool.committed:
            await self.send()

    async def send(self) -> None:
        """Send one batch, when there is one. Raises :class:`Unanswered`."""
        results = await self._spool.head(self._most)
        first, last = results[0].seq, results[-1].seq
        batch = Batch(
            agent=self._agent, region=self._region, spool=self._spool.id, now=self._clock.now(), results=tuple(results)
        )
        try:
            receipt = await self._engine.results(batch)
        except Rejected as error:
            if len(results) > 1:  # to find out which of them it is
                self._most = len(results) // 2
                return
            text = "the engine will never take this result"
            extra = {"action": "result_rejected", "monitor": results[0].monitor, "error": str(error)}
            log.error(text, extra=extra)  # noqa: TRY400 - the trace says nothing that the error does not
            self._spool.drop(last)
            return
        if not first <= receipt.upto <= last:
            raise Unanswered(f"a receipt for {receipt.upto}, but {first} to {last} were sent")
        self._most = min(BATCH_RESULTS, self._most * 2)
        self._spool.taken(receipt.upto)
        self._waiting.answered()
        self._received(receipt)
