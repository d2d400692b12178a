"""Batches of results: stored once, whoever repeats them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from holdfast.netpulse.shell.records import engine, partitions, rows, sql
from holdfast.netpulse.shell.records.marks import Mark
from holdfast.netpulse.shell.records.names import Kind, look_up, parts, source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.netpulse.core.result import Observation
    from holdfast.netpulse.shell.records.names import Names
    from holdfast.store import Row, Tx

_marks = msgspec.msgpack.Decoder(Mark)


class Stored(NamedTuple):
    """What a transaction left behind."""

    last: int
    """Number of the last result of all."""
    mark: Mark
    """Of the spool."""
    day: int
    names: Mapping[Kind, Mapping[str, int]]
    """To be learned."""


def store(
    tx: Tx,
    *,
    batch: Sequence[Observation],
    numbers: Sequence[int],
    agent: str,
    spool: str,
    first: int,
    upto: int,
    epoch: int,
    names: Names,
    ready: frozenset[int],
) -> Stored:
    """One transaction. ``ready``: days whose partitions are there."""
    stored = engine.turn(tx, epoch).stored
    row = tx.one(sql.SPOOL, agent, spool)
    mark = Mark() if row is None else _marks.decode(row[0])
    new = mark.fresh(numbers)
    learned: Mapping[Kind, Mapping[str, int]] = {}
    day = rows.day_of(batch[-1]) if batch else 0
    if new:
        fresh = batch if len(new) == len(batch) else [batch[at] for at in new]
        for needed in {rows.day_of(seen) for seen in fresh} - ready:
            partitions.make(tx, needed)
        learned = names.resolve(tx, day, _names_of(fresh))
        tx.copy("netpulse_results", rows.COLUMNS, _rows(fresh, stored + 1, learned))
        stored += len(fresh)
        tx.run(sql.SET_STORED, stored)
    marked = mark.taken(first, upto)
    if marked != mark:
        tx.run(sql.STORE_SPOOL, agent, spool, msgspec.msgpack.encode(marked), day)
    return Stored(stored, marked, day, learned)


def between(tx: Tx, after: int, upto: int) -> list[Observation]:
    """Results by their numbers, in the order in which they were stored."""
    return observations(tx, tx.all(sql.RESULTS_BETWEEN, after, upto))


def observations(tx: Tx, found: Sequence[Row]) -> list[Observation]:
    """Of rows of ``sql.RESULT``."""
    ids = {row[2] for row in found} | {row[3] for row in found} | {row[6] for row in found}
    names = look_up(tx, ids)
    sources = {id: parts(names[id]) for id in {row[3] for row in found} if id in names}
    return [rows.observation(row, names, sources) for row in found]


def marks(tx: Tx) -> dict[tuple[str, str], Mark]:
    """Of every spool."""
    return {(agent, spool): _marks.decode(mark) for agent, spool, mark in tx.all(sql.SPOOLS)}


def _names_of(batch: Sequence[Observation]) -> dict[Kind, set[str]]:
    return {
        Kind.MONITOR: {seen.monitor for seen in batch},
        Kind.SOURCE: {source(*seen_by) for seen_by in {(seen.region, seen.domain, seen.agent) for seen in batch}},
        Kind.ADDRESS: {seen.address for seen in batch} - {""},
    }


def _rows(batch: Sequence[Observation], first: int, names: Mapping[Kind, Mapping[str, int]]) -> list[Row]:
    monitors, addresses = names[Kind.MONITOR], {"": 0, **names[Kind.ADDRESS]}
    sources = {parts(name): id for name, id in names[Kind.SOURCE].items()}
    return [
        rows.row(
            seq,
            seen,
            monitors[seen.monitor],
            sources[seen.region, seen.domain, seen.agent],
            addresses[seen.address],
        )
        for seq, seen in enumerate(batch, first)
    ]
