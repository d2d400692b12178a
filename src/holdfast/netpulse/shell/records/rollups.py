"""Sums over results by minute, hour and day: each result is added once, in the transaction that moves the cursor on.

Results are numbered in the order of their commits, so ``rolled`` says exactly which of them the sums contain. A late
result is added to the bucket of its time, whenever it comes. A process that dies has added a block and moved the
cursor, or neither.

A simulated result counts as unknown: a rehearsal neither spends an error budget nor adds to an uptime.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.netpulse.core.result import Outcome
from holdfast.netpulse.shell.records import engine, rows, sql
from holdfast.netpulse.shell.records.histogram import bucket
from holdfast.netpulse.shell.records.names import Kind, look_up, parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypeAlias

    from holdfast.netpulse.shell.records.names import Names
    from holdfast.store import Row, Tx

    Key: TypeAlias = tuple[int, int, int]
    """Monitor, beginning, region."""

MINUTE, HOUR, DAY = 60, 3600, 86_400
SIZES: Final = (MINUTE, HOUR, DAY)

BLOCK: Final = 2000
"""Results that are rolled up by one transaction, for some 50 ms of which nobody else writes."""

_PHASES: Final = 5
_DOWN, _UP = int(Outcome.DOWN), int(Outcome.UP)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[dict[int, int], list[int], list[int]]).decode


class Sums:
    """Of a bucket. Latencies and phases are those of checks that found their target up."""

    __slots__ = ("down", "latencies", "phases", "phases_of", "unknown", "up")

    def __init__(self, up: int = 0, down: int = 0, unknown: int = 0, data: bytes = b"") -> None:
        self.up = up
        self.down = down
        self.unknown = unknown
        self.latencies: dict[int, int]
        """Buckets of :mod:`.histogram`."""
        self.phases: list[int]
        """Sum of each, hundredths of a millisecond."""
        self.phases_of: list[int]
        """How many checks had it."""
        if data:
            self.latencies, self.phases, self.phases_of = _decode(data)
        else:
            self.latencies, self.phases, self.phases_of = {}, [0] * _PHASES, [0] * _PHASES

    def add(self, what: int, total: int, figures: bytes) -> None:
        """One result, as it is stored."""
        outcome = what & 3
        if outcome == _DOWN and not what & rows.SIMULATED:
            self.down += 1
        elif outcome != _UP or what & rows.SIMULATED:
            self.unknown += 1
        else:
            self.up += 1
            at = bucket(total)
            self.latencies[at] = self.latencies.get(at, 0) + 1
            if figures:
                for phase, ms in enumerate(rows.phases_ms(figures)):
                    if ms == ms:  # noqa: PLR0124 - a number
                        self.phases[phase] += round(ms * 100)
                        self.phases_of[phase] += 1

    def merge(self, other: Sums) -> None:
        """Add all of it."""
        self.up += other.up
        self.down += other.down
        self.unknown += other.unknown
        for at, count in other.latencies.items():
            self.latencies[at] = self.latencies.get(at, 0) + count
        self.phases = [ours + theirs for ours, theirs in zip(self.phases, other.phases, strict=True)]
        self.phases_of = [ours + theirs for ours, theirs in zip(self.phases_of, other.phases_of, strict=True)]

    def row(self) -> tuple[int, int, int, bytes]:
        """As :meth:`__init__` takes it."""
        data = _encode((self.latencies, self.phases, self.phases_of)) if self.up else b""
        return self.up, self.down, self.unknown, data


def roll(tx: Tx, *, epoch: int, names: Names, day: int) -> tuple[int, Mapping[Kind, Mapping[str, int]]]:
    """One block. How many are left, and names to be learned."""
    at = engine.turn(tx, epoch)
    upto = min(at.rolled + BLOCK, at.stored)
    if upto == at.rolled:
        return 0, {}
    found = tx.all(sql.TO_ROLL, at.rolled, upto)
    regions = _regions(tx, {row[2] for row in found})
    learned = names.resolve(tx, day, {Kind.REGION: set(regions.values())})
    numbers = {source: learned[Kind.REGION][region] for source, region in regions.items()}
    sums = _summed(found, numbers)
    for size in SIZES:
        _store(tx, size, sums)
        sums = _coarser(sums, size)
    tx.run(sql.SET_ROLLED, upto)
    return at.stored - upto, learned


def tail(tx: Tx, at: engine.Engine, monitors: Iterable[int]) -> list[Row]:
    """Results of some monitors that are not rolled up yet; when very many are not, the oldest of them."""
    return tx.all(
        sql.of(tx.dialect, sql.TAIL),
        at.rolled,
        min(at.stored, at.rolled + TAIL),
        sql.several(tx.dialect, monitors),
    )


TAIL: Final = 100_000
"""Results that a reading adds to the rollups itself. More wait only when nobody calls ``upkeep``."""


def tail_sums(tx: Tx, found: Iterable[Row]) -> dict[str, dict[Key, Sums]]:
    """Minutes of rows of ``sql.TAIL``, by the name of their region."""
    found = list(found)
    regions = _regions(tx, {row[2] for row in found})
    numbers = {region: number for number, region in enumerate(sorted(set(regions.values())))}
    sums = _summed(found, {source: numbers[region] for source, region in regions.items()})
    names = {number: region for region, number in numbers.items()}
    by_region: dict[str, dict[Key, Sums]] = defaultdict(dict)
    for key, of in sums.items():
        by_region[names[key[2]]][key] = of
    return by_region


def _regions(tx: Tx, sources: Iterable[Any]) -> dict[int, str]:
    return {id: parts(name)[0] for id, name in look_up(tx, sources).items()}


def _summed(found: Iterable[Row], regions: Mapping[int, int]) -> dict[Key, Sums]:
    """By minute. Results of a source that was forgotten have no region, and are left out."""
    sums: dict[Key, Sums] = {}
    for at, monitor, source, total, what, figures in found:
        if (region := regions.get(source)) is None:
            continue
        key = monitor, at // 60_000 * 60, region
        if (of := sums.get(key)) is None:
            of = sums[key] = Sums()
        of.add(what, total, figures)
    return sums


def _coarser(sums: Mapping[Key, Sums], size: int) -> dict[Key, Sums]:
    """By the next size. Takes over the sums that it is given."""
    if size == DAY:
        return {}
    larger = SIZES[SIZES.index(size) + 1]
    merged: dict[Key, Sums] = {}
    for (monitor, at, region), of in sums.items():
        key = monitor, at // larger * larger, region
        if (into := merged.get(key)) is None:
            merged[key] = of
        else:
            into.merge(of)
    return merged


def _store(tx: Tx, size: int, sums: Mapping[Key, Sums]) -> None:
    """Add to what is stored. Leaves ``sums`` as they are: the larger sizes are made of them."""
    monitors: dict[int, set[int]] = defaultdict(set)
    for monitor, at, _ in sums:
        monitors[at].add(monitor)
    whole = dict(sums)
    for at, among in monitors.items():
        for monitor, region, *stored in tx.all(
            sql.of(tx.dialect, sql.ROLLUPS_AT[size]), at, sql.several(tx.dialect, among)
        ):
            key = monitor, at, region
            if (of := sums.get(key)) is not None:
                whole[key] = Sums(*stored)
                whole[key].merge(of)
    stored_rows = [(*key, *of.row()) for key, of in whole.items()]
    if not stored_rows:
        return
    if tx.dialect == "postgresql":  # one statement for all: a third of the time of a pipeline of them
        tx.run(sql.STORE_ROLLUPS[size], *map(list, zip(*stored_rows, strict=True)))
    else:
        tx.many(sql.STORE_ROLLUP[size], stored_rows)
