"""The agent: asks the engine what to watch, watches, and tells what it saw.

::

    orders  --- I live, I see, I am so late --->  engine  --- schedule, canaries, confirmations --->  watch
    results --- what is spooled, in order ----->  engine  --- receipt -------------------------->  spool

An engine that is silent changes nothing about the watching; what is seen meanwhile is spooled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.netpulse.core.protocol import Ask
from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.errors import NetpulseError
from holdfast.netpulse.shell.agent import schedule_file
from holdfast.netpulse.shell.agent.canaries import MARGIN_S, Canaries
from holdfast.netpulse.shell.agent.delivery import Delivery, Waiting
from holdfast.netpulse.shell.agent.errors import Forbidden, Rejected, Unanswered
from holdfast.netpulse.shell.agent.schedule_file import Schedule
from holdfast.netpulse.shell.agent.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path
    from random import Random

    from holdfast.netpulse.core.protocol import Confirm, Orders, Receipt
    from holdfast.netpulse.core.result import Result
    from holdfast.netpulse.core.settings import CanarySettings
    from holdfast.netpulse.shell.agent.clock import Clock
    from holdfast.netpulse.shell.agent.ports import Engine, Prober
    from holdfast.netpulse.shell.agent.spool import Spool

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
"""Between two looks at the system's clock."""
PAUSE_S: Final = 0.1
"""An engine that answers at once and has nothing to say is asked again only after this."""
REPLAN_S: Final = 0.5
"""An engine's clock that moved by more moves the schedule."""
FAREWELL_S: Final = 2.0
"""How long the last results may take at the end; what is not received then is in the spool."""
REMEMBERED: Final = 4096
"""Confirmations that are known again when they are ordered twice."""


class Agent:
    """Watches until told to stop."""

    def __init__(
        self,
        engine: Engine,
        spool: Spool,
        prober: Prober,
        clock: Clock,
        *,
        name: str,
        region: str,
        epoch: str,
        version: str,
        schedule: Path,
        canaries: Sequence[CanarySettings],
        places: int,
        heartbeat_s: float,
        drain_s: float,
        rng: Random,
        renew: Callable[[], Coroutine[None, None, None]] | None = None,
    ) -> None:
        """``schedule`` is where the schedule is kept; ``renew`` looks for a new certificate."""
        self._engine = engine
        self._spool = spool
        self._clock = clock
        self._name, self._region = name, region
        self._epoch, self._version = epoch, version
        self._file = schedule
        self._drain_s = drain_s
        self._renew = renew
        self._wait_s = heartbeat_s
        self._schedule = ""
        self._confirmed = 0
        self._confirms: deque[Confirm] = deque(maxlen=REMEMBERED)
        self._sight_changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._canaries = Canaries(canaries, clock, changed=self._sight)
        self._watch = Watch(prober, self._canaries, clock, places=places, report=self._seen)
        self._waiting = Waiting(rng)
        self._delivery = Delivery(
            engine, spool, clock, self._waiting, agent=name, region=region, received=self._received
        )

    def stop(self) -> None:
        """Begin no more probes, end as :meth:`run` says. A second call abandons what is under way."""
        if self._stopping.is_set():
            self._stop_now.set()
        self._stopping.set()

    async def run(self) -> int:
        """Watch until :meth:`stop`; then probes may finish for the drain timeout, and what they saw is sent or kept.

        The spool is the caller's to close, which commits what waits.
        """
        if (kept := schedule_file.load(self._file, agent=self._name, region=self._region)) is not None:
            self._apply(kept)
        writing = asyncio.create_task(self._spool.run(), name="agent: spool")
        sending = asyncio.create_task(self._delivery.run(), name="agent: results")
        talks = [
            asyncio.create_task(self._orders_forever(), name="agent: orders"),
            asyncio.create_task(self._canaries.run(), name="agent: canaries"),
            asyncio.create_task(self._tick_forever(), name="agent: clock"),
        ]
        stopping = asyncio.create_task(self._stopping.wait(), name="agent: stop")
        tasks = [*talks, writing, sending, stopping]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                await task  # raises: none of them ends by itself
            await self._drain(sending)
            return 0
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._watch.stop(0.0)
            await self._canaries.close()

    async def _drain(self, sending: asyncio.Task[None]) -> None:
        log.info("draining", extra={"action": "agent_draining", "probing": self._watch.probing})
        watch = asyncio.create_task(self._watch.stop(self._drain_s), name="agent: drain")
        now = asyncio.create_task(self._stop_now.wait(), name="agent: stop now")
        try:
            await asyncio.wait({watch, now}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watch, now):
                task.cancel()
            await asyncio.gather(watch, now, return_exceptions=True)
        await self._spool.flush()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        with contextlib.suppress(TimeoutError, NetpulseError):
            async with asyncio.timeout(FAREWELL_S):
                await self._delivery.finish()

    # ---------------------------------------------------------------- what was seen

    def _seen(self, result: Result, urgent: bool) -> None:
        self._spool.add(result, hurry=urgent)

    def _sight(self, blind: bool) -> None:
        """The canaries have changed their mind."""
        self._sight_changed.set()
        since = self._clock.now() - MARGIN_S
        if blind and (count := self._spool.amend(lambda result: _doubted(result, since))):
            log.warning("failures are not believed any more", extra={"action": "agent_doubts", "count": count})

    def _received(self, receipt: Receipt) -> None:
        moved = receipt.clock_offset_s - self._clock.offset_s
        self._clock.offset_s = receipt.clock_offset_s
        if abs(moved) > REPLAN_S:
            log.warning(
                "the engine's clock is another", extra={"action": "agent_clock", "offset_s": receipt.clock_offset_s}
            )
            self._watch.clock_set()

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if step := self._clock.adjust():
                log.warning("the clock was set", extra={"action": "agent_clock_set", "step_s": round(step, 3)})
                self._spool.clock_set(step)
                # Until the next receipt this is the best guess: the engine's clock has not moved.
                self._clock.offset_s -= step
                self._watch.clock_set()

    # ---------------------------------------------------------------- orders

    async def _orders_forever(self) -> None:
        failures = 0
        while True:
            self._sight_changed.clear()
            asked_at = self._clock.steady()
            try:
                orders = await self._ask()
            except Forbidden as error:
                self._leave()
                await self._waiting.back_off("orders", failures, error)
                failures += 1
            except (Unanswered, Rejected) as error:
                await self._waiting.back_off("orders", failures, error)
                failures += 1
            else:
                if orders is None:  # there is something new to say
                    continue
                failures = 0
                self._waiting.answered()
                if not self._obey(orders) and self._clock.steady() - asked_at < PAUSE_S:
                    await asyncio.sleep(PAUSE_S)
            if failures and self._renew is not None:
                await self._renew()

    async def _ask(self) -> Orders | None:
        """Ask once; ``None`` when what was said is not true any more."""
        ask = asyncio.create_task(
            self._engine.orders(
                Ask(
                    agent=self._name,
                    region=self._region,
                    epoch=self._epoch,
                    now=self._clock.now(),
                    sight=self._canaries.sight,
                    schedule=self._schedule,
                    confirmed=self._confirmed,
                    version=self._version,
                    spooled=self._spool.spooled,
                    dropped=self._spool.dropped,
                    lag_p99_ms=round(self._watch.lag_p99_ms, 3),
                ),
                wait_s=self._wait_s,
            ),
            name="agent: one ask",
        )
        changed = asyncio.create_task(self._sight_changed.wait(), name="agent: sight")
        try:
            await asyncio.wait({ask, changed}, return_when=asyncio.FIRST_COMPLETED)
            return ask.result() if ask.done() else None
        finally:
            for task in (ask, changed):
                task.cancel()
            await asyncio.gather(ask, changed, return_exceptions=True)

    def _obey(self, orders: Orders) -> bool:
        """Do as ordered; whether there was anything."""
        self._wait_s = min(60.0, max(0.1, orders.wait_s))
        if orders.targets is not None:
            schedule = Schedule(
                agent=self._name,
                region=self._region,
                version=orders.schedule,
                targets=orders.targets,
                canaries=orders.canaries or (),
            )
            self._apply(schedule)
            schedule_file.save(self._file, schedule)
        for confirm in orders.confirms:
            if confirm not in self._confirms:
                self._confirms.append(confirm)
                self._watch.confirm(confirm.monitor)
        if orders.confirms:
            self._confirmed = max(confirm.number for confirm in orders.confirms)
        return orders.targets is not None or bool(orders.confirms)

    def _apply(self, schedule: Schedule) -> None:
        self._schedule = schedule.version
        self._canaries.replace(schedule.canaries)
        self._watch.replace(schedule.targets)
        log.info(
            "schedule",
            extra={"action": "agent_schedule", "version": schedule.version, "targets": len(schedule.targets)},
        )

    def _leave(self) -> None:
        """The engine will not have this agent: it asks nobody anything until that has changed."""
        if self._schedule:
            log.error(
                "the engine refuses this agent; it watches nothing until it is let in",
                extra={"action": "agent_refused"},
            )
            self._schedule = ""
            self._watch.replace(())


def _doubted(result: Result, since: float) -> Result | None:
    """What becomes of a failure that ended after ``since``, when the agent turns out to be blind."""
    if result.outcome is not Outcome.DOWN or result.at + result.total_ms / 1000.0 < since:
        return None
    return msgspec.structs.replace(
        result, outcome=Outcome.UNKNOWN, failure=Failure.BLIND, detail="the agent was found blind just after this"
    )
