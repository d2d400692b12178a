"""PostgreSQL's days of results: made ahead, dropped whole. SQLite has none of them."""

# ruff: noqa: S608 - days are numbers, the rest are our own words; values are always parameters

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.store import Tx

AHEAD: Final = 2
"""Days made ahead: today's, tomorrow's and the day's after it, so that an engine that stands still over midnight finds
its partition."""

_PREFIX: Final = "netpulse_results_d"

_FOUND: Final = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('netpulse_results' AS regclass)"""

_BRIN: Final = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('netpulse_results_seq' AS regclass) ORDER BY c.relname DESC LIMIT 4"""


def make(tx: Tx, day: int) -> None:
    """Have a day's partition; its columns and indices are those of the table."""
    if tx.dialect == "postgresql":
        tx.run(
            f"CREATE TABLE IF NOT EXISTS {_PREFIX}{int(day)} PARTITION OF netpulse_results "
            f"FOR VALUES FROM ({int(day)}) TO ({int(day) + 1})"
        )


def make_all(tx: Tx, days: Iterable[int]) -> None:
    """Have several."""
    for day in days:
        make(tx, day)


def found(tx: Tx) -> list[int]:
    """The days that there are, oldest first."""
    if tx.dialect != "postgresql":
        return []
    return sorted(int(name.removeprefix(_PREFIX)) for (name,) in tx.all(_FOUND))


def drop(tx: Tx, day: int, *, needed_after: int, lock_s: float) -> bool:
    """Forget a day, unless it has a result with a number above ``needed_after``. Waits ``lock_s`` for readers."""
    tx.run(f"SET LOCAL lock_timeout = {int(lock_s * 1000)}")
    if tx.one(f"SELECT 1 FROM {_PREFIX}{int(day)} WHERE seq > ? LIMIT 1", needed_after) is not None:
        return False
    tx.run(f"DROP TABLE {_PREFIX}{int(day)}")
    return True


def summarize(tx: Tx) -> None:
    """Let the newest stretches of the tables be found by their numbers; by itself PostgreSQL does that now and then."""
    for (index,) in tx.all(_BRIN):
        tx.one("SELECT brin_summarize_new_values(CAST(CAST(? AS text) AS regclass))", index)


def first(tx: Tx) -> int | None:
    """About the number of the oldest result: the smallest on the first page of the oldest day that has any."""
    for day in found(tx):
        row = tx.one(f"SELECT min(seq) FROM {_PREFIX}{day} WHERE ctid < '(1,0)'")
        if row is not None and row[0] is not None:
            return int(row[0])
    return None
