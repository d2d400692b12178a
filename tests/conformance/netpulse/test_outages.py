"""A store that is full, locked or gone: nothing is half stored, and work goes on afterwards."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.incident import Decisions
from holdfast.store import StoreSettings, StoreUnavailable, open_database
from tests.conformance.netpulse.world import START, World, decided, incident, notice, seen

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def limit_pages(world: World, pages: int) -> None:
    await world.database.write(lambda tx: tx.all(f"PRAGMA max_page_count = {pages}"))


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    return StoreSettings(url=f"sqlite:{tmp_path}/records.db", deadline=Duration(1.0))


async def test_a_full_disk_stores_nothing_of_a_batch_and_takes_it_when_there_is_room(settings: StoreSettings) -> None:
    async with await open_database(settings) as database:
        world = World(database)
        await world.records.open(START)
        batch = [seen(START + number, detail="x" * 200) for number in range(1000)]
        await limit_pages(world, 1)  # as many as there are
        with pytest.raises(StoreUnavailable, match="room"):
            await world.take(*batch)
        assert await world.stored() == 0
        await limit_pages(world, 2**30)
        taken = await world.take(*batch)
        assert (list(taken.fresh), await world.stored()) == (batch, 1000)


async def test_a_full_disk_keeps_nothing_of_a_decision(settings: StoreSettings) -> None:
    async with await open_database(settings) as database:
        world = World(database)
        await world.records.open(START)
        one = incident(title="x" * 50_000)
        await limit_pages(world, 1)
        with pytest.raises(StoreUnavailable, match="room"):
            await world.records.decide(decided(one, notice(one)))
        assert await world.records.incidents("t", limit=9) == []
        assert await world.records.owed(START, limit=9, lease_s=1.0) == []
        await limit_pages(world, 2**30)
        await world.records.decide(decided(one, notice(one)))
        assert len(await world.records.owed(START, limit=9, lease_s=1.0)) == 1


async def test_a_locked_file_is_waited_for_then_told_and_written_when_it_is_free(
    settings: StoreSettings, tmp_path: Path
) -> None:
    async with await open_database(settings) as database:
        world = World(database)
        await world.records.open(START)
        other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked"):
                await world.take(seen())
            other.execute("ROLLBACK")
        finally:
            other.close()
        assert len((await world.take(seen())).fresh) == 1


async def test_records_that_are_not_open_say_so(world: World) -> None:
    engine = world.engine()
    for work in (engine.take([], agent="a", spool="s", first=1, upto=1), engine.upkeep(START), engine.checkpoint({})):
        with pytest.raises(Exception, match="open"):
            await work
    await engine.decide(Decisions())  # nothing to store


async def test_opening_again_is_a_new_engine_with_the_same_records(world: World) -> None:
    await world.take(seen())
    await world.records.close()
    await world.records.open(START)
    assert await world.stored() == 1
