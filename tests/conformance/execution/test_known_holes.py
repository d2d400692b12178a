"""What the design before this one got wrong in its queue: each hole by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.execution.core.job import Status, Verdict
from holdfast.execution.core.ports import Refused
from holdfast.execution.core.settings import AdmissionSettings, ExecutionSettings
from holdfast.kernel import Duration
from tests.conformance.execution.world import World, lease, opened

if TYPE_CHECKING:
    from holdfast.store import Database

pytestmark = pytest.mark.anyio


async def test_quota_slot_leaked_when_a_runner_dies(world: World) -> None:
    """It held its tenant's slot for ever."""
    for _ in range(3):
        await world.submit()
    assert len((await world.give(free=4)).claims) == 3
    assert (await world.queue.state(now=world.now)).per_tenant["t"].running == 3
    world.now += 16
    await world.queue.tidy(now=world.now)
    assert (await world.queue.state(now=world.now)).per_tenant["t"].running == 0
    world.now += 60
    assert len((await world.give("new", free=4)).claims) == 3


async def test_a_job_counted_done_at_dispatch(world: World) -> None:
    """Figures and costs of jobs that had only been handed to a runner."""
    id = await world.submit()
    claim = await world.claim()
    assert (await world.view(id)).status is Status.RUNNING
    assert (await world.queue.state(now=world.now)).running == 1
    assert await world.queue.costs("t", days=1, now=world.now) == []
    assert [job.id for job in await world.queue.jobs("t", status=Status.FINISHED, limit=9, before=None)] == []
    await world.finish(claim)
    assert [cost.jobs for cost in await world.queue.costs("t", days=1, now=world.now)] == [1]


async def test_cost_history_shorter_than_the_report(world: World) -> None:
    """Costs were computed from jobs, which were removed long before the longest report began."""
    start = world.now
    for day in range(0, 400, 40):
        world.now = start + day * 86_400
        await world.submit()
        await world.finish(await world.claim())
        await world.queue.tidy(now=world.now)
        await world.queue.tidy(now=world.now)
    longest = int(world.settings.retention.costs / 86_400)
    costs = await world.queue.costs("t", days=longest, now=world.now)
    assert [cost.jobs for cost in costs] == [1] * 10
    assert len(await world.queue.jobs("t", limit=99, before=None)) < 10


async def test_non_atomic_replay(database: Database) -> None:
    """A replay that ran into the quota left one part of the letters queued, and another run doubled it."""
    settings = ExecutionSettings(admission=AdmissionSettings(tenant_backlog=Duration(5)))
    async with opened(World(database, settings)) as world:
        await world.give(free=0, slots=1)
        ids = []
        for _ in range(4):
            ids.append(await world.submit(cost_estimate_us=3_000_000))
            for _ in range(3):
                await world.report(returned=(world.returned(await world.claim()),))
                world.now += 120
        for _ in range(2):
            refused = await world.queue.replay("t", ids=None, reason=None, language=None, now=world.now)
            assert isinstance(refused, Refused)
            assert [(await world.view(id)).status for id in ids] == [Status.DEAD] * 4
        queued = await world.queue.replay("t", ids=ids[:2], reason=None, language=None, now=world.now)
        again = await world.queue.replay("t", ids=ids[:2], reason=None, language=None, now=world.now)
        assert (queued, again) == (ids[:2], [])


async def test_dead_workers_result_written_after_its_lease_was_given_on(world: World) -> None:
    """The runner that had been paused overwrote the result of the one that took over."""
    id = await world.submit()
    paused = await world.claim("paused")
    world.now += 16
    await world.queue.tidy(now=world.now)
    world.now += 60
    second = await world.claim("second")
    assert (await world.finish(paused, "paused", stdout=b"stale")).lost == (lease(paused),)
    await world.finish(second, "second", stdout=b"fresh")
    assert (await world.finish(paused, "paused", stdout=b"stale")).lost == (lease(paused),)
    result = (await world.view(id)).result
    assert result is not None
    assert (result.stdout, result.verdict) == (b"fresh", Verdict.OK)
