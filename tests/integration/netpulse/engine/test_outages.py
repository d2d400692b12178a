"""Stores that are away or in doubt, clocks that jump, other engines, and what other systems decided."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.netpulse.core.ports import ForeignAlert
from holdfast.netpulse.errors import ReadOnly, Superseded
from holdfast.store import StoreUnavailable
from tests.integration.netpulse.engine.harness import SETTINGS, House

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.store import Tx

pytestmark = pytest.mark.anyio


def alert(*, active: bool = True, fingerprint: str = "abc", starts: float = 0.0) -> ForeignAlert:
    return ForeignAlert(
        fingerprint=fingerprint, title="disk is full", labels={"team": "db"}, starts=starts, active=active
    )


async def test_while_the_store_is_away_agents_keep_their_results_and_afterwards_one_page_goes_out(house: House) -> None:
    await house.rounds(3, up=True)
    house.records.away = True
    kept = []
    for _ in range(3):
        for region in ("ap", "eu", "us"):
            batch = house.batch(region, [house.result(region, up=False)])
            kept.append(batch)
            with pytest.raises(StoreUnavailable):
                await house.runtime.take(batch)
        house.now += 3.0
        await house.hear()
        house.runtime.tick()
    house.records.away = False
    for batch in kept:
        await house.runtime.take(batch)
    await house.rounds(2, up=False)
    assert await house.told() == ["opened"]


async def test_a_commit_that_was_not_confirmed_is_neither_lost_nor_done_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = house.database.write

    async def doubtful(work: Callable[[Tx], Any]) -> None:
        await write(work)
        raise StoreUnavailable("the connection broke before the answer came")

    await house.rounds(3, up=True)
    for _ in range(3):
        for region in ("ap", "eu", "us"):
            batch = house.batch(region, [house.result(region, up=False)])
            with monkeypatch.context() as patched:
                patched.setattr(house.database, "write", doubtful)
                with pytest.raises(StoreUnavailable):
                    await house.runtime.take(batch)
            await house.runtime.take(batch)
        await house.advance(30.0)
    assert await house.told() == ["opened"]
    found, _ = await house.records.checks("t/web", since=0.0, until=house.now, limit=1000)
    assert len(found) == 18


async def test_decisions_that_wait_for_the_store_are_stored_when_it_is_back(house: House) -> None:
    await house.rounds(2, up=False)
    (one,) = await house.incidents()
    house.records.away = True
    waiting = asyncio.create_task(house.runtime.acknowledge("t", one.id, actor="ann"))
    await asyncio.sleep(0)
    assert not waiting.done()
    house.records.away = False
    assert (await waiting).acknowledged_by == "ann"


async def test_of_two_engines_on_one_store_the_older_stops_and_says_why(house: House) -> None:
    await house.rounds(2, up=True)
    second = House(house.database)
    second.now, second.seqs = house.now, house.seqs
    await second.start()
    with pytest.raises(Superseded):
        await house.see(up=False)
    house.living.clear()
    await house.advance(1.0)
    house.now += 3.0
    for _ in range(5):
        house.now += 3.0
        house.runtime.tick()  # its regions are lost, it says to itself
    ended = await house.failed()
    assert isinstance(ended, BaseExceptionGroup)
    assert ended.subgroup(Superseded) is not None
    for _ in range(3):
        await second.see(up=False)
        await second.advance(30.0)
    assert await second.told() == ["opened"]
    await second.kill()


async def test_alerts_of_another_system_outlive_a_restart_without_another_page(house: House) -> None:
    await house.runtime.alerts("t", [alert(starts=house.now)])
    await house.advance(60.0)
    assert await house.told() == ["opened"]
    await house.restart()
    await house.advance(60.0)
    await house.runtime.alerts("t", [alert(starts=house.now)])
    await house.advance(60.0)
    assert await house.told() == ["opened"]
    await house.runtime.alerts("t", [alert(active=False)])
    await house.advance(1200.0)
    assert await house.told() == ["opened", "resolved"]


async def test_only_who_runs_the_platform_acts_on_its_incidents(house: House) -> None:
    house.living.remove("ap")
    await house.advance(60.0)
    (one,) = await house.incidents()
    assert (await house.runtime.incident("other", one.id)).id == one.id
    for act in (house.runtime.acknowledge, house.runtime.resolve):
        with pytest.raises(ReadOnly):
            await act("other", one.id, actor="mallory")
    with pytest.raises(ReadOnly):
        await house.runtime.note("other", one.id, "hello", actor="mallory")
    assert (await house.runtime.acknowledge(SETTINGS.tenant, one.id, actor="ann")).acknowledged_by == "ann"
