"""Taking what a worker says: output, results, claims given back, leases held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.execution.core.ports import Finish, Given, Lease
from holdfast.execution.shell.queue import sql, transitions
from holdfast.execution.shell.queue.book import Book
from holdfast.execution.shell.queue.giving import renew, to_kill
from holdfast.execution.shell.queue.record import Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from holdfast.execution.core.ports import OutputPiece, Returned
    from holdfast.execution.core.settings import ExecutionSettings
    from holdfast.store import Tx

PIECE_BYTES: Final = 64
"""What a piece of live output counts beside its bytes, so that a program that writes them one by one fills no table."""


def report(
    tx: Tx,
    *,
    worker: str,
    held: Sequence[Lease],
    output: Sequence[OutputPiece],
    finished: Sequence[Finish],
    returned: Sequence[Returned],
    settings: ExecutionSettings,
    rng: Random,
    now: float,
) -> Given:
    """One transaction. Output comes before results: it is of the same claims."""
    book = Book(tx, settings, now)
    tx.run(sql.SEEN, now, worker, now)
    ends: tuple[Finish | Returned, ...] = (*finished, *returned)
    jobs = book.jobs({item.id for item in (*output, *ends)})
    for piece in output:
        job = jobs.get(piece.id)
        if job is not None and job.holds(worker, piece.token):
            _take_output(book, job, piece)
    lost = []
    for item in ends:
        job = jobs.get(item.id)
        if job is not None and job.holds(worker, item.token):
            if isinstance(item, Finish):
                transitions.take_result(book, job, item.result, rng)
            else:
                job.settled = job.token
                transitions.fail(book, job, item.reason, rng, counts=item.counts)
        elif job is None or not job.has_settled(item.token):
            lost.append(Lease(id=item.id, token=item.token))
    running = {row[0]: Record(*row) for row in tx.all(sql.HELD, worker)}
    running.update({id: job for id, job in jobs.items() if id in running})  # these know of this report
    lost += renew(book, worker, held, running)
    if not book.work and (finished or returned) and tx.one(sql.ANY_QUEUED) is not None:
        book.work = True  # what was over a cap may start now, maybe on another worker
    book.write()
    return Given(kill=to_kill(running.values(), now), lost=tuple(dict.fromkeys(lost)))


def _take_output(book: Book, job: Record, piece: OutputPiece) -> None:
    """Pieces come in order; what has a smaller number than the last one is a repetition."""
    if piece.seq < job.pieces:
        return
    job.pieces = piece.seq + 1
    data = piece.data[: max(0, job.output_left - PIECE_BYTES)]
    if data:
        job.output_left -= len(data) + PIECE_BYTES
        book.output(job, piece.stream, data)
    else:
        book.note_pieces(job)
