"""One way to talk to SQLite and PostgreSQL.

Work is written as plain functions of a transaction, run in a thread of the driver. Writes that
arrive together are committed together, one that raises undoes only itself, and nobody's future
resolves before the commit is on disk. A function may be run more than once (after a deadlock, or
because another one of its group raised), so it changes nothing outside of its transaction.

SQL is written with ``?`` for parameters. What differs between the two is in :attr:`Tx.dialect`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
Row: TypeAlias = tuple[Any, ...]
T = TypeVar("T")


class Tx(Protocol):
    """A transaction under way. Not to be kept beyond the function that was given it.

    A statement that fails spends the transaction: work that goes on after it is undone all the same (PostgreSQL
    would not keep it). Say ``ON CONFLICT`` where a conflict is expected.
    """

    dialect: Dialect

    def all(self, sql: str, *values: Any) -> list[Row]:
        """Every row of a query, or of a ``RETURNING`` clause."""
        ...

    def one(self, sql: str, *values: Any) -> Row | None:
        """The first row."""
        ...

    def run(self, sql: str, *values: Any) -> int:
        """Execute; the number of rows that changed."""
        ...

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute once per row, in as few round trips as the driver can."""
        ...

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows to a table, the way that the driver is quickest at (PostgreSQL: ``COPY``). Names are not quoted.

        A row that breaks a rule of the table fails all of them: there is no ``ON CONFLICT`` here.
        """
        ...

    def notify(self, channel: str, payload: str) -> None:
        """Tell every listener, in this process and others, after the commit. At most 4000 bytes."""
        ...


class Database(Protocol):
    """An open store."""

    dialect: Dialect

    async def migrate(self, component: str, versions: Sequence[Sequence[str]]) -> None:
        """Bring a component's tables up to date: ``versions[n]`` holds the statements of version n + 1.

        Idempotent, and safe when several processes start at once. ``{blob}``, ``{serial}``, ``{float}`` and
        ``{bigint}`` in a statement stand for the type of each dialect (see :mod:`.migrations`). Raises
        ``StoreError`` when the database is newer than the code.
        """
        ...

    async def write(self, work: Callable[[Tx], T], *, deadline_s: float = 10.0) -> T:
        """Run and commit. Raises what ``work`` raises (then nothing of it is kept), or ``StoreUnavailable``.

        ``deadline_s`` bounds the waiting: work that has begun may still be committed when nobody waits any more.
        After ``StoreUnavailable`` it is unknown whether the commit happened; work has to be idempotent.
        """
        ...

    async def read(self, work: Callable[[Tx], T], *, deadline_s: float = 10.0) -> T:
        """Run on a snapshot. Raises as :meth:`write`."""
        ...

    def listen(self, channel: str) -> AsyncIterator[str]:
        """Payloads of a channel as they come; an empty one when some may have been missed, so look for yourself.

        The first is empty: from then on nothing goes unsaid.
        A listener that does not keep up gets the empty payload instead of a queue that grows.
        """
        ...

    def free_bytes(self) -> int | None:
        """Room on the file system of the store; ``None`` when that is not ours to know (PostgreSQL)."""
        ...

    async def close(self) -> None:
        """Finish what was begun and what waits, then close. Writes that come later raise ``StoreUnavailable``."""
        ...
