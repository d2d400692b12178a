"""Jobs that report themselves, to an engine that is not always there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.store import StoreUnavailable
from tests.integration.netpulse.engine.harness import BACKUP, TOKEN

if TYPE_CHECKING:
    from tests.integration.netpulse.engine.harness import House

pytestmark = pytest.mark.anyio


@pytest.fixture
async def waited(house: House) -> House:
    """A backup every minute, with 30 s of grace, that just came."""
    house.settings = house.with_monitors(backup=BACKUP)
    house.runtime.reconfigure(house.settings)
    assert await house.runtime.beat(TOKEN, failed=False, detail="")
    return house


async def overdue(house: House, seconds: float) -> None:
    for _ in range(int(seconds)):
        await house.advance(1.0)
        await house.runtime.missed()
    await house.runtime.settled()


async def test_a_job_that_does_not_come_is_paged_once_and_ends_when_it_comes(waited: House) -> None:
    await overdue(waited, 85.0)
    assert await waited.told() == []
    await overdue(waited, 200.0)
    assert await waited.told() == ["opened"]
    for _ in range(20):
        await waited.runtime.beat(TOKEN, failed=False, detail="")
        await waited.advance(30.0)
    assert await waited.told() == ["opened", "resolved"]


async def test_a_token_that_nobody_has_is_nobodys_heartbeat(waited: House) -> None:
    assert not await waited.runtime.beat("a-token-of-nobody", failed=False, detail="")


async def test_that_a_heartbeat_is_missing_is_said_when_the_store_is_back(waited: House) -> None:
    await waited.advance(89.0)
    waited.records.away = True
    waited.now += 2.0
    with pytest.raises(StoreUnavailable):
        await waited.runtime.missed()
    assert waited.running()
    waited.records.away = False
    await overdue(waited, 5.0)
    assert await waited.told() == ["opened"]


async def test_the_engine_outlives_a_store_that_is_away_when_a_heartbeat_is_missing(waited: House) -> None:
    await waited.advance(89.0)
    waited.records.away = True
    waited.now += 2.0
    tried = asyncio.Event()
    take = waited.records.take

    async def taking(*args: object, **fields: object) -> object:
        tried.set()
        return await take(*args, **fields)

    waited.records.take = taking  # type: ignore[method-assign]
    async with asyncio.timeout(10.0):
        await tried.wait()
    waited.runtime.tick()
    assert waited.running()


async def test_while_the_engine_was_away_no_heartbeat_is_missed(waited: House) -> None:
    await waited.runtime.checkpoint()
    await waited.restart(after_s=3600.0)
    await overdue(waited, 60.0)
    assert await waited.told() == []
    await overdue(waited, 60.0)
    assert await waited.told() == ["opened"]
