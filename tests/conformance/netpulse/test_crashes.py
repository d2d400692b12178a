"""An engine that is killed in the middle of everything has lost nothing and counted nothing twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from holdfast.netpulse.core.settings import RetentionSettings
from holdfast.store import open_database
from tests.conformance.netpulse.engine import AGENTS
from tests.conformance.netpulse.world import START, World

if TYPE_CHECKING:
    from holdfast.store import StoreSettings

RECEIPTS = 60


def killed_engine(url: str) -> dict[str, int]:
    """Run one until it has said enough; the highest number of each agent that it gave a receipt for."""
    command = [sys.executable, "-m", "tests.conformance.netpulse.engine", url]
    said: dict[str, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for number, line in enumerate(process.stdout):
                if number == RECEIPTS:
                    process.send_signal(signal.SIGKILL)
                if line.endswith("\n"):  # the last may be cut off
                    name, upto = line.split()
                    said[name] = int(upto)
        finally:
            process.send_signal(signal.SIGKILL)
    assert len(said) >= RECEIPTS // 10
    return said


def test_what_was_acknowledged_is_there_once_after_every_kill(store_settings: StoreSettings) -> None:
    async def check(said: dict[str, int]) -> None:
        async with await open_database(store_settings) as database:
            world = World(database, RetentionSettings())
            await world.records.open(START)
            stored = await world.stored()
            for _ in range(2):  # half rolled up, then all of it
                up, decided = (await world.records.counts(["t/web"], since=START - 3600, until=START + 7200))["t/web"]
                assert up == decided == stored
                await world.records.upkeep(START)
            found, before = 0, None
            while True:
                page, before = await world.records.checks("t/web", since=0, until=2e9, limit=1000, before=before)
                found += len(page)
                if before is None:
                    break
            assert found == stored >= sum(said.get(name, 0) for name in AGENTS)
            for id in said.keys() - set(AGENTS):
                assert await world.records.incident("t", id) is not None
                ((_, state, _),) = await world.records.notices(id)
                assert state in {"waiting", "sent"}
            waiting = len(await world.records.owed(START + 1e6, limit=10_000, lease_s=0.0))
            assert waiting == (await world.records.figures())["owed"]

    for _ in range(3):
        asyncio.run(check(killed_engine(store_settings.url)))
