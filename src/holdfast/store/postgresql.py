"""PostgreSQL: several processes may share the store.

Half of the connections write, half read, one more listens (see :mod:`.notices`). Two writers are enough for one to
work while the commit of the other is on its way to the disk, and few enough that groups seldom wait for each other's
rows. More of them help only when statements are slow: Python runs one at a time anyway.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import errors
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper, NumericBinaryLoader

from holdfast.resilience.backoff import equal_jitter
from holdfast.store.errors import StoreConflict, StoreError, StoreUnavailable
from holdfast.store.group import TryAgain, commit, read
from holdfast.store.listeners import Listeners, check_note
from holdfast.store.notices import CHANNEL, Notices
from holdfast.store.statements import numbered
from holdfast.store.threaded import ThreadedDatabase
from holdfast.store.threads import GROUP, Threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg.abc import Buffer

    from holdfast.store.address import PostgresqlServer
    from holdfast.store.database import Dialect, Row
    from holdfast.store.group import Call, Note
    from holdfast.store.settings import StoreSettings

OLDEST: Final = 15
"""The oldest version that the tests run on; supported until November 2027."""

_BEGIN_WRITE: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BEGIN_READ: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"  # what makes it a snapshot

_LONGEST_PAUSE_S: Final = 2.0
"""Between attempts to connect. A restart takes a second or two; a caller's patience is 10 s by default."""

_CONNECTION: Final = {
    "application_name": "holdfast",
    "client_encoding": "utf8",
    "connect_timeout": "5",
    # A peer that vanished without a word is noticed after 11 s, idle or not; by default it would be two hours.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "11000",
}
"""libpq parameters that ``store.url`` may override."""

_SETTINGS: Final = """
SELECT set_config('statement_timeout', $1, false),
       set_config('idle_in_transaction_session_timeout', $1, false),
       set_config('TimeZone', 'UTC', false),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                        ELSE current_setting('synchronous_commit') END, false)
"""
"""An acknowledged commit is on disk, whatever the server does by default."""

_AGAIN: Final = (errors.SerializationFailure, errors.DeadlockDetected)
_SHORT_OF: Final = {
    "25006": "is read-only: store.url has to name the primary",
    "53100": "has no room left on its disk: free some",
    "53200": "is out of memory",
    "53300": "has no connection left: raise its max_connections, or lower store.connections",
    "55P03": "did not give a lock in time",
    "57014": "took longer for a statement than store.deadline allows",
}
"""SQLSTATE -> what is the matter, where trying again later may help."""

_log = logging.getLogger(__name__)


def postgresql_database(settings: StoreSettings, server: PostgresqlServer) -> ThreadedDatabase:
    """The database of a server, yet to be opened."""
    listeners = Listeners()
    notices = Notices(conninfo(server), server.name, listeners)
    writers = (settings.connections + 1) // 2
    readers = max(1, settings.connections - writers)
    statement_s = float(settings.deadline)
    return ThreadedDatabase(
        "postgresql",
        writes=Threads(
            "write",
            [_Session(server, statement_s, writes=True) for _ in range(writers)],
            pending=settings.pending,
            group=GROUP,
            tell=listeners.tell,
        ),
        reads=Threads(
            "read",
            [_Session(server, statement_s, writes=False) for _ in range(readers)],
            pending=settings.pending,
            group=1,
            tell=listeners.tell,
        ),
        listeners=listeners,
        deadline_s=settings.deadline,
        free_bytes=lambda: None,
        beside=notices,
    )


def conninfo(server: PostgresqlServer) -> dict[str, Any]:
    """Parameters for libpq. Raises ``StoreError`` without what libpq says, which may quote the password."""
    try:
        return {**_CONNECTION, **psycopg.conninfo.conninfo_to_dict(server.url)}
    except psycopg.ProgrammingError:
        raise StoreError(
            f"store.url {server.name!r} is nothing that libpq can read: look at its parameters after ?, "
            "and write special characters as %XX"
        ) from None


def unreachable(error: Exception, server: PostgresqlServer) -> StoreUnavailable:
    """What libpq says, without the password, which it has no reason to repeat."""
    said = " ".join(str(error).split())
    if password := conninfo(server).get("password"):
        said = said.replace(str(password), "…")
    return StoreUnavailable(f"{server.name} cannot be reached: {said}; check store.url, and that the server runs")


class _IntegralLoader(NumericBinaryLoader):
    """``sum()`` of integers is a ``numeric`` here and an integer in SQLite."""

    def load(self, data: Buffer) -> int | float:  # type: ignore[override]  # not a Decimal, that is the point
        value = super().load(data)
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)


class _Link:
    """A connection and its transaction."""

    dialect: Dialect = "postgresql"

    def __init__(self, server: PostgresqlServer, *, begin: bytes, statement_s: float) -> None:
        self.failure: StoreError | None = None
        self.notes: list[Note] = []
        self.closing = Event()
        self._server = server
        self._begin = begin
        self._statement_s = statement_s
        self._connection: psycopg.Connection[Row] | None = None
        self._cursor: psycopg.RawCursor[Row]
        self._hang_up: select.poll
        self._plug: socket.socket | None = None

    # ------------------------------------------------------------ what work may do

    def all(self, sql: str, *values: Any) -> list[Row]:
        try:
            return self._cursor.execute(numbered(sql), values).fetchall()
        except psycopg.Error as error:
            raise self._failed(error) from error

    def one(self, sql: str, *values: Any) -> Row | None:
        try:
            return self._cursor.execute(numbered(sql), values).fetchone()
        except psycopg.Error as error:
            raise self._failed(error) from error

    def run(self, sql: str, *values: Any) -> int:
        try:
            return max(0, self._cursor.execute(numbered(sql), values).rowcount)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            self._cursor.executemany(numbered(sql), rows)  # in a pipeline: one round trip or few
        except psycopg.Error as error:
            raise self._failed(error) from error

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        try:
            with self._cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def notify(self, channel: str, payload: str) -> None:
        check_note(channel, payload)
        self.notes.append((channel, payload))

    # ------------------------------------------------------------ what a group does

    def begin(self) -> None:
        self.failure = None
        self.notes = []
        if self._connection is not None:
            try:
                self._command(self._begin)
                return
            except TryAgain:  # it broke while nothing happened: that is nobody's failure yet
                pass
        if self.closing.is_set():  # nobody waits for a connection any more, which may take seconds
            raise StoreUnavailable("the store was closed before it came to this")
        self.connect()
        self._command(self._begin)

    def commit(self) -> None:
        if self.notes:
            # In the transaction: whoever hears of it sees it, and a notice is lost only with its commit.
            self.run(
                "SELECT pg_notify(?, said) FROM unnest(CAST(? AS text[])) AS said",
                CHANNEL,
                [f"{channel} {payload}" for channel, payload in dict.fromkeys(self.notes)],
            )
        try:
            self._cursor.execute(b"COMMIT")
        except _AGAIN as error:  # rolled back, it says
            raise self._translated(error) from error
        except psycopg.Error as error:
            self.disconnect()
            raise StoreUnavailable(
                f"{self._server.name} did not confirm a commit; it may or may not have happened"
            ) from error

    def rollback(self) -> None:
        if self._connection is not None:
            try:
                self._cursor.execute(b"ROLLBACK")
            except psycopg.Error:
                self.disconnect()

    def savepoint(self) -> None:
        self.failure = None
        self._command(b"SAVEPOINT one")

    def release(self) -> None:
        self._command(b"RELEASE one")

    def undo(self) -> None:
        self._command(b"ROLLBACK TO one")
        self._command(b"RELEASE one")

    # ------------------------------------------------------------ the connection

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def connect(self) -> None:
        """Raises ``StoreUnavailable``, or ``StoreError`` for a server that is too old."""
        self.disconnect()
        try:
            connection = psycopg.connect(**conninfo(self._server), autocommit=True)
        except psycopg.Error as error:
            raise unreachable(error, self._server) from None
        self._connection = connection
        # A copy of the descriptor is ours: libpq may close its own at any time, and another file may get the number.
        self._plug = socket.socket(fileno=os.dup(connection.fileno()))
        self._hang_up = select.poll()
        self._hang_up.register(self._plug, getattr(select, "POLLRDHUP", 0))  # not POLLIN: the server may say things
        version = connection.info.server_version // 10_000
        if version < OLDEST:
            self.disconnect()
            raise StoreError(f"{self._server.name} is PostgreSQL {version}; {OLDEST} or newer is needed")
        connection.prepared_max = 500
        connection.adapters.register_dumper(int, Int8Dumper)  # in lists, which take the type of the first otherwise
        connection.adapters.register_dumper(int, Int8BinaryDumper)  # one type, one plan; and literals fit everywhere
        connection.adapters.register_loader("numeric", _IntegralLoader)
        self._cursor = psycopg.RawCursor(connection)
        self._cursor.format = psycopg.pq.Format.BINARY
        try:
            self._cursor.execute(_SETTINGS.encode(), [f"{round(self._statement_s * 1000)}ms"])
        except psycopg.Error as error:
            self.disconnect()
            raise unreachable(error, self._server) from None

    def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        plug, self._plug = self._plug, None
        if connection is not None:
            connection.close()
        if plug is not None:
            plug.close()

    def hung_up(self) -> bool:
        """The server has ended the connection, which libpq would notice only by using it."""
        return self._plug is not None and bool(self._hang_up.poll(0))

    def interrupt(self) -> None:
        """Cut the connection; what waits for the server on another thread fails at once."""
        if (plug := self._plug) is not None:
            with contextlib.suppress(OSError):
                plug.shutdown(socket.SHUT_RDWR)

    def _command(self, sql: bytes) -> None:
        try:
            self._cursor.execute(sql, prepare=False)
        except psycopg.Error as error:
            raise self._translated(error) from error

    def _failed(self, error: psycopg.Error) -> StoreError:
        self.failure = self._translated(error)
        return self.failure

    def _translated(self, error: psycopg.Error) -> StoreError:
        """What it means before the commit, when nothing has happened yet."""
        name = self._server.name
        if self._connection is None or self._connection.closed:
            self.disconnect()
            return TryAgain(f"the connection to {name} broke; try again")
        if isinstance(error, errors.UniqueViolation):
            return StoreConflict(str(error.diag.message_primary))
        if isinstance(error, _AGAIN):
            return TryAgain(f"{name} gave way to another transaction ({error.diag.message_primary}); try again")
        if isinstance(error, errors.FeatureNotSupported) and "cached plan" in str(error):
            self.disconnect()  # a migration changed the table under a prepared statement
            return TryAgain(f"{name} has another schema since; try again")
        if error.sqlstate in _SHORT_OF:
            return StoreUnavailable(f"{name} {_SHORT_OF[error.sqlstate]} ({error.diag.message_primary})")
        return StoreError(f"{name}: {error.diag.message_primary or error}")  # the detail may quote values


class _Session:
    """One connection and its thread."""

    def __init__(self, server: PostgresqlServer, statement_s: float, *, writes: bool) -> None:
        self._writes = writes
        self._link = _Link(server, begin=_BEGIN_WRITE if writes else _BEGIN_READ, statement_s=statement_s)
        self._chance = Random()

    def open(self, closing: Event) -> None:
        self._link.closing = closing
        self._link.connect()

    def ready(self) -> bool:
        """Calls stay in the queue while there is no connection: a restart costs them time, not their lives."""
        closing = self._link.closing
        failures = 0
        if self._link.hung_up():
            self._link.disconnect()
        while not self._link.connected:
            if closing.is_set():
                return False
            try:
                self._link.connect()
            except StoreError as error:
                if failures == 0:
                    _log.warning("%s", error, extra={"action": "store_connect_failed"})
                closing.wait(equal_jitter(failures, self._chance, base_s=0.05, cap_s=_LONGEST_PAUSE_S))
                failures += 1
        if failures:
            _log.info("connected again", extra={"action": "store_connected", "attempts": failures + 1})
        return True

    def work(self, calls: Sequence[Call]) -> list[Note]:
        self.ready()  # the server may have gone while this waited for a call
        if self._writes:
            commit(self._link, calls)
        else:
            for call in calls:
                read(self._link, call)
        return []  # the server tells, this process like all others

    def idle(self) -> list[Note]:
        return []

    def interrupt(self) -> None:
        self._link.interrupt()

    def close(self) -> None:
        self._link.disconnect()
