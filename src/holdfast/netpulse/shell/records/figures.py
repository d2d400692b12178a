"""How much there is, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.netpulse.shell.records import engine, partitions, sql

if TYPE_CHECKING:
    from holdfast.store import Tx

_BYTES: Final = {
    # Pages of the whole file, which others may use as well; sizes of single tables take a walk through all of them.
    "sqlite": """
        SELECT (SELECT page_count FROM pragma_page_count()) - (SELECT freelist_count FROM pragma_freelist_count()),
            (SELECT page_size FROM pragma_page_size())""",
    "postgresql": """
        SELECT CAST(sum(pg_total_relation_size(c.oid)) AS BIGINT), 1 FROM pg_class c
        JOIN pg_namespace s ON s.oid = c.relnamespace
        WHERE c.relkind = 'r' AND c.relname LIKE 'netpulse\\_%' AND s.nspname = current_schema()""",
}


def figures(tx: Tx, *, now: float) -> dict[str, float]:
    """See :class:`~holdfast.netpulse.core.ports.Records`.

    ``bytes_per_check`` is all that is kept, rollups and incidents too, for each result that is kept.
    """
    at = engine.now(tx)
    if tx.dialect == "sqlite":
        row = tx.one("SELECT min(seq) FROM netpulse_results")
        first = None if row is None else row[0]
    else:
        first = partitions.first(tx)
    results = 0 if first is None else at.stored - first + 1
    pages, page = tx.one(_BYTES[tx.dialect]) or (0, 0)
    waiting, oldest = tx.one(sql.OWED_FIGURES) or (0, None)
    size = float((pages or 0) * page)
    return {
        "results": float(results),
        "stored": float(at.stored),
        "to_roll_up": float(at.stored - at.rolled),
        "bytes": size,
        "bytes_per_check": round(size / results, 1) if results else 0.0,
        "owed": float(waiting),
        "oldest_owed_s": 0.0 if oldest is None else max(0.0, now - oldest),
    }
