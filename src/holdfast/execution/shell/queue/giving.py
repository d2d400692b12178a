"""Giving work to a worker that says it is there: presence, leases, the claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from holdfast.execution.core.job import Claim, Status
from holdfast.execution.core.ports import Given, Lease
from holdfast.execution.core.scheduler import Candidate, Schedule, TenantQueue, schedule
from holdfast.execution.shell.queue import figures, prices, sql, transitions
from holdfast.execution.shell.queue.book import Book
from holdfast.execution.shell.queue.record import Record, decode_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from random import Random

    from holdfast.execution.core.estimate import Estimate
    from holdfast.execution.core.ports import Presence
    from holdfast.execution.core.settings import ExecutionSettings
    from holdfast.store import Row, Tx


def give(tx: Tx, *, presence: Presence, settings: ExecutionSettings, rng: Random, now: float) -> Given:
    """One transaction."""
    book = Book(tx, settings, now)
    if not _note_presence(tx, presence, now):
        return Given(lost=presence.held)
    held = {row[0]: Record(*row) for row in tx.all(sql.HELD, presence.worker)}
    for job in held.values():
        if job.epoch != presence.epoch:
            transitions.fail(book, job, f"worker {presence.worker} was started anew", rng)
    lost = renew(book, presence.worker, presence.held, held)
    # What the worker holds by our books takes slots too: it may not have heard of a claim yet.
    taken = sum(job.status == Status.RUNNING for job in held.values())
    claims = _claim(book, presence, min(presence.free, presence.slots - taken))
    book.write()
    return Given(claims=claims, kill=to_kill(held.values(), now), lost=lost)


def renew(book: Book, worker: str, leases: Sequence[Lease], held: dict[str, Record]) -> tuple[Lease, ...]:
    """Renew leases that are current; those that are not. A claim whose end was just taken is neither."""
    elsewhere = book.jobs(lease.id for lease in leases if lease.id not in held)
    lost = []
    for lease in leases:
        job = held.get(lease.id) or elsewhere.get(lease.id)
        if job is not None and job.holds(worker, lease.token):
            book.renew(job)
        elif job is None or not job.has_settled(lease.token):
            lost.append(lease)
    return tuple(lost)


def to_kill(held: Iterable[Record], now: float) -> tuple[Lease, ...]:
    """Running jobs that were cancelled, or whose deadline is over."""
    return tuple(
        Lease(id=job.id, token=job.token)
        for job in held
        if job.status == Status.RUNNING and (job.stop is not None or (job.deadline is not None and job.deadline <= now))
    )


def _note_presence(tx: Tx, presence: Presence, now: float) -> bool:
    """False for a process that another one of the same name has replaced.

    A request of the old one may still be waiting here when it is dead and the new one has asked already; it must not
    take the name back.
    """
    known: dict[str, str] = dict(tx.all(sql.EPOCHS, presence.worker))
    if known.get(presence.epoch) == "replaced":
        return False
    tx.run(
        sql.STORE_WORKER,
        presence.worker,
        presence.epoch,
        presence.slots,
        presence.free,
        msgspec.json.encode(presence.languages).decode(),
        presence.tier,
        now,
    )
    if presence.epoch not in known and known:
        tx.run(sql.REPLACE_WORKER, presence.worker, presence.epoch)
    return True


def _claim(book: Book, presence: Presence, room: int) -> tuple[Claim, ...]:
    tx, settings = book.tx, book.settings
    if room <= 0 or not presence.languages:
        return ()
    tx.run(sql.RIPEN, book.now)
    wanted = sql.several(tx.dialect, sorted(presence.languages))
    heads = tx.all(sql.of(tx.dialect, sql.HEADS[tx.dialect]), book.now, room, wanted)
    if not heads:
        return ()
    (turn,) = tx.one(sql.ROUND) or (0,)
    running, running_heavy = tx.one(sql.RUNNING) or (0, 0)
    _, slots = figures.live_slots(tx, settings, book.now)
    decision = schedule(
        _queues(tx.all(sql.CONTENDERS), heads, prices.known(tx, {head[1] for head in heads}), settings),
        free=room,
        slots=slots,
        running=int(running),
        running_heavy=int(running_heavy),
        turn=turn,
        settings=settings.fairness,
    )
    if not decision.picks:
        return ()
    if decision.turn != turn:
        tx.run(sql.SET_ROUND, decision.turn)
    return _start(book, presence, decision)


def _start(book: Book, presence: Presence, decision: Schedule) -> tuple[Claim, ...]:
    tx = book.tx
    picked = book.jobs(pick.id for pick in decision.picks)
    jobs = []
    for pick in decision.picks:
        job = picked[pick.id]
        transitions.start(book, job, pick, presence)
        jobs.append(job)
    tx.many(sql.TOOK_TURN, [(one.deficit_us, one.turn, one.tenant) for one in decision.tenants])
    programs: dict[str, bytes] = dict(
        tx.all(sql.of(tx.dialect, sql.PROGRAMS), sql.several(tx.dialect, [job.id for job in jobs]))
    )
    return tuple(
        Claim(
            id=job.id,
            tenant=job.tenant,
            token=job.token,
            attempt=job.attempts,
            program=decode_program(programs[job.id]),
            deadline=job.deadline,
            queued_ms=job.queued_ms or 0.0,
        )
        for job in jobs
    )


def _queues(
    contenders: Sequence[Row],
    heads: Sequence[Row],
    known: Mapping[tuple[str, str], Estimate],
    settings: ExecutionSettings,
) -> list[TenantQueue]:
    lanes: dict[tuple[str, bool], list[Candidate]] = {}
    for id, tenant, language, compiled, cpu_limit_us, estimate_us, place in heads:
        expected = prices.price(
            known,
            tenant,
            language,
            given_us=estimate_us,
            cpu_limit_us=cpu_limit_us,
            compiled=bool(compiled),
            settings=settings.fairness,
        )
        lane = lanes.setdefault((tenant, expected.heavy), [])
        lane.append(Candidate(id=id, cost_us=expected.cost_us, order=place))
    for lane in lanes.values():
        lane.sort(key=lambda one: (one.order, one.id))
    return [
        TenantQueue(
            tenant=tenant,
            weight=settings.fairness.weights.get(tenant, 1.0),
            deficit_us=deficit_us,
            turn=turn,
            fresh=bool(fresh),
            running=running,
            light=lanes.get((tenant, False), ()),
            heavy=lanes.get((tenant, True), ()),
            idle_s=idle_s,
        )
        for tenant, deficit_us, turn, fresh, running, idle_s in contenders
        if (tenant, False) in lanes or (tenant, True) in lanes
    ]
