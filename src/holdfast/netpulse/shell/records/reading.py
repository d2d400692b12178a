"""Questions to the results and incidents. Each is answered from one snapshot."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Final

from holdfast.netpulse.core.incident import Span
from holdfast.netpulse.core.ports import Bucket
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.records import codec, engine, results, rollups, sql
from holdfast.netpulse.shell.records.histogram import quantile_ms
from holdfast.netpulse.shell.records.names import Kind, look_up
from holdfast.netpulse.shell.records.rollups import DAY, HOUR, MINUTE, SIZES, Sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.netpulse.core.incident import Incident, Transition
    from holdfast.netpulse.core.result import Observation
    from holdfast.store import Tx

BUCKETS: Final = 5000
"""Most steps of a series; a smaller step is made as large as that takes."""

_PHASES: Final = ("resolve", "connect", "tls", "first_byte", "transfer")
_NEWEST: Final = "~"
"""Sorts after every id."""
_LAST: Final = 2**62


def checks(
    tx: Tx, *, monitor: str, since: float, until: float, limit: int, before: str | None
) -> tuple[list[Observation], str | None]:
    """Single results of ``[since, until)``, newest first, and the cursor of the next page. Raises ``Invalid``."""
    number = _number_of(tx, [monitor]).get(monitor)
    if number is None:
        return [], None
    at, seq = (_ms(until), 0) if before is None else _cursor(before)
    found = tx.all(sql.CHECKS, number, _ms(since), at, at, seq, limit + 1)
    page = found[:limit]
    more = f"{page[-1][1]}-{page[-1][0]}" if len(found) > limit and page else None
    return results.observations(tx, page), more


def series(tx: Tx, *, monitor: str, since: float, until: float, step_s: float) -> list[Bucket]:
    """Steps that have a result, by time and region. Results of the last seconds are among them."""
    number = _number_of(tx, [monitor]).get(monitor)
    if number is None or until <= since:
        return []
    size, step = fitting(since, until, step_s, _kept(tx))
    begin, end = math.floor(since / size) * size, math.ceil(until / size) * size
    sums: dict[tuple[int, str], Sums] = {}
    found = tx.all(sql.SERIES[size], number, begin, end)
    names = look_up(tx, {row[1] for row in found})
    for at, region, *stored in found:
        _merge(sums, at // step * step, names.get(region, ""), Sums(*stored))
    waiting = rollups.tail(tx, engine.now(tx), [number])
    for region, minutes in rollups.tail_sums(tx, waiting).items():
        for (_, at, _), of in minutes.items():
            if begin <= at < end:
                _merge(sums, at // step * step, region, of)
    return [_bucket(at, region, of) for (at, region), of in sorted(sums.items())]


def counts(tx: Tx, *, monitors: Sequence[str], since: float, until: float) -> dict[str, tuple[int, int]]:
    """Good and all decided checks of each, to the minute at both ends (or as exact as what is kept)."""
    numbers = _number_of(tx, monitors)
    good: dict[int, int] = defaultdict(int)
    bad: dict[int, int] = defaultdict(int)
    among = sql.several(tx.dialect, numbers.values())
    for size, begin, end in pieces(since, until, _kept(tx)):
        for number, up, down in tx.all(sql.of(tx.dialect, sql.COUNTS[size]), among, begin, end):
            good[number] += up
            bad[number] += down
    begin, end = math.floor(since / MINUTE) * MINUTE, math.ceil(until / MINUTE) * MINUTE
    for region in rollups.tail_sums(tx, rollups.tail(tx, engine.now(tx), numbers.values())).values():
        for (number, at, _), of in region.items():
            if begin <= at < end:
                good[number] += of.up
                bad[number] += of.down
    return {name: (good[number], good[number] + bad[number]) for name, number in numbers.items()} | {
        name: (0, 0) for name in monitors if name not in numbers
    }


def fitting(since: float, until: float, step_s: float, kept: Mapping[int, float]) -> tuple[int, int]:
    """Size of the rollup to read, and the step to add its buckets up to.

    The finest that has all of the time; a coarser one where the steps are whole multiples of it, which gives the same
    with fewer rows. ``kept``: since when each has all.
    """
    step_s = max(step_s, (until - since) / BUCKETS)
    whole = [size for size in SIZES if kept.get(size, 0.0) <= since] or [DAY]
    size = max([size for size in whole if step_s % size == 0], default=whole[0])
    return size, max(size, math.ceil(step_s / size) * size)


def pieces(since: float, until: float, kept: Mapping[int, float]) -> list[tuple[int, int, int]]:
    """A stretch of time as few buckets: days in the middle, hours around them, minutes at the ends.

    ``(size, begin, end)`` each; together they cover the stretch without overlap. Where the minutes were forgotten
    an hour that is cut by an end is counted whole, and so on.
    """
    begin, end = math.floor(since / MINUTE) * MINUTE, math.ceil(until / MINUTE) * MINUTE
    for size, larger in ((MINUTE, HOUR), (HOUR, DAY)):
        if begin < kept.get(size, 0.0):
            begin = math.floor(begin / larger) * larger
            if end // larger * larger < kept.get(size, 0.0):
                end = math.ceil(end / larger) * larger
    return _split(begin, end, DAY)


def _split(begin: int, end: int, size: int) -> list[tuple[int, int, int]]:
    if begin >= end:
        return []
    if size == MINUTE:
        return [(size, begin, end)]
    smaller = SIZES[SIZES.index(size) - 1]
    first, last = math.ceil(begin / size) * size, end // size * size
    if first >= last:
        return _split(begin, end, smaller)
    return [*_split(begin, first, smaller), (size, first, last), *_split(last, end, smaller)]


def spans(tx: Tx, *, monitors: Sequence[str], since: float, until: float) -> list[Span]:
    """That touch the time, oldest first."""
    among = sql.several(tx.dialect, monitors)
    return [
        Span(monitor=m, kind=k, since=s, until=u)
        for m, k, s, u in tx.all(sql.of(tx.dialect, sql.SPANS), among, until, since)
    ]


def incidents(
    tx: Tx, *, tenant: str, standing: bool | None, monitor: str | None, limit: int, before: str | None
) -> list[Incident]:
    """Newest first, the tenant's and the platform's."""
    before = before or _NEWEST
    states = (1, 0) if standing is None else (int(standing),)
    ranges = []
    for of in {tenant, ""}:
        for state in states:
            if monitor is None:
                found = tx.all(sql.INCIDENTS, of, state, before, limit)
            else:
                found = tx.all(sql.INCIDENTS_OF, monitor, before, of, state, limit)
            ranges.append([codec.incident(data) for (data,) in found])
    return list(islice(heapq.merge(*ranges, key=lambda one: one.id, reverse=True), limit))


def incident(tx: Tx, *, tenant: str, id: str) -> Incident | None:
    """The tenant's or the platform's."""
    row = tx.one(sql.INCIDENT, id, tenant)
    return None if row is None else codec.incident(row[0])


def timeline(tx: Tx, *, incident: str) -> list[Transition]:
    """Oldest first."""
    return [codec.transition(data) for (data,) in tx.all(sql.TIMELINE, incident)]


def _number_of(tx: Tx, monitors: Sequence[str]) -> dict[str, int]:
    found = tx.all(sql.of(tx.dialect, sql.NUMBERS), int(Kind.MONITOR), sql.several(tx.dialect, monitors))
    return dict(found)


def _kept(tx: Tx) -> dict[int, float]:
    return dict(tx.all(sql.KEPT))


def _merge(sums: dict[tuple[int, str], Sums], at: int, region: str, of: Sums) -> None:
    if (into := sums.get((at, region))) is None:
        sums[at, region] = of
    else:
        into.merge(of)


def _bucket(at: int, region: str, of: Sums) -> Bucket:
    return Bucket(
        region=region,
        at=float(at),
        up=of.up,
        down=of.down,
        unknown=of.unknown,
        p50_ms=quantile_ms(of.latencies, 0.50),
        p95_ms=quantile_ms(of.latencies, 0.95),
        p99_ms=quantile_ms(of.latencies, 0.99),
        phases_ms={
            name: round(total / number / 100, 2)
            for name, total, number in zip(_PHASES, of.phases, of.phases_of, strict=True)
            if number
        },
    )


def _ms(at: float) -> int:
    return math.ceil(at * 1000)


def _cursor(before: str) -> tuple[int, int]:
    at, _, seq = before.partition("-")
    if not (at.isdecimal() and seq.isdecimal() and len(before) < 40):
        raise Invalid(f"{before[:40]!r} is no cursor of a page: give the one that came with the page before")
    return min(int(at), _LAST), min(int(seq), _LAST)
