"""A prober that finds what a target's address says, and an engine that takes everything."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.kernel import Duration
from holdfast.netpulse.core.protocol import Ask, Batch, Confirm, Orders, Receipt, Target
from holdfast.netpulse.core.result import NO_PHASES, Failure, Outcome, Phases, Result
from holdfast.netpulse.core.settings import CanarySettings, MonitorSettings, TcpCheck

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Found:
    """As a real prober finds."""

    outcome: Outcome = Outcome.UP
    failure: Failure = Failure.NONE
    total_ms: float = 1.0
    phases: Phases = NO_PHASES
    status: int = 0
    detail: str = ""
    address: str = "192.0.2.1"
    cert_days: float | None = None


DOWN = Found(outcome=Outcome.DOWN, failure=Failure.REFUSED)


def monitor(says: str = "up", *, interval_s: float = 0.1, timeout_s: float = 5.0) -> MonitorSettings:
    """Found ``up`` or ``down``, or the probe says nothing until its timeout (``hang``) or ``raises``."""
    return MonitorSettings(
        interval=Duration(interval_s), timeout=Duration(timeout_s), tcp=TcpCheck(address=f"{says}.example:1")
    )


def target(
    name: str, says: str = "up", *, interval_s: float = 0.1, timeout_s: float = 5.0, offset: float = 0.0
) -> Target:
    spec = monitor(says, interval_s=interval_s, timeout_s=timeout_s)
    return Target(monitor=f"t/{name}", spec=spec, offset=offset)


class ScriptedProber:
    """Counts, and notices when a target is probed twice at once."""

    def __init__(self) -> None:
        self.probes = 0
        self.running: dict[str, int] = {}
        self.twice = 0
        self.ended = asyncio.Event()
        self.says: dict[str, str] = {}
        self.release = asyncio.Event()

    async def probe(self, spec: MonitorSettings) -> Found:
        assert spec.tcp is not None
        says = spec.tcp.address.split(".")[0]
        says = self.says.get(says, says)
        self.probes += 1
        key = spec.tcp.address
        self.running[key] = self.running.get(key, 0) + 1
        try:
            if says.startswith("hang"):
                try:
                    async with asyncio.timeout(spec.timeout):
                        await self.release.wait()
                except TimeoutError:
                    return Found(outcome=Outcome.DOWN, failure=Failure.TIMEOUT, total_ms=spec.timeout * 1000.0)
            if says.startswith("raises"):
                raise RuntimeError("a bug")
            return DOWN if says.startswith("down") else Found()
        finally:
            self.running[key] -= 1


@dataclass
class ScriptedEngine:
    """Stores like the real one: ``(agent, spool, seq)`` once."""

    targets: tuple[Target, ...] = ()
    canaries: tuple[CanarySettings, ...] = ()
    version: str = "1"
    wait_s: float = 5.0
    asks: list[Ask] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    stored: dict[tuple[str, str, int], Result] = field(default_factory=dict)
    repeated: int = 0
    confirms: list[Confirm] = field(default_factory=list)
    clock_offset_s: float = 0.0
    on_take: Callable[[Batch], None] | None = None
    failure: Exception | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def orders(self, ask: Ask) -> Orders:
        if self.failure is not None:
            raise self.failure
        self.asks.append(ask)
        open_confirms = [each for each in self.confirms if each.number > ask.confirmed]
        if ask.schedule == self.version and not open_confirms:
            self.changed.clear()
            try:
                async with asyncio.timeout(self.wait_s):
                    await self.changed.wait()
            except TimeoutError:
                pass
            open_confirms = [each for each in self.confirms if each.number > ask.confirmed]
        fresh = ask.schedule != self.version
        return Orders(
            now=time.time(),
            wait_s=self.wait_s,
            schedule=self.version,
            targets=self.targets if fresh else None,
            canaries=self.canaries if fresh else None,
            confirms=tuple(open_confirms),
        )

    async def take(self, batch: Batch) -> Receipt:
        if self.failure is not None:
            raise self.failure
        self.batches.append(batch)
        for result in batch.results:
            key = (batch.agent, batch.spool, result.seq)
            if key in self.stored:
                self.repeated += 1
                assert self.stored[key].at == result.at, "a number is never given to another result"
            else:
                self.stored[key] = result
        if self.on_take is not None:
            self.on_take(batch)
        return Receipt(upto=batch.results[-1].seq, clock_offset_s=self.clock_offset_s)

    def results(self, name: str | None = None) -> list[Result]:
        return [each for each in self.stored.values() if name is None or each.monitor == f"t/{name}"]

    def order(self, *targets: Target) -> None:
        """Another schedule."""
        self.targets = targets
        self.version = f"{self.version}+"
        self.changed.set()

    def want(self, name: str) -> None:
        """A confirmation."""
        self.confirms.append(Confirm(number=len(self.confirms) + 1, monitor=f"t/{name}"))
        self.changed.set()
