"""The records on a store: one implementation for SQLite and PostgreSQL."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from holdfast.netpulse.shell.records import engine, incidents, outbox, partitions, results, rows, schema, sql
from holdfast.netpulse.shell.records.intake import Intake
from holdfast.netpulse.shell.records.names import Names
from holdfast.store import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from random import Random

    from holdfast.netpulse.core.incident import Decisions, Notice
    from holdfast.netpulse.core.ports import Restored, Taken
    from holdfast.netpulse.core.result import Observation
    from holdfast.netpulse.core.settings import RetentionSettings
    from holdfast.netpulse.shell.records.marks import Mark
    from holdfast.store import Database, Tx

PAGE: Final = 2000
"""Results that are read at once by :meth:`NetpulseRecords.since_checkpoint`."""


class NetpulseRecords:
    """The :class:`~holdfast.netpulse.core.ports.Records` of one engine."""

    def __init__(self, database: Database, retention: RetentionSettings, *, rng: Random) -> None:
        self._database = database
        self._retention = retention
        self._rng = rng
        self._names = Names()
        self._intake: Intake | None = None
        self._restorable = 0
        """Number of the last result that was stored before this engine took over."""

    # ------------------------------------------------------------ the engine

    async def open(self, now: float) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        await self._database.migrate(schema.COMPONENT, schema.versions(self._database.dialect))
        today = int(now // rows.DAY_S)
        days = frozenset(range(today, today + partitions.AHEAD + 1))

        epoch, stored, marks = await self._database.write(partial(_take_over, days=days))
        self._restorable = stored
        self._intake = Intake(self._database, epoch=epoch, last=stored, marks=marks, names=self._names)
        self._intake.days = days

    async def close(self) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`. The database stays open."""
        self._intake = None

    async def take(
        self,
        batch: Sequence[Observation],
        *,
        agent: str,
        spool: str,
        first: int,
        upto: int,
        numbers: Sequence[int] | None = None,
    ) -> Taken:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._opened().take(batch, agent=agent, spool=spool, first=first, upto=upto, numbers=numbers)

    async def restore(self, now: float, *, reopen_since: float) -> Restored:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(incidents.restore, reopen_since=reopen_since))

    async def since_checkpoint(self) -> AsyncIterator[Sequence[Observation]]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        after = (await self._database.read(engine.now)).checkpoint
        while after < self._restorable:
            upto = min(after + PAGE, self._restorable)
            if found := await self._database.read(partial(results.between, after=after, upto=upto)):
                yield found
            after = upto

    async def checkpoint(self, states: Mapping[str, bytes]) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        intake = self._opened()
        handed = intake.handed()

        def write(tx: Tx) -> None:
            engine.turn(tx, intake.epoch)
            tx.run(sql.FORGET_STATES)
            tx.many(sql.STORE_STATE, list(states.items()))
            tx.run(sql.SET_CHECKPOINT, handed)

        await self._database.write(write)

    async def decide(self, decisions: Decisions) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`. Also raises ``Conflict``, see :mod:`.incidents`."""
        if decisions.to_store:
            epoch = self._opened().epoch
            await self._database.write(partial(incidents.decide, decisions=decisions, epoch=epoch))

    # ------------------------------------------------------------ the outbox

    async def owe(self, notice: Notice) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        await self._database.write(lambda tx: outbox.owe(tx, [notice]))

    def _opened(self) -> Intake:
        if self._intake is None:
            raise StoreError("the records are not open: call open() first")
        return self._intake


def _take_over(tx: Tx, *, days: Iterable[int]) -> tuple[int, int, Mapping[tuple[str, str], Mark]]:
    """The new epoch, the number of the last result, and what was taken of each spool."""
    for day in days:
        partitions.make(tx, day)
    row = tx.one(sql.TAKE_OVER)
    assert row is not None  # noqa: S101 - made with the table
    epoch, stored = row
    return epoch, stored, results.marks(tx)
