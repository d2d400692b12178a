"""SQLite: one file, one writer, readers that never wait for it.

Settings of every connection, and why:

- ``journal_mode=WAL``: readers see a snapshot while the writer goes on.
- ``synchronous=FULL``: a commit returns after the log is on disk; ``NORMAL`` would lose the last ones to a power cut.
- ``foreign_keys=ON``: off by default.
- a busy timeout: another process (the command line) may hold the lock for a moment.

One thread writes, because SQLite lets one write anyway: contenders would poll for its lock instead of queueing.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from holdfast.store.errors import StoreConflict, StoreError, StoreUnavailable
from holdfast.store.group import commit, read
from holdfast.store.listeners import MISSED, Listeners, check_note
from holdfast.store.threaded import ThreadedDatabase
from holdfast.store.threads import GROUP, Threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from threading import Event

    from holdfast.store.database import Dialect, Row
    from holdfast.store.group import Call, Note
    from holdfast.store.settings import StoreSettings

READERS: Final = 3
"""Readers of cached pages are bound by the interpreter, not by the disk; a few keep a long one from blocking all."""

OLDEST: Final = (3, 35)
"""The first with ``RETURNING``; Debian 12 has 3.40."""

_TEMPORARY: Final = {
    sqlite3.SQLITE_BUSY: "is locked by another process: end it, or wait until it is done",
    sqlite3.SQLITE_LOCKED: "is locked by another process: end it, or wait until it is done",
    sqlite3.SQLITE_FULL: "has no room left on its disk: free some, or move it to a larger one",
    sqlite3.SQLITE_IOERR: "could not be read or written: look for errors of the disk in the kernel's log",
    sqlite3.SQLITE_INTERRUPT: "took too long for this statement, which was interrupted",
    sqlite3.SQLITE_READONLY: "cannot be written: check the owner and mode of the file and its directory",
    sqlite3.SQLITE_PROTOCOL: "is locked by another process: end it, or wait until it is done",
}
_LASTING: Final = {
    sqlite3.SQLITE_CORRUPT: "is damaged: stop the service, keep a copy, then restore a backup "
    "or rescue what is left with sqlite3 FILE .recover",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database: name another file in store.url, or move this one away",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check that its directory exists and that this user may write there",
}
_UNIQUE: Final = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


def sqlite_database(settings: StoreSettings, path: Path) -> ThreadedDatabase:
    """The database in a file, yet to be opened."""
    listeners = Listeners()
    busy_s = settings.deadline / 2  # for the lock of another process; its error is to come before the caller gives up
    return ThreadedDatabase(
        "sqlite",
        writes=Threads(
            "write", [_Session(path, busy_s, writes=True)], pending=settings.pending, group=GROUP, tell=listeners.tell
        ),
        reads=Threads(
            "read",
            [_Session(path, busy_s, writes=False) for _ in range(READERS)],
            pending=settings.pending,
            group=1,
            tell=listeners.tell,
        ),
        listeners=listeners,
        deadline_s=settings.deadline,
        free_bytes=lambda: _free_bytes(path),
    )


def _free_bytes(path: Path) -> int:
    room = os.statvfs(path.parent)
    return room.f_bavail * room.f_frsize


def _create(path: Path) -> None:
    """Make the file, for its owner only: it holds programs, results and hashes of keys. SQLite makes the log alike."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened ({error.strerror}): name a file in a directory that this user may write to, "
            "in store.url"
        ) from error


def _inode(path: Path) -> tuple[int, int] | None:
    """Which file has that name now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """What it means for whoever uses the store, and what can be done."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    if extended in _UNIQUE:
        return StoreConflict(str(error))
    code = None if extended is None else extended & 0xFF
    if code in _TEMPORARY:
        return StoreUnavailable(f"{path} {_TEMPORARY[code]} ({error})")
    if code in _LASTING:
        return StoreError(f"{path} {_LASTING[code]} ({error})")
    return StoreError(f"{path}: {error}")


class _Link:
    """A connection and its transaction."""

    dialect: Dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection, path: Path, *, begin: str) -> None:
        self.failure: StoreError | None = None
        self.notes: list[Note] = []
        self._connection = connection
        self._execute = connection.execute
        self._path = path
        self._begin = begin

    def all(self, sql: str, *values: Any) -> list[Row]:
        try:
            return self._execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def one(self, sql: str, *values: Any) -> Row | None:
        rows = self.all(sql, *values)  # all of them: a statement that is not run to its end may not have done all
        return rows[0] if rows else None

    def run(self, sql: str, *values: Any) -> int:
        before = self._connection.total_changes
        try:
            changed = self._execute(sql, values).rowcount
        except sqlite3.Error as error:
            raise self._failed(error) from error
        # The module counts only statements that begin with INSERT, UPDATE, DELETE or REPLACE, not with WITH.
        return changed if changed >= 0 else self._connection.total_changes - before

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(columns))
        self.many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608 - our own names

    def notify(self, channel: str, payload: str) -> None:
        check_note(channel, payload)
        self.notes.append((channel, payload))

    def begin(self) -> None:
        self.failure = None
        self.notes = []
        self._command(self._begin)

    def commit(self) -> None:
        try:
            self._command("COMMIT")
        except StoreError:
            self.rollback()  # a commit that found no room leaves its transaction open
            raise

    def rollback(self) -> None:
        if self._connection.in_transaction:  # some errors have ended it already
            with contextlib.suppress(sqlite3.Error):
                self._execute("ROLLBACK")

    def savepoint(self) -> None:
        self.failure = None
        self._command("SAVEPOINT one")

    def release(self) -> None:
        self._command("RELEASE one")

    def undo(self) -> None:
        self._command("ROLLBACK TO one")
        self._command("RELEASE one")

    def version(self) -> int:
        """Changes when another connection has committed."""
        try:
            (version,) = self._execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return -1  # whatever it is, the next write says it better
        return int(version)

    def interrupt(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # closed meanwhile
            self._connection.interrupt()

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _command(self, sql: str) -> None:
        try:
            self._execute(sql)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def _failed(self, error: sqlite3.Error) -> StoreError:
        self.failure = translated(error, self._path)
        return self.failure


class _Session:
    """One connection and its thread."""

    def __init__(self, path: Path, busy_s: float, *, writes: bool) -> None:
        self._path = path
        self._busy_s = busy_s
        self._writes = writes
        self._link: _Link | None = None
        self._inode: tuple[int, int] | None = None
        self._seen = 0
        """The file's version when this connection last looked; its own commits do not count."""

    def open(self, closing: Event) -> None:
        try:
            if self._writes:
                _create(self._path)
            connection = sqlite3.connect(
                f"file:{quote(str(self._path))}?mode=rw",
                uri=True,
                timeout=self._busy_s,
                isolation_level=None,  # transactions are begun below, not by the module
                check_same_thread=False,  # interrupt() comes from the loop
                cached_statements=256,
            )
            self._link = _Link(connection, self._path, begin="BEGIN IMMEDIATE" if self._writes else "BEGIN")
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            self._inode = _inode(self._path)
            if mode != "wal":
                raise StoreError(
                    f"{self._path} cannot have a write-ahead log ({mode} instead): "
                    "put it on a local file system that this user may write to"
                )
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA temp_store=MEMORY")
            if self._writes:
                self._seen = self._link.version()
            else:
                connection.execute("PRAGMA query_only=ON")
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def ready(self) -> bool:
        return True

    def work(self, calls: Sequence[Call]) -> list[Note]:
        assert self._link is not None  # noqa: S101 - open() comes first
        if _inode(self._path) != self._inode:  # SQLite would go on, and nobody find again what it was given
            for call in calls:
                call.error = StoreUnavailable(
                    f"{self._path} was removed or replaced while it was open: put it back, or start this service anew"
                )
            return []
        if not self._writes:
            for call in calls:
                read(self._link, call)
            return []
        notes = commit(self._link, calls)
        return notes + self._changes_of_others()

    def idle(self) -> list[Note]:
        return self._changes_of_others() if self._writes else []

    def interrupt(self) -> None:
        if self._link is not None:
            self._link.interrupt()

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _changes_of_others(self) -> list[Note]:
        assert self._link is not None  # noqa: S101 - open() comes first
        version = self._link.version()
        if version == self._seen:
            return []
        self._seen = version
        return [MISSED]
