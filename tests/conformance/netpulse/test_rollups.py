"""Every result is in the sums once: early, late, rolled up or not yet."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.result import Failure, Outcome, Phases
from holdfast.netpulse.errors import Superseded
from holdfast.netpulse.shell.records import records, rollups, sql
from tests.conformance.netpulse.world import START, down, seen

if TYPE_CHECKING:
    from holdfast.netpulse.core.ports import Bucket
    from holdfast.netpulse.core.settings import RetentionSettings
    from tests.conformance.netpulse.world import World

pytestmark = pytest.mark.anyio

DAY = 86_400.0
MIDNIGHT = START // DAY * DAY


async def series(world: World, since: float, until: float, step_s: float) -> list[Bucket]:
    return list(await world.records.series("t/web", since=since, until=until, step_s=step_s))


async def counted(world: World, since: float, until: float) -> tuple[int, int]:
    return (await world.records.counts(["t/web"], since=since, until=until))["t/web"]


async def to_roll_up(world: World) -> float:
    return (await world.records.figures())["to_roll_up"]


async def a_mixed_hour(world: World) -> None:
    """Checks from two regions: a good minute, a bad one, one in doubt, one an hour later."""
    await world.take(
        seen(START, total_ms=100.0),
        seen(START + 30, total_ms=200.0),
        down(START + 60),
        seen(START + 90, outcome=Outcome.UNKNOWN, failure=Failure.BLIND),
        seen(START + 3600, total_ms=400.0),
    )
    await world.take(seen(START + 10, region="us"), agent="us-1")


@pytest.mark.parametrize("rolled", [False, True])
async def test_a_series_is_current_whether_or_not_it_was_rolled_up(world: World, rolled: bool) -> None:
    await a_mixed_hour(world)
    if rolled:
        await world.records.upkeep(world.now)
        assert await to_roll_up(world) == 0
    found = await series(world, START, START + 120, 60.0)
    assert [(one.region, one.at - START, one.up, one.down, one.unknown) for one in found] == [
        ("eu", 0.0, 2, 0, 0),
        ("us", 0.0, 1, 0, 0),
        ("eu", 60.0, 0, 1, 1),
    ]
    assert found[0].p50_ms == pytest.approx(100.0, rel=0.025)
    assert found[0].p99_ms == pytest.approx(200.0, rel=0.025)
    assert found[0].phases_ms == {"connect": 10.0, "first_byte": 100.0}
    assert (found[2].p50_ms, found[2].phases_ms) == (None, {})


async def test_what_is_half_rolled_up_is_added_together(world: World) -> None:
    await a_mixed_hour(world)
    await world.records.upkeep(world.now)
    await world.take(seen(START + 45, total_ms=200.0), down(START + 50), first=6)
    (first, *_) = await series(world, START, START + 60, 60.0)
    assert (first.up, first.down) == (3, 1)
    assert await counted(world, START, START + 60) == (4, 5)


async def test_steps_of_any_size_hold_the_same_results(world: World) -> None:
    await a_mixed_hour(world)
    await world.records.upkeep(world.now)
    for step_s in (60.0, 300.0, 3600.0, 5400.0, DAY):
        found = await series(world, MIDNIGHT, MIDNIGHT + DAY, step_s)
        assert [sum(getattr(one, name) for one in found) for name in ("up", "down", "unknown")] == [4, 1, 1]
        assert all(one.at % step_s == 0 for one in found)


async def test_quantiles_of_a_day_are_those_of_its_results(world: World) -> None:
    latencies = [1.05**power for power in range(200)]
    await world.take(*(seen(START + number, total_ms=ms) for number, ms in enumerate(latencies)))
    await world.records.upkeep(world.now)
    (day,) = await series(world, MIDNIGHT, MIDNIGHT + DAY, DAY)
    for part, found in ((0.50, day.p50_ms), (0.95, day.p95_ms), (0.99, day.p99_ms)):
        assert found == pytest.approx(latencies[round(part * 200) - 1], rel=0.025)


async def test_a_late_result_is_added_to_the_bucket_of_its_time(world: World) -> None:
    await world.take(seen(START), seen(START + 7200))
    await world.records.upkeep(world.now)
    await world.take(replace(down(START + 5), late=True, received=START + 7300), agent="eu-2")
    await world.records.upkeep(world.now)
    for step_s in (60.0, 3600.0, DAY):
        (first, *_) = await series(world, MIDNIGHT, MIDNIGHT + DAY, step_s)
        assert (first.up, first.down) == ((1, 1) if step_s < DAY else (2, 1))


async def test_a_simulated_failure_spends_no_budget(world: World) -> None:
    await world.take(seen(START), down(START + 1, simulated=True), seen(START + 2, simulated=True))
    for _ in range(2):
        assert await counted(world, START, START + 60) == (1, 1)
        (one,) = await series(world, START, START + 60, 60.0)
        assert (one.up, one.down, one.unknown) == (1, 0, 2)
        await world.records.upkeep(world.now)


async def test_a_block_that_fails_is_rolled_up_by_the_next_call_and_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill between the sums and the cursor leaves: neither."""
    await a_mixed_hour(world)

    with monkeypatch.context() as patch:
        patch.setattr(sql, "SET_ROLLED", "UPDATE nowhere SET rolled = ?")
        with pytest.raises(Exception, match="nowhere"):
            await world.records.upkeep(world.now)
    assert await to_roll_up(world) == 6
    assert await counted(world, MIDNIGHT, MIDNIGHT + DAY) == (4, 5)
    await world.records.upkeep(world.now)
    assert await counted(world, MIDNIGHT, MIDNIGHT + DAY) == (4, 5)


async def test_blocks_and_batches_at_the_same_time_count_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "BLOCK", 7)
    monkeypatch.setattr(records, "ROLLING_S", 60.0)  # many small blocks: a second is not enough everywhere

    async def agent(name: str) -> None:
        for first in range(1, 101, 10):
            batch = [seen(START + number, region=name) for number in range(first, first + 10)]
            await world.take(*batch, agent=name, first=first)

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b", "c"):
            group.create_task(agent(name))
        for _ in range(5):
            group.create_task(world.records.upkeep(world.now))
    assert await counted(world, START, START + 120) == (300, 300)
    await world.records.upkeep(world.now)
    assert (await to_roll_up(world), await counted(world, START, START + 120)) == (0.0, (300, 300))
    assert await counted(world, MIDNIGHT, MIDNIGHT + DAY) == (300, 300)


async def test_counts_are_exact_to_the_minute_over_any_stretch(world: World) -> None:
    await world.take(*(seen(START + 60 * minute) for minute in range(0, 4000, 7)))
    await world.records.upkeep(world.now)
    for since, minutes in ((0, 5), (3, 61), (0, 4000), (777, 3000), (1440, 1440)):
        begin = START + 60 * since
        wanted = len([minute for minute in range(0, 4000, 7) if since <= minute < since + minutes])
        assert await counted(world, begin, begin + 60 * minutes) == (wanted, wanted)


async def test_counts_are_of_each_monitor_and_nothing_is_known_of_others(world: World) -> None:
    await world.take(seen(monitor="t/a"), down(monitor="t/b"), seen(monitor="T/a"))
    for _ in range(2):
        found = await world.records.counts(["t/a", "t/b", "t/c"], since=START, until=START + 60)
        assert found == {"t/a": (1, 1), "t/b": (0, 1), "t/c": (0, 0)}
        await world.records.upkeep(world.now)


async def test_where_minutes_were_forgotten_hours_are_told(world: World) -> None:
    await a_mixed_hour(world)
    later = START + float(world.retention.minutes) + 2 * 3600
    await world.records.upkeep(later)
    found = await series(world, START, START + 120, 60.0)
    hour = START // 3600 * 3600
    assert {(one.region, one.at, one.up, one.down) for one in found} == {("eu", hour, 2, 1), ("us", hour, 1, 0)}
    assert await counted(world, START, START + 60) == (3, 4)
    assert (await world.database.read(lambda tx: tx.one("SELECT count(*) FROM netpulse_minutes"))) == (0,)


async def test_rollups_are_forgotten_size_by_size(world: World) -> None:
    world.retention = replace_retention(world, days=Duration(400 * DAY))
    records = world.engine()
    await records.open(world.now)
    world.records = records
    await a_mixed_hour(world)
    for kept, table in ((30, "minutes"), (180, "hours"), (400, "days")):
        await world.records.upkeep(START + (kept - 1) * DAY)
        assert await world.rows_of(table) > 0
        await world.records.upkeep(START + (kept + 2) * DAY)
        assert await world.rows_of(table) == 0


async def test_an_engine_that_was_superseded_rolls_nothing_up(world: World) -> None:
    await world.take(seen())
    await world.engine().open(world.now)
    with pytest.raises(Superseded):
        await world.records.upkeep(world.now)


async def test_a_result_without_phases_counts(world: World) -> None:
    await world.take(seen(phases=Phases(), total_ms=0.0))
    await world.records.upkeep(world.now)
    (one,) = await series(world, START, START + 60, 60.0)
    assert (one.up, one.p50_ms, one.phases_ms) == (1, 0.01, {})


def replace_retention(world: World, **fields: Duration) -> RetentionSettings:
    return msgspec.structs.replace(world.retention, **fields)
