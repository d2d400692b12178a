"""Calls to make when jobs have ended: committed with the end, taken by one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.execution.core.job import Verdict
from holdfast.execution.shell.queue import Callback, CallbackOutbox

if TYPE_CHECKING:
    from tests.conformance.execution.world import World

pytestmark = pytest.mark.anyio

URL = "https://example.org/done"


@pytest.fixture
def outbox(world: World) -> CallbackOutbox:
    return CallbackOutbox(world.database)


async def ended(world: World, tenant: str = "t") -> str:
    id = await world.submit(tenant, callback_url=URL)
    await world.finish(await world.claim())
    return id


async def due(world: World, outbox: CallbackOutbox, **options: object) -> list[Callback]:
    return await outbox.due(now=world.now, limit=10, lease_s=60, **options)  # type: ignore[arg-type]


async def test_a_call_is_due_once_its_job_has_ended(world: World, outbox: CallbackOutbox) -> None:
    id = await world.submit(callback_url=URL)
    claim = await world.claim()
    assert await outbox.next_due() is None
    assert await due(world, outbox) == []
    await world.finish(claim)
    assert await outbox.next_due() == world.now
    assert await due(world, outbox) == [Callback(job=id, tenant="t", url=URL, attempt=1)]


async def test_every_end_has_its_call(world: World, outbox: CallbackOutbox) -> None:
    cancelled = await world.submit(callback_url=URL)
    await world.queue.cancel("t", cancelled, now=world.now)
    late = await world.submit(callback_url=URL, deadline=world.now + 1)
    world.now += 1
    await world.queue.tidy(now=world.now)
    dead = await world.submit(callback_url=URL)
    for _ in range(3):
        await world.finish(await world.claim(), verdict=Verdict.INTERNAL_ERROR)
        world.now += 120
    silent = await world.submit()
    await world.finish(await world.claim())
    jobs = {callback.job for callback in await due(world, outbox)}
    assert jobs == {cancelled, late, dead}
    assert silent not in jobs


async def test_what_is_taken_is_due_again_when_its_lease_is_over(world: World, outbox: CallbackOutbox) -> None:
    await ended(world)
    (first,) = await due(world, outbox)
    assert await due(world, outbox) == []
    world.now += 60
    (second,) = await due(world, outbox)
    assert second.attempt == 2
    await outbox.dead(first, "too late to say")  # it was given on
    await outbox.delivered(second)
    world.now += 1000
    assert await due(world, outbox) == []
    assert await outbox.dead_letters("t", limit=10) == []


async def test_a_call_that_failed_is_due_when_it_was_said(world: World, outbox: CallbackOutbox) -> None:
    await ended(world)
    (callback,) = await due(world, outbox)
    await outbox.failed(callback, "500", next_due=world.now + 10)
    assert await due(world, outbox) == []
    world.now += 10
    assert [again.attempt for again in await due(world, outbox)] == [2]


async def test_tenants_that_have_enough_under_way_are_left_out(world: World, outbox: CallbackOutbox) -> None:
    await ended(world, "a")
    await ended(world, "b")
    assert [callback.tenant for callback in await due(world, outbox, except_of=["a"])] == ["b"]


async def test_a_dead_call_is_listed_and_may_be_replayed(world: World, outbox: CallbackOutbox) -> None:
    ids = [await ended(world) for _ in range(2)]
    for callback in await due(world, outbox):
        await outbox.dead(callback, "gone")
    letters = await outbox.dead_letters("t", limit=10)
    assert [(letter.job, letter.error, letter.attempts) for letter in letters] == [(id, "gone", 1) for id in ids[::-1]]
    assert await outbox.dead_letters("u", limit=10) == []
    assert await outbox.replay("u", jobs=None, now=world.now) == 0
    assert await outbox.replay("t", jobs=[ids[0]], now=world.now) == 1
    assert await outbox.replay("t", jobs=None, now=world.now) == 1
    assert {callback.attempt for callback in await due(world, outbox)} == {1}


async def test_a_call_goes_with_the_jobs_result(world: World, outbox: CallbackOutbox) -> None:
    await ended(world)
    world.now += world.settings.retention.results
    await world.queue.tidy(now=world.now)
    assert await due(world, outbox) == []
