"""Rolling up, and forgetting what is over its time: every step is a transaction of bounded size.

=====================  ==================================================================================
results                the oldest first; PostgreSQL drops the partition of a day, SQLite deletes. Never what
                       is not rolled up yet
rollups                some monitors a call, in turns
incidents              with their transitions, members and notices, when they were resolved long ago
spans                  as long as the rollups of days
marks of spools        90 days after the last batch, or as long as results if that is longer
names                  of agents and addresses as long as results, of monitors and regions as long as rollups
=====================  ==================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.netpulse.shell.records import engine, partitions, sql
from holdfast.netpulse.shell.records.names import Kind
from holdfast.netpulse.shell.records.rollups import DAY, HOUR, MINUTE, SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.netpulse.core.settings import RetentionSettings
    from holdfast.store import Tx

RESULTS: Final = 2000
"""Results that one transaction forgets (SQLite): some 60 ms, nearly all of it for the index."""
ROLLUPS: Final = 1000
"""Rollups of one size and monitor that one transaction forgets."""
MONITORS: Final = 20
"""Monitors whose rollups one transaction looks at."""
OTHERS: Final = 200
"""Incidents, spans, names: each."""

SPOOLS_KEPT_DAYS: Final = 90
"""An agent that was switched off for a season does not get its results counted twice when it comes back."""
_FOREVER: Final = 2**62


def make_partitions(tx: Tx, *, epoch: int, days: Iterable[int]) -> None:
    """Ahead of their days."""
    engine.turn(tx, epoch)
    partitions.make_all(tx, days)


def old_partitions(tx: Tx, *, retention: RetentionSettings, now: float) -> list[int]:
    """Days of which every result is over its time."""
    return [day for day in partitions.found(tx) if (day + 1) * DAY <= now - retention.raw]


def drop_partition(tx: Tx, *, epoch: int, day: int) -> None:
    """Unless some of it is still needed, or read just now; there is a next time."""
    partitions.drop(tx, day, needed_after=engine.turn(tx, epoch).rolled)


def forget_results(tx: Tx, *, epoch: int, retention: RetentionSettings, now: float) -> int:
    """Of SQLite. How many went; fewer than :data:`RESULTS`: there are no more."""
    if tx.dialect != "sqlite":
        return 0
    at = engine.turn(tx, epoch)
    return tx.run(sql.FORGET_RESULTS, round((now - retention.raw) * 1000), at.rolled, RESULTS)


def forget_rollups(tx: Tx, *, epoch: int, retention: RetentionSettings, now: float, after: int) -> int:
    """Those of the next monitors after number ``after``; the last of them, 0 to begin again."""
    engine.turn(tx, epoch)
    before = {MINUTE: now - retention.minutes, HOUR: now - retention.hours, DAY: now - retention.days}
    for size, at in before.items():
        tx.run(sql.STORE_KEPT, size, int(at // size + 1) * size)
    monitors = [id for (id,) in tx.all(sql.MONITORS_AFTER, after, MONITORS)]
    for monitor in monitors:
        for size, at in before.items():
            tx.run(sql.FORGET_ROLLUPS[size], monitor, int(at // size + 1) * size, ROLLUPS)
    return monitors[-1] if len(monitors) == MONITORS else 0


def forget_others(tx: Tx, *, epoch: int, retention: RetentionSettings, now: float) -> int:
    """Incidents, spans, silences, marks and names. How many names went."""
    engine.turn(tx, epoch)
    over = [id for (id,) in tx.all(sql.INCIDENTS_OVER, now - retention.incidents, OTHERS)]
    if over:
        for statement in sql.FORGET_OF_INCIDENT:
            tx.run(sql.of(tx.dialect, statement), sql.several(tx.dialect, over))
    tx.run(sql.FORGET_TESTS, now - retention.incidents)
    tx.run(sql.FORGET_SPANS, now - retention.days, OTHERS)
    tx.run(sql.FORGET_DEFINITIONS, now)
    today = int(now // DAY)
    raw_days = int(retention.raw // DAY) + 2  # a partition goes when its last result is over its time
    tx.run(sql.FORGET_SPOOLS, today - max(raw_days, SPOOLS_KEPT_DAYS))
    days = int(max(retention.minutes, retention.hours, retention.days, retention.raw) // DAY) + 2
    kept = {Kind.REGION: days, Kind.SOURCE: raw_days, Kind.ADDRESS: raw_days}
    gone = sum(tx.run(sql.FORGET_NAMES, int(kind), today - of, OTHERS) for kind, of in kept.items())
    return gone + tx.run(sql.DROP_NAMES, today - days)


def drop_monitor(tx: Tx, *, tenant: str, id: str) -> None:
    """Its definition and state, and its name: nothing can be found by it any more."""
    name = f"{tenant}/{id}"
    tx.run(sql.UNDEFINE, "monitor", tenant, id)
    tx.run(sql.FORGET_STATE, name)
    tx.run(sql.FORGET_SPANS_OF, name)
    tx.run(sql.DROP_NAME, name)


def forget_dropped(tx: Tx, *, epoch: int) -> None:
    """Results and rollups of a monitor that was dropped, then its number."""
    rolled = engine.turn(tx, epoch).rolled
    row = tx.one(sql.DROPPED)
    if row is None:
        return
    (monitor,) = row
    left = tx.run(sql.FORGET_RESULTS_OF, monitor, monitor, rolled, RESULTS) == RESULTS
    for size in SIZES:
        left = tx.run(sql.FORGET_ROLLUPS[size], monitor, _FOREVER, ROLLUPS) == ROLLUPS or left
    if not left and tx.one(sql.ANY_RESULT_OF, monitor) is None:
        tx.run(sql.FORGET_NUMBER, monitor)
