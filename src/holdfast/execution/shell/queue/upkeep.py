"""What happens to jobs without a worker's doing: cancellation, deadlines, lost leases, retention, replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.execution.core.job import Status, Verdict
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

EPOCHS_KEPT_S: Final = 3600.0
"""How long a worker process that fell silent is remembered, so that it does not take its name back from the one that
replaced it. One that was paused for longer finds its leases lost all the same."""


def cancel(tx: Tx, *, tenant: str, id: str, settings: ExecutionSettings, now: float) -> JobView | None:
    """One transaction."""
    book = Book(tx, settings, now)
    row = tx.one(sql.JOB, id, tenant)
    if row is None:
        return None
    job = Record(*row)
    if job.status == Status.QUEUED:
        transitions.end(book, job, Verdict.CANCELLED)
    elif job.status == Status.RUNNING and job.stop is None:
        transitions.stop(book, job, Verdict.CANCELLED)
    book.write()
    return with_result(tx, job, settings)


def tidy(tx: Tx, *, leases_before: float | None, settings: ExecutionSettings, rng: Random, now: float) -> Tidied:
    """One transaction, with a bounded amount of work; what is left over is for the next one.

    Leases that ended at ``leases_before`` or earlier are lost; with ``None`` nobody may judge yet.
    """
    book = Book(tx, settings, now)
    silent = _expire_leases(book, leases_before, rng) if leases_before is not None else set()
    deadlines = _expire_deadlines(book, silent)
    results, gone = _sweep(book)
    if tx.run(sql.RIPEN, now):
        book.work = True
    book.write()
    tx.many(sql.REMOVE_JOB, [(id,) for id in gone])
    return Tidied(
        leases_expired=len(silent),
        deadlines_expired=deadlines,
        results_removed=results,
        jobs_removed=len(gone),
        workers_gone=_forget(tx, settings, now),
    )


def _expire_leases(book: Book, before: float, rng: Random) -> set[str]:
    """Take jobs back from workers that fell silent; their ids."""
    now, duration_s = book.now, book.settings.lease.duration
    jobs = [Record(*row) for row in book.tx.all(sql.LEASES_OVER, before, AT_ONCE)]
    for job in jobs:
        if job.stop is None and job.deadline is not None and job.deadline <= now:
            job.stop = Verdict.EXPIRED  # nobody is left who could be told
        silent_s = now - (job.lease_until or now) + duration_s
        transitions.fail(book, job, f"worker {job.worker} was silent for {silent_s:.0f} s", rng)
    return {job.id for job in jobs}


def _expire_deadlines(book: Book, seen: set[str]) -> int:
    """End queued jobs that are too late, have running ones killed; how many. ``seen`` were changed already."""
    jobs = [Record(*row) for row in book.tx.all(sql.DEADLINES_OVER, book.now, AT_ONCE) if row[0] not in seen]
    for job in jobs:
        if job.status == Status.QUEUED:
            transitions.end(book, job, Verdict.EXPIRED)
        else:
            transitions.stop(book, job, Verdict.EXPIRED)
    return len(jobs)


def _sweep(book: Book) -> tuple[int, list[str]]:
    """Remove what hangs on jobs that ended long ago; how many of them, and the jobs to be removed themselves."""
    jobs = [Record(*row) for row in book.tx.all(sql.SWEEP, book.now, AT_ONCE)]
    gone = [job.id for job in jobs if job.expired]
    for job in jobs:
        if not job.expired:
            transitions.expire(book, job)
    return len(jobs) - len(gone), gone


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
    book = Book(tx, settings, now)
    admission = Admission(tx, [tenant], settings=settings, free_bytes=free_bytes, rng=rng, now=now)
    wanted = None if ids is None else set(ids)
    jobs = book.jobs(
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
    admission.note_arrivals(tx)
    book.write()
    tx.many(sql.MARK_REPLAYED, [(now, id) for id in again])
    return again


def _forget(tx: Tx, settings: ExecutionSettings, now: float) -> int:
    """Workers that were not heard of, measurements and costs that nobody asks for any more. How many workers."""
    tx.run(sql.FORGET_WORKERS, now - EPOCHS_KEPT_S)
    tx.run(sql.FORGET_DRAIN, int((now - 2 * figures.MEASURED_S) // SPAN_S))
    tx.run(sql.FORGET_COSTS, day_of(now - settings.retention.costs))
    return tx.run(sql.MARK_SILENT, figures.live_since(settings, now))
