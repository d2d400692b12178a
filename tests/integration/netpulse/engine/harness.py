"""An engine whose time passes when a test says so, and agents that are told what they saw."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.kernel import Duration
from holdfast.netpulse.core.protocol import Ask, Batch, Sight
from holdfast.netpulse.core.result import Failure, Outcome, Result
from holdfast.netpulse.core.settings import (
    ChannelSettings,
    HeartbeatCheck,
    HttpCheck,
    MonitorSettings,
    NetpulseSettings,
    RegionSettings,
    RouteSettings,
    StepSettings,
    WebhookChannel,
)
from holdfast.netpulse.shell.engine import Runtime
from holdfast.netpulse.shell.records import NetpulseRecords
from holdfast.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.netpulse.core.incident import Incident
    from holdfast.netpulse.core.protocol import Receipt
    from holdfast.store import Database

START: Final = 1_790_000_040.0
INTERVAL_S: Final = 30.0
REGIONS: Final = ("ap", "eu", "us")
TOKEN: Final = "a-token-of-tests-0"
WEB: Final = MonitorSettings(http=HttpCheck(url="https://www.example.com/"), interval=Duration(INTERVAL_S))
SHOP: Final = MonitorSettings(http=HttpCheck(url="https://shop.example.net/"), interval=Duration(INTERVAL_S))
BACKUP: Final = MonitorSettings(
    heartbeat=HeartbeatCheck(period=Duration(60.0), grace=Duration(30.0), token=TOKEN), interval=Duration(INTERVAL_S)
)
SETTINGS: Final = NetpulseSettings(
    tenant="t",
    regions={name: RegionSettings(domain=f"provider-{name}") for name in REGIONS},
    monitors={"web": WEB},
    channels={"pager": ChannelSettings(webhook=WebhookChannel(url="https://pager.example.org/"))},
    routes=(RouteSettings(steps=(StepSettings(channels=("pager",)),)),),
)


class Flaky(NetpulseRecords):
    """Records whose store can be away."""

    away = False
    """Nothing is written."""

    async def take(self, *args: Any, **fields: Any) -> Any:
        return await self._perhaps(super().take, *args, **fields)

    async def decide(self, *args: Any) -> None:
        await self._perhaps(super().decide, *args)

    async def checkpoint(self, *args: Any) -> None:
        await self._perhaps(super().checkpoint, *args)

    async def drop_monitor(self, *args: Any) -> None:
        await self._perhaps(super().drop_monitor, *args)

    async def put_monitor(self, *args: Any) -> None:
        await self._perhaps(super().put_monitor, *args)

    async def _perhaps(self, call: Callable[..., Any], *args: Any, **fields: Any) -> Any:
        if self.away:
            raise StoreUnavailable("the store is away")
        return await call(*args, **fields)


class House:
    """Everything happens at :attr:`now`, which only tests move."""

    def __init__(self, database: Database, settings: NetpulseSettings = SETTINGS) -> None:
        self.database = database
        self.settings = settings
        self.now = START
        self.seqs: Counter[str] = Counter()
        self.living = list(REGIONS)
        self.blind: set[str] = set()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Another process, on what the one before stored."""
        self.records = Flaky(self.database, self.settings.retention, rng=Random(1))
        self.runtime = Runtime(self.settings, self.records, clock=lambda: self.now, rng=Random(7))
        await self.runtime.open()
        self._running = asyncio.create_task(self.runtime.run(), name="engine under test")

    async def kill(self) -> None:
        """As with ``kill -9``: nothing is stored any more."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def restart(self, *, after_s: float = 0.0) -> None:
        """Killed, and started again."""
        await self.kill()
        self.now += after_s
        await self.start()
        await self.hear()

    async def failed(self) -> BaseException:
        """What the engine ended with, by itself."""
        assert self._running is not None
        await asyncio.wait({self._running}, timeout=10.0)
        found = self._running.exception()
        assert found is not None
        return found

    def running(self) -> bool:
        return self._running is not None and not self._running.done()

    async def hear(self, *regions: str, blind: bool = False, epoch: str = "e") -> None:
        """Their agents ask for orders, and are answered at once: they have no schedule yet."""
        for region in regions or REGIONS:
            sight = Sight(blind=blind, since=self.now, reason="no canary answers" if blind else "")
            await self.runtime.orders(Ask(agent=region, region=region, epoch=epoch, now=self.now, sight=sight))

    def result(self, region: str, monitor: str = "t/web", *, up: bool = True, **fields: Any) -> Result:
        """What an agent would say next."""
        self.seqs[region] += 1
        values: dict[str, Any] = {
            "seq": self.seqs[region],
            "at": self.now - 0.2,
            "outcome": Outcome.UP if up else Outcome.DOWN,
            "failure": Failure.NONE if up else Failure.REFUSED,
            "total_ms": 50.0,
        }
        return Result(monitor=monitor, **values | fields)

    def batch(self, region: str, results: Sequence[Result], **fields: Any) -> Batch:
        values: dict[str, Any] = {"agent": region, "region": region, "spool": "s", "now": self.now}
        return Batch(results=tuple(results), **values | fields)

    async def see(self, *, up: bool, monitor: str = "t/web", regions: Sequence[str] = REGIONS) -> list[Receipt]:
        """One check from each region."""
        return [
            await self.runtime.take(self.batch(region, [self.result(region, monitor, up=up)])) for region in regions
        ]

    async def advance(self, seconds: float) -> None:
        """Time passes, the agents live, and what is due happens: each second, as in earnest."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 1.0)
            for region in self.living:
                await self.hear(region, blind=region in self.blind)
            self.runtime.tick()
            await self.runtime.settled()

    async def rounds(self, count: int, *, up: bool, monitor: str = "t/web") -> None:
        """So many intervals."""
        for _ in range(count):
            await self.see(up=up, monitor=monitor)
            await self.advance(INTERVAL_S)

    async def incidents(self, *, standing: bool | None = None) -> list[Incident]:
        """Those that are stored, newest first."""
        await self.runtime.settled()
        return list(await self.records.incidents("t", standing=standing, limit=100))

    async def told(self) -> list[str]:
        """Events of all messages that were ever owed, by time."""
        found = [notice for one in await self.incidents() for notice, *_ in await self.records.notices(one.id)]
        return [notice.event for notice in sorted(found, key=lambda notice: notice.at)]

    def with_monitors(self, **monitors: MonitorSettings) -> NetpulseSettings:
        """The settings, with others to watch."""
        return msgspec.structs.replace(self.settings, monitors=monitors)
