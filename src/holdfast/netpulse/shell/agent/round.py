"""An agent that sleeps: one round of probes, then it is gone until somebody starts it again.

::

    can we see? -> orders -> probe what is due -> deliver -> (a failure: what else is wanted?) -> leave

What is due in a round depends on the engine's clock and nothing that was kept: time is cut into rounds of equal
length, and a monitor is probed in the round in which its slot falls. One with a shorter interval than a round is
probed once; slots within a round are not kept to the second. A round that nobody started is not made up for.

What follows for the engine (docs/netpulse.md): the heartbeat has to be as long as a round, so that a region is not
lost between two; confirmations that others want are taken up only while a round lasts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

import holdfast
from holdfast.netpulse.core.protocol import Ask
from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.schedule import falls_within
from holdfast.netpulse.shell.agent.canaries import Canaries
from holdfast.netpulse.shell.agent.clock import Clock
from holdfast.netpulse.shell.agent.delivery import Delivery, Waiting
from holdfast.netpulse.shell.agent.errors import AgentError
from holdfast.netpulse.shell.agent.link import Link
from holdfast.netpulse.shell.agent.serve import take_up
from holdfast.netpulse.shell.agent.watch import probed, told
from holdfast.web.connections import places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.netpulse.core.protocol import Orders, Receipt, Target
    from holdfast.netpulse.core.settings import NetpulseSettings
    from holdfast.netpulse.shell.agent.ports import Engine, Prober
    from holdfast.netpulse.shell.agent.spool import Spool

log = logging.getLogger(__name__)

ROUND_S: Final = 60.0
"""Length of a round: how often an agent is started."""
DEADLINE_S: Final = 45.0
"""Of a round, from its beginning to its end."""
DELIVER_S: Final = 8.0
"""Kept of the deadline for what was seen: a probe that would go on into it is given up."""
LINGER_S: Final = 5.0
"""After a failure, how long the engine may take to want another look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a round."""

    due: int
    """Monitors whose slot was in it."""
    probed: int
    """Probes that ended, confirmations among them."""
    down: int
    abandoned: int
    """Probes that were still under way when the time was over; they say nothing."""
    blind: bool


class Round:
    """One round of one agent. The spool is the caller's to close."""

    def __init__(
        self,
        engine: Engine,
        spool: Spool,
        prober: Prober,
        canaries: Canaries,
        clock: Clock,
        *,
        name: str,
        region: str,
        most: int,
        rng: Random,
    ) -> None:
        """``most`` probes run at a time."""
        self._engine, self._spool, self._prober = engine, spool, prober
        self._canaries, self._clock = canaries, clock
        self._name, self._region = name, region
        self._epoch = secrets.token_hex(8)
        self._places = asyncio.Semaphore(max(1, most))
        self._confirmed = 0
        self._probed = self._down = self._abandoned = 0
        self._delivery = Delivery(
            engine, spool, clock, Waiting(rng), agent=name, region=region, received=self._received
        )

    async def run(self, *, length_s: float, deadline_s: float) -> Report:
        """See the module.

        Raises :class:`~.errors.Unanswered`, :class:`~.errors.Rejected` or :class:`~.errors.Forbidden` where the engine
        gives no orders or takes no results, and ``TimeoutError`` at the deadline; what was seen is in the spool then.
        """
        until = self._clock.steady() + deadline_s
        async with asyncio.timeout(deadline_s):
            if self._spool.committed:
                await self._delivery.finish()  # of a round whose engine was away
            await self._look()
            orders = await self._ask("")
            self._canaries.replace(orders.canaries or ())
            await self._look()
            targets = {target.monitor: target for target in orders.targets or ()}
            start = math.floor(orders.now / length_s) * length_s
            due = [
                target
                for target in targets.values()
                if falls_within(target.offset, float(target.spec.interval), start, length_s)
            ]
            await self._probe_all(due, until - DELIVER_S)
            await self._deliver()
            if self._down and (left := until - DELIVER_S - self._clock.steady()) > 0:
                more = await self._wanted(orders, min(LINGER_S, left))
                again = [targets[name] for name in sorted(more) if name in targets]
                await self._probe_all(again, until - DELIVER_S, confirm=True)
                await self._deliver()
        return Report(
            due=len(due),
            probed=self._probed,
            down=self._down,
            abandoned=self._abandoned,
            blind=self._canaries.sight.blind,
        )

    async def _look(self) -> None:
        """Find out whether we can see before we say so."""
        await self._canaries.doubt(self._clock.steady(), known=False)

    async def _ask(self, schedule: str) -> Orders:
        sight = self._canaries.sight
        ask = Ask(
            agent=self._name,
            region=self._region,
            epoch=self._epoch,
            now=self._clock.now(),
            sight=sight,
            schedule=schedule,
            confirmed=self._confirmed,
            version=holdfast.__version__,
            spooled=self._spool.spooled,
            dropped=self._spool.dropped,
        )
        orders = await self._engine.orders(ask, wait_s=LINGER_S)
        self._confirmed = max((self._confirmed, *(confirm.number for confirm in orders.confirms)))
        return orders

    async def _wanted(self, before: Orders, within_s: float) -> set[str]:
        """What the engine wants to have looked at again; mostly it says so at once, or not at all."""
        try:
            async with asyncio.timeout(within_s):
                orders = await self._ask(before.schedule)
        except TimeoutError:
            return set()
        return {confirm.monitor for confirm in orders.confirms}

    async def _probe_all(self, targets: Iterable[Target], until: float, *, confirm: bool = False) -> None:
        tasks = {asyncio.create_task(self._probe(target, confirm=confirm), name=target.monitor) for target in targets}
        if not tasks:
            return
        try:
            _, late = await asyncio.wait(tasks, timeout=max(0.0, until - self._clock.steady()))
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        if late:
            self._abandoned += len(late)
            log.warning("probes were abandoned", extra={"action": "probes_abandoned", "count": len(late)})
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure

    async def _probe(self, target: Target, *, confirm: bool) -> None:
        async with self._places:
            began = self._clock.steady()
            found = await probed(self._prober, target.spec, self._clock, began)
        outcome, failure, detail = found.outcome, found.failure, found.detail
        if outcome is Outcome.DOWN and (reason := await self._canaries.doubt(began, known=False)):
            outcome, failure, detail = Outcome.UNKNOWN, Failure.BLIND, reason
        self._probed += 1
        self._down += outcome is Outcome.DOWN
        at = self._clock.at(began)
        self._spool.add(told(found, target.monitor, at, outcome, failure, detail, confirm=confirm), hurry=False)

    async def _deliver(self) -> None:
        await self._spool.flush()
        await self._delivery.finish()

    def _received(self, receipt: Receipt) -> None:
        self._clock.offset_s = receipt.clock_offset_s


async def agent_round(
    settings: NetpulseSettings,
    *,
    region: str,
    name: str | None,
    prober: Prober,
    length_s: float = ROUND_S,
    deadline_s: float = DEADLINE_S,
    clock: Clock | None = None,
) -> Report:
    """Run one round for a region and leave.

    Raises :class:`AgentError` at the deadline, and what :meth:`Round.run` and :func:`~.serve.serve_agent` raise.
    """
    wanted = settings.agents
    clock = clock or Clock()
    who, bundle, spool = await take_up(wanted, region, name, clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(spool.close)
        link = Link(wanted.engine or f"https://{wanted.listen}", bundle)
        stack.push_async_callback(link.close)
        canaries = Canaries(wanted.canaries, clock, changed=lambda _: None)
        stack.push_async_callback(canaries.close)
        one = Round(
            link,
            spool,
            prober,
            canaries,
            clock,
            name=who.agent,
            region=who.region,
            most=places(wanted.concurrency),
            rng=Random(),
        )
        try:
            report = await one.run(length_s=length_s, deadline_s=deadline_s)
        except TimeoutError as error:
            raise AgentError(
                f"the round did not end within {deadline_s:g} s; what was seen and not delivered is in {wanted.spool}"
            ) from error
    log.info("a round", extra={"action": "agent_round", "region": region, "due": report.due, "down": report.down})
    return report
