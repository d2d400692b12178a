"""Every result is stored once and handed to the engine once, whatever agents and networks do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.netpulse.errors import Invalid
from holdfast.store import StoreUnavailable
from tests.conformance.netpulse.world import START, down, seen

if TYPE_CHECKING:
    from holdfast.netpulse.core.result import Observation
    from tests.conformance.netpulse.world import World

pytestmark = pytest.mark.anyio


def batch(first: int, last: int, **fields: Any) -> list[Observation]:
    return [seen(START + number, **fields) for number in range(first, last + 1)]


def numbers(fresh: Any) -> list[int]:
    return [round(one.at - START) for one in fresh]


async def test_a_new_batch_is_fresh_as_it_came(world: World) -> None:
    taken = await world.take(*batch(1, 3))
    assert (list(taken.fresh), taken.upto) == (batch(1, 3), 3)


async def test_a_batch_that_is_repeated_stores_nothing(world: World) -> None:
    await world.take(*batch(1, 3))
    taken = await world.take(*batch(1, 3))
    assert (list(taken.fresh), taken.upto, await world.stored()) == ([], 3, 3)


async def test_of_a_batch_that_overlaps_only_the_rest_is_fresh(world: World) -> None:
    await world.take(*batch(1, 5))
    taken = await world.take(*batch(4, 8), first=4)
    assert (numbers(taken.fresh), taken.upto, await world.stored()) == ([6, 7, 8], 8, 8)


async def test_the_same_batch_twice_at_the_same_time_is_stored_once(world: World) -> None:
    taken = await asyncio.gather(*(world.take(*batch(1, 50)) for _ in range(10)))
    assert sorted(len(one.fresh) for one in taken) == [0] * 9 + [50]
    assert await world.stored() == 50


async def test_agents_and_spools_count_for_themselves(world: World) -> None:
    for agent, spool in (("a", "1"), ("a", "2"), ("b", "1")):
        taken = await world.take(*batch(1, 2), agent=agent, spool=spool)
        assert len(taken.fresh) == 2
    assert await world.stored() == 6


async def test_regions_that_report_at_the_same_moment_overwrite_nothing(world: World) -> None:
    regions = ("eu", "us", "ap")
    taken = await asyncio.gather(
        *(
            world.take(*(down(START + number, region=region) for number in range(20)), agent=f"{region}-1")
            for region in regions
        )
    )
    assert [len(one.fresh) for one in taken] == [20, 20, 20]
    checks, _ = await world.records.checks("t/web", since=START, until=START + 60, limit=100)
    assert {region: sum(check.region == region for check in checks) for region in regions} == dict.fromkeys(regions, 20)


async def test_a_batch_that_was_overtaken_by_the_next_loses_nothing(world: World) -> None:
    overtaking = await world.take(*batch(4, 6), first=4)
    late = await world.take(*batch(1, 3))
    again = await world.take(*batch(1, 6))
    assert (overtaking.upto, numbers(late.fresh), late.upto) == (6, [1, 2, 3], 6)
    assert (list(again.fresh), await world.stored()) == ([], 6)


async def test_what_a_batch_leaves_out_does_not_come_any_more(world: World) -> None:
    left_out = batch(1, 5)[::2]
    taken = await world.records.take(left_out, agent="eu-1", spool="s", first=1, upto=5, numbers=[1, 3, 5])
    assert (numbers(taken.fresh), taken.upto) == ([1, 3, 5], 5)
    again = await world.records.take(batch(1, 6), agent="eu-1", spool="s", first=1, upto=6)
    assert numbers(again.fresh) == [6]


async def test_a_batch_of_which_nothing_is_left_still_moves_the_mark(world: World) -> None:
    taken = await world.records.take([], agent="eu-1", spool="s", first=1, upto=5)
    assert (list(taken.fresh), taken.upto) == ([], 5)
    assert list((await world.take(*batch(1, 5))).fresh) == []


async def test_marks_outlive_the_engine(world: World) -> None:
    await world.take(*batch(1, 3))
    await world.records.open(world.now)
    assert numbers((await world.take(*batch(2, 4), first=2)).fresh) == [4]


@pytest.mark.parametrize(
    ("first", "upto", "given"), [(1, 1, None), (0, 2, None), (1, 3, [1, 1, 2]), (1, 3, [1, 2]), (1, 3, [2, 3, 4])]
)
async def test_numbers_that_cannot_be_are_refused(world: World, first: int, upto: int, given: list[int] | None) -> None:
    with pytest.raises(ValueError, match=r"number|begin"):
        await world.records.take(batch(1, 3), agent="a", spool="s", first=first, upto=upto, numbers=given)
    assert await world.stored() == 0


async def test_results_whose_commit_was_not_confirmed_reach_the_engine_when_they_are_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.take(*batch(1, 2))
    write = world.database.write

    async def unconfirmed(work: Any, **options: Any) -> Any:
        await write(work, **options)
        raise StoreUnavailable("it may or may not have happened")

    with monkeypatch.context() as patch:
        patch.setattr(world.database, "write", unconfirmed)
        with pytest.raises(StoreUnavailable):
            await world.take(*batch(3, 4), first=3)
    assert await world.stored() == 4
    await world.records.checkpoint({})  # must not cover what the engine has not seen
    engine = world.engine()
    await engine.open(world.now)
    assert [numbers(page) async for page in engine.since_checkpoint()] == [[3, 4]]

    await world.records.open(world.now)  # the first again
    with monkeypatch.context() as patch:
        patch.setattr(world.database, "write", unconfirmed)
        with pytest.raises(StoreUnavailable):
            await world.take(*batch(5, 6), first=5)
    taken = await world.take(*batch(5, 7), first=5)
    assert (numbers(taken.fresh), await world.stored()) == ([5, 6, 7], 7)
    await world.records.checkpoint({})
    await engine.open(world.now)
    assert [page async for page in engine.since_checkpoint()] == []


async def test_text_that_a_store_cannot_hold_does_not_stop_a_batch(world: World) -> None:
    await world.take(down(START, detail="zero \0 byte"), down(START + 1, detail="x" * 500))
    found, _ = await world.records.checks("t/web", since=START, until=START + 9, limit=9)
    assert [one.detail for one in found] == ["x" * 200, "zero  byte"]


async def test_checks_come_in_pages_newest_first(world: World) -> None:
    await world.take(*batch(1, 7))
    pages, before = [], None
    while True:
        page, before = await world.records.checks("t/web", since=START + 2, until=START + 7, limit=2, before=before)
        pages.append(numbers(page))
        if before is None:
            break
    assert pages == [[6, 5], [4, 3], [2]]


async def test_checks_of_the_same_moment_are_not_lost_between_pages(world: World) -> None:
    await world.take(*(seen(START, status=status) for status in range(200, 205)))
    first, before = await world.records.checks("t/web", since=START, until=START + 1, limit=3)
    rest, end = await world.records.checks("t/web", since=START, until=START + 1, limit=3, before=before)
    assert ([one.status for one in (*first, *rest)], end) == ([204, 203, 202, 201, 200], None)


async def test_checks_of_others_are_not_seen(world: World) -> None:
    await world.take(seen(monitor="t/web"), seen(monitor="t/web2"), seen(monitor="T/web"), seen(monitor="t/%"))
    for name in ("t/web", "t/web2", "T/web", "t/%"):
        found, _ = await world.records.checks(name, since=START, until=START + 1, limit=9)
        assert [one.monitor for one in found] == [name]
    assert (await world.records.checks("t/nobody", since=0.0, until=2e9, limit=9)) == ([], None)


@pytest.mark.parametrize("cursor", ["", "x", "1-", "1;2", "-1-2", "9" * 50, "1-2-3"])
async def test_a_cursor_that_is_none_is_refused(world: World, cursor: str) -> None:
    await world.take(seen())
    with pytest.raises(Invalid, match="cursor"):
        await world.records.checks("t/web", since=START, until=START + 1, limit=9, before=cursor)


async def test_times_that_are_far_off_are_kept_as_they_are(world: World) -> None:
    early, late = seen(START - 40 * 86_400, received=START), seen(START + 3600, received=START)
    await world.take(early, late)
    found, _ = await world.records.checks("t/web", since=0.0, until=2e9, limit=9)
    assert [one.at for one in found] == [START + 3600, START - 40 * 86_400]
