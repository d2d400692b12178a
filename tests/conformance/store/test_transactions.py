"""What a transaction keeps, what it undoes, and what comes back out of the store."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.store import StoreConflict, StoreError
from tests.conformance.store.conftest import insert, names

if TYPE_CHECKING:
    from holdfast.store import Database, Tx

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "values",
    [
        ("plain", 1, b"\x00\xff", 1.5, True),
        ("größe 100 % '?' \N{SNOWMAN}", 2**63 - 1, b"", -0.1, False),
        ("", -(2**63), bytes(range(256)) * 1000, 1e308, None),
        (None, None, None, None, None),
    ],
)
async def test_values_come_back_as_they_went_in(items: Database, values: tuple[Any, ...]) -> None:
    await items.write(
        lambda tx: tx.run("INSERT INTO items (name, size, data, at, good) VALUES (?, ?, ?, ?, ?)", *values)
    )
    assert await items.read(lambda tx: tx.one("SELECT name, size, data, at, good FROM items")) == values


async def test_a_question_mark_in_quotes_is_no_parameter(items: Database) -> None:
    row = await items.read(lambda tx: tx.one("SELECT '?', 'it''s ? 5 %', ? -- why?", "a"))
    assert row == ("?", "it's ? 5 %", "a")


async def test_small_and_large_numbers_share_a_statement(items: Database) -> None:
    def work(tx: Tx) -> list[Any]:
        for size in (1, 70_000, 2**40, -1):
            tx.run("INSERT INTO items (name, size) VALUES (?, ?)", str(size), size)
        return [tx.one("SELECT name FROM items WHERE size = ?", size) for size in (1, 70_000, 2**40, -1)]

    assert await items.write(work) == [("1",), ("70000",), (str(2**40),), ("-1",)]


async def test_copied_values_come_back_as_they_went_in(items: Database) -> None:
    rows = [("plain", 1, b"\x00\xff", 1.5, True), ("\t\\N größe\n", 2**63 - 1, b"", -0.1, False), (None,) * 5]
    columns = ("name", "size", "data", "at", "good")
    await items.write(lambda tx: tx.copy("items", columns, rows))
    assert await items.read(lambda tx: tx.all("SELECT name, size, data, at, good FROM items ORDER BY id")) == rows


async def test_a_copy_is_undone_with_its_transaction(items: Database) -> None:
    await items.write(insert("b"))

    def work(tx: Tx) -> None:
        tx.run("INSERT INTO items (name) VALUES ('a')")
        tx.copy("items", ("name",), [("c",), ("b",)])

    with pytest.raises(StoreConflict):
        await items.write(work)
    assert await names(items) == ["b"]


async def test_a_copy_of_no_rows_changes_nothing(items: Database) -> None:
    await items.write(lambda tx: tx.copy("items", ("name",), []))
    assert await names(items) == []


async def test_lists_of_small_and_large_numbers_share_a_statement(items: Database) -> None:
    def work(tx: Tx) -> list[int]:
        sizes = (1, 70_000, 2**40)
        tx.many("INSERT INTO items (size) VALUES (?)", [(size,) for size in sizes])
        if tx.dialect == "sqlite":
            return [
                tx.run("UPDATE items SET at = 1 WHERE size IN (SELECT value FROM json_each(?))", f"[{size}]")
                for size in sizes
            ]
        return [tx.run("UPDATE items SET at = 1 WHERE size = ANY(?)", [size]) for size in sizes]

    assert await items.write(work) == [1, 1, 1]


async def test_a_sum_of_integers_is_an_integer(items: Database) -> None:
    await items.write(lambda tx: tx.many("INSERT INTO items (size) VALUES (?)", [(n,) for n in range(10)]))
    row = await items.read(lambda tx: tx.one("SELECT sum(size), count(*), max(size), avg(size) FROM items"))
    assert row is not None
    assert row == (45, 10, 9, 4.5)
    assert [type(value) for value in row] == [int, int, int, float]


async def test_run_counts_the_rows_that_changed(items: Database) -> None:
    def work(tx: Tx) -> list[int]:
        tx.many("INSERT INTO items (name) VALUES (?)", [("a",), ("b",), ("c",)])
        return [
            tx.run("UPDATE items SET size = 1"),
            tx.run(
                "WITH wanted AS (SELECT 'a' AS name) UPDATE items SET size = 2 WHERE name IN (SELECT name FROM wanted)"
            ),
            tx.run("DELETE FROM items WHERE name = ?", "nobody"),
            tx.run("INSERT INTO items (name) VALUES ('a') ON CONFLICT DO NOTHING"),
        ]

    assert await items.write(work) == [3, 1, 0, 0]


async def test_returning_gives_the_rows_and_changes_all_of_them(items: Database) -> None:
    def work(tx: Tx) -> tuple[Any, Any]:
        tx.many("INSERT INTO items (name) VALUES (?)", [("a",), ("b",), ("c",)])
        return tx.one("UPDATE items SET size = 7 RETURNING size"), tx.all("SELECT size FROM items")

    assert await items.write(work) == ((7,), [(7,), (7,), (7,)])


async def test_the_first_row_of_none_is_none(items: Database) -> None:
    assert await items.read(lambda tx: tx.one("SELECT name FROM items")) is None


async def test_work_that_raises_keeps_nothing(items: Database) -> None:
    def work(tx: Tx) -> None:
        insert("a")(tx)
        raise LookupError("its own reason")

    with pytest.raises(LookupError, match="its own reason"):
        await items.write(work)
    assert await names(items) == []


async def test_a_name_twice_is_a_conflict(items: Database) -> None:
    await items.write(insert("a"))
    with pytest.raises(StoreConflict):
        await items.write(insert("a"))


async def test_work_that_goes_on_after_a_failed_statement_is_undone_all_the_same(items: Database) -> None:
    await items.write(insert("a"))

    def work(tx: Tx) -> str:
        insert("b")(tx)
        try:
            insert("a")(tx)
        except StoreConflict:
            pass
        return "nothing happened"

    with pytest.raises(StoreConflict):
        await items.write(work)
    assert await names(items) == ["a"]


async def test_a_statement_that_makes_no_sense_is_an_error_that_trying_again_will_not_help(items: Database) -> None:
    with pytest.raises(StoreError, match="nowhere") as caught:
        await items.write(lambda tx: tx.run("INSERT INTO nowhere VALUES (1)"))
    assert type(caught.value) is StoreError


async def test_work_that_raises_stop_iteration_is_answered(items: Database) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await items.write(lambda tx: next(iter(())))


async def test_a_read_changes_nothing(items: Database) -> None:
    with pytest.raises(StoreError):
        await items.read(insert("a"))
    assert await names(items) == []


async def test_a_read_sees_one_state_of_the_store_however_long_it_takes(items: Database) -> None:
    await items.write(insert("a"))

    first, go = threading.Event(), threading.Event()

    def look_twice(tx: Tx) -> list[Any]:
        before = tx.all("SELECT name FROM items")
        first.set()
        assert go.wait(10)
        return [before, tx.all("SELECT name FROM items")]

    looking = asyncio.create_task(items.read(look_twice))
    assert await asyncio.to_thread(first.wait, 10)
    await items.write(insert("b"))
    go.set()
    assert await looking == [[("a",)], [("a",)]]
