"""How a job gets from one state to the next. Everything that changes a job's ``status`` is here.

Each takes a job whose row is locked and notes in the :class:`Book` what follows from the step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from holdfast.execution.core.job import Priority, Status, Verdict
from holdfast.execution.core.lease import Dead, after_loss, expires
from holdfast.execution.core.scheduler import order, settle

if TYPE_CHECKING:
    from random import Random

    from holdfast.execution.core.job import Result
    from holdfast.execution.core.ports import Presence
    from holdfast.execution.core.scheduler import Pick
    from holdfast.execution.shell.queue.book import Book
    from holdfast.execution.shell.queue.record import Record

_NOT_TYPICAL: Final = frozenset({Verdict.CANCELLED, Verdict.EXPIRED, Verdict.INTERNAL_ERROR})
"""What these cost says nothing about what the next job of the kind will cost."""

_KILLED: Final = frozenset({Verdict.CANCELLED, Verdict.KILLED, Verdict.INTERNAL_ERROR})
"""What a job that was told to stop may look like; one that ended by itself before keeps its verdict."""


def start(book: Book, job: Record, pick: Pick, presence: Presence) -> None:
    """Queued -> running, at the price that the decision was made with."""
    _leave(book, job)
    book.running(job.tenant, 1)
    job.estimate_us = pick.cost_us
    job.heavy = int(pick.heavy)
    job.status = Status.RUNNING
    job.token += 1
    job.attempts += 1
    job.worker = presence.worker
    job.epoch = presence.epoch
    job.started = book.now
    job.queued_ms = max(0.0, (book.now - job.queued_at) * 1e3)
    job.lease_until = expires(book.now, book.settings.lease)
    job.pieces = 0
    job.output_left = job.output_limit
    book.event(job, "started", {"attempt": job.attempts, "worker": job.worker})
    book.change(job)


def take_result(book: Book, job: Record, result: Result, rng: Random) -> None:
    """Running -> finished, or what comes of an attempt that failed. The claim is known to be the current one."""
    cpu_us = max(0, round(result.cpu_ms * 1e3))
    job.settled = job.token
    if job.stop is not None and result.verdict in _KILLED:
        result = replace(result, verdict=Verdict(job.stop))
    elif result.verdict is Verdict.CANCELLED and job.deadline is not None and job.deadline <= book.now:
        # The worker kills at the deadline by itself, maybe before we have looked.
        result = replace(result, verdict=Verdict.EXPIRED)
    failed = result.verdict is Verdict.INTERNAL_ERROR
    book.used(job, cpu_us, ended=not failed)
    book.drained(job, cpu_us)
    book.running(job.tenant, 0, settle(0, job.estimate_us, cpu_us))
    if failed:
        fail(book, job, result.message or "the worker reported an internal error", rng, result=result)
        return
    if result.verdict not in _NOT_TYPICAL:
        book.observed(job, cpu_us)
    end(book, job, result.verdict, result=result)


def end(book: Book, job: Record, verdict: Verdict, *, result: Result | None = None) -> None:
    """Queued or running -> finished."""
    _leave(book, job)
    job.status = Status.FINISHED
    job.verdict = verdict
    job.seq += 1  # of the event `finished`, which the row tells
    if result is not None:
        book.result(job, result)
    _close(book, job)


def fail(
    book: Book, job: Record, reason: str, rng: Random, *, counts: bool = True, result: Result | None = None
) -> None:
    """Running -> queued after a while, or dead. One that was told to stop has stopped."""
    if job.stop is not None:
        end(book, job, Verdict(job.stop))
        return
    outcome = after_loss(
        job.attempts, reason=reason, now=book.now, rng=rng, settings=book.settings.lease, counts=counts
    )
    job.attempts -= not counts
    _leave(book, job)
    if isinstance(outcome, Dead):
        job.status = Status.DEAD
        job.verdict = Verdict.INTERNAL_ERROR
        job.dead_reason = outcome.reason
        book.event(job, "dead", {"reason": outcome.reason, "attempts": job.attempts})
        book.letter(job, outcome.reason)
        if result is not None:
            book.result(job, result)
        _close(book, job)
        return
    _enter(book, job, outcome.not_before)
    book.event(job, "retry", {"reason": reason, "attempts": job.attempts, "not_before": outcome.not_before})
    book.change(job)


def stop(book: Book, job: Record, verdict: Verdict) -> None:
    """Have a running job killed: its worker is told until it reports the end."""
    job.stop = verdict
    book.event(job, "cancelling", {"verdict": verdict})
    book.change(job)
    book.work = True


def replay(book: Book, job: Record) -> None:
    """Dead -> queued, as if it were submitted now."""
    job.attempts = 0
    job.verdict = job.finished = job.sweep = job.dead_reason = job.started = job.queued_ms = None
    _enter(book, job, book.now)
    job.order_key = order(book.now, Priority(job.priority), book.settings.fairness.ageing)
    book.event(job, "replayed", {})
    book.change(job)


def _enter(book: Book, job: Record, not_before: float) -> None:
    job.status = Status.QUEUED
    job.queued_at = job.not_before = not_before
    job.ready = int(not_before <= book.now)
    job.worker = job.epoch = job.lease_until = None
    book.queued(job.tenant, job.language, job.heavy, job.estimate_us)
    book.work = True


def _leave(book: Book, job: Record) -> None:
    job.ready = 0
    if job.status == Status.RUNNING:
        book.running(job.tenant, -1)
    else:
        book.queued(job.tenant, job.language, job.heavy, job.estimate_us, -1)


def _close(book: Book, job: Record) -> None:
    job.finished = book.now
    job.sweep = book.now + book.settings.retention.results
    job.lease_until = None
    book.callback(job)
    book.change(job)


def expire(book: Book, job: Record) -> None:
    """Ended -> ended, without its program, result and events. From here on its idempotency key is free."""
    job.expired = 1
    job.idempotency_key = None
    job.sweep = max(book.now, (job.finished or 0.0) + book.settings.retention.jobs)
    book.change(job)
    book.remove(job)
