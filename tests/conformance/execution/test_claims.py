"""Giving work out: who gets what, leases, workers that come, restart and go."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.execution.core.job import Status, Verdict
from holdfast.execution.core.ports import Lease
from holdfast.execution.core.settings import ExecutionSettings, FairnessSettings
from holdfast.store import open_database
from tests.conformance.execution.world import World, lease, opened

if TYPE_CHECKING:
    from holdfast.store import Database, StoreSettings

pytestmark = pytest.mark.anyio


async def test_a_worker_gets_no_more_than_it_has_free(world: World) -> None:
    for n in range(6):
        await world.submit(f"t{n}")
    assert len((await world.give(free=3)).claims) == 3
    assert (await world.give(free=0)).claims == ()
    assert len((await world.give(free=4)).claims) == 1  # of 4 slots 3 are taken by our books, whatever it says


async def test_a_worker_without_languages_gets_nothing(world: World) -> None:
    await world.submit()
    assert (await world.give(languages={})).claims == ()


async def test_tenants_take_turns(world: World) -> None:
    for tenant in ("a", "b", "c"):
        await world.queue.submit([world.new(tenant) for _ in range(10)], now=world.now)
    served = []
    for _ in range(18):
        claim = await world.claim()
        served.append(claim.tenant)
        await world.finish(claim)
    assert Counter(served) == {"a": 6, "b": 6, "c": 6}


async def test_weights_are_shares(database: Database) -> None:
    settings = ExecutionSettings(fairness=FairnessSettings(weights={"big": 3.0}))
    async with opened(World(database, settings)) as world:
        for tenant in ("big", "small"):
            await world.queue.submit([world.new(tenant) for _ in range(40)], now=world.now)
        served: Counter[str] = Counter()
        for _ in range(40):
            claim = await world.claim()
            served[claim.tenant] += 1
            await world.finish(claim)
        assert served["big"] == pytest.approx(30, abs=4)


async def test_who_was_idle_goes_before_who_has_a_thousand_queued(world: World) -> None:
    await world.queue.submit([world.new("many") for _ in range(1000)], now=world.now)
    for _ in range(5):
        await world.finish(await world.claim())
    late = await world.submit("idle")
    assert (await world.claim()).id == late


async def test_what_was_used_beyond_the_estimate_is_paid_back(world: World) -> None:
    for tenant in ("cheap", "dear"):
        await world.queue.submit([world.new(tenant) for _ in range(20)], now=world.now)
    served: Counter[str] = Counter()
    for _ in range(22):
        claim = await world.claim()
        served[claim.tenant] += 1
        await world.finish(claim, cpu_ms=1000 if claim.tenant == "dear" else 100)
    assert served["cheap"] >= 5 * served["dear"]


async def test_a_flood_is_priced_by_what_its_first_jobs_cost(world: World) -> None:
    flood = [world.new(cost_estimate_us=0) for _ in range(40)]
    await world.queue.submit(flood, now=world.now)
    assert (await world.queue.state(now=world.now)).backlog_us == 40_000_000  # nobody knows: a second each, and heavy
    assert len((await world.give("a", free=1)).claims) == 1
    claims = (await world.give("b", free=1)).claims
    await world.finish(claims[0], "b", cpu_ms=20)
    assert (await world.queue.state(now=world.now)).backlog_us == 38 * 20_000
    (claim,) = (await world.give("b", free=1)).claims
    ((estimate_us, heavy),) = await world.database.read(
        lambda tx: tx.all("SELECT estimate_us, heavy FROM queue_jobs WHERE id = ?", claim.id)
    )
    assert (estimate_us, heavy) == (20_000, 0)


async def test_heavy_jobs_leave_slots_to_light_ones(world: World) -> None:
    await world.queue.submit([world.new(heavy=True, cost_estimate_us=5_000_000) for _ in range(8)], now=world.now)
    assert len((await world.give(free=4)).claims) == 3
    light = await world.submit("light")
    assert [claim.id for claim in (await world.give(free=1)).claims] == [light]


async def test_every_claim_has_a_token_of_its_own(world: World) -> None:
    await world.submit()
    tokens = []
    for _ in range(3):
        claim = await world.claim()
        tokens.append((claim.token, claim.attempt))
        world.now += 100
        await world.queue.tidy(now=world.now)
        world.now += 100
    assert tokens == [(1, 1), (2, 2), (3, 3)]


async def test_workers_that_ask_at_the_same_time_never_get_the_same_job(world: World) -> None:
    ids = {await world.submit(f"t{n % 5}") for n in range(60)}
    taken: list[str] = []

    async def work(name: str) -> None:
        idle = 0
        while idle < 3:
            given = await world.give(name, free=2)
            for claim in given.claims:
                taken.append(claim.id)
                await world.finish(claim, name)
            idle = 0 if given.claims else idle + 1

    await asyncio.gather(*(work(f"w{n}") for n in range(8)))
    assert sorted(taken) == sorted(ids)
    state = await world.queue.state(now=world.now)
    assert (state.queued, state.running, state.backlog_us) == (0, 0, 0)


async def test_api_processes_with_connections_of_their_own_share_one_queue(store_settings: StoreSettings) -> None:
    ids: set[str] = set()
    taken: list[str] = []

    async def submit(world: World, n: int) -> None:
        for k in range(10):
            ids.add(await world.submit(f"t{(n + k) % 3}"))

    async def work(world: World, name: str) -> None:
        while len(taken) < 30:
            for claim in (await world.give(name, free=2)).claims:
                taken.append(claim.id)
                await world.finish(claim, name)
            await world.queue.tidy(now=world.now)

    async with AsyncExitStack() as stack:
        worlds: list[World] = []
        for _ in range(3):
            database = await stack.enter_async_context(await open_database(store_settings))
            numbers = worlds[0].numbers if worlds else itertools.count()
            worlds.append(await stack.enter_async_context(opened(World(database, numbers=numbers))))
        await asyncio.gather(
            *(submit(world, n) for n, world in enumerate(worlds)),
            *(work(world, f"w{n}") for n, world in enumerate(worlds)),
        )
        state = await worlds[0].queue.state(now=worlds[0].now)
    assert sorted(taken) == sorted(ids)
    assert (state.queued, state.running) == (0, 0)


async def test_a_lease_that_is_renewed_does_not_run_out(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    for renewed_by in (world.report, world.give) * 3:
        world.now += 10
        given = await renewed_by(held=(lease(claim),))
        assert given.lost == ()
        assert (await world.queue.tidy(now=world.now)).leases_expired == 0
    assert (await world.view(id)).status is Status.RUNNING


async def test_a_worker_is_told_which_leases_it_lost(world: World) -> None:
    await world.submit()
    claim = await world.claim()
    world.now += 16
    await world.queue.tidy(now=world.now)
    strangers = (Lease(id="9" * 26, token=1), Lease(id=claim.id, token=7))
    given = await world.give(free=0, held=(lease(claim), *strangers))
    assert set(given.lost) == {lease(claim), *strangers}


async def test_a_worker_that_was_started_anew_gives_its_old_jobs_back_at_once(world: World) -> None:
    id = await world.submit()
    old = await world.claim()
    given = await world.give(epoch="w-2", free=0)
    assert given.lost == ()
    waiting = await world.view(id)
    assert (waiting.status, waiting.attempts) == (Status.QUEUED, 1)
    world.now += 2
    again = await world.claim(epoch="w-2")
    assert (again.id, again.token) == (id, old.token + 1)


async def test_a_request_of_the_dead_process_does_not_take_the_name_back(world: World) -> None:
    await world.submit()
    await world.give(epoch="w-1", free=0)
    claim = await world.claim(epoch="w-2")
    await world.submit()
    late = await world.give(epoch="w-1", free=4, held=(lease(claim),))
    assert (late.claims, late.lost) == ((), (lease(claim),))
    await world.finish(claim)
    assert (await world.view(claim.id)).verdict is Verdict.OK


async def test_a_process_that_was_paused_until_it_was_replaced_gets_nothing(world: World) -> None:
    await world.submit()
    await world.give(epoch="w-1", free=0)
    world.now += 60
    await world.queue.tidy(now=world.now)
    claim = await world.claim(epoch="w-2")
    await world.submit()
    assert (await world.give(epoch="w-1", free=4)).claims == ()
    await world.finish(claim)
    assert (await world.view(claim.id)).verdict is Verdict.OK


async def test_slots_of_workers_that_are_gone_are_not_counted(world: World) -> None:
    await world.give("a", free=0)
    world.now += 20
    await world.give("b", free=0, slots=2)
    assert (await world.queue.state(now=world.now)).slots == 6
    world.now += 20
    state = await world.queue.state(now=world.now)
    assert (state.slots, state.workers) == (2, 1)
    assert (await world.queue.tidy(now=world.now)).workers_gone == 1
    await world.give("b", free=0, languages={"python": "3.12", "perl": "5.36"})
    assert await world.queue.languages(now=world.now) == {"python": "3.12", "perl": "5.36"}


async def test_a_claim_given_back_by_a_worker_that_stops_is_not_an_attempt(world: World) -> None:
    id = await world.submit()
    for _ in range(5):
        claim = await world.claim()
        assert claim.attempt == 1
        returned = world.returned(claim, counts=False)
        assert (await world.report(returned=(returned,))).lost == ()
    waiting = await world.view(id)
    assert (waiting.status, waiting.attempts) == (Status.QUEUED, 0)


async def test_a_claim_that_failed_is_tried_again_after_a_while_and_then_dead(world: World) -> None:
    id = await world.submit()
    for attempt in (1, 2, 3):
        claim = await world.claim()
        assert claim.attempt == attempt
        await world.report(returned=(world.returned(claim),))
        world.now += 120
    dead = await world.view(id)
    assert (dead.status, dead.verdict, dead.attempts) == (Status.DEAD, Verdict.INTERNAL_ERROR, 3)
    assert dead.dead_reason is not None
    assert dead.dead_reason.startswith("no disk")
    events = await world.queue.events("t", id, after=0)
    assert events is not None
    assert [one.kind for one in events] == ["queued", "started", "retry", "started", "retry", "started", "dead"]


async def test_a_retry_waits_for_its_backoff(world: World) -> None:
    await world.submit()
    claim = await world.claim()
    await world.report(returned=(world.returned(claim),))
    ((not_before,),) = await world.database.read(lambda tx: tx.all("SELECT not_before FROM queue_jobs"))
    assert not_before > world.now
    world.now = not_before - 0.001
    assert (await world.give(free=1)).claims == ()
    world.now = not_before
    assert (await world.claim()).attempt == 2


async def test_a_claim_may_be_given_to_a_worker_that_was_away_for_long(world: World) -> None:
    await world.submit()
    await world.give(free=0)
    world.now += 1000
    await world.queue.tidy(now=world.now)
    claim = await world.claim()
    assert replace(claim, queued_ms=0.0).attempt == 1
    assert claim.queued_ms == 1_000_000
