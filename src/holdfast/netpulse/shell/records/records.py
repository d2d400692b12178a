"""The records on a store: one implementation for SQLite and PostgreSQL."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from holdfast.netpulse.core.ports import Records, Silence, StoredMaintenance, StoredMonitor
from holdfast.netpulse.shell.records import (
    definitions,
    engine,
    figures,
    incidents,
    outbox,
    partitions,
    reading,
    results,
    rollups,
    rows,
    schema,
    sql,
    upkeep,
)
from holdfast.netpulse.shell.records import export as exports
from holdfast.netpulse.shell.records.intake import Intake
from holdfast.netpulse.shell.records.names import Names
from holdfast.store import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path
    from random import Random

    from holdfast.netpulse.core.incident import Decisions, Incident, Notice, Span, Transition
    from holdfast.netpulse.core.ports import Bucket, Delivery, Restored, Taken
    from holdfast.netpulse.core.result import Observation
    from holdfast.netpulse.core.settings import RetentionSettings
    from holdfast.netpulse.shell.records.export import Exported, Format
    from holdfast.netpulse.shell.records.marks import Mark
    from holdfast.store import Database, Tx

STEPS: Final = 10
"""Transactions that forget results in a call of upkeep: keeps up with 4,000 results a second when called every 5 s."""
ROLLING_S: Final = 1.0
"""Longest that a call of upkeep rolls up; others write between its steps, which are short."""
PAGE: Final = 2000
"""Results that are read at once by :meth:`NetpulseRecords.since_checkpoint`."""


class NetpulseRecords(Records):
    """Of one engine."""

    def __init__(self, database: Database, retention: RetentionSettings, *, rng: Random) -> None:
        self._database = database
        self._retention = retention
        self._rng = rng
        self._names = Names()
        self._intake: Intake | None = None
        self._looked_after = 0
        """Number of the last monitor whose rollups were looked at."""
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

    # ------------------------------------------------------------ reading

    async def checks(
        self, monitor: str, *, since: float, until: float, limit: int, before: str | None = None
    ) -> tuple[Sequence[Observation], str | None]:
        """See :class:`~holdfast.netpulse.core.ports.Records`. Raises ``Invalid`` for a cursor that is none."""
        return await self._database.read(
            partial(reading.checks, monitor=monitor, since=since, until=until, limit=limit, before=before)
        )

    async def series(self, monitor: str, *, since: float, until: float, step_s: float) -> Sequence[Bucket]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(
            partial(reading.series, monitor=monitor, since=since, until=until, step_s=step_s)
        )

    async def counts(self, monitors: Sequence[str], *, since: float, until: float) -> Mapping[str, tuple[int, int]]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(reading.counts, monitors=monitors, since=since, until=until))

    async def spans(self, monitors: Sequence[str], *, since: float, until: float) -> Sequence[Span]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(reading.spans, monitors=monitors, since=since, until=until))

    async def incidents(
        self,
        tenant: str,
        *,
        standing: bool | None = None,
        monitor: str | None = None,
        limit: int,
        before: str | None = None,
    ) -> Sequence[Incident]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(
            partial(reading.incidents, tenant=tenant, standing=standing, monitor=monitor, limit=limit, before=before)
        )

    async def incident(self, tenant: str, incident: str) -> Incident | None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(reading.incident, tenant=tenant, id=incident))

    async def timeline(self, incident: str) -> Sequence[Transition]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(reading.timeline, incident=incident))

    async def notices(self, incident: str) -> Sequence[tuple[Notice, str, str]]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(outbox.notices, incident=incident))

    # ------------------------------------------------------------ the outbox

    async def owed(self, now: float, *, limit: int, lease_s: float) -> Sequence[Delivery]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.write(partial(outbox.owed, now=now, limit=limit, lease_s=lease_s, rng=self._rng))

    async def delivered(self, delivery: Delivery, now: float, *, reference: str = "") -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        await self._database.write(partial(outbox.delivered, delivery=delivery, reference=reference))

    async def undelivered(self, delivery: Delivery, *, error: str, again_at: float | None) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        await self._database.write(partial(outbox.undelivered, delivery=delivery, error=error, again_at=again_at))

    async def owe(self, notice: Notice) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        await self._database.write(partial(outbox.owe, notices=[notice]))

    # ------------------------------------------------------------ what the API makes

    async def monitors(self) -> Sequence[StoredMonitor]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(definitions.found, type=StoredMonitor))

    async def put_monitor(self, monitor: StoredMonitor) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        await self._database.write(partial(definitions.put, definition=monitor))

    async def drop_monitor(self, tenant: str, id: str) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`. Incidents that it was in stay: they are history.

        Nothing of it can be read from now on; its results and rollups are removed in steps by :meth:`upkeep`.
        """
        await self._database.write(partial(upkeep.drop_monitor, tenant=tenant, id=id))
        self._names.forget()

    async def silences(self, now: float) -> Sequence[Silence]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(definitions.found, type=Silence, since=now))

    async def put_silence(self, silence: Silence) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        await self._database.write(partial(definitions.put, definition=silence))

    async def maintenances(self) -> Sequence[StoredMaintenance]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(definitions.found, type=StoredMaintenance))

    async def put_maintenance(self, maintenance: StoredMaintenance) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        await self._database.write(partial(definitions.put, definition=maintenance))

    async def drop_maintenance(self, tenant: str, id: str) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        await self._database.write(partial(definitions.drop, type=StoredMaintenance, tenant=tenant, id=id))

    async def document(self, kind: str, key: str) -> bytes | None:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        row = await self._database.read(lambda tx: tx.one(sql.DOCUMENT, kind, key))
        return None if row is None else row[0]

    async def documents(self, kind: str) -> Mapping[str, bytes]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return dict(await self._database.read(lambda tx: tx.all(sql.DOCUMENTS, kind)))

    async def put_document(self, kind: str, key: str, data: bytes | None) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`. ``None`` removes it."""
        if data is None:
            await self._database.write(lambda tx: tx.run(sql.DROP_DOCUMENT, kind, key))
        else:
            await self._database.write(lambda tx: tx.run(sql.STORE_DOCUMENT, kind, key, data))

    async def export(
        self, month: str, tenant: str, *, directory: Path, file_format: Format = "csv"
    ) -> Sequence[Exported]:
        """See :func:`~holdfast.netpulse.shell.records.export.export`."""
        return await exports.export(self._database, month, tenant, directory=directory, file_format=file_format)

    # ------------------------------------------------------------ upkeep

    async def upkeep(self, now: float) -> None:
        """See :class:`~holdfast.netpulse.core.ports.Records`. Raises ``Superseded``."""
        intake = self._opened()
        await self._roll_up(intake.epoch, int(now // rows.DAY_S))
        await self._partitions(intake, now)
        epoch, retention = intake.epoch, self._retention
        for _ in range(STEPS):
            step = partial(upkeep.forget_results, epoch=epoch, retention=retention, now=now)
            if await self._database.write(step) < upkeep.RESULTS:
                break
        self._looked_after = await self._database.write(
            partial(upkeep.forget_rollups, epoch=epoch, retention=retention, now=now, after=self._looked_after)
        )
        await self._database.write(partial(upkeep.forget_dropped, epoch=epoch))
        if await self._database.write(partial(upkeep.forget_others, epoch=epoch, retention=retention, now=now)):
            self._names.forget()

    async def figures(self) -> Mapping[str, float]:
        """See :class:`~holdfast.netpulse.core.ports.Records`."""
        return await self._database.read(partial(figures.figures, now=time.time()))

    async def _roll_up(self, epoch: int, day: int) -> None:
        until = time.monotonic() + ROLLING_S
        while time.monotonic() < until:
            generation = self._names.generation
            left, learned = await self._database.write(partial(rollups.roll, epoch=epoch, names=self._names, day=day))
            self._names.learn(day, learned, generation)
            if not left:
                break

    async def _partitions(self, intake: Intake, now: float) -> None:
        if self._database.dialect != "postgresql":
            return
        today = int(now // rows.DAY_S)
        days = frozenset(range(today, today + partitions.AHEAD + 1))
        if missing := days - intake.days:
            await self._database.write(partial(upkeep.make_partitions, epoch=intake.epoch, days=sorted(missing)))
            intake.days = days
        await self._database.write(partitions.summarize)
        for day in await self._database.read(partial(upkeep.old_partitions, retention=self._retention, now=now)):
            await self._database.write(partial(upkeep.drop_partition, epoch=intake.epoch, day=day))

    def _opened(self) -> Intake:
        if self._intake is None:
            raise StoreError("the records are not open: call open() first")
        return self._intake


def _take_over(tx: Tx, *, days: Iterable[int]) -> tuple[int, int, Mapping[tuple[str, str], Mark]]:
    """The new epoch, the number of the last result, and what was taken of each spool."""
    row = tx.one(sql.TAKE_OVER)
    assert row is not None  # noqa: S101 - made with the table
    partitions.make_all(tx, days)
    epoch, stored = row
    return epoch, stored, results.marks(tx)
