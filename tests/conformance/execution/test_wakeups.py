"""Nobody polls: waiters are woken by what is committed, here or in another process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.conformance.execution.world import World, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

SOON_S = 5.0
"""Far more than a wake-up takes, far less than anything here polls."""


@pytest.fixture
async def other(world: World) -> AsyncIterator[World]:
    """Another API process on the same database."""
    async with opened(World(world.database, world.settings, numbers=world.numbers)) as made:
        yield made


async def woken(world: World, seen: int | None = None) -> bool:
    """Whether the wait ends long before its deadline."""
    started = asyncio.get_running_loop().time()
    await world.queue.wait_for_work(deadline_s=2 * SOON_S, seen=seen)
    return asyncio.get_running_loop().time() - started < SOON_S


async def settled(world: World) -> int:
    """The signal of now, when no other is on its way any more."""
    while True:
        seen = (await world.give(free=0)).seen
        await world.queue.wait_for_work(deadline_s=0.1, seen=seen)
        if (await world.give(free=0)).seen == seen:
            return seen


async def test_a_submission_wakes_workers_at_every_api_process(world: World, other: World) -> None:
    seen = [await settled(one) for one in (world, other)]
    waits = [asyncio.create_task(woken(one, mark)) for one, mark in zip((world, other), seen, strict=True)]
    await world.submit()
    assert await asyncio.gather(*waits) == [True, True]


async def test_what_comes_between_asking_and_waiting_is_not_missed(world: World) -> None:
    await settled(world)
    given = await world.give(free=1)
    await world.submit()
    await settled(world)
    assert await woken(world, given.seen)


async def test_a_cancellation_wakes_the_worker(world: World) -> None:
    id = await world.submit()
    await world.claim()
    seen = await settled(world)
    wait = asyncio.create_task(woken(world, seen))
    await world.queue.cancel("t", id, now=world.now)
    assert await wait


async def test_a_retry_whose_backoff_is_over_wakes_workers(world: World) -> None:
    await world.submit()
    await world.report(returned=(world.returned(await world.claim()),))
    seen = await settled(world)
    wait = asyncio.create_task(woken(world, seen))
    world.now += 60
    await world.queue.tidy(now=world.now)
    assert await wait


async def test_without_work_a_wait_ends_at_its_deadline(world: World) -> None:
    await world.queue.wait_for_work(deadline_s=0.01, seen=await settled(world))


async def test_a_watcher_sees_every_change_of_its_job(world: World, other: World) -> None:
    id = await world.submit()
    watching = other.queue.watch(id)
    async with asyncio.timeout(SOON_S):
        await anext(watching)
        claim = await world.claim()
        while (await other.view(id)).attempts == 0:
            await anext(watching)
        await world.finish(claim)
        while (await other.view(id)).finished is None:
            await anext(watching)
    await watching.aclose()  # type: ignore[attr-defined]
    assert other.queue._wakeups._watchers == {}


async def test_a_watcher_is_woken_at_first(world: World) -> None:
    watching = world.queue.watch("nothing")
    await anext(watching)
    await watching.aclose()  # type: ignore[attr-defined]
