"""Nothing grows without bound, and nothing is forgotten before its time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import psycopg
import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.incident import Decisions, Span, State
from holdfast.netpulse.shell.records import partitions, upkeep
from tests.conformance.netpulse.world import START, after, decided, incident, notice, seen

if TYPE_CHECKING:
    from holdfast.store import StoreSettings
    from tests.conformance.netpulse.world import World

pytestmark = pytest.mark.anyio

DAY = 86_400.0
RAW = 7 * DAY


async def test_results_are_forgotten_after_their_time_and_not_before(world: World) -> None:
    for day in range(10):
        await world.take(seen(START + day * DAY), first=day + 1)
    await world.records.upkeep(START + 9 * DAY)
    left, _ = await world.records.checks("t/web", since=0.0, until=2e9, limit=99)
    days = sorted(round((one.at - START) / DAY) for one in left)
    assert days[-8:] == list(range(2, 10))  # partitions go whole: a part of a day more may be left
    assert len(days) <= 9


async def test_results_that_are_not_rolled_up_are_not_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.take(seen())
    monkeypatch.setattr("holdfast.netpulse.shell.records.records.ROLLING_S", 0.0)
    await world.records.upkeep(START + 30 * DAY)
    assert await world.stored() == 1
    monkeypatch.undo()
    await world.records.upkeep(START + 30 * DAY)
    assert await world.stored() == 0


async def test_many_old_results_go_in_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "RESULTS", 3)
    await world.take(*(seen(START + number) for number in range(20)))
    await world.take(seen(START + RAW + DAY), first=21)
    await world.records.upkeep(START + RAW + 2 * DAY)
    assert await world.stored() == 1


async def test_a_result_whose_clock_was_ahead_does_not_keep_the_others(world: World) -> None:
    await world.take(seen(START + 100 * DAY, received=START), *(seen(START + number) for number in range(5)))
    await world.records.upkeep(START + RAW + 2 * DAY)
    assert await world.stored() <= 1


async def test_days_are_there_before_they_begin(world: World) -> None:
    today = int(START // DAY)
    for day in (today, today + 1, today + 40):
        await world.records.upkeep(day * DAY)
        found = await world.database.read(partitions.found)
        if world.database.dialect == "postgresql":
            assert {day, day + 1, day + 2} <= set(found)


async def test_a_result_of_a_day_that_nobody_made_ahead_is_stored(world: World) -> None:
    for days in (50, -50):
        await world.take(seen(START + days * DAY), agent=str(days))
    assert await world.stored() == 2


async def test_old_incidents_go_with_everything_that_hangs_on_them(world: World) -> None:
    old, recent, standing = incident(1), incident(2), incident(3)
    for one in (old, recent, standing):
        await world.records.decide(decided(one, notice(one)))
    for one, at in ((old, START), (recent, START + DAY)):
        await world.records.decide(decided(after(one, State.RESOLVED, resolved=at)))
    await world.records.upkeep(START + float(world.retention.incidents) + 1)
    assert [one.id for one in await world.records.incidents("t", limit=9)] == [standing.id, recent.id]
    for table, rows in (("incidents", 2), ("transitions", 3), ("members", 2), ("notices", 2)):
        assert await world.rows_of(table) == rows


async def test_old_tests_and_spans_go(world: World) -> None:
    await world.records.owe(replace(notice(incident(), "test"), incident="", snapshot=None))
    ended, standing = (
        Span(monitor="t/web", kind=kind, since=START, until=until)
        for kind, until in (("down", START + 1), ("slow", None))
    )
    await world.records.decide(Decisions(spans=(ended, standing)))
    await world.records.upkeep(START + 1_100 * DAY + 2)
    assert (await world.rows_of("notices"), await world.rows_of("spans")) == (0, 1)


async def test_names_and_marks_that_nobody_uses_are_forgotten_and_come_back(world: World) -> None:
    await world.take(seen())
    await world.records.upkeep(START)
    await world.records.upkeep(START + 100 * DAY)
    assert (await world.rows_of("spools"), await world.rows_of("names")) == (0, 2)  # its monitor and region
    for _ in range(3):
        await world.records.upkeep(START + 1_200 * DAY)
    assert (await world.rows_of("names"), await world.rows_of("days")) == (0, 0)
    await world.take(seen(START + 1_200 * DAY), first=2)
    ((one,), _) = await world.records.checks("t/web", since=START, until=2e9, limit=9)
    assert (one.region, one.agent, one.address) == ("eu", "eu-1", "192.0.2.1")


async def test_figures_tell_what_there_is(world: World) -> None:
    one = incident()
    await world.records.decide(decided(one, notice(one)))
    await world.take(*(seen(START + number) for number in range(1000)))
    found = await world.records.figures()
    assert (found["results"], found["to_roll_up"], found["owed"]) == (1000.0, 1000.0, 1.0)
    assert found["bytes"] > 50_000
    assert found["bytes_per_check"] == pytest.approx(found["bytes"] / 1000, abs=0.1)
    await world.records.upkeep(START + 1)
    assert (await world.records.figures())["to_roll_up"] == 0.0


async def test_figures_of_nothing_are_zero(world: World) -> None:
    found = await world.records.figures()
    assert (found["results"], found["bytes_per_check"], found["oldest_owed_s"]) == (0.0, 0.0, 0.0)


async def test_retention_of_less_than_a_day_is_kept(world: World) -> None:
    world.retention = msgspec.structs.replace(world.retention, raw=Duration(3600.0))
    world.records = world.engine()
    await world.records.open(world.now)
    await world.take(seen())
    await world.records.upkeep(START + 2 * DAY)
    assert await world.stored() == 0


async def test_a_day_that_somebody_reads_is_forgotten_later(world: World, store_settings: StoreSettings) -> None:
    if world.database.dialect != "postgresql":
        pytest.skip("SQLite has no partitions")
    await world.take(seen())
    with psycopg.connect(store_settings.url) as reader:
        reader.execute("SELECT count(*) FROM netpulse_results")
        await world.records.upkeep(START + 30 * DAY)
        reader.rollback()
        assert await world.stored() == 1
    await world.records.upkeep(START + 30 * DAY)
    assert await world.stored() == 0
    setting = await world.database.write(lambda tx: tx.one("SELECT current_setting('lock_timeout')"))
    assert setting == ("0",)
