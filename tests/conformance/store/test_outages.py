"""A store that is away: told soon, nothing hangs, and it goes on by itself when the store is back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from holdfast.kernel import Duration
from holdfast.store import StoreError, StoreSettings, StoreUnavailable, open_database
from tests.conformance.store.conftest import ITEMS, insert, names
from tests.databases import PostgresqlServer
from tests.machine import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from holdfast.store import Database

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def frail_server() -> Iterator[PostgresqlServer]:
    """One that tests may kill; they leave it running."""
    server = PostgresqlServer(durable=True)  # a database made just now must outlive a kill
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def until_written(database: Database, name: str) -> None:
    """Write, trying again as a client would."""
    async with asyncio.timeout(20):
        while True:
            try:
                await database.write(insert(name), deadline_s=5)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


# ---------------------------------------------------------------- PostgreSQL


def take_all(url: str, taken: list[psycopg.Connection]) -> None:
    while True:
        taken.append(psycopg.connect(url))


async def test_a_server_that_is_killed_and_started_again_costs_time_only(frail_server: PostgresqlServer) -> None:
    with frail_server.database() as url:
        async with await open_database(StoreSettings(url=url)) as database:
            await database.migrate("items", ITEMS)
            frail_server.kill()
            with pytest.raises(StoreUnavailable):
                await database.write(insert("while it is away"), deadline_s=0.5)
            with pytest.raises(StoreUnavailable):
                await database.read(lambda tx: tx.one("SELECT 1"), deadline_s=0.5)
            frail_server.start()
            await until_written(database, "after")
            assert await names(database) == ["after"]


async def test_a_call_that_waits_out_a_restart_succeeds(frail_server: PostgresqlServer) -> None:
    with frail_server.database() as url:
        async with await open_database(StoreSettings(url=url)) as database:
            await database.migrate("items", ITEMS)
            frail_server.kill()
            with pytest.raises(StoreUnavailable):  # finds the connection broken
                await database.write(insert("first"), deadline_s=0.5)
            waiting = [asyncio.create_task(database.write(insert(str(n)), deadline_s=20)) for n in range(5)]
            await asyncio.to_thread(frail_server.start)
            await asyncio.gather(*waiting)
            assert await names(database) == [str(n) for n in range(5)]


async def test_listeners_look_for_themselves_while_nobody_can_tell_them(frail_server: PostgresqlServer) -> None:
    with frail_server.database() as url:
        async with await open_database(StoreSettings(url=url)) as database:
            listener = database.listen("jobs")
            assert await anext(listener) == ""
            frail_server.kill()
            async with asyncio.timeout(10):
                assert [await anext(listener) for _ in range(2)] == ["", ""]
            frail_server.start()
            async with asyncio.timeout(30):
                while await anext(listener) != "told":  # empty ones, until the connection is back
                    with contextlib.suppress(StoreUnavailable):
                        await database.write(lambda tx: tx.notify("jobs", "told"), deadline_s=5)


async def test_a_server_that_stops_answering_is_given_up(frail_server: PostgresqlServer) -> None:
    with frail_server.database() as url:
        database = await open_database(StoreSettings(url=url, deadline=Duration(1.0)))
        await database.migrate("items", ITEMS)
        frail_server.pause()
        try:
            with pytest.raises(StoreUnavailable, match="within"):
                await database.write(insert("a"), deadline_s=0.2)
            before = time.monotonic()
            await database.close()
            assert time.monotonic() - before < 10  # closing waits for what runs, but not for ever
        finally:
            frail_server.resume()


async def test_no_error_and_no_log_says_the_password(
    frail_server: PostgresqlServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "hunter2-hunter2"
    for url in (
        frail_server.url("postgres").replace(frail_server.password, secret),
        f"postgresql://holdfast:{secret}@127.0.0.1:{free_port()}/nobody-listens",
        f"postgresql://holdfast:{secret}@127.0.0.1:99999999/x",
        f"postgresql://holdfast:{secret}@127.0.0.1/x?no_such_parameter=1",
        f"postgresq://holdfast:{secret}@127.0.0.1/x",
        f"postgresql://holdfast@127.0.0.1:{frail_server.port}/x?password={secret}",
    ):
        with pytest.raises(StoreError) as caught:
            await open_database(StoreSettings(url=url))
        error: BaseException | None = caught.value
        while error is not None:
            assert secret not in f"{error!s} {error!r}"
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert secret not in caplog.text


async def test_a_standby_that_became_of_the_primary_is_named(frail_server: PostgresqlServer) -> None:
    with frail_server.database() as url:
        async with await open_database(StoreSettings(url=url)) as database:
            await database.migrate("items", ITEMS)
            with pytest.raises(StoreUnavailable, match=r"is read-only: store\.url has to name the primary"):
                await database.write(lambda tx: (tx.run("SET TRANSACTION READ ONLY"), insert("a")(tx)))


async def test_a_server_without_free_connections_says_what_to_change(frail_server: PostgresqlServer) -> None:
    with frail_server.database() as url:
        taken: list[psycopg.Connection] = []
        try:
            with pytest.raises(psycopg.OperationalError):
                take_all(url, taken)
            with pytest.raises(StoreUnavailable, match=r"too many clients|remaining connection slots"):
                await open_database(StoreSettings(url=url))
        finally:
            for connection in taken:
                connection.close()


# ---------------------------------------------------------------- SQLite


async def test_a_file_that_another_process_has_locked_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with await open_database(StoreSettings(url=f"sqlite:{path}", deadline=Duration(0.2))) as database:
        await database.migrate("items", ITEMS)
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match=r"store\.db is locked by another process"):
                await database.write(insert("a"))
            assert await names(database) == []  # readers do not wait for it
            other.execute("ROLLBACK")
        finally:
            other.close()
        await database.write(insert("b"))
        assert await names(database) == ["b"]


async def test_a_file_that_is_taken_away_is_told_before_anything_is_lost_in_it(tmp_path: Path) -> None:
    path, aside = tmp_path / "store.db", tmp_path / "aside.db"
    async with await open_database(StoreSettings(url=f"sqlite:{path}")) as database:
        await database.migrate("items", ITEMS)
        path.rename(aside)
        with pytest.raises(StoreUnavailable, match=r"store\.db was removed or replaced"):
            await database.write(insert("a"))
        path.touch()  # as somebody does who puts a backup in its place
        with pytest.raises(StoreUnavailable, match=r"store\.db was removed or replaced"):
            await names(database)
        aside.replace(path)
        await database.write(insert("b"))
        assert await names(database) == ["b"]


async def test_a_full_disk_refuses_writes_and_keeps_what_there_is(tmp_path: Path) -> None:
    async with await open_database(StoreSettings(url=f"sqlite:{tmp_path}/store.db")) as database:
        await database.migrate("items", ITEMS)
        await database.write(insert("before"))
        await database.write(lambda tx: tx.all("PRAGMA max_page_count = 20"))
        with pytest.raises(StoreUnavailable, match=r"store\.db has no room left on its disk: free some"):
            await database.write(lambda tx: tx.run("INSERT INTO items (data) VALUES (?)", bytes(200_000)))
        await database.write(lambda tx: tx.all("PRAGMA max_page_count = 2000"))
        await database.write(insert("then"))
        assert await names(database) == ["before", "then"]


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 1000)
    with pytest.raises(StoreError, match=r"letter\.txt is not an SQLite database: name another file") as caught:
        await open_database(StoreSettings(url=f"sqlite:{path}"))
    assert not isinstance(caught.value, StoreUnavailable)
    assert path.read_text().startswith("Dear reader")


async def test_a_damaged_file_is_told_with_the_way_to_rescue_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with await open_database(StoreSettings(url=f"sqlite:{path}")) as database:
        await database.migrate("items", ITEMS)
        await database.write(
            lambda tx: tx.many("INSERT INTO items (name) VALUES (?)", [(str(n),) for n in range(5000)])
        )
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (path.stat().st_size - 4096))
    async with await open_database(StoreSettings(url=f"sqlite:{path}")) as database:
        with pytest.raises(StoreError, match=r"store\.db is damaged: stop the service, keep a copy") as caught:
            await names(database)
        assert not isinstance(caught.value, StoreUnavailable)


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing/store\.db cannot be opened \(No such file or directory\)"):
        await open_database(StoreSettings(url=f"sqlite:{tmp_path}/missing/store.db"))


def modes(directory: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in directory.iterdir()}


async def test_a_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    async with await open_database(StoreSettings(url=f"sqlite:{tmp_path}/store.db")) as database:
        await database.migrate("items", ITEMS)
        assert modes(tmp_path) == {0o600}  # of the log too


async def test_the_room_on_the_disk_is_known(tmp_path: Path) -> None:
    async with await open_database(StoreSettings(url=f"sqlite:{tmp_path}/store.db")) as database:
        assert (database.free_bytes() or 0) > 0
