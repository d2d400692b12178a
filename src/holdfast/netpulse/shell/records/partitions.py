"""PostgreSQL's days of results: made ahead, dropped whole. SQLite has none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holdfast.store import Tx

AHEAD: Final = 2
"""Days made ahead: today's, tomorrow's and the day's after it, so that an engine that stands still over midnight finds
its partition."""

_PREFIX: Final = "netpulse_results_d"

_FOUND: Final = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('netpulse_results' AS regclass)"""


def make(tx: Tx, day: int) -> None:
    """Have a day's partition; its columns and indices are those of the table."""
    if tx.dialect == "postgresql":
        tx.run(
            f"CREATE TABLE IF NOT EXISTS {_PREFIX}{int(day)} PARTITION OF netpulse_results "
            f"FOR VALUES FROM ({int(day)}) TO ({int(day) + 1})"
        )


def found(tx: Tx) -> list[int]:
    """The days that there are, oldest first."""
    if tx.dialect != "postgresql":
        return []
    return sorted(int(name.removeprefix(_PREFIX)) for (name,) in tx.all(_FOUND))
