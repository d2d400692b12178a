"""When each monitor is probed, and by which agent.

A monitor is probed from every region once per interval, at ``offset + k * interval`` seconds since the epoch:

    offset(monitor, region i of n) = (hash(monitor) + i / n) * interval   (mod interval)

The hash spreads the targets evenly over the interval; the regions of one target are ``interval / n`` apart, so that
the time to the next look at it, from anywhere, is as short as it can be. A monitor's slots depend on nothing but
itself: adding another moves nobody.

Rules of the :class:`Timetable`:

- A monitor that is out for a probe has no slot, so it is never probed twice at once.
- A slot that nobody came for within :data:`GRACE_S` (the machine slept, the loop stalled) is skipped, and so is one
  less than half an interval after the beginning of the probe before it. What was missed is not made up for: after a
  pause the load is what it always is.
- A slot that passed while its monitor was out is kept for :data:`GRACE_S`: a target that takes its timeout, when that
  is as long as the interval, is asked again at once and not at every other slot.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GRACE_S: Final = 1.0
"""How late a probe may begin for its slot: the schedule's promise is a 99th percentile of lag below it."""


def offset(monitor: str, region: str, regions: Iterable[str], interval_s: float) -> float:
    """Seconds after a multiple of the interval at which this region probes this monitor, below ``interval_s``.

    ``regions``: all that watch it, in any order. Raises ``ValueError`` when ``region`` is not among them.
    """
    place = sorted(set(regions))
    if region not in place:
        raise ValueError(f"{monitor} is not watched from {region}; it is watched from {', '.join(place) or 'nowhere'}")
    return (_fraction(monitor) + place.index(region) / len(place)) % 1.0 * interval_s


def falls_within(offset_s: float, interval_s: float, start: float, length_s: float) -> bool:
    """Whether one of the slots ``offset + k * interval`` is in ``[start, start + length)``."""
    return (offset_s - start) % interval_s < length_s


def assigned(monitors: Iterable[str], agents: Sequence[str]) -> dict[str, str]:
    """Which of a region's live agents probes each monitor: the one with the highest hash of the pair.

    Rendezvous hashing (Thaler and Ravishankar 1998): when an agent comes or goes, only what it gains or had moves.
    Without agents nothing is assigned.
    """
    if not agents:
        return {}
    if len(agents) == 1:
        return dict.fromkeys(monitors, agents[0])
    order = sorted(set(agents))
    return {monitor: max(order, key=lambda agent: _digest(f"{agent}\n{monitor}")) for monitor in monitors}


def slot_after(offset_s: float, interval_s: float, after: float) -> float:
    """The first ``offset_s + k * interval_s`` that is later than ``after``."""
    k = math.floor((after - offset_s) / interval_s) + 1
    at = offset_s + k * interval_s
    while at <= after:  # the division was rounded down to a whole number
        k += 1
        at = offset_s + k * interval_s
    return at


@dataclass(frozen=True, slots=True)
class Slots:
    """When a monitor is to be probed."""

    offset_s: float
    interval_s: float

    def __post_init__(self) -> None:
        if not (self.interval_s > 0 and math.isfinite(self.interval_s) and math.isfinite(self.offset_s)):
            raise ValueError(f"slots need a finite offset and an interval > 0, got {self}")


class _Entry:
    """A monitor of a timetable. ``at`` is ``None`` while it is out; ``kept`` is the slot it was taken out before."""

    __slots__ = ("at", "kept", "slots")

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.at: float | None = None
        self.kept: float | None = None


class Timetable:
    """The slots to come of all monitors. Times are seconds since the epoch, by whichever clock the caller keeps."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[float, str]] = []  # may hold slots that were given up: an entry's ``at`` decides
        self.skipped = 0
        """Slots that were not used, because nobody came in time or the probe before took too long."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, monitor: str) -> bool:
        return monitor in self._entries

    def add(self, monitor: str, slots: Slots, now: float) -> None:
        """Probe this one, too, from its next slot on; or change when it is probed."""
        entry = self._entries.get(monitor)
        if entry is None:
            entry = self._entries[monitor] = _Entry(slots)
        elif entry.slots == slots:
            return
        else:
            entry.slots, entry.kept = slots, None
            if entry.at is None:
                return  # it is out, and gets its slot when it is back
        self._plan(monitor, entry, slot_after(slots.offset_s, slots.interval_s, now))

    def remove(self, monitor: str) -> None:
        """Do not probe this one any more. One that is not there is no error."""
        self._entries.pop(monitor, None)
        self._compact()

    def replace(self, schedule: Mapping[str, Slots], now: float) -> None:
        """Probe exactly these. What is as it was keeps its slot, even one that is due at this moment."""
        for monitor in [monitor for monitor in self._entries if monitor not in schedule]:
            del self._entries[monitor]
        for monitor, slots in schedule.items():
            self.add(monitor, slots, now)
        self._compact()

    def replan(self, now: float) -> None:
        """The clock was set: everything that is not out gets its next slot by the new time."""
        for monitor, entry in self._entries.items():
            entry.kept = None
            if entry.at is not None:
                self._plan(monitor, entry, slot_after(entry.slots.offset_s, entry.slots.interval_s, now))
        self._compact()

    def next_at(self) -> float | None:
        """The time of the next slot; ``None`` when there is nothing to wait for."""
        while self._heap:
            at, monitor = self._heap[0]
            entry = self._entries.get(monitor)
            if entry is not None and entry.at == at:
                return at
            heapq.heappop(self._heap)
        return None

    def due(self, now: float) -> list[tuple[float, str]]:
        """Take out what is to be probed now: slots and monitors, in order. Each is out until it is :meth:`back`."""
        found = []
        while (at := self.next_at()) is not None and at <= now:
            _, monitor = heapq.heappop(self._heap)
            entry = self._entries[monitor]
            if now - at > GRACE_S:
                late = slot_after(entry.slots.offset_s, entry.slots.interval_s, now - GRACE_S)
                self.skipped += round((late - at) / entry.slots.interval_s)
                self._plan(monitor, entry, late)
                continue
            entry.at = None
            found.append((at, monitor))
        return found

    def take(self, monitor: str) -> bool:
        """Take out one out of turn; whether it was there to be taken."""
        entry = self._entries.get(monitor)
        if entry is None or entry.at is None:
            return False
        entry.at, entry.kept = None, entry.at
        return True

    def back(self, monitor: str, now: float, *, slot: float | None = None, began: float | None = None) -> None:
        """A probe has ended: plan the next one.

        ``slot`` is what it was taken out for and ``began`` when it began; a probe out of turn has neither, and its
        monitor keeps the slots that it had. One that was removed meanwhile is forgotten.
        """
        entry = self._entries.get(monitor)
        if entry is None or entry.at is not None:
            return
        offset_s, interval_s = entry.slots.offset_s, entry.slots.interval_s
        kept, entry.kept = entry.kept, None
        if kept is not None and kept > now - GRACE_S:
            self._plan(monitor, entry, kept)
            return
        earliest = now if slot is None else max(now - GRACE_S, slot)
        if began is not None:
            earliest = max(earliest, began + interval_s / 2)
        if earliest > now + interval_s:  # the clock was set back while it was out
            earliest = now
        at = slot_after(offset_s, interval_s, earliest)
        if slot is not None:
            self.skipped += max(0, round((at - slot) / interval_s) - 1)
        self._plan(monitor, entry, at)

    def _plan(self, monitor: str, entry: _Entry, at: float) -> None:
        entry.at = at
        heapq.heappush(self._heap, (at, monitor))

    def _compact(self) -> None:
        """Drop slots that were given up, once they are most of the heap."""
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = [(entry.at, monitor) for monitor, entry in self._entries.items() if entry.at is not None]
            heapq.heapify(self._heap)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _fraction(text: str) -> float:
    """Evenly spread over 0 <= x < 1, and the same in every process (``hash()`` is not)."""
    return (int.from_bytes(_digest(text), "big") >> 11) / (1 << 53)
