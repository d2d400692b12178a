"""What workers say: fencing, repetition, output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from holdfast.execution.core.job import Status, Verdict
from holdfast.execution.core.ports import Event, OutputPiece
from holdfast.execution.shell.queue import reading
from holdfast.execution.shell.queue.reporting import PIECE_BYTES
from tests.conformance.execution.world import LIMITS, lease

if TYPE_CHECKING:
    from holdfast.execution.core.job import Claim
    from tests.conformance.execution.world import World

pytestmark = pytest.mark.anyio


def piece(claim: Claim, seq: int, data: bytes, stream: Literal["stdout", "stderr"] = "stdout") -> OutputPiece:
    return OutputPiece(id=claim.id, token=claim.token, seq=seq, stream=stream, data=data)


async def events(world: World, id: str) -> list[Event]:
    found = await world.queue.events("t", id, after=0)
    assert found is not None
    return found


async def outputs(world: World, id: str) -> list[bytes]:
    return [event.data for event in await events(world, id) if event.kind == "stdout"]


async def test_a_report_that_is_repeated_changes_nothing_and_is_not_lost(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    assert (await world.finish(claim, stdout=b"first")).lost == ()
    before = await world.view(id)
    costs = await world.queue.costs("t", days=1, now=world.now)
    assert (await world.finish(claim, stdout=b"again", verdict=Verdict.RUNTIME_ERROR)).lost == ()
    assert (await world.report(held=(lease(claim),))).lost == ()
    assert await world.view(id) == before
    assert await world.queue.costs("t", days=1, now=world.now) == costs


async def test_a_failure_that_is_repeated_uses_up_one_attempt(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    for _ in range(3):
        assert (await world.finish(claim, verdict=Verdict.INTERNAL_ERROR, message="m")).lost == ()
        assert (await world.report(returned=(world.returned(claim),))).lost == ()
    waiting = await world.view(id)
    assert (waiting.status, waiting.attempts) == (Status.QUEUED, 1)


async def test_a_result_with_a_stale_token_is_lost_and_changes_nothing(world: World) -> None:
    id = await world.submit()
    first = await world.claim()
    world.now += 16
    await world.queue.tidy(now=world.now)
    world.now += 60
    second = await world.claim("other")
    assert (await world.finish(first)).lost == (lease(first),)
    running = await world.view(id)
    assert (running.status, running.worker, running.cost_us) == (Status.RUNNING, "other", 0)
    await world.finish(second, "other", stdout=b"second")
    assert (await world.finish(first, stdout=b"first")).lost == (lease(first),)
    done = await world.view(id)
    assert done.result is not None
    assert done.result.stdout == b"second"


async def test_a_result_from_another_worker_is_lost(world: World) -> None:
    await world.submit()
    claim = await world.claim()
    assert (await world.finish(claim, "thief")).lost == (lease(claim),)


async def test_a_result_that_comes_after_the_lease_but_before_anybody_noticed_counts(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    world.now += 100
    assert (await world.finish(claim)).lost == ()
    assert (await world.view(id)).verdict is Verdict.OK


async def test_an_internal_error_is_an_attempt_and_the_last_one_makes_a_dead_letter(world: World) -> None:
    id = await world.submit()
    for _ in range(3):
        await world.finish(await world.claim(), verdict=Verdict.INTERNAL_ERROR, message="bwrap failed", cpu_ms=7)
        world.now += 120
    dead = await world.view(id)
    assert (dead.status, dead.verdict, dead.cost_us) == (Status.DEAD, Verdict.INTERNAL_ERROR, 21_000)
    (letter,) = await world.queue.dead_letters("t", limit=10, before=None)
    assert (letter.id, letter.attempts) == (id, 3)
    assert letter.reason.startswith("bwrap failed")


async def test_output_that_is_sent_again_is_kept_once(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    await world.report(output=(piece(claim, 0, b"a"), piece(claim, 1, b"b")))
    await world.report(output=(piece(claim, 0, b"a"), piece(claim, 1, b"b"), piece(claim, 2, b"c")))
    assert await outputs(world, id) == [b"a", b"b", b"c"]


async def test_output_of_a_claim_that_was_given_on_is_ignored(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    world.now += 16
    await world.queue.tidy(now=world.now)
    world.now += 60
    again = await world.claim("other")
    given = await world.report(output=(piece(claim, 0, b"old"),), held=(lease(claim),))
    assert given.lost == (lease(claim),)
    await world.report("other", output=(piece(again, 0, b"new"),))
    assert await outputs(world, id) == [b"new"]


async def test_live_output_is_bounded_by_the_jobs_limit_however_small_its_pieces(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    await world.report(output=tuple(piece(claim, n, b"x") for n in range(500)))
    assert len(await outputs(world, id)) == LIMITS.output_bytes // (PIECE_BYTES + 1)
    await world.report(output=(piece(claim, 500, b"y" * 5000),))
    assert sum(map(len, await outputs(world, id))) < LIMITS.output_bytes


async def test_output_and_result_in_one_report_come_in_that_order(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    await world.report(output=(piece(claim, 0, b"a"),), finished=(world.finished(claim),))
    assert [event.kind for event in await events(world, id)] == ["queued", "started", "stdout", "finished"]


async def test_events_come_in_pages(world: World) -> None:
    id = await world.submit()
    claim = await world.claim()
    await world.report(output=tuple(piece(claim, n, b"x") for n in range(5)))
    await world.finish(claim)
    everything = await events(world, id)
    paged: list[Event] = []
    while page := await world.queue.events("t", id, after=paged[-1].seq if paged else 0, limit=2):
        assert len(page) <= 2
        paged += page
    assert paged == everything


async def test_pages_of_large_events_are_short(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_BYTES", 100)
    id = await world.submit()
    claim = await world.claim()
    await world.report(output=tuple(piece(claim, n, bytes([n]) * 60) for n in range(5)))
    await world.finish(claim)
    paged: list[Event] = []
    while page := await world.queue.events("t", id, after=paged[-1].seq if paged else 0):
        assert sum(len(event.data) for event in page if event.kind == "stdout") <= 120
        paged += page
    assert [event.kind for event in paged] == ["queued", "started", *["stdout"] * 5, "finished"]
    assert [event.seq for event in paged] == list(range(1, 9))


async def test_a_claim_that_ends_is_settled_in_figures(world: World) -> None:
    await world.submit(cost_estimate_us=500_000)
    before = await world.queue.state(now=world.now)
    assert (before.queued, before.running, before.backlog_us) == (1, 0, 500_000)
    world.now += 3
    assert (await world.queue.state(now=world.now)).oldest_s == 3
    claim = await world.claim()
    running = await world.queue.state(now=world.now)
    assert (running.queued, running.running, running.backlog_us, running.oldest_s) == (0, 1, 0, 0)
    await world.finish(claim, cpu_ms=250)
    after = await world.queue.state(now=world.now)
    assert (after.queued, after.running) == (0, 0)
    await world.submit()
    assert (await world.queue.state(now=world.now)).per_tenant["t"].used_today_us == 250_000


async def test_the_drain_rate_is_measured_on_busy_slots(world: World) -> None:
    await world.give(free=0)
    assert (await world.queue.state(now=world.now)).drain_us_per_s == 4_000_000
    for _ in range(10):
        await world.submit()
        claim = await world.claim()
        world.now += 4
        await world.finish(claim, cpu_ms=1000)  # a quarter of a CPU per busy slot
    measured = (await world.queue.state(now=world.now)).drain_us_per_s
    assert 1_000_000 < measured < 4_000_000
    world.now += 300
    await world.give(free=0)
    assert (await world.queue.state(now=world.now)).drain_us_per_s == 4_000_000
