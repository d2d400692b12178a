"""The life of a job, from submission to its result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.execution.core.job import Status, Verdict
from holdfast.execution.core.ports import OutputPiece
from tests.conformance.execution.world import program

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
