"""Versions of the schema, one line of them for each component.

``schema_versions`` has one row for every version that was applied. Components do not know each other's tables and
may be migrated in any order; a version that has been released is never changed, only followed by another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.store.database import Dialect, Tx

TYPES: Final[Mapping[Dialect, Mapping[str, str]]] = {
    "sqlite": {
        "{blob}": "BLOB",
        "{serial}": "INTEGER PRIMARY KEY AUTOINCREMENT",  # numbers of removed rows are not given again
        "{float}": "REAL",
        "{bigint}": "INTEGER",
    },
    "postgresql": {
        "{blob}": "BYTEA",
        "{serial}": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "{float}": "DOUBLE PRECISION",
        "{bigint}": "BIGINT",
    },
}
"""What stands for what in a statement. ``{serial}`` is a whole column: ``id {serial}``."""

_LOCK: Final = 0x686F6C64666173
"""Key of the advisory lock, "holdfas" in ASCII: whoever else uses this database is unlikely to have the same."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_versions (
    component TEXT NOT NULL,
    version INTEGER NOT NULL,
    applied TEXT NOT NULL,
    PRIMARY KEY (component, version)
)"""


def bring_up_to_date(tx: Tx, *, component: str, versions: Sequence[Sequence[str]]) -> None:
    """Apply what is missing. Raises ``StoreError`` when the database is newer than ``versions``.

    All of it is one transaction, also on PostgreSQL: after a failure the schema is what it was.
    """
    if tx.dialect == "postgresql":  # SQLite has one writer, and the transaction has its lock
        tx.run("SET LOCAL statement_timeout = 0")  # the caller's patience ends the connection
        tx.all("SELECT pg_advisory_xact_lock(?)", _LOCK)
    tx.run(_TABLE)
    row = tx.one("SELECT max(version) FROM schema_versions WHERE component = ?", component)
    found = 0 if row is None or row[0] is None else int(row[0])
    if found > len(versions):
        raise StoreError(
            f"the tables of {component} have version {found}, this program knows {len(versions)}: "
            "run the newer program, or restore a backup from before it"
        )
    for version in range(found + 1, len(versions) + 1):
        for statement in versions[version - 1]:
            tx.run(typed(statement, tx.dialect))
        tx.run(
            "INSERT INTO schema_versions (component, version, applied) VALUES (?, ?, CAST(CURRENT_TIMESTAMP AS TEXT))",
            component,
            version,
        )


def typed(statement: str, dialect: Dialect) -> str:
    """The statement with the types of the dialect. Other braces are left alone (``DEFAULT '{}'``)."""
    for name, type_ in TYPES[dialect].items():
        statement = statement.replace(name, type_)
    return statement
