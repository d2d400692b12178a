"""What a transaction keeps and what it undoes, on both drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from holdfast.store import Database

pytestmark = pytest.mark.anyio


async def test_what_was_written_is_read(database: Database) -> None:
    await database.migrate("a", [["CREATE TABLE a (id {serial}, x {float})"]])
    await database.write(lambda tx: tx.run("INSERT INTO a (x) VALUES (?)", 1.5))
    assert await database.read(lambda tx: tx.all("SELECT * FROM a")) == [(1, 1.5)]
