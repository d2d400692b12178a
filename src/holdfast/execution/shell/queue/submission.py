"""Taking jobs in: repeated posts, admission, the rows."""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING

from holdfast.execution.core.admission import Load, admit
from holdfast.execution.core.job import Status
from holdfast.execution.core.ports import Accepted, Refused
from holdfast.execution.core.scheduler import order
from holdfast.execution.shell.queue import figures, prices, sql
from holdfast.execution.shell.queue.book import Book
from holdfast.execution.shell.queue.figures import Backlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

    from holdfast.execution.core.estimate import Expected
    from holdfast.execution.core.job import NewJob
    from holdfast.execution.core.ports import SubmitOutcome
    from holdfast.execution.core.settings import ExecutionSettings
    from holdfast.store import Tx


class Admission:
    """Decides over jobs one after the other, each with those before it counted in."""

    def __init__(
        self,
        tx: Tx,
        tenants: Sequence[str],
        *,
        settings: ExecutionSettings,
        free_bytes: int | None,
        rng: Random,
        now: float,
    ) -> None:
        """Reads the figures. Has to be the transaction's turn (:class:`Book`)."""
        rows = tx.all(sql.of(tx.dialect, sql.TENANTS), sql.several(tx.dialect, tenants))
        self._active: dict[str, float] = dict(rows)
        """When each tenant had a job last."""
        self._backlogs = figures.backlogs(tx)
        self._settings = settings
        self._free_bytes = free_bytes
        self._rng = rng
        self._now = now
        _, slots = figures.live_slots(tx, settings, now)
        self._drain = figures.drain(tx, slots, now)
        self._used = figures.used_today(tx, tenants, now) if settings.admission.daily_cpu else {}
        self._total_us = sum(one.backlog_us for one in self._backlogs.values())
        self._at_first = {tenant: one.queued for tenant, one in self._backlogs.items()}
        self._lengths = sorted(self._at_first.values())
        self._in_shorter = [0, *itertools.accumulate(self._lengths)]
        self._weights = sum(map(self._weight, self._backlogs))

    def admit(self, tenant: str, cost_us: int) -> Refused | None:
        """Count a job in, or say why not."""
        own = self._backlogs.get(tenant)
        refused = admit(
            Load(
                tenant_backlog_us=own.backlog_us if own else 0,
                total_backlog_us=self._total_us,
                drain_us_per_s=self._drain,
                weight=self._weight(tenant),
                other_weights=self._weights - (self._weight(tenant) if own else 0.0),
                used_today_us=self._used.get(tenant, 0),
                free_bytes=self._free_bytes,
            ),
            now=self._now,
            rng=self._rng,
            settings=self._settings.admission,
        )
        if refused is not None:
            return refused
        if own is None:
            own = self._backlogs[tenant] = Backlog()
            self._weights += self._weight(tenant)
        own.queued += 1
        own.backlog_us += cost_us
        self._total_us += cost_us
        return None

    def before(self, tenant: str) -> int:
        """Jobs that probably start before the tenant's last one: its own, and as many of each other tenant.

        With the others as they were at first; else a batch of many tenants would go over all of them for each job.
        """
        own = self._backlogs[tenant].queued if tenant in self._backlogs else 0
        shorter = bisect.bisect_left(self._lengths, own)
        others = self._in_shorter[shorter] + own * (len(self._lengths) - shorter)
        return max(0, own - 1) + others - min(self._at_first.get(tenant, 0), own)

    def note_arrivals(self, tx: Tx) -> None:
        """Have the tenants that had neither queued nor running jobs before go next, once."""
        now = self._now
        tx.many(
            sql.MARK_FRESH,
            [
                (tenant, now - self._active.get(tenant, now), now)
                for tenant in sorted(self._backlogs.keys() - self._at_first.keys())
            ],
        )

    def _weight(self, tenant: str) -> float:
        return self._settings.fairness.weights.get(tenant, 1.0)


def submit(
    tx: Tx,
    *,
    jobs: Sequence[NewJob],
    programs: Sequence[bytes],
    together: bool,
    settings: ExecutionSettings,
    free_bytes: int | None,
    rng: Random,
    now: float,
) -> list[SubmitOutcome]:
    """One transaction; ``programs`` are those of the jobs, encoded."""
    book = Book(tx, settings, now)
    tenants = sorted({job.tenant for job in jobs})
    admission = Admission(tx, tenants, settings=settings, free_bytes=free_bytes, rng=rng, now=now)
    posted = _posted_before(tx, jobs)
    known = prices.known(tx, tenants)
    outcomes: list[SubmitOutcome] = []
    for job, program in zip(jobs, programs, strict=True):
        key = (job.tenant, job.idempotency_key)
        if key in posted:
            id, fingerprint = posted[key]
            outcomes.append(
                Accepted(id=id, position=admission.before(job.tenant), repeated=True)
                if fingerprint == job.fingerprint
                else Refused(
                    reason="idempotency_conflict",
                    detail=f"the idempotency key {job.idempotency_key!r} came with another request before; "
                    "send the same request, or another key",
                )
            )
            continue
        cpu_limit_us = round((job.program.limits.cpu_s + (settings.compile_limits.cpu if job.heavy else 0.0)) * 1e6)
        expected = prices.price(
            known,
            job.tenant,
            job.program.language,
            given_us=job.cost_estimate_us,
            cpu_limit_us=cpu_limit_us,
            compiled=job.heavy,
            settings=settings.fairness,
        )
        refused = admission.admit(job.tenant, expected.cost_us)
        if refused is not None:
            outcomes.append(refused)
            continue
        if job.idempotency_key is not None:
            posted[key] = job.id, job.fingerprint
        book.insert(_row(job, expected, cpu_limit_us, settings), program)
        book.queued(job.tenant, job.program.language, int(expected.heavy), expected.cost_us)
        outcomes.append(Accepted(id=job.id, position=admission.before(job.tenant)))
    if together and (refused := next((one for one in outcomes if isinstance(one, Refused)), None)) is not None:
        return [one if isinstance(one, Accepted) and one.repeated else refused for one in outcomes]
    if any(isinstance(one, Accepted) and not one.repeated for one in outcomes):
        admission.note_arrivals(tx)
        book.work = True
        book.write()
    return outcomes


def _posted_before(tx: Tx, jobs: Iterable[NewJob]) -> dict[tuple[str, str | None], tuple[str, bytes]]:
    keys: dict[str, list[str]] = {}
    for job in jobs:
        if job.idempotency_key is not None:
            keys.setdefault(job.tenant, []).append(job.idempotency_key)
    return {
        (tenant, key): (id, bytes(fingerprint))
        for tenant, wanted in keys.items()
        for key, id, fingerprint in tx.all(
            sql.of(tx.dialect, sql.POSTED_BEFORE), tenant, sql.several(tx.dialect, wanted)
        )
    }


def _row(job: NewJob, expected: Expected, cpu_limit_us: int, settings: ExecutionSettings) -> tuple[object, ...]:
    """A queued job's row, in the order of ``record.Record``; its first event is told from the row."""
    output_limit = job.program.limits.output_bytes
    return (
        job.id, job.tenant, job.program.language, job.priority, int(job.heavy), cpu_limit_us, job.submitted,
        job.deadline, job.callback_url, job.metadata, job.key_id, job.fingerprint, output_limit, job.idempotency_key,
        expected.cost_us, int(expected.heavy), Status.QUEUED, job.submitted,
        order(job.submitted, job.priority, settings.fairness.ageing), 0.0, 1, 0, 0, 0,
        None, None, None, None, None, None, None, None, 0, None, None, 0, 1, 0, output_limit,
    )  # fmt: skip
