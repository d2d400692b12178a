"""Stores in the states that the behaviours need."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.store import open_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from holdfast.store import Database, StoreSettings, Tx

ITEMS = [["CREATE TABLE items (id {serial}, name TEXT UNIQUE, size {bigint}, data {blob}, at {float}, good BOOLEAN)"]]


def insert(name: str) -> Callable[[Tx], int]:
    """Work that adds an item."""
    return lambda tx: tx.run("INSERT INTO items (name) VALUES (?)", name)


async def names(database: Database) -> list[str]:
    """All items, in the order of their names."""
    return [row[0] for row in await database.read(lambda tx: tx.all("SELECT name FROM items ORDER BY name"))]


@pytest.fixture
async def items(store_settings: StoreSettings) -> AsyncIterator[Database]:
    """A store with a table and one writer, so that writes which wait become one group."""
    async with await open_database(msgspec.structs.replace(store_settings, connections=2, pending=300)) as database:
        await database.migrate("items", ITEMS)
        yield database


@pytest.fixture
def writer_held(items: Database) -> Callable[[], AbstractAsyncContextManager[None]]:
    """While entered, the writer is at work, and what comes has to wait."""

    @asynccontextmanager
    async def held() -> AsyncIterator[None]:
        at_work, go = threading.Event(), threading.Event()

        def hold(tx: Tx) -> None:
            at_work.set()
            assert go.wait(30)

        holding = asyncio.create_task(items.write(hold))
        assert await asyncio.to_thread(at_work.wait, 10)
        try:
            yield
        finally:
            go.set()
            await holding

    return held
