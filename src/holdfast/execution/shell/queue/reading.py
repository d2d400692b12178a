"""What a job's owner may read. Every query names the tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.execution.core.job import Result, Status, Verdict
from holdfast.execution.core.ports import DeadLetter, Event
from holdfast.execution.shell.queue import sql
from holdfast.execution.shell.queue.record import Record, decode_program, decode_result, view

if TYPE_CHECKING:
    from holdfast.execution.core.job import Program
    from holdfast.execution.core.ports import JobView
    from holdfast.execution.core.settings import ExecutionSettings
    from holdfast.store import Tx

NEWEST: Final = "~"
"""Sorts after every id."""

PAGE_BYTES: Final = 128 * 1024
"""A page of events ends with the one that makes it this large. Clients that do not read hold one each, a hundred of
one tenant, and a piece of output may have 256 KiB."""


def job(tx: Tx, *, tenant: str, id: str, settings: ExecutionSettings) -> JobView | None:
    """One job with its result."""
    row = tx.one(sql.JOB, id, tenant)
    return None if row is None else with_result(tx, Record(*row), settings)


def with_result(tx: Tx, record: Record, settings: ExecutionSettings) -> JobView:
    """The view of a job whose row is at hand."""
    result = None
    if record.verdict is not None and not record.expired:
        row = tx.one(sql.RESULT, record.id)
        # A job that never ran has no result of its own; its verdict is all there is to say.
        result = Result(verdict=Verdict(record.verdict)) if row is None else decode_result(row[0])
    return view(record, results_kept_s=settings.retention.results, result=result)


def program(tx: Tx, *, tenant: str, id: str) -> Program | None:
    """What was submitted."""
    row = tx.one(sql.PROGRAM, id, tenant)
    return None if row is None else decode_program(row[0])


def jobs(
    tx: Tx,
    *,
    tenant: str,
    status: Status | None,
    verdict: Verdict | None,
    limit: int,
    before: str | None,
    settings: ExecutionSettings,
) -> list[JobView]:
    """A page, newest first. Read per status, each a range of an index, and merged."""
    rows = []
    for one in [status] if status is not None else list(Status):
        if verdict is None:
            rows += tx.all(sql.LIST_STATUS, tenant, one, before or NEWEST, limit)
        else:
            rows += tx.all(sql.LIST_VERDICT, tenant, one, before or NEWEST, verdict, limit)
    rows.sort(key=lambda row: row[0], reverse=True)
    return [view(Record(*row), results_kept_s=settings.retention.results) for row in rows[:limit]]


def events(tx: Tx, *, tenant: str, id: str, after: int, limit: int) -> list[Event] | None:
    """Stored events, and the two that the job's row tells. Fewer than ``limit`` if they are large, but at least one."""
    row = tx.one(sql.JOB, id, tenant)
    if row is None:
        return None
    record = Record(*row)
    found = []
    if after < 1:
        found.append(Event(seq=1, kind="queued", at=record.submitted, data=b"{}"))
    sizes = tx.all(sql.EVENT_SIZES, id, after, limit)
    room, last = PAGE_BYTES, after
    for seq, size in sizes:
        if room <= 0:
            break
        room, last = room - size, seq
    found += [
        Event(seq=seq, kind=kind, at=at, data=bytes(data))
        for seq, kind, at, data in tx.all(sql.EVENTS, id, after, last)
    ]
    if sizes and last < sizes[-1][0]:
        return found[:limit]
    if record.status == Status.FINISHED and record.finished is not None and after < record.seq:
        data = msgspec.json.encode({"verdict": record.verdict})
        found.append(Event(seq=record.seq, kind="finished", at=record.finished, data=data))
    return found[:limit]


def dead_letters(tx: Tx, *, tenant: str, limit: int, before: str | None) -> list[DeadLetter]:
    """A page, newest first."""
    return [
        DeadLetter(id=id, language=language, died=died, reason=reason, attempts=attempts, replayed=replayed)
        for id, language, died, reason, attempts, replayed in tx.all(sql.LETTERS, tenant, before or NEWEST, limit)
    ]
