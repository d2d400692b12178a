"""What happens without anybody's doing: leases, retention, and the grace after an outage of ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.execution.core.job import Status, Verdict
from holdfast.execution.core.ports import Tidied
from holdfast.execution.core.settings import ExecutionSettings, RetentionSettings
from holdfast.execution.shell.queue import upkeep
from holdfast.kernel import Duration
from holdfast.store import StoreUnavailable
from tests.conformance.execution.world import World, lease, opened

if TYPE_CHECKING:
    from holdfast.store import Database

pytestmark = pytest.mark.anyio


async def test_a_job_whose_worker_fell_silent_is_run_again(world: World) -> None:
    id = await world.submit()
    await world.claim()
    world.now += world.settings.lease.duration
    assert (await world.queue.tidy(now=world.now)).leases_expired == 1
    assert (await world.queue.tidy(now=world.now)).leases_expired == 0
    world.now += 60
    claim = await world.claim("other")
    assert (claim.id, claim.attempt) == (id, 2)


async def test_after_the_last_attempt_it_is_dead_and_says_why(world: World) -> None:
    id = await world.submit()
    for _ in range(3):
        await world.claim()
        world.now += 16
        await world.queue.tidy(now=world.now)
        world.now += 60
    dead = await world.view(id)
    assert dead.status is Status.DEAD
    assert dead.dead_reason is not None
    assert dead.dead_reason == "worker w was silent for 16 s (3 attempts of 3)"


async def test_after_a_start_leases_have_one_duration_to_be_renewed(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    await world.queue.close()
    world.now += 3600  # down
    async with opened(World(world.database, world.settings, now=world.now)) as back:
        assert (await back.queue.tidy(now=back.now)).leases_expired == 0
        back.now += 14
        assert (await back.report(held=(lease(claim),))).lost == ()
        back.now += 2
        assert (await back.queue.tidy(now=back.now)).leases_expired == 0
        await back.finish(claim)
        assert (await back.view(id)).verdict is Verdict.OK


async def test_after_the_store_was_away_leases_have_one_duration_to_be_renewed(database: Database) -> None:
    store: Any = Unreliable(database)
    async with opened(World(store)) as world:
        await world.submit()
        claim = await world.claim()
        world.now += 100
        store.away = True
        with pytest.raises(StoreUnavailable):
            await world.queue.tidy(now=world.now)
        store.away = False
        world.now += 100
        assert (await world.queue.tidy(now=world.now)).leases_expired == 0
        world.now += 10
        assert (await world.report(held=(lease(claim),))).lost == ()
        world.now += 16
        assert (await world.queue.tidy(now=world.now)).leases_expired == 1


class Unreliable:
    """A store that can be away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, work: Any, **options: Any) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        return await self._database.write(work, **options)


async def test_results_are_removed_first_and_jobs_later(world: World) -> None:
    id = await world.submit(metadata=b'{"a":1}')
    await world.finish(await world.claim(), stdout=b"out")
    done = await world.view(id)
    assert done.expires is not None
    world.now = done.expires - 1
    assert (await world.queue.tidy(now=world.now)).results_removed == 0
    world.now = done.expires
    assert (await world.queue.tidy(now=world.now)).results_removed == 1
    assert (await world.queue.tidy(now=world.now)).results_removed == 0
    expired = await world.view(id)
    assert (expired.expired, expired.result, expired.verdict) == (True, None, Verdict.OK)
    assert await world.queue.program("t", id) is None
    events = await world.queue.events("t", id, after=0)
    assert events is not None
    assert [event.kind for event in events] == ["queued", "finished"]
    world.now = (done.finished or 0) + world.settings.retention.jobs
    assert (await world.queue.tidy(now=world.now)).jobs_removed == 1
    assert await world.queue.job("t", id) is None
    left = [await rows(world, f"SELECT COUNT(*) FROM queue_{table}") for table in ("programs", "results", "events")]
    assert left == [[(0,)], [(0,)], [(0,)]]


async def rows(world: World, query: str) -> list[tuple[Any, ...]]:
    return await world.database.read(lambda tx: tx.all(query))


async def test_what_has_not_ended_is_kept_however_old(world: World) -> None:
    id = await world.submit()
    world.now += 10 * world.settings.retention.jobs
    assert await world.queue.tidy(now=world.now) == Tidied()
    assert (await world.claim()).id == id


async def test_one_call_does_a_bounded_amount_of_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "AT_ONCE", 3)
    await world.queue.submit([world.new(deadline=world.now + 1) for _ in range(8)], now=world.now)
    world.now += 1
    done = [(await world.queue.tidy(now=world.now)).deadlines_expired for _ in range(4)]
    assert done == [3, 3, 2, 0]


async def test_several_processes_may_tidy_at_the_same_time(world: World) -> None:
    await world.queue.submit([world.new(f"t{n % 4}", deadline=world.now + 1) for n in range(40)], now=world.now)
    world.now += 1
    queues = [World(world.database, world.settings).queue for _ in range(4)]
    done = await asyncio.gather(*(queue.tidy(now=world.now) for queue in queues))
    assert sum(one.deadlines_expired for one in done) == 40
    assert (await world.queue.state(now=world.now)).queued == 0


async def test_daily_costs_outlive_the_jobs_and_go_after_their_own_time(database: Database) -> None:
    settings = ExecutionSettings(
        retention=RetentionSettings(results=Duration(86_400), jobs=Duration(2 * 86_400), costs=Duration(10 * 86_400))
    )
    async with opened(World(database, settings)) as world:
        for cpu_ms in (10, 20):
            await world.submit()
            await world.finish(await world.claim(), cpu_ms=cpu_ms)
        await world.submit(language="cpp")
        await world.finish(await world.claim(), cpu_ms=5)
        for _ in range(10):
            world.now += 86_400
            await world.queue.tidy(now=world.now)
        assert await world.queue.jobs("t", limit=10, before=None) == []
        costs = await world.queue.costs("t", days=11, now=world.now)
        assert [(cost.language, cost.jobs, cost.cpu_us) for cost in costs] == [("cpp", 1, 5000), ("python", 2, 30_000)]
        assert await world.queue.costs("t", days=10, now=world.now) == []
        world.now += 86_400
        await world.queue.tidy(now=world.now)
        assert await world.queue.costs("t", days=400, now=world.now) == []
