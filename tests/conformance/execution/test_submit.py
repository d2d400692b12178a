"""Taking jobs in: repeated posts, batches, admission."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.execution.core.job import Priority, Status, Verdict
from holdfast.execution.core.ports import Accepted, Refused
from holdfast.execution.core.settings import AdmissionSettings, ExecutionSettings, FairnessSettings
from holdfast.kernel import Duration, Size
from tests.conformance.execution.world import World, opened

if TYPE_CHECKING:
    from holdfast.store import Database

pytestmark = pytest.mark.anyio

SECOND_US = 1_000_000


async def test_a_hundred_posts_with_one_key_at_the_same_time_make_one_job(world: World) -> None:
    posts = [world.new(idempotency_key="k", fingerprint=b"f") for _ in range(100)]
    answers = await asyncio.gather(*(world.queue.submit([post], now=world.now) for post in posts))
    outcomes = [outcome for answer in answers for outcome in answer]
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert len({outcome.id for outcome in outcomes if isinstance(outcome, Accepted)}) == 1
    assert [outcome for outcome in outcomes if isinstance(outcome, Accepted) and not outcome.repeated][1:] == []
    assert len(await world.queue.jobs("t", limit=10, before=None)) == 1


async def test_a_key_that_comes_twice_in_one_batch_makes_one_job(world: World) -> None:
    first, second = await world.queue.submit(
        [world.new(idempotency_key="k", fingerprint=b"f") for _ in range(2)], now=world.now
    )
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.repeated, second.repeated) == (False, True)
    assert first.id == second.id


async def test_a_key_with_another_body_is_a_conflict(world: World) -> None:
    await world.submit(idempotency_key="k", fingerprint=b"f")
    (outcome,) = await world.queue.submit([world.new(idempotency_key="k", fingerprint=b"g")], now=world.now)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "idempotency_conflict"


async def test_tenants_have_keys_of_their_own(world: World) -> None:
    one = await world.submit("a", idempotency_key="k", fingerprint=b"f")
    two = await world.submit("b", idempotency_key="k", fingerprint=b"g")
    assert one != two


async def test_a_key_is_remembered_as_long_as_the_result(world: World) -> None:
    first = await world.submit(idempotency_key="k", fingerprint=b"f")
    await world.finish(await world.claim())
    world.now += world.settings.retention.results - 1
    await world.queue.tidy(now=world.now)
    assert await world.submit(idempotency_key="k", fingerprint=b"f") == first
    world.now += 1
    await world.queue.tidy(now=world.now)
    assert await world.submit(idempotency_key="k", fingerprint=b"f") != first


async def test_jobs_of_many_posts_are_one_write(world: World) -> None:
    jobs = [world.new(f"t{n % 3}") for n in range(20)]
    outcomes = await world.queue.submit(jobs, now=world.now)
    assert [outcome.id for outcome in outcomes if isinstance(outcome, Accepted)] == [job.id for job in jobs]
    state = await world.queue.state(now=world.now)
    assert {tenant: one.queued for tenant, one in state.per_tenant.items()} == {"t0": 7, "t1": 7, "t2": 6}


async def test_the_position_counts_ones_own_jobs_and_as_many_of_each_other_tenant(world: World) -> None:
    await world.queue.submit([world.new("busy") for _ in range(50)], now=world.now)
    outcomes = await world.queue.submit([world.new("me") for _ in range(3)], now=world.now)
    assert [outcome.position for outcome in outcomes if isinstance(outcome, Accepted)] == [1, 3, 5]


async def test_what_a_job_will_cost_is_learnt_from_those_before_it(world: World) -> None:
    async def reserved() -> int:
        await world.submit(cost_estimate_us=0)
        return (await world.queue.state(now=world.now)).backlog_us

    assert await reserved() == SECOND_US  # nobody has run this language
    await world.finish(await world.claim(), cpu_ms=40)
    assert await reserved() == 40_000
    await world.finish(await world.claim(), cpu_ms=120)
    assert await reserved() == 50_000


async def test_a_job_is_heavy_when_its_like_took_long_or_when_it_is_compiled(world: World) -> None:
    await world.submit(cost_estimate_us=0)
    await world.finish(await world.claim(), cpu_ms=2500)
    await world.submit(cost_estimate_us=0)
    await world.submit("u", cost_estimate_us=0, language="cpp", heavy=True)
    heavy = await world.database.read(lambda tx: tx.all("SELECT heavy FROM queue_jobs WHERE status = 'queued'"))
    assert heavy == [(1,), (1,)]


def bounded(**values: object) -> ExecutionSettings:
    return ExecutionSettings(admission=AdmissionSettings(**values))  # type: ignore[arg-type]


async def test_a_tenant_whose_queue_would_take_too_long_is_told_when_to_come_back(database: Database) -> None:
    async with opened(World(database, bounded(tenant_backlog=Duration(10)))) as world:
        outcomes = await world.queue.submit([world.new(cost_estimate_us=SECOND_US) for _ in range(14)], now=world.now)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert len(refused) == 3  # no worker yet: one CPU is assumed, and what stands before a job is what counts
        assert {one.reason for one in refused} == {"tenant_backlog"}
        assert all(one.retry_after_s and one.retry_after_s >= 1 for one in refused)
        await world.submit("another")


async def test_a_batch_that_does_not_fit_is_refused_as_a_whole(database: Database) -> None:
    async with opened(World(database, bounded(tenant_backlog=Duration(10)))) as world:
        batch = [world.new(cost_estimate_us=SECOND_US) for _ in range(14)]
        outcomes = await world.queue.submit(batch, now=world.now, together=True)
        assert {outcome.reason for outcome in outcomes if isinstance(outcome, Refused)} == {"tenant_backlog"}
        assert not any(isinstance(outcome, Accepted) for outcome in outcomes)
        assert (await world.queue.state(now=world.now)).queued == 0
        outcomes = await world.queue.submit(batch[:11], now=world.now, together=True)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)


async def test_when_all_queues_are_too_long_everybody_is_refused(database: Database) -> None:
    async with opened(World(database, bounded(total_backlog=Duration(20)))) as world:
        for n in range(21):
            await world.submit(f"t{n}", cost_estimate_us=SECOND_US)
        (outcome,) = await world.queue.submit([world.new("last")], now=world.now)
        assert isinstance(outcome, Refused)
        assert outcome.reason == "total_backlog"


async def test_more_slots_admit_more_work(database: Database) -> None:
    async with opened(World(database, bounded(tenant_backlog=Duration(10)))) as world:
        await world.give(free=0, slots=4)
        outcomes = await world.queue.submit([world.new(cost_estimate_us=SECOND_US) for _ in range(60)], now=world.now)
        assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 41


async def test_what_was_used_today_counts_until_midnight(database: Database) -> None:
    async with opened(World(database, bounded(daily_cpu=Duration(2)))) as world:
        await world.submit()
        await world.finish(await world.claim(), cpu_ms=2000)
        (outcome,) = await world.queue.submit([world.new()], now=world.now)
        assert isinstance(outcome, Refused)
        assert outcome.reason == "daily_cpu"
        world.now += outcome.retry_after_s or 0
        await world.submit()


async def test_a_store_that_runs_short_takes_nothing_more(database: Database) -> None:
    async with opened(World(database, bounded(min_free=Size(2**60)))) as world:
        (outcome,) = await world.queue.submit([world.new()], now=world.now)
        if database.free_bytes() is None:
            assert isinstance(outcome, Accepted)  # the room is on another machine, which does its own watching
        else:
            assert isinstance(outcome, Refused)
            assert outcome.reason == "storage"


async def test_within_a_tenant_priority_goes_first_and_waiting_makes_up_for_it(database: Database) -> None:
    ageing = 30.0
    settings = ExecutionSettings(fairness=FairnessSettings(ageing=Duration(ageing)))
    async with opened(World(database, settings)) as world:
        low = await world.submit(priority=Priority.LOW)
        world.now += 1
        normal = await world.submit()
        high = await world.submit(priority=Priority.HIGH)
        world.now += 2 * ageing
        late = await world.submit(priority=Priority.HIGH)
        order = []
        for _ in range(4):
            claim = await world.claim()
            order.append(claim.id)
            await world.finish(claim)
        assert order == [high, normal, low, late]


async def test_a_job_in_a_language_that_no_worker_has_waits_for_one(world: World) -> None:
    id = await world.submit(language="cobol")
    other = await world.submit()
    assert (await world.claim()).id == other
    assert (await world.give(free=1)).claims == ()
    assert (await world.view(id)).status is Status.QUEUED
    assert (await world.queue.state(now=world.now)).unrunnable == {"cobol": 1}
    claim = await world.claim("w2", languages={"cobol": "3.2"})
    assert claim.id == id
    await world.finish(claim, "w2")
    assert (await world.view(id)).verdict is Verdict.OK
