"""The life of a job, from submission to its result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.execution.core.job import Priority, Status, Verdict
from holdfast.execution.core.ports import OutputPiece
from tests.conformance.execution.world import lease, program

if TYPE_CHECKING:
    from tests.conformance.execution.world import World

pytestmark = pytest.mark.anyio


async def test_a_job_is_queued_claimed_run_and_finished(world: World) -> None:
    id = await world.submit(metadata=b'{"a":1}')
    assert (await world.view(id)).status is Status.QUEUED
    world.now += 2
    claim = await world.claim()
    assert (claim.id, claim.token, claim.attempt, claim.program) == (id, 1, 1, program())
    assert claim.queued_ms == 2000
    running = await world.view(id)
    assert (running.status, running.worker, running.started, running.attempts) == (Status.RUNNING, "w", world.now, 1)
    world.now += 1
    await world.finish(claim, stdout=b"1\n", exit_code=0)
    done = await world.view(id)
    assert (done.status, done.verdict, done.finished, done.cost_us) == (Status.FINISHED, Verdict.OK, world.now, 100_000)
    assert done.result is not None
    assert (done.result.stdout, done.result.exit_code) == (b"1\n", 0)
    assert done.expires == world.now + world.settings.retention.results
    assert done.metadata == b'{"a":1}'


async def test_its_events_tell_the_whole_story_and_resume_after_any_of_them(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    out = OutputPiece(id=id, token=claim.token, seq=0, stream="stdout", data=b"a")
    await world.report(output=(out, replace(out, seq=1, stream="stderr", data=b"b")))
    await world.finish(claim)
    events = await world.queue.events("t", id, after=0)
    assert events is not None
    assert [event.kind for event in events] == ["queued", "started", "stdout", "stderr", "finished"]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert [event.data for event in events[2:4]] == [b"a", b"b"]
    for n in range(6):
        assert await world.queue.events("t", id, after=n) == events[n:]


async def test_cancelling_a_queued_job_ends_it_at_once(world: World) -> None:
    id = await world.submit()
    cancelled = await world.queue.cancel("t", id, now=world.now)
    assert cancelled is not None
    assert (cancelled.status, cancelled.verdict) == (Status.FINISHED, Verdict.CANCELLED)
    assert cancelled.result is not None
    assert cancelled.result.verdict is Verdict.CANCELLED
    assert (await world.give(free=4)).claims == ()


async def test_cancelling_a_running_job_has_its_worker_kill_it(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    told = await world.queue.cancel("t", id, now=world.now)
    assert told is not None
    assert (told.status, told.cancel_requested) == (Status.RUNNING, True)
    assert (await world.give(free=0)).kill == (lease(claim),)
    assert (await world.report(held=(lease(claim),))).kill == (lease(claim),)
    await world.finish(claim, verdict=Verdict.CANCELLED)
    assert (await world.view(id)).verdict is Verdict.CANCELLED
    assert (await world.give(free=0)).kill == ()
    events = await world.queue.events("t", id, after=0)
    assert events is not None
    assert [event.kind for event in events] == ["queued", "started", "cancelling", "finished"]


async def test_a_job_that_ended_by_itself_before_the_kill_keeps_its_verdict(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    await world.queue.cancel("t", id, now=world.now)
    await world.finish(claim, verdict=Verdict.RUNTIME_ERROR)
    assert (await world.view(id)).verdict is Verdict.RUNTIME_ERROR


async def test_a_cancelled_job_whose_worker_dies_is_not_run_again(world: World) -> None:
    id = await world.submit()
    await world.claim()
    await world.queue.cancel("t", id, now=world.now)
    world.now += 16
    assert (await world.queue.tidy(now=world.now)).leases_expired == 1
    assert (await world.view(id)).verdict is Verdict.CANCELLED


async def test_cancelling_what_has_ended_changes_nothing(world: World) -> None:
    id = await world.submit()
    await world.finish(await world.claim())
    before = await world.view(id)
    assert await world.queue.cancel("t", id, now=world.now + 5) == before
    assert await world.view(id) == before


async def test_a_job_that_was_not_started_by_its_deadline_expires(world: World) -> None:
    id = await world.submit(deadline=world.now + 5)
    world.now += 5
    assert (await world.give(free=1)).claims == ()
    assert (await world.queue.tidy(now=world.now)).deadlines_expired == 1
    expired = await world.view(id)
    assert (expired.status, expired.verdict, expired.attempts) == (Status.FINISHED, Verdict.EXPIRED, 0)


async def test_a_job_that_runs_at_its_deadline_is_killed_and_expires(world: World) -> None:
    id = await world.submit(deadline=world.now + 5)
    claim = await world.claim()
    assert claim.deadline == world.now + 5
    world.now += 5
    assert (await world.report(held=(lease(claim),))).kill == (lease(claim),)
    assert (await world.queue.tidy(now=world.now)).deadlines_expired == 1
    assert (await world.queue.tidy(now=world.now)).deadlines_expired == 0
    assert not (await world.view(id)).cancel_requested
    await world.finish(claim, verdict=Verdict.CANCELLED)
    assert (await world.view(id)).verdict is Verdict.EXPIRED


async def test_a_worker_that_kills_at_the_deadline_by_itself_needs_no_order(world: World) -> None:
    id = await world.submit(deadline=world.now + 5)
    claim = await world.claim()
    world.now += 6
    await world.finish(claim, verdict=Verdict.CANCELLED)
    assert (await world.view(id)).verdict is Verdict.EXPIRED


async def test_another_tenants_job_is_not_there(world: World) -> None:
    id = await world.submit("mine")
    queue = world.queue
    assert await queue.job("yours", id) is None
    assert await queue.program("yours", id) is None
    assert await queue.cancel("yours", id, now=world.now) is None
    assert await queue.events("yours", id, after=0) is None
    assert await queue.jobs("yours", limit=10, before=None) == []
    assert (await world.view(id, "mine")).status is Status.QUEUED


async def test_dead_letters_costs_and_replays_stay_with_their_tenant(world: World) -> None:
    ids = [await world.submit(tenant, priority=Priority.HIGH) for tenant in ("mine", "yours")]
    for _ in range(world.settings.lease.attempts):
        world.now += 100
        for claim in (await world.give(free=4)).claims:
            await world.finish(claim, verdict=Verdict.INTERNAL_ERROR, message="disk broke")
    assert [letter.id for letter in await world.queue.dead_letters("mine", limit=10, before=None)] == ids[:1]
    assert await world.queue.replay("mine", ids=ids, reason=None, language=None, now=world.now) == ids[:1]
    assert (await world.view(ids[1], "yours")).status is Status.DEAD
    assert len(await world.queue.costs("mine", days=1, now=world.now)) == 1
    assert await world.queue.costs("theirs", days=1, now=world.now) == []


async def test_jobs_are_listed_newest_first_in_pages_and_by_status_and_verdict(world: World) -> None:
    ids = [await world.submit() for _ in range(6)]
    await world.finish(await world.claim())
    await world.finish(await world.claim(), verdict=Verdict.RUNTIME_ERROR)
    await world.claim()

    async def listed(limit: int = 10, before: str | None = None, **filters: Any) -> list[str]:
        found = await world.queue.jobs("t", limit=limit, before=before, **filters)
        assert all(job.result is None for job in found)
        return [job.id for job in found]

    assert await listed() == ids[::-1]
    assert await listed(limit=4) == ids[:1:-1]
    assert await listed(before=ids[2]) == ids[1::-1]
    assert await listed(status=Status.QUEUED) == ids[:2:-1]
    assert await listed(status=Status.RUNNING) == [ids[2]]
    assert await listed(status=Status.FINISHED) == ids[1::-1]
    assert await listed(verdict=Verdict.RUNTIME_ERROR) == [ids[1]]
    assert await listed(status=Status.DEAD) == []
