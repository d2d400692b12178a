"""What happens to jobs without a worker's doing: cancellation, deadlines, lost leases, retention, replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.execution.core.job import TERMINAL, Status, Verdict
from holdfast.execution.core.ports import Refused, Tidied
from holdfast.execution.shell.queue import figures, sql, transitions
from holdfast.execution.shell.queue.book import SPAN_S, Book, day_of
from holdfast.execution.shell.queue.reading import with_result
from holdfast.execution.shell.queue.record import Record
from holdfast.execution.shell.queue.submission import Admission

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from holdfast.execution.core.ports import JobView
    from holdfast.execution.core.settings import ExecutionSettings
    from holdfast.store import Tx

AT_ONCE: Final = 500
"""Jobs that one call of :func:`tidy` takes care of, of each kind: some 20 ms that writers wait for it."""

SUPERSEDED_S: Final = 3600.0
"""How long the epochs of processes that were replaced are remembered; no request of theirs is on its way that long."""


def cancel(tx: Tx, *, tenant: str, id: str, settings: ExecutionSettings, now: float) -> JobView | None:
    """One transaction."""
    row = tx.one(sql.of(tx.dialect, sql.LOCK_OWN), id, tenant)
    if row is None:
        return None
    job = Record(*row)
    book = Book(tx, settings, now)
    if job.status == Status.QUEUED:
        transitions.end(book, job, Verdict.CANCELLED)
    elif job.status == Status.RUNNING and job.stop is None:
        transitions.stop(book, job, Verdict.CANCELLED)
    book.write()
    return with_result(tx, job, settings)


def tidy(tx: Tx, *, leases_before: float | None, settings: ExecutionSettings, rng: Random, now: float) -> Tidied:
    """One transaction. Safe to run in several processes: each looks again at the rows once it has locked them.

    Leases that ended at ``leases_before`` or earlier are lost; with ``None`` nobody may judge yet.
    """
    book = Book(tx, settings, now)
    over = [row[0] for row in tx.all(sql.LEASES_OVER, leases_before, AT_ONCE)] if leases_before is not None else []
    late = [row[0] for row in tx.all(sql.DEADLINES_OVER, now, AT_ONCE)]
    due = [row[0] for row in tx.all(sql.SWEEP, now, AT_ONCE)]
    leases = deadlines = results = removed = 0
    jobs = book.lock([*over, *late, *due])
    for id in over:
        job = jobs.get(id)
        if job is not None and job.status == Status.RUNNING and (job.lease_until or 0.0) <= now:
            silent_s = now - (job.lease_until or now) + settings.lease.duration
            if job.deadline is not None and job.deadline <= now and job.stop is None:
                job.stop = Verdict.EXPIRED
            transitions.fail(book, job, f"worker {job.worker} was silent for {silent_s:.0f} s", rng)
            leases += 1
    for id in late:
        job = jobs.get(id)
        if job is None or job.deadline is None or job.deadline > now:
            continue
        if job.status == Status.QUEUED:
            transitions.end(book, job, Verdict.EXPIRED)
            deadlines += 1
        elif job.status == Status.RUNNING and job.stop is None:
            transitions.stop(book, job, Verdict.EXPIRED)
            deadlines += 1
    gone = []
    for id in due:
        job = jobs.get(id)
        if job is None or job.status not in TERMINAL or job.sweep is None or job.sweep > now:
            continue
        if job.expired:
            gone.append((id,))
            removed += 1
        else:
            transitions.expire(book, job)
            results += 1
    if tx.run(sql.RIPEN, now):
        book.work = True
    book.write()
    if gone:
        tx.many(sql.REMOVE_JOB, gone)
    return Tidied(
        leases_expired=leases,
        deadlines_expired=deadlines,
        results_removed=results,
        jobs_removed=removed,
        workers_gone=_forget(tx, settings, now),
    )


def replay(
    tx: Tx,
    *,
    tenant: str,
    ids: Sequence[str] | None,
    reason: str | None,
    language: str | None,
    settings: ExecutionSettings,
    free_bytes: int | None,
    rng: Random,
    now: float,
) -> list[str] | Refused:
    """One transaction: all that match, or none. What was replayed already does not match."""
    admission = Admission(tx, [tenant], settings=settings, free_bytes=free_bytes, rng=rng, now=now)
    wanted = None if ids is None else set(ids)
    book = Book(tx, settings, now)
    jobs = book.lock(
        id
        for id, why, kind in tx.all(sql.LETTERS_TO_REPLAY, tenant)
        if (wanted is None or id in wanted)
        and (language is None or kind == language)
        and (reason is None or reason in why)
    )
    again = []
    for job in jobs.values():
        if job.status != Status.DEAD or job.expired:
            continue
        refused = admission.admit(tenant, job.estimate_us)
        if refused is not None:
            return refused
        transitions.replay(book, job)
        again.append(job.id)
    book.write()
    tx.many(sql.MARK_REPLAYED, [(now, id) for id in again])
    return again


def _forget(tx: Tx, settings: ExecutionSettings, now: float) -> int:
    """Workers that were not heard of, measurements and costs that nobody asks for any more. How many workers."""
    tx.run(sql.FORGET_SUPERSEDED, now - SUPERSEDED_S)
    tx.run(sql.FORGET_DRAIN, int((now - 2 * figures.MEASURED_S) // SPAN_S))
    tx.run(sql.FORGET_COSTS, day_of(now - settings.retention.costs))
    return tx.run(sql.FORGET_WORKERS, figures.live_since(settings, now))
