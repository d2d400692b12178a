"""Uptime: which part of the time that a monitor was watched it was up.

Counted from what was *decided* (spans), not from single checks: a lost packet is no downtime, and an outage between two
checks that was decided afterwards is. Left out of both sides: maintenance, pauses, and times in which nobody could see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.netpulse.core.incident import Span

NOT_WATCHED = frozenset({"maintenance", "paused", "unknown"})


def uptime(spans: Iterable[Span], *, since: float, until: float, first: float | None) -> float | None:
    """A part of one; ``None`` when nothing was watched between the two. ``first``: of the monitor's first check."""
    if first is None or first >= until:
        return None
    since = max(since, first)
    spans = list(spans)
    away = _union(_clip((span for span in spans if span.kind in NOT_WATCHED), since, until))
    down = _union(_clip((span for span in spans if span.kind == "down"), since, until))
    watched = (until - since) - _length(away)
    if watched <= 0:
        return None
    lost = _length(down) - _length(_overlap(down, away))
    return max(0.0, min(1.0, 1 - lost / watched))


def downtime(spans: Iterable[Span], *, since: float, until: float) -> float:
    """Seconds that it was down, maintenance included."""
    return _length(_union(_clip((span for span in spans if span.kind == "down"), since, until)))


def downtime_by_day(spans: Iterable[Span], *, days: int, now: float) -> list[tuple[float, float]]:
    """Seconds of downtime of each day (UTC), oldest first, today last: the day's beginning, and how long."""
    spans = [span for span in spans if span.kind == "down"]
    today = now - now % 86_400.0
    found = []
    for back in range(days - 1, -1, -1):
        start = today - back * 86_400.0
        found.append((start, _length(_union(_clip(spans, start, min(now, start + 86_400.0))))))
    return found


Stretch = tuple[float, float]


def _clip(spans: Iterable[Span], since: float, until: float) -> list[Stretch]:
    clipped = ((max(span.since, since), min(until if span.until is None else span.until, until)) for span in spans)
    return [(start, end) for start, end in clipped if start < end]


def _union(stretches: Iterable[Stretch]) -> list[Stretch]:
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _overlap(some: Sequence[Stretch], others: Sequence[Stretch]) -> list[Stretch]:
    found = []
    for start, end in some:
        for other_start, other_end in others:
            low, high = max(start, other_start), min(end, other_end)
            if low < high:
                found.append((low, high))
    return found


def _length(stretches: Iterable[Stretch]) -> float:
    return sum(end - start for start, end in stretches)
