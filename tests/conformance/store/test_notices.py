"""Who listens hears of every commit, or that something may have been missed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.store import StoreError, open_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.store import Database, StoreSettings, Tx

pytestmark = pytest.mark.anyio


async def heard(listener: AsyncIterator[str], *wanted: str) -> list[str]:
    """Payloads up to and with the last of those wanted; empty ones are left out unless they are wanted."""
    payloads: list[str] = []
    async with asyncio.timeout(10):
        while not payloads or payloads[-1] != wanted[-1]:
            payload = await anext(listener)
            if payload or "" in wanted:
                payloads.append(payload)
    return payloads


async def test_a_listener_first_looks_for_itself(database: Database) -> None:
    assert await heard(database.listen("jobs"), "") == [""]


async def test_what_is_committed_is_heard_in_order_and_repetitions_once(database: Database) -> None:
    listener = database.listen("jobs")

    def work(tx: Tx) -> None:
        for payload in ("a", "größe with words", "a", "end"):
            tx.notify("jobs", payload)

    await database.write(work)
    assert await heard(listener, "end") == ["a", "größe with words", "end"]


async def test_what_is_undone_is_not_heard(database: Database) -> None:
    listener = database.listen("jobs")

    def work(tx: Tx) -> None:
        tx.notify("jobs", "never")
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(work)
    await database.write(lambda tx: tx.notify("jobs", "end"))
    assert await heard(listener, "end") == ["end"]


async def test_channels_are_apart(database: Database) -> None:
    jobs, keys = database.listen("jobs"), database.listen("keys")
    await database.write(lambda tx: tx.notify("jobs", "a job"))
    await database.write(lambda tx: tx.notify("keys", "a key"))
    assert await heard(jobs, "a job") == ["a job"]
    assert await heard(keys, "a key") == ["a key"]


async def test_another_process_is_heard_or_felt(store_settings: StoreSettings) -> None:
    async with await open_database(store_settings) as here, await open_database(store_settings) as there:
        listener = here.listen("jobs")
        await here.write(lambda tx: tx.notify("jobs", "ready"))
        await heard(listener, "ready")
        await there.migrate("things", [["CREATE TABLE things (id {serial})"]])
        await there.write(lambda tx: tx.notify("jobs", "from there"))
        # SQLite has no words for it: the file has changed, so there may be something.
        assert await heard(listener, "from there" if here.dialect == "postgresql" else "")


async def test_a_listener_that_does_not_keep_up_is_told_so(database: Database) -> None:
    slow, keen = database.listen("jobs"), database.listen("jobs")

    def work(tx: Tx) -> None:
        for number in range(1500):
            tx.notify("jobs", str(number))

    await heard(slow, "")
    await heard(keen, "")
    await database.write(work)
    await database.write(lambda tx: tx.notify("jobs", "end"))
    await heard(keen, "end")  # then all has come, and nobody took it from the other
    payloads = await heard(slow, "", "end")
    assert "" in payloads
    assert len(payloads) <= 1001


@pytest.mark.parametrize(
    ("channel", "payload", "complaint"),
    [
        ("Jobs; DROP TABLE jobs", "a", "is no channel"),
        ("jobs", "x" * 4001, "4000 fit"),
        ("jobs", "ß" * 2001, "4000 fit"),
    ],
)
async def test_what_cannot_be_told_is_refused(database: Database, channel: str, payload: str, complaint: str) -> None:
    with pytest.raises(StoreError, match=complaint):
        await database.write(lambda tx: tx.notify(channel, payload))


async def test_a_channel_without_a_proper_name_cannot_be_listened_to(database: Database) -> None:
    with pytest.raises(StoreError, match="is no channel"):
        database.listen('jobs"; DROP TABLE jobs')


async def test_closing_ends_the_listeners(store_settings: StoreSettings) -> None:
    async with await open_database(store_settings) as database:
        listener = database.listen("jobs")
    assert [payload async for payload in listener] in ([""], ["", ""])
