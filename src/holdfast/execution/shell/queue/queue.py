"""The queue on a store: one implementation for SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from holdfast.execution.core.lease import expired_before
from holdfast.execution.shell.queue import figures, giving, reading, reporting, submission, upkeep
from holdfast.execution.shell.queue.record import encode
from holdfast.execution.shell.queue.schema import COMPONENT, VERSIONS
from holdfast.execution.shell.queue.wakeups import Wakeups
from holdfast.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from random import Random

    from holdfast.execution.core.job import NewJob, Program, Status, Verdict
    from holdfast.execution.core.ports import (
        Cost,
        DeadLetter,
        Event,
        Finish,
        Given,
        JobView,
        Lease,
        OutputPiece,
        Presence,
        QueueState,
        Refused,
        Returned,
        SubmitOutcome,
        Tidied,
    )
    from holdfast.execution.core.settings import ExecutionSettings
    from holdfast.store import Database


class JobQueue:
    """A :class:`~holdfast.execution.core.ports.Queue`. Several processes may have one on the same PostgreSQL."""

    def __init__(self, database: Database, settings: ExecutionSettings, *, rng: Random) -> None:
        self._database = database
        self._settings = settings
        self._rng = rng
        self._wakeups = Wakeups(database)
        self._renewable_since: float | None = None

    async def open(self, now: float) -> None:
        """Bring the tables up to date and begin to listen."""
        await self._database.migrate(COMPONENT, VERSIONS)
        self._renewable_since = now
        self._wakeups.start()

    async def close(self) -> None:
        """Listen no more. The database stays open."""
        await self._wakeups.close()

    # ------------------------------------------------------------ for tenants

    async def submit(self, jobs: Sequence[NewJob], *, now: float, together: bool = False) -> list[SubmitOutcome]:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        if not jobs:
            return []
        return await self._database.write(
            partial(
                submission.submit,
                jobs=jobs,
                programs=[encode(job.program) for job in jobs],
                together=together,
                settings=self._settings,
                free_bytes=self._database.free_bytes(),
                rng=self._rng,
                now=now,
            )
        )

    async def job(self, tenant: str, id: str) -> JobView | None:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.read(partial(reading.job, tenant=tenant, id=id, settings=self._settings))

    async def program(self, tenant: str, id: str) -> Program | None:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.read(partial(reading.program, tenant=tenant, id=id))

    async def jobs(
        self,
        tenant: str,
        *,
        status: Status | None = None,
        verdict: Verdict | None = None,
        limit: int,
        before: str | None,
    ) -> list[JobView]:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.read(
            partial(
                reading.jobs,
                tenant=tenant,
                status=status,
                verdict=verdict,
                limit=limit,
                before=before,
                settings=self._settings,
            )
        )

    async def cancel(self, tenant: str, id: str, *, now: float) -> JobView | None:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.write(
            partial(upkeep.cancel, tenant=tenant, id=id, settings=self._settings, now=now)
        )

    async def events(self, tenant: str, id: str, *, after: int, limit: int = 1000) -> list[Event] | None:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.read(partial(reading.events, tenant=tenant, id=id, after=after, limit=limit))

    def watch(self, id: str) -> AsyncIterator[None]:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return self._wakeups.watch(id)

    async def dead_letters(self, tenant: str, *, limit: int, before: str | None) -> list[DeadLetter]:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.read(partial(reading.dead_letters, tenant=tenant, limit=limit, before=before))

    async def replay(
        self, tenant: str, *, ids: Sequence[str] | None, reason: str | None, language: str | None, now: float
    ) -> list[str] | Refused:
        """See :class:`~holdfast.execution.core.ports.Queue`. ``reason`` matches any part of a letter's reason."""
        return await self._database.write(
            partial(
                upkeep.replay,
                tenant=tenant,
                ids=ids,
                reason=reason,
                language=language,
                settings=self._settings,
                free_bytes=self._database.free_bytes(),
                rng=self._rng,
                now=now,
            )
        )

    async def costs(self, tenant: str, *, days: int, now: float) -> list[Cost]:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.read(partial(figures.costs, tenant=tenant, days=days, now=now))

    # ------------------------------------------------------------ for workers

    async def give(self, presence: Presence, *, now: float) -> Given:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        seen = self._wakeups.signals
        given = await self._database.write(
            partial(giving.give, presence=presence, settings=self._settings, rng=self._rng, now=now)
        )
        return replace(given, seen=seen)

    async def report(
        self,
        worker: str,
        *,
        held: Sequence[Lease],
        output: Sequence[OutputPiece],
        finished: Sequence[Finish],
        returned: Sequence[Returned],
        now: float,
    ) -> Given:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.write(
            partial(
                reporting.report,
                worker=worker,
                held=held,
                output=output,
                finished=finished,
                returned=returned,
                settings=self._settings,
                rng=self._rng,
                now=now,
            )
        )

    async def wait_for_work(self, *, deadline_s: float, seen: int | None = None) -> None:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        await self._wakeups.wait_for_work(deadline_s=deadline_s, seen=seen)

    # ------------------------------------------------------------ for operators

    async def state(self, *, now: float) -> QueueState:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.read(partial(figures.state, settings=self._settings, now=now))

    async def languages(self, *, now: float) -> Mapping[str, str]:
        """See :class:`~holdfast.execution.core.ports.Queue`."""
        return await self._database.read(partial(figures.languages, settings=self._settings, now=now))

    async def tidy(self, *, now: float) -> Tidied:
        """See :class:`~holdfast.execution.core.ports.Queue`.

        Leases do not expire during the first lease duration in which they could be renewed: after the start, and after
        the store could not be reached. Otherwise every job would be run again after each outage of ours.
        """
        since = self._renewable_since
        if since is None:
            since = self._renewable_since = now
        try:
            return await self._database.write(
                partial(
                    upkeep.tidy,
                    leases_before=expired_before(now, started=since, settings=self._settings.lease),
                    settings=self._settings,
                    rng=self._rng,
                    now=now,
                )
            )
        except StoreUnavailable:
            self._renewable_since = None
            raise
