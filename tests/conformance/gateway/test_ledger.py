"""The ledger on a fresh store of each kind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.gateway.core.limits import LimitTable
from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.settings import LedgerSettings, LimitSettings, LimitsSettings, PriceSettings
from holdfast.gateway.core.usage import NANO, Usage
from holdfast.gateway.errors import GatewayError, Refused
from holdfast.gateway.shell.ledger import (
    JournalError,
    MoneyLedger,
    Offer,
    PriceList,
    ProviderReport,
    Query,
    Reports,
)
from holdfast.kernel import Duration
from tests.unit.gateway.attempts import HOLDER, WALL, begun, ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from holdfast.store import Database

pytestmark = pytest.mark.anyio

CENT = NANO // 100


class World:
    """Ledgers on one store, on a clock of their own."""

    def __init__(self, database: Database, path: Path) -> None:
        self.database = database
        self.path = path
        self.wall = WALL
        self.now = 1000.0
        self.limits = LimitsSettings(tenants={"acme": LimitSettings(daily_usd=1.0)})
        self.prices = PriceList()
        self.prices.load({"fast/0": Offer(provider="mock", model="m", price=PriceSettings(input=100.0, output=0.0))})
        self.opened: list[MoneyLedger] = []

    async def ledger(self, name: str = "one", *, lease_usd: float = 0.1) -> MoneyLedger:
        settings = LedgerSettings(
            path=str(self.path / name), instance=name, lease_usd=lease_usd, fold=Duration(3600), sync=Duration(3600)
        )
        ledger = MoneyLedger(
            settings,
            self.database,
            LimitTable(self.limits),
            self.prices,
            wall=lambda: self.wall,
            monotonic=lambda: self.now,
        )
        await ledger.open()
        self.opened.append(ledger)
        return ledger

    async def kill(self, ledger: MoneyLedger) -> None:
        """As ``kill -9`` would: nothing is folded, nothing given back."""
        self.opened.remove(ledger)
        for task in ledger._tasks:
            task.cancel()
        await asyncio.gather(*ledger._tasks, return_exceptions=True)
        ledger._segments.close()

    async def spent(self) -> int:
        page = await Reports(self.database).usage(Query(tenant=None, since=0, until=WALL * 2))
        return page.rows[0].cost_nano


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    made = World(database, tmp_path / "journals")
    yield made
    for ledger in made.opened:
        await ledger.close()


async def spend(world: World, ledger: MoneyLedger, attempt: str, reserved: int, cost: int | None) -> None:
    await ledger.reserve(HOLDER, attempt, reserved, wall=world.wall, deadline_s=5)
    ledger.begin(begun(attempt, reserved=reserved, wall=world.wall))
    if cost is not None:
        ledger.end(ended(attempt, cost, wall=world.wall))


async def test_a_thousand_requests_at_once_do_not_overshoot(world: World) -> None:
    ledger = await world.ledger()
    told = await asyncio.gather(
        *(spend(world, ledger, f"a{number}", CENT, CENT) for number in range(1000)), return_exceptions=True
    )
    assert sum(each is None for each in told) == 100
    assert all(isinstance(each, Refused) and each.reason == "budget_exhausted" for each in told if each is not None)
    await ledger.fold()
    assert await world.spent() == NANO


async def test_gateways_that_share_a_budget_do_not_overshoot_together(world: World) -> None:
    ledgers = [await world.ledger(name) for name in ("one", "two", "three")]
    told = await asyncio.gather(
        *(
            spend(world, ledger, f"{number}.{ledger._settings.instance}", CENT, CENT)
            for number in range(100)
            for ledger in ledgers
        ),
        return_exceptions=True,
    )
    for ledger in ledgers:
        await ledger.fold()
    assert sum(each is None for each in told) * CENT == await world.spent() <= NANO
    assert await world.spent() >= NANO - 3 * CENT


async def test_a_refusal_names_the_budget_what_is_left_and_when_it_begins_anew(world: World) -> None:
    ledger = await world.ledger()
    with pytest.raises(Refused, match=r"tenant:acme for 2026-11-22 \(\$1.00\) has \$1.00 left.*2026-11-23T00:00:00Z"):
        await ledger.reserve(HOLDER, "a", NANO + 1, wall=WALL, deadline_s=5)


async def test_what_died_under_way_is_charged_as_reserved_until_the_provider_tells(world: World) -> None:
    ledger = await world.ledger()
    await spend(world, ledger, "done", CENT, CENT // 2)
    for attempt in ("seen", "unseen"):
        await spend(world, ledger, attempt, 10 * CENT, None)
    await world.kill(ledger)

    again = await world.ledger()
    assert again.orphans == [("seen", 10 * CENT), ("unseen", 10 * CENT)]
    assert await world.spent() == 20 * CENT + CENT // 2
    told = await again.reconcile(
        [
            ProviderReport(attempt="seen", usage=Usage(input_tokens=100)),
            ProviderReport(attempt="unseen", usage=None),
            ProviderReport(attempt="done", usage=None),
            ProviderReport(attempt="never", usage=None),
        ]
    )
    assert (told.changed, told.unknown, told.difference_nano) == (2, ("done", "never"), CENT - 20 * CENT)
    assert await world.spent() == CENT + CENT // 2
    assert (await again.explain_budget(HOLDER))[0]["spent"] == "$0.015"
    assert again.orphans == []
    assert (await again.reconcile([ProviderReport(attempt="seen", usage=None)])).changed == 0


async def test_a_restart_goes_on_with_the_part_that_it_had(world: World) -> None:
    ledger = await world.ledger(lease_usd=0.5)
    await spend(world, ledger, "a", CENT, CENT)
    await world.kill(ledger)
    again = await world.ledger(lease_usd=0.5)
    await spend(world, again, "b", 90 * CENT, None)
    with pytest.raises(Refused):
        await again.reserve(HOLDER, "c", 10 * CENT, wall=WALL, deadline_s=5)


async def test_what_a_dead_gateway_held_is_nobodys_until_it_is_back(world: World) -> None:
    dead = await world.ledger("dead", lease_usd=0.4)
    await spend(world, dead, "a", CENT, CENT)
    await world.kill(dead)
    other = await world.ledger("other")
    with pytest.raises(Refused):
        await other.reserve(HOLDER, "b", 61 * CENT, wall=WALL, deadline_s=5)
    back = await world.ledger("dead", lease_usd=0.4)
    await back.close()
    world.opened.remove(back)
    world.now += 1
    await other.reserve(HOLDER, "b", 61 * CENT, wall=WALL, deadline_s=5)


async def test_a_budget_that_is_overdrawn_says_so(world: World) -> None:
    ledger = await world.ledger()
    await spend(world, ledger, "a", CENT, 2 * NANO)
    with pytest.raises(Refused, match="overdrawn by"):
        await ledger.reserve(HOLDER, "b", 1, wall=WALL, deadline_s=5)
    await ledger.fold()
    (told,) = await ledger.explain_budget(HOLDER)
    assert told["verdict"].startswith("overdrawn by $1.00")


async def test_a_new_day_has_a_new_budget_and_yesterdays_attempts_are_charged_to_yesterday(world: World) -> None:
    ledger = await world.ledger()
    await spend(world, ledger, "old", NANO, None)
    world.wall += 86400
    world.now += 86400
    await spend(world, ledger, "new", NANO, NANO)
    ledger.end(ended("old", NANO, wall=world.wall))
    await ledger.fold()
    page = await Reports(world.database).usage(Query(tenant="acme", since=WALL, until=WALL + 86400, by=("day",)))
    assert [(row.group["day"], row.cost) for row in page.rows] == [("2026-11-22", "$1.00"), ("2026-11-23", "$1.00")]


async def test_a_clock_set_back_gives_no_money_back(world: World) -> None:
    ledger = await world.ledger()
    await spend(world, ledger, "a", NANO, NANO)
    world.wall -= 86400
    with pytest.raises(Refused):
        await ledger.reserve(HOLDER, "b", CENT, wall=world.wall, deadline_s=5)
    await world.kill(ledger)
    again = await world.ledger()
    with pytest.raises(Refused):
        await again.reserve(HOLDER, "c", CENT, wall=world.wall, deadline_s=5)


async def test_a_limit_that_is_set_today_knows_what_today_has_cost(world: World) -> None:
    ledger = await world.ledger()
    other = Holder(tenant="free", key_id="k9")
    ledger.begin(begun("early", other))
    ledger.end(ended("early", NANO))
    ledger.begin(begun("late", other))
    ledger.table = LimitTable(LimitsSettings(tenants={"free": LimitSettings(daily_usd=2.5)}))
    await ledger.reserve(other, "a", NANO, wall=WALL, deadline_s=5)
    ledger.end(ended("late", NANO))
    with pytest.raises(Refused):
        await ledger.reserve(other, "b", NANO, wall=WALL, deadline_s=5)


async def test_two_processes_cannot_write_one_journal(world: World) -> None:
    await world.ledger()
    with pytest.raises(JournalError, match=r"gateway\.ledger\.path"):
        await world.ledger()


async def test_an_attempt_ends_once(world: World) -> None:
    ledger = await world.ledger()
    await spend(world, ledger, "a", CENT, CENT)
    with pytest.raises(GatewayError, match="not under way"):
        ledger.end(ended("a", CENT))


async def test_what_was_released_can_be_reserved_again(world: World) -> None:
    ledger = await world.ledger()
    reservation = await ledger.reserve(HOLDER, "a", NANO, wall=WALL, deadline_s=5)
    ledger.release(reservation)
    await ledger.reserve(HOLDER, "b", NANO, wall=WALL, deadline_s=5)


async def test_usage_is_grouped_paged_and_each_tenants_own(world: World) -> None:
    ledger = await world.ledger()
    await spend(world, ledger, "r1.a", CENT, CENT)
    await spend(world, ledger, "r1.b", CENT, 0)
    ledger.begin(begun("r2.a", Holder(tenant="other", key_id="k2")))
    ledger.end(ended("r2.a", None))
    ledger.cached(HOLDER, "fast", wall=WALL, request="r3")
    await ledger.fold()
    reports = Reports(world.database)

    def query(**more: object) -> Query:
        return Query(**{"tenant": "acme", "since": WALL, "until": WALL, **more})  # type: ignore[arg-type]

    (row,) = (await reports.usage(query(by=("key", "tag", "model")))).rows
    assert row.group == {"key": "k1", "tag": "blue", "model": "fast"}
    assert (row.attempts, row.requests, row.cost, row.input_tokens, row.cache_read_tokens) == (3, 2, "$0.01", 200, 100)
    (row,) = (await reports.usage(query(tenant="other"))).rows
    assert (row.attempts, row.unpriced, row.cost_nano) == (1, 1, 0)
    first = await reports.usage(query(tenant=None, by=("tenant", "outcome"), limit=2))
    second = await reports.usage(query(tenant=None, by=("tenant", "outcome"), limit=2, offset=first.next or 0))
    assert [tuple(row.group.values()) for row in (*first.rows, *second.rows)] == [
        ("acme", "cached"),
        ("acme", "ok"),
        ("other", "ok"),
    ]
    lines = b"".join([piece async for piece in reports.export(query(), "jsonl")]).splitlines()
    assert [msgspec.json.decode(line)["attempt"] for line in lines] == ["r1.a", "r1.b", "r3.cache"]
    table = b"".join([piece async for piece in reports.export(query(where=(("tag", "blue"),)), "csv")])
    assert len(table.splitlines()) == 4
    assert await reports.trim(before=WALL) == 0
    assert await reports.trim(before=WALL + 86400) == 4
    assert (await reports.usage(query(tenant=None))).rows[0].attempts == 0
