"""Who did what, per tenant; entries are added and, after their time, removed, never changed.

There is no chain of hashes from entry to entry: each would need the hash of the one before, which
puts all writers of a tenant in a line. Whoever may write to the database may change the trail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.identity.batching import Batcher
from holdfast.store import Database, Tx
from holdfast.telemetry.logs import redact

DETAIL_LIMIT: Final = 4096
"""Characters of JSON that are kept of a detail."""
TEXT_LIMIT: Final = 200
"""Characters that are kept of an actor, an action, a target."""
PAGE_LIMIT: Final = 1000
_COLUMNS: Final = "seq, tenant, at, actor, action, target, detail"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that was done to what a tenant owns."""

    tenant: str
    at: float
    actor: str
    """Id of the key that it was done with, or ``cli``."""
    action: str
    """What was done: ``key.create``, ``job.submit``, ``dead_letters.replay``."""
    target: str
    """What it was done to: an id."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """More about it; values of secret names are masked before they are written."""
    seq: int = 0
    """Position in the trail; rises, with gaps. Given by the store."""


class AuditTrail:
    """The trail of all tenants, read one tenant at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._append: Batcher[AuditEntry, None] = Batcher(
            self._write, largest=500, waiting=10_000, what="audit entries"
        )

    async def append(self, entry: AuditEntry) -> None:
        """Return once the entry is on disk. Raises ``StoreUnavailable``."""
        await self._append(entry)

    async def entries(
        self, tenant: str, *, limit: int, before: int | None = None, action: str | None = None
    ) -> list[AuditEntry]:
        """Newest first; ``before`` is the ``seq`` of the last entry of the page before."""
        where, values = ["tenant = ?"], [tenant]
        if action is not None:
            where.append("action = ?")
            values.append(action)
        if before is not None:
            where.append("seq < ?")
        sql = f"SELECT {_COLUMNS} FROM identity_audit WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - all of it is written here
        bounds = ([] if before is None else [before]) + [max(1, min(limit, PAGE_LIMIT))]
        rows = await self._database.read(lambda tx: tx.all(sql, *values, *bounds))
        return [
            AuditEntry(seq=seq, tenant=owner, at=at, actor=actor, action=what, target=target, detail=json.loads(detail))
            for seq, owner, at, actor, what, target, detail in rows
        ]

    async def trim(self, *, older_than: float, limit: int = 1000) -> int:
        """Remove entries from before a time, oldest first, at most ``limit`` of them; how many it were."""

        def work(tx: Tx) -> int:
            # By position, which the primary key has in order; an index on the time would cost every append.
            return tx.run(
                "DELETE FROM identity_audit WHERE at < ? AND seq IN "
                "(SELECT seq FROM identity_audit ORDER BY seq LIMIT ?)",
                older_than,
                limit,
            )

        return await self._database.write(work)

    async def close(self) -> None:
        """Write what waits."""
        await self._append.close()

    async def _write(self, entries: Sequence[AuditEntry]) -> Sequence[None]:
        await self._database.write(lambda tx: record(tx, *entries))
        return [None] * len(entries)


def record(tx: Tx, *entries: AuditEntry) -> None:
    """Add entries in the transaction that does what they tell of."""
    tx.many(
        "INSERT INTO identity_audit (tenant, at, actor, action, target, detail) VALUES (?, ?, ?, ?, ?, ?)",
        [(e.tenant, e.at, _cut(e.actor), _cut(e.action), _cut(e.target), _detail(e.detail)) for e in entries],
    )


def _cut(text: str) -> str:
    # PostgreSQL stores no NUL, and neither store a lone surrogate.
    return text[:TEXT_LIMIT].replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _detail(detail: Mapping[str, Any]) -> str:
    text = json.dumps(redact(detail), separators=(",", ":"))
    return text if len(text) <= DETAIL_LIMIT else json.dumps({"truncated": text[: DETAIL_LIMIT // 2]})
