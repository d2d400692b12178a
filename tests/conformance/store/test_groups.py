"""Many writes at once: one commit, and nobody pays for what another did."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from holdfast.store import StoreUnavailable, open_database
from tests.conformance.store.conftest import ITEMS, insert, names

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from holdfast.store import Database, StoreSettings, Tx

    Held = Callable[[], AbstractAsyncContextManager[None]]

pytestmark = pytest.mark.anyio


async def started(*works: asyncio.Task[int]) -> None:
    """The tasks have put their writes into the queue."""
    for _ in works:
        await asyncio.sleep(0)


async def test_a_write_that_raises_undoes_only_itself(items: Database, writer_held: Held) -> None:
    def fails(tx: Tx) -> int:
        insert("no")(tx)
        raise LookupError

    async with writer_held():
        tasks = [asyncio.create_task(items.write(work)) for work in (insert("a"), fails, insert("b"), fails)]
        await started(*tasks)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, LookupError, int, LookupError]
    assert await names(items) == ["a", "b"]


async def test_writes_that_conflict_with_each_other_are_told_apart(items: Database, writer_held: Held) -> None:
    async with writer_held():
        tasks = [asyncio.create_task(items.write(insert(name))) for name in ("a", "b", "a", "c")]
        await started(*tasks)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, True, False]
    assert await names(items) == ["a", "b", "c"]


async def test_a_caller_that_is_cancelled_while_waiting_has_not_written(items: Database, writer_held: Held) -> None:
    async with writer_held():
        tasks = [asyncio.create_task(items.write(insert(name))) for name in ("a", "b", "c")]
        await started(*tasks)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
    assert await asyncio.gather(*tasks, return_exceptions=True)
    assert tasks[1].cancelled()
    assert await names(items) == ["a", "c"]


async def test_a_caller_that_is_cancelled_during_its_write_disturbs_nobody(items: Database) -> None:
    at_work, go = threading.Event(), threading.Event()

    def slow(tx: Tx) -> int:
        at_work.set()
        assert go.wait(10)
        return insert("slow")(tx)

    task = asyncio.create_task(items.write(slow))
    assert await asyncio.to_thread(at_work.wait, 10)
    task.cancel()
    await asyncio.wait([task])
    go.set()
    await items.write(insert("next"))
    assert await names(items) == ["next", "slow"]  # what has begun is not torn out of its group


async def test_a_write_that_waits_beyond_its_deadline_is_not_done(items: Database, writer_held: Held) -> None:
    async with writer_held():
        with pytest.raises(StoreUnavailable, match=r"within 0\.05 s"):
            await items.write(insert("late"), deadline_s=0.05)
    await items.write(insert("a"))
    assert await names(items) == ["a"]


async def test_one_write_more_than_may_wait_is_refused(items: Database, writer_held: Held) -> None:
    async with writer_held():
        tasks = [asyncio.create_task(items.write(insert(str(number)))) for number in range(300)]
        await started(*tasks)
        with pytest.raises(StoreUnavailable, match=r"300 writes are waiting.*store\.pending"):
            await items.write(insert("one more"))
    await asyncio.gather(*tasks)
    assert len(await names(items)) == 300


async def test_two_hundred_writers_lose_nothing(store_settings: StoreSettings) -> None:
    async with await open_database(store_settings) as database:
        await database.migrate("items", ITEMS)
        await database.write(lambda tx: tx.run("INSERT INTO items (name, size) VALUES ('total', 0)"))

        def add(tx: Tx) -> int:
            return tx.run("UPDATE items SET size = size + 1 WHERE name = 'total'")

        async def writer() -> None:
            for _ in range(5):
                await database.write(add)

        await asyncio.gather(*(writer() for _ in range(200)))
        assert await database.read(lambda tx: tx.one("SELECT size FROM items")) == (1000,)


async def test_groups_that_lock_rows_in_opposite_order_all_succeed(store_settings: StoreSettings) -> None:
    """PostgreSQL ends one of two that wait for each other; it has to be run again."""
    async with await open_database(store_settings) as first, await open_database(store_settings) as second:
        await first.migrate("items", ITEMS)
        await first.write(lambda tx: tx.many("INSERT INTO items (name, size) VALUES (?, 0)", [("a",), ("b",)]))
        both = threading.Barrier(2)

        def locks(one: str, other: str) -> Callable[[Tx], int]:
            meet = [both] if first.dialect == "postgresql" else []  # SQLite lets only one of them in

            def work(tx: Tx) -> int:
                tx.run("UPDATE items SET size = size + 1 WHERE name = ?", one)
                if meet:
                    meet.pop().wait(10)
                return tx.run("UPDATE items SET size = size + 1 WHERE name = ?", other)

            return work

        await asyncio.gather(first.write(locks("a", "b")), second.write(locks("b", "a")))
        assert await first.read(lambda tx: tx.all("SELECT size FROM items")) == [(2,), (2,)]


async def test_closing_finishes_what_waits_and_refuses_what_comes(store_settings: StoreSettings) -> None:
    database = await open_database(store_settings)
    await database.migrate("items", ITEMS)
    tasks = [asyncio.create_task(database.write(insert(str(number)))) for number in range(100)]
    await started(*tasks)
    await database.close()
    await asyncio.gather(*tasks)
    with pytest.raises(StoreUnavailable, match="closed"):
        await database.write(insert("late"))
    await database.close()  # once more does nothing
    async with await open_database(store_settings) as again:
        assert len(await names(again)) == 100


async def test_nobody_is_answered_before_others_can_see_it(store_settings: StoreSettings) -> None:
    async with await open_database(store_settings) as writer, await open_database(store_settings) as other:
        await writer.migrate("items", ITEMS)

        async def one(name: str) -> None:
            await writer.write(insert(name))
            assert name in await names(other)

        await asyncio.gather(*(one(f"item {number}") for number in range(50)))


async def test_a_thread_that_works_too_long_is_interrupted(store_settings: StoreSettings) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    async with await open_database(store_settings) as database:
        with pytest.raises(StoreUnavailable):
            await database.read(lambda tx: tx.one(endless), deadline_s=0.1)
        with pytest.raises(StoreUnavailable):
            await database.write(lambda tx: tx.one(endless), deadline_s=0.1)
        assert await database.write(lambda tx: tx.one("SELECT 1"), deadline_s=20) == (1,)
