"""Agents that have nothing to probe: they send full batches as fast as receipts come.

Run as ``python -m holdfast.drills.watch_sender PLAN``, a JSON object as in :class:`Plan`. Everything but the probing is
what agents do: mutual TLS, one batch at a time, numbers without gaps, one question for orders always open. Prints JSON:
``sent``, ``seconds`` and ``took_ms`` of each batch.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

import msgspec
import uvloop

from holdfast.netpulse.core.protocol import BATCH_RESULTS, Ask, Batch, Sight
from holdfast.netpulse.core.result import Failure, Outcome, Phases, Result
from holdfast.netpulse.errors import NetpulseError
from holdfast.netpulse.shell.agent.errors import Unanswered
from holdfast.netpulse.shell.agent.link import Link
from holdfast.netpulse.shell.certificates import find_bundle

FAILS: Final = 0.002
"""Of the results: what a path loses now and then, so that detectors have something to weigh."""
_AGAIN_S: Final = 0.05


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """What to send."""

    url: str
    certificates: str
    agents: dict[str, str]
    """Name -> region."""
    monitors: list[str]
    """``TENANT/ID``."""
    seconds: float
    rate_per_s: float = 0.0
    """Of all agents together; 0: as fast as receipts come."""
    seed: int = 0


class Scripted:
    """One such agent."""

    def __init__(self, url: str, certificates: Path, agent: str, region: str) -> None:
        bundle = find_bundle(certificates, agent)
        if bundle is None:
            raise SystemExit(f"{certificates} has no certificate of {agent}")
        self.link = Link(url, bundle)
        self.agent, self.region = agent, region
        self._spool, self._epoch = secrets.token_hex(8), secrets.token_hex(8)
        self._sent = 0

    async def send(self, results: list[Result]) -> None:
        """Number these, and send them until there is a receipt."""
        numbered = [msgspec.structs.replace(each, seq=self._sent + n) for n, each in enumerate(results, 1)]
        await self.send_numbered(numbered)

    async def send_numbered(self, results: list[Result]) -> None:
        """Send until there is a receipt."""
        while True:
            now = time.time()
            batch = Batch(agent=self.agent, region=self.region, spool=self._spool, now=now, results=tuple(results))
            try:
                receipt = await self.link.results(batch)
            except Unanswered:
                await asyncio.sleep(_AGAIN_S)
                continue
            if receipt.refused:
                raise SystemExit(f"{receipt.refused} results of {self.agent} were refused")
            self._sent = results[-1].seq
            return

    @property
    def next(self) -> int:
        """Number of the next result."""
        return self._sent + 1

    async def live(self) -> None:
        """Ask for orders, and follow none, until cancelled."""
        schedule, wait_s, confirmed = "", 5.0, 0
        while True:
            sight = Sight(blind=False, since=time.time())
            ask = Ask(
                agent=self.agent,
                region=self.region,
                epoch=self._epoch,
                now=time.time(),
                sight=sight,
                schedule=schedule,
                confirmed=confirmed,
            )
            try:
                orders = await self.link.orders(ask, wait_s=wait_s)
            except NetpulseError:
                await asyncio.sleep(_AGAIN_S)
                continue
            if orders.schedule == schedule:
                await asyncio.sleep(_AGAIN_S)
            schedule, wait_s = orders.schedule, orders.wait_s
            confirmed = max([confirmed, *(confirm.number for confirm in orders.confirms)])


def result(monitor: str, seq: int, at: float, rng: Random, *, fails: float = FAILS) -> Result:
    """What a real HTTPS check reports, nearly always up."""
    first = rng.lognormvariate(4, 0.5)
    up = rng.random() >= fails
    return Result(
        monitor=monitor,
        seq=seq,
        at=at,
        outcome=Outcome.UP if up else Outcome.DOWN,
        failure=Failure.NONE if up else Failure.STATUS,
        total_ms=round(first + 60.0, 3),
        phases=Phases(2.5, 12.25, 24.125, round(first, 3), 1.5),
        status=200 if up else 503,
        detail="" if up else "503 Service Unavailable",
        address="192.0.2.7",
        cert_days=60.0,
    )


async def send(plan: Plan) -> dict[str, object]:
    """Carry it out."""
    agents = [Scripted(plan.url, Path(plan.certificates), agent, region) for agent, region in plan.agents.items()]
    took_ms: list[float] = []
    sent = 0
    began = time.monotonic()
    until = began + plan.seconds
    each_per_s = plan.rate_per_s / len(agents)

    async def one(agent: Scripted, number: int) -> None:
        nonlocal sent
        rng = Random(f"{plan.seed}/{number}")
        monitors, at = plan.monitors, number
        # Made once: what is measured is the engine, and it shares the machine with whoever makes them.
        stock = [result(monitors[(at + n) % len(monitors)], 0, 0.0, rng) for n in range(max(len(monitors), 10_000))]
        replace, place = msgspec.structs.replace, 0
        due = time.monotonic()
        while time.monotonic() < until:
            count = BATCH_RESULTS if not each_per_s else max(1, round(each_per_s * 0.05))
            now = time.time()
            batch = []
            for seq in range(agent.next, agent.next + count):
                batch.append(replace(stock[place], seq=seq, at=now))
                place = (place + 1) % len(stock)
            sending = time.monotonic()
            await agent.send_numbered(batch)
            took_ms.append((time.monotonic() - sending) * 1e3)
            sent += count
            if each_per_s:
                due += count / each_per_s
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    living = [asyncio.create_task(agent.live()) for agent in agents]
    try:
        await asyncio.gather(*(one(agent, number * 7919) for number, agent in enumerate(agents)))
        return {"sent": sent, "seconds": time.monotonic() - began, "took_ms": took_ms}
    finally:
        for task in living:
            task.cancel()
        await asyncio.gather(*living, return_exceptions=True)
        for agent in agents:
            await agent.link.close()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(send(msgspec.json.decode(sys.argv[1].encode(), type=Plan)))))
