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

LOCK_S: Final = 0.1
"""How long a change of a partition waits for those who use it, while those who come later wait for it."""

_PREFIX: Final = "netpulse_results_d"

_EXISTS: Final = "SELECT CAST(to_regclass(CAST(? AS text)) AS text)"
_FOUND: Final = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('netpulse_results' AS regclass)"""

_BRIN: Final = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('netpulse_results_seq' AS regclass) ORDER BY c.relname DESC LIMIT 4"""


def make(tx: Tx, day: int) -> None:
    """Have a day's partition, with the columns and indices of the table. Two at the same time are not foreseen.

    Made beside the table and attached to it: made as its partition it would wait for everybody who reads the table,
    a backup for example, and all who come later would wait with it.
    """
    if tx.dialect == "postgresql" and tx.one(_EXISTS, f"{_PREFIX}{day}") == (None,):
        tx.run(f"CREATE TABLE {_PREFIX}{int(day)} (LIKE netpulse_results INCLUDING ALL)")
        tx.run(
            f"ALTER TABLE netpulse_results ATTACH PARTITION {_PREFIX}{int(day)} "
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


def drop(tx: Tx, day: int, *, needed_after: int) -> None:
    """Forget a day, unless it has a result with a number above ``needed_after``, or somebody reads it just now."""
    if tx.one(f"SELECT 1 FROM {_PREFIX}{int(day)} WHERE seq > ? LIMIT 1", needed_after) is None:
        _unless_locked(tx, f"DROP TABLE {_PREFIX}{int(day)}", LOCK_S)


def summarize(tx: Tx) -> None:
    """Let the newest stretches of the tables be found by their numbers; by itself PostgreSQL does that now and then."""
    for (index,) in tx.all(_BRIN):
        _unless_locked(tx, f"PERFORM brin_summarize_new_values(CAST('{index}' AS regclass))", LOCK_S)


def _unless_locked(tx: Tx, statement: str, lock_s: float) -> None:
    """Do it, or leave it when its lock cannot be had soon.

    Caught on the server: an error would undo all writes that are committed together with this one. And while it waited,
    they would wait with it: for a vacuum, which gives way only after a second.
    """
    tx.run(f"""
        DO $$
        DECLARE before text := current_setting('lock_timeout');
        BEGIN
            PERFORM set_config('lock_timeout', '{round(lock_s * 1000)}ms', true);
            {statement};
            PERFORM set_config('lock_timeout', before, true);
        EXCEPTION WHEN lock_not_available THEN NULL;  -- which also restores the setting
        END $$""")


def first(tx: Tx) -> int | None:
    """About the number of the oldest result: the smallest on the first page of the oldest day that has any."""
    for day in found(tx):
        row = tx.one(f"SELECT min(seq) FROM {_PREFIX}{day} WHERE ctid < '(1,0)'")
        if row is not None and row[0] is not None:
            return int(row[0])
    return None
