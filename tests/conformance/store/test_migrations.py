"""The schema moves forward once, together or not at all."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from holdfast.store import StoreError, open_database

if TYPE_CHECKING:
    from holdfast.store import Database, StoreSettings

pytestmark = pytest.mark.anyio

FIRST = ["CREATE TABLE things (id {serial}, body {blob}, at {float}, size {bigint}, extra TEXT DEFAULT '{}')"]
SECOND = ["ALTER TABLE things ADD COLUMN colour TEXT", "INSERT INTO things (colour) VALUES ('red')"]


async def versions(database: Database) -> list[tuple[str, int]]:
    return [
        (row[0], row[1])
        for row in await database.read(
            lambda tx: tx.all("SELECT component, version FROM schema_versions ORDER BY component, version")
        )
    ]


async def test_each_version_is_applied_once(database: Database) -> None:
    await database.migrate("things", [FIRST])
    for _ in range(2):
        await database.migrate("things", [FIRST, SECOND])
    assert await versions(database) == [("things", 1), ("things", 2)]
    assert await database.read(lambda tx: tx.all("SELECT id, colour, extra FROM things")) == [(1, "red", "{}")]


async def test_components_have_versions_of_their_own(database: Database) -> None:
    await database.migrate("things", [FIRST, SECOND])
    await database.migrate("others", [["CREATE TABLE others (id {serial})"]])
    assert await versions(database) == [("others", 1), ("things", 1), ("things", 2)]


async def test_many_processes_that_start_at_once_apply_it_once(store_settings: StoreSettings) -> None:
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(await open_database(store_settings)) for _ in range(4)]
        await asyncio.gather(*(database.migrate("things", [FIRST, SECOND]) for database in databases * 2))
        assert await versions(databases[0]) == [("things", 1), ("things", 2)]
        assert await databases[0].read(lambda tx: tx.one("SELECT count(*) FROM things")) == (1,)


async def test_a_version_that_fails_leaves_the_schema_as_it_was(database: Database) -> None:
    with pytest.raises(StoreError):
        await database.migrate("things", [FIRST, [*SECOND, "INSERT INTO nowhere VALUES (1)"]])
    await database.migrate("things", [FIRST, SECOND])
    assert await versions(database) == [("things", 1), ("things", 2)]


async def test_a_database_that_is_newer_than_the_program_is_refused_with_the_way_out(database: Database) -> None:
    await database.migrate("things", [FIRST, SECOND])
    with pytest.raises(StoreError, match=r"things have version 2, this program knows 1: run the newer program"):
        await database.migrate("things", [FIRST])


async def test_statements_that_were_prepared_before_a_migration_go_on_working(store_settings: StoreSettings) -> None:
    async with await open_database(store_settings) as old, await open_database(store_settings) as new:
        await old.migrate("things", [FIRST])
        for _ in range(30):  # psycopg prepares what is repeated
            await old.read(lambda tx: tx.all("SELECT * FROM things"))
        await new.migrate("things", [FIRST, SECOND])
        rows = await old.read(lambda tx: tx.all("SELECT * FROM things"))
        assert rows[0][-1] == "red"
