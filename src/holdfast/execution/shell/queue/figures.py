"""The queue in figures: what admission, scaling and the scheduler go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.execution.core.admission import drain_us_per_s
from holdfast.execution.core.ports import Cost, QueueState, TenantBacklog
from holdfast.execution.shell.queue import sql
from holdfast.execution.shell.queue.book import SPAN_S, day_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.execution.core.settings import ExecutionSettings
    from holdfast.store import Tx

MEASURED_S: Final = 60
"""How far back the drain rate looks."""

LIVE_LEASES: Final = 2.0
"""A worker is there while it was heard of within so many lease durations: an idle one asks every 20 s."""

_decode_languages: Final = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(slots=True)
class Backlog:
    """One tenant's queued and running jobs."""

    queued: int = 0
    backlog_us: int = 0
    running: int = 0


def backlogs(tx: Tx) -> dict[str, Backlog]:
    """Of every tenant that has queued or running jobs."""
    found: dict[str, Backlog] = {}
    for tenant, queued, priced_us, mean_us in tx.all(sql.BACKLOGS):
        one = found.setdefault(tenant, Backlog())
        one.queued += queued
        one.backlog_us += priced_us if mean_us is None else round(queued * mean_us)
    for tenant, running in tx.all(sql.RUNNING_BY_TENANT):
        found.setdefault(tenant, Backlog()).running = running
    return found


def live_since(settings: ExecutionSettings, now: float) -> float:
    """Workers heard of after this are there."""
    return now - LIVE_LEASES * settings.lease.duration


def live_slots(tx: Tx, settings: ExecutionSettings, now: float) -> tuple[int, int]:
    """Live workers, and their slots."""
    row = tx.one(sql.LIVE_SLOTS, live_since(settings, now))
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def drain(tx: Tx, slots: int, now: float) -> float:
    """CPU microseconds that the slots get through in a second when all of them are busy.

    Measured per slot, while it was busy: a quiet minute says nothing about what a burst would find.
    """
    row = tx.one(sql.DRAINED, int((now - MEASURED_S) // SPAN_S))
    cpu_us, busy_us = (0, 0) if row is None else (int(row[0]), int(row[1]))
    return drain_us_per_s(cpu_us, busy_us / 1e6 / max(1, slots), slots)


def used_today(tx: Tx, tenants: Iterable[str], now: float) -> dict[str, int]:
    """CPU microseconds charged since midnight (UTC)."""
    rows = tx.all(sql.of(tx.dialect, sql.USED_ON_DAY), sql.several(tx.dialect, tenants), day_of(now))
    return {tenant: int(cpu_us) for tenant, cpu_us in rows}


def state(tx: Tx, *, settings: ExecutionSettings, now: float) -> QueueState:
    """Everything at once."""
    all_backlogs = backlogs(tx)
    workers, slots = live_slots(tx, settings, now)
    used = used_today(tx, all_backlogs, now)
    oldest = tx.one(sql.OLDEST)
    known = languages(tx, settings=settings, now=now)
    return QueueState(
        queued=sum(one.queued for one in all_backlogs.values()),
        running=sum(one.running for one in all_backlogs.values()),
        backlog_us=sum(one.backlog_us for one in all_backlogs.values()),
        oldest_s=0.0 if oldest is None or oldest[0] is None else max(0.0, now - oldest[0]),
        slots=slots,
        workers=workers,
        drain_us_per_s=drain(tx, slots, now),
        per_tenant={
            tenant: TenantBacklog(
                queued=one.queued, running=one.running, backlog_us=one.backlog_us, used_today_us=used.get(tenant, 0)
            )
            for tenant, one in all_backlogs.items()
        },
        unrunnable={
            language: int(queued) for language, queued in tx.all(sql.QUEUED_BY_LANGUAGE) if language not in known
        },
    )


def costs(tx: Tx, *, tenant: str, days: int, now: float) -> list[Cost]:
    """Of the last ``days`` days, today included."""
    rows = tx.all(sql.COSTS, tenant, day_of(now - days * 86_400.0))
    return [
        Cost(day=day, language=language, jobs=int(jobs), cpu_us=int(cpu_us)) for day, language, jobs, cpu_us in rows
    ]


def languages(tx: Tx, *, settings: ExecutionSettings, now: float) -> dict[str, str]:
    """Language -> version; of several versions that of the worker whose name sorts last."""
    found: dict[str, str] = {}
    for (text,) in tx.all(sql.LIVE_LANGUAGES, live_since(settings, now)):
        found |= _decode_languages(text)
    return found
