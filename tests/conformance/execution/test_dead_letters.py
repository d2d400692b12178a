"""Jobs whose attempts are used up, and their way back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.execution.core.job import Status, Verdict
from holdfast.execution.core.ports import Refused
from holdfast.execution.core.settings import AdmissionSettings, ExecutionSettings, LeaseSettings
from holdfast.kernel import Duration
from tests.conformance.execution.world import World, opened

if TYPE_CHECKING:
    from holdfast.store import Database

pytestmark = pytest.mark.anyio

ONE_ATTEMPT = LeaseSettings(attempts=1)


async def die(world: World, reason: str = "no disk", **fields: Any) -> str:
    id = await world.submit(**fields)
    while (await world.view(id)).status is not Status.DEAD:
        await world.report(returned=(world.returned(await world.claim(), reason),))
        world.now += 120
    return id


async def replay(world: World, **filters: Any) -> list[str] | Refused:
    choice: dict[str, Any] = {"ids": None, "reason": None, "language": None}
    return await world.queue.replay("t", **choice | filters, now=world.now)


async def test_letters_are_listed_newest_first_in_pages(world: World) -> None:
    ids = [await die(world) for _ in range(3)]
    letters = await world.queue.dead_letters("t", limit=2, before=None)
    assert [letter.id for letter in letters] == ids[:0:-1]
    (last,) = await world.queue.dead_letters("t", limit=2, before=ids[1])
    assert (last.id, last.language, last.attempts, last.replayed) == (ids[0], "python", 3, None)


async def test_a_replayed_job_starts_over_with_its_program_and_all_its_attempts(world: World) -> None:
    id = await die(world)
    assert await replay(world, ids=[id]) == [id]
    again = await world.view(id)
    assert (again.status, again.attempts, again.dead_reason, again.verdict) == (Status.QUEUED, 0, None, None)
    (letter,) = await world.queue.dead_letters("t", limit=2, before=None)
    assert letter.replayed == world.now
    claim = await world.claim()
    assert (claim.attempt, claim.token) == (1, 4)
    await world.finish(claim)
    assert (await world.view(id)).verdict is Verdict.OK
    events = await world.queue.events("t", id, after=7)
    assert events is not None
    assert [event.kind for event in events] == ["replayed", "started", "finished"]


async def test_replaying_twice_queues_once_also_at_the_same_time(world: World) -> None:
    id = await die(world)
    answers = await asyncio.gather(*(replay(world) for _ in range(5)))
    assert sorted(answers, key=str) == [[id], [], [], [], []] or sorted(answers, key=len) == [[], [], [], [], [id]]  # type: ignore[arg-type]
    state = await world.queue.state(now=world.now)
    assert state.queued == 1


async def test_a_job_that_dies_again_may_be_replayed_again(world: World) -> None:
    id = await die(world)
    assert await replay(world) == [id]
    for _ in range(3):
        await world.report(returned=(world.returned(await world.claim()),))
        world.now += 120
    (letter,) = await world.queue.dead_letters("t", limit=2, before=None)
    assert letter.replayed is None
    assert await replay(world) == [id]


async def test_filters_choose_what_is_replayed(world: World) -> None:
    disk = await die(world, "no disk")
    cpp = await die(world, "no compiler", language="cpp")
    assert await replay(world, reason="fire") == []
    assert await replay(world, reason="disk") == [disk]
    assert await replay(world, language="cpp", ids=[disk]) == []
    assert await replay(world, language="cpp") == [cpp]


async def test_a_dead_letter_goes_with_its_program(world: World) -> None:
    await die(world)
    world.now += world.settings.retention.results
    await world.queue.tidy(now=world.now)
    assert await world.queue.dead_letters("t", limit=2, before=None) == []
    assert await replay(world) == []


async def test_a_replay_that_does_not_fit_replays_nothing(database: Database) -> None:
    settings = ExecutionSettings(lease=ONE_ATTEMPT, admission=AdmissionSettings(tenant_backlog=Duration(10)))
    async with opened(World(database, settings)) as world:
        await world.give(free=0, slots=1)
        for _ in range(4):
            await die(world, cost_estimate_us=5_000_000)
        world.now += 1000
        refused = await replay(world)
        assert isinstance(refused, Refused)
        assert refused.reason == "tenant_backlog"
        assert (await world.queue.state(now=world.now)).queued == 0
        letters = await world.queue.dead_letters("t", limit=10, before=None)
        assert [letter.replayed for letter in letters] == [None] * 4
        assert len(await replay(world, ids=[letter.id for letter in letters[:2]])) == 2  # type: ignore[arg-type]
        assert (await world.queue.state(now=world.now)).backlog_us == 10_000_000
