"""Which of an agent's results were taken: what makes a repetition harmless.

An agent numbers its results without gaps and repeats them until a receipt covers them, so the highest number taken is
nearly all there is to know. A batch that begins beyond the next number leaves a gap: the agent lost those results (its
spool was full), or another batch is still on its way. So gaps are remembered, and what comes for one is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

Range: TypeAlias = tuple[int, int]
"""First and last."""

GAPS: Final = 64
"""Gaps that are remembered, the newest; what comes for an older one counts as taken. An agent has one batch under way,
and a spool that overflows loses its oldest results in one stretch, so a handful is many."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """The numbers that were taken of one spool: all up to ``upto``, but for the gaps."""

    upto: int = 0
    gaps: tuple[Range, ...] = ()
    """In order, apart from each other."""

    def fresh(self, numbers: Sequence[int]) -> list[int]:
        """Positions in ``numbers``, which rise, of those that were not taken."""
        if not numbers or numbers[0] > self.upto:
            return list(range(len(numbers)))
        return [at for at, number in enumerate(numbers) if number > self.upto or self._missing(number)]

    def taken(self, first: int, upto: int) -> Mark:
        """With all of ``first`` to ``upto``: also those between that the batch left out are not to come any more."""
        gaps = [part for gap in self.gaps for part in _without(gap, first, upto)]
        if first > self.upto + 1:
            gaps.append((self.upto + 1, first - 1))
        return Mark(max(self.upto, upto), tuple(gaps[-GAPS:]))

    def _missing(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.gaps)


def _without(gap: Range, first: int, upto: int) -> Iterable[Range]:
    if upto < gap[0] or gap[1] < first:
        yield gap
        return
    if gap[0] < first:
        yield gap[0], first - 1
    if upto < gap[1]:
        yield upto + 1, gap[1]
