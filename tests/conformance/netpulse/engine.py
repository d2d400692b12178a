"""An engine that works until it is killed: agents' batches, upkeep, decisions and a sender; ``engine.py URL``.

Each agent repeats what has no receipt, from the start, as a spool does. A line is said for each receipt.
"""

from __future__ import annotations

import asyncio
import os
import sys
from random import Random
from typing import TYPE_CHECKING, Final

from holdfast.netpulse.core.settings import RetentionSettings
from holdfast.netpulse.shell.records import NetpulseRecords, rollups
from holdfast.store import StoreSettings, open_database
from tests.conformance.netpulse.world import START, decided, incident, notice, seen

if TYPE_CHECKING:
    from holdfast.store import Database

AGENTS: Final = ("a", "b", "c")
BATCH: Final = 20


async def main(url: str) -> None:
    rollups.BLOCK = 30  # type: ignore[misc]  # many small blocks, so that a kill falls into one
    async with await open_database(StoreSettings(url=url)) as database:
        records = NetpulseRecords(database, RetentionSettings(), rng=Random(1))
        await records.open(START)
        await asyncio.gather(
            *(agent(records, name) for name in AGENTS), look_after(records), decide(records, database), send(records)
        )


async def agent(records: NetpulseRecords, name: str) -> None:
    upto = 0
    while True:
        batch = [seen(START + number % 3600, region=name) for number in range(upto + 1, upto + 1 + BATCH)]
        taken = await records.take(batch, agent=name, spool="s", first=upto + 1, upto=upto + BATCH)
        upto = taken.upto
        os.write(1, f"{name} {upto}\n".encode())  # at once, and whole


async def look_after(records: NetpulseRecords) -> None:
    while True:
        await records.upkeep(START)


async def decide(records: NetpulseRecords, database: Database) -> None:
    row = await database.read(lambda tx: tx.one("SELECT count(*) FROM netpulse_incidents"))
    number = 0 if row is None else int(row[0])
    while True:
        number += 1
        one = incident(number)
        await records.decide(decided(one, notice(one)))
        os.write(1, f"{one.id} 1\n".encode())


async def send(records: NetpulseRecords) -> None:
    while True:
        for delivery in await records.owed(START, limit=5, lease_s=30.0):
            await records.delivered(delivery, START)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
