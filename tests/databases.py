"""Stores for tests: SQLite files, and a PostgreSQL server that the tests start themselves."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from holdfast.drills import ToolMissingError, postgres
from holdfast.store import StoreSettings, open_database
from tests.leaks import KEPT
from tests.machine import require_tool

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from holdfast.store import Database

DRIVERS: Final = ("sqlite", "postgresql")

_HASTE: Final = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""What a server that is thrown away may save; not where a test asks what survives."""


class PostgresqlServer(postgres.PostgresqlServer):
    """The server of the drills, and an empty database of it for each test."""

    def __init__(self, *, durable: bool = False) -> None:
        require_postgresql()
        self._numbers = itertools.count(1)
        self._emptied: list[str] = []
        super().__init__(options=("shared_buffers=16MB", *(() if durable else _HASTE)))

    def start(self) -> None:
        """Start it; it outlives the test that happens to do so."""
        super().start()
        if self.pid is not None:
            KEPT.add(self.pid)

    def _end(self, number: signal.Signals) -> None:
        if self.pid is not None:
            KEPT.discard(self.pid)
        super()._end(number)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database, for one user at a time."""
        name = self._emptied.pop() if self._emptied else self._new_database()
        yield self.url(name)
        with psycopg.connect(self.url(name), autocommit=True) as admin:  # 10 ms; a new one takes 200
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            admin.execute("DROP SCHEMA public CASCADE")
            admin.execute("CREATE SCHEMA public")
        self._emptied.append(name)

    def _new_database(self) -> str:
        name = f"t{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return name


def require_postgresql() -> None:
    """Without a server's programs the test is skipped, or fails, as :func:`~tests.machine.require_tool` does."""
    try:
        postgres.programs()
    except ToolMissingError:
        require_tool("postgres", "postgresql")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """One server for all tests of this process; not to be killed, and with ``fsync`` off."""
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=DRIVERS)
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreSettings]:
    """A fresh, empty store of each kind."""
    if request.param == "sqlite":
        yield StoreSettings(url=f"sqlite:{tmp_path}/store.db")
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    with server.database() as url:
        yield StoreSettings(url=url)


@pytest.fixture
async def database(store_settings: StoreSettings) -> AsyncIterator[Database]:
    """A fresh, open store of each kind, for tests marked ``anyio``."""
    async with await open_database(store_settings) as opened:
        yield opened
