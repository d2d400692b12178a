"""Where batches come in: what this process knows of the spools, so that every result reaches the engine once.

A commit that was not confirmed may have happened (``StoreUnavailable``), and the agent repeats its batch. Then its
results are stored already, but the engine has not seen them. So there are two marks of each spool: the stored one says
what to store, the one here what was handed to the engine.

The same doubt holds a checkpoint back: it may not cover results that were stored by a call that did not come back.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from holdfast.netpulse.core.ports import Taken
from holdfast.netpulse.shell.records import results
from holdfast.netpulse.shell.records.marks import Mark
from holdfast.netpulse.shell.records.names import Names
from holdfast.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from holdfast.netpulse.core.result import Observation
    from holdfast.store import Database

WAIT_S: Final = 10.0
"""Longest wait for another batch of the same spool: as long as that may wait for the store."""
DOUBT: Final = 1_000_000
"""Results after which a checkpoint waits no more for an agent to repeat a batch: it is gone, and a start that reads
more than these takes longer than it helps."""


class Intake:
    """Of one engine."""

    def __init__(
        self, database: Database, *, epoch: int, last: int, marks: Mapping[tuple[str, str], Mark], names: Names
    ) -> None:
        self.days: frozenset[int] = frozenset()
        """Whose partitions are known to be there."""
        self._database = database
        self.epoch = epoch
        self._names = names
        self._last = last
        """The last result that is known to be stored."""
        self._handed = dict(marks)
        self._doubts: dict[tuple[str, str], int] = {}
        """Of spools with a call that has not come back: the last result that was stored before it began."""
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def take(
        self,
        batch: Sequence[Observation],
        *,
        agent: str,
        spool: str,
        first: int,
        upto: int,
        numbers: Sequence[int] | None = None,
    ) -> Taken:
        """See :class:`~holdfast.netpulse.core.ports.Records`. Raises ``ValueError`` when numbers do not fit."""
        numbers = range(first, first + len(batch)) if numbers is None else numbers
        _check(batch, numbers, first, upto)
        key = agent, spool
        async with self._alone(key):
            handed = self._handed.get(key, Mark())
            fresh = handed.fresh(numbers)
            after = handed.taken(first, upto)
            if after == handed:
                return Taken(fresh=(), upto=handed.upto)
            self._doubts.setdefault(key, self._last)
            generation = self._names.generation
            stored = await self._database.write(
                partial(
                    results.store,
                    batch=batch,
                    numbers=numbers,
                    agent=agent,
                    spool=spool,
                    first=first,
                    upto=upto,
                    epoch=self.epoch,
                    names=self._names,
                    ready=self.days,
                )
            )
            self._handed[key] = after
            self._last = max(self._last, stored.last)
            self._names.learn(stored.day, stored.names, generation)
            if after.upto >= stored.mark.upto:
                del self._doubts[key]
            return Taken(fresh=[batch[at] for at in fresh], upto=after.upto)

    def handed(self) -> int:
        """Every result up to this number was handed to the engine, or stored before it began."""
        self._doubts = {key: last for key, last in self._doubts.items() if self._last - last <= DOUBT}
        return min(self._doubts.values(), default=self._last)

    @asynccontextmanager
    async def _alone(self, key: tuple[str, str]) -> AsyncIterator[None]:
        """One batch of a spool at a time: two that overlap would both be handed on."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            await asyncio.wait_for(lock.acquire(), WAIT_S)
        except TimeoutError:
            raise StoreUnavailable(f"another batch of the same spool has not been stored for {WAIT_S:g} s") from None
        try:
            yield
        finally:
            lock.release()


def _check(batch: Sequence[Observation], numbers: Sequence[int], first: int, upto: int) -> None:
    if len(numbers) != len(batch):
        raise ValueError(f"{len(batch)} results have {len(numbers)} numbers")
    if not 1 <= first <= upto + 1:
        raise ValueError(f"a batch cannot begin with {first} and end with {upto}")
    if not isinstance(numbers, range) and any(a >= b for a, b in pairwise(numbers)):
        raise ValueError("the numbers of a batch have to rise")
    if numbers and not first <= numbers[0] <= numbers[-1] <= upto:
        raise ValueError(f"numbers {numbers[0]} to {numbers[-1]} are not within {first} to {upto}")
