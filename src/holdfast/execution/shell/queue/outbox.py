"""Calls to make when jobs have ended.

The order to call is committed with the end of the job (``book.callback``), so none is forgotten. Here is what the one
who calls needs: it takes a call for a while, and says what came of it. A call that was taken by a process that
died is due again when that while is over; so receivers may be called twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.execution.shell.queue import sql
from holdfast.execution.shell.queue.reading import NEWEST

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from holdfast.store import Database, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A call to make now."""

    job: str
    tenant: str
    url: str
    attempt: int
    """From 1; names this try, so that an answer to an earlier one changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadCallback:
    """A call that was given up."""

    job: str
    url: str
    attempts: int
    error: str


class CallbackOutbox:
    """Callbacks as their deliverer sees them. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, *, now: float, limit: int, lease_s: float, except_of: Collection[str] = ()) -> list[Callback]:
        """Take calls that are due, the longest due first, none of the tenants ``except_of``.

        They are due again after ``lease_s`` unless something is said of them.
        """

        def take(tx: Tx) -> list[Callback]:
            taken = [
                Callback(job=job, tenant=tenant, url=url, attempt=attempts + 1)
                for job, tenant, url, attempts in tx.all(
                    sql.of(tx.dialect, sql.CALLBACKS_DUE), now, sql.several(tx.dialect, except_of), limit
                )
            ]
            if taken:
                tx.many(sql.LEASE_CALLBACK, [(now + lease_s, one.attempt, one.job) for one in taken])
            return taken

        return await self._database.write(take)

    async def delivered(self, callback: Callback) -> None:
        """The receiver has it."""
        await self._database.write(lambda tx: tx.run(sql.CALLBACK_DELIVERED, callback.job, callback.attempt))

    async def failed(self, callback: Callback, error: str, *, next_due: float) -> None:
        """Try again then."""
        await self._database.write(
            lambda tx: tx.run(sql.CALLBACK_FAILED, next_due, error, callback.job, callback.attempt)
        )

    async def dead(self, callback: Callback, error: str) -> None:
        """Try no more, until it is replayed."""
        await self._database.write(lambda tx: tx.run(sql.CALLBACK_DEAD, error, callback.job, callback.attempt))

    async def dead_letters(self, tenant: str, *, limit: int, before: str | None = None) -> list[DeadCallback]:
        """A tenant's calls that were given up, newest job first."""
        rows = await self._database.read(lambda tx: tx.all(sql.DEAD_CALLBACKS, tenant, before or NEWEST, limit))
        return [DeadCallback(job=job, url=url, attempts=attempts, error=error) for job, url, attempts, error in rows]

    async def replay(self, tenant: str, *, jobs: Sequence[str] | None, now: float) -> int:
        """Make dead calls due again, those of ``jobs`` or all of the tenant's; how many."""
        if jobs is None:
            return await self._database.write(lambda tx: tx.run(sql.REPLAY_ALL_CALLBACKS, now, tenant))
        return await self._database.write(
            lambda tx: tx.run(sql.of(tx.dialect, sql.REPLAY_CALLBACKS), now, tenant, sql.several(tx.dialect, jobs))
        )

    async def next_due(self) -> float | None:
        """When the next call is due; ``None`` when there is none."""
        row = await self._database.read(lambda tx: tx.one(sql.NEXT_CALLBACK))
        return None if row is None else row[0]
