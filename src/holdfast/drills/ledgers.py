"""Reading the backends' ledgers: the same measures for every contender, whatever it reports itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from holdfast.drills.faults import Ledger


def attempts(ledger: Ledger) -> int:
    """How many requests reached any backend."""
    return sum(len(entries) for entries in ledger.attempts.values())


def attempts_by_id(ledger: Ledger) -> Counter[int]:
    """How often each numbered request reached any backend."""
    return Counter(entry.id for entries in ledger.attempts.values() for entry in entries if entry.id >= 0)


def moments(ledger: Ledger) -> dict[str, list[float]]:
    """When attempts arrived at each backend (monotonic seconds, ascending)."""
    return {name: [entry.at for entry in entries] for name, entries in ledger.attempts.items()}


def attempts_per_second(moments: Mapping[str, Iterable[float]], start: float, seconds: int) -> dict[str, list[int]]:
    """Attempts at each backend in each second after ``start`` (monotonic)."""
    counted = {}
    for backend, times in moments.items():
        bins = [0] * seconds
        for moment in times:
            index = int(moment - start)
            if 0 <= index < seconds:
                bins[index] += 1
        counted[backend] = bins
    return counted


def time_to_eject_s(moments: Iterable[float], *, until: float, gap_s: float = 1.0) -> float:
    """From the first attempt to the last one before a pause of at least ``gap_s``.

    ``moments`` ascend. Without such a pause the backend was never ejected, and the result is
    the time from the first attempt to ``until``: a lower bound. 0 without attempts.
    """
    first: float | None = None
    last = 0.0
    for moment in moments:
        if first is None:
            first = moment
        elif moment - last >= gap_s:
            return last - first
        last = moment
    if first is None:
        return 0.0
    return last - first if until - last >= gap_s else until - first


def time_to_restore_s(
    moments: Iterable[float], *, start: float, until: float, fair_per_s: float, bin_s: float = 0.5
) -> float:
    """From ``start`` to the end of the first ``bin_s`` in which a backend got half its fair share.

    ``until - start`` if it never did: a lower bound.
    """
    bins = [0] * max(1, int((until - start) / bin_s))
    for moment in moments:
        index = int((moment - start) / bin_s)
        if 0 <= index < len(bins):
            bins[index] += 1
    for index, number in enumerate(bins):
        if number >= fair_per_s * bin_s / 2:
            return (index + 1) * bin_s
    return until - start
