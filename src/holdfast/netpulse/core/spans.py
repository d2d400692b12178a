"""Stretches of monitors' lives that uptime is counted from.

``down``, ``partial`` and ``slow`` begin with the first failure and end with the first success; they are cut out of
maintenance, which counts as ``maintenance`` and nothing else. ``unknown`` says that nobody could see, and stands
beside what was known last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from holdfast.netpulse.core.case import Draft
from holdfast.netpulse.core.incident import Condition, Span
from holdfast.netpulse.core.situation import Situation

KINDS: Final = {Condition.DOWN: "down", Condition.PARTIAL: "partial", Condition.SLOW: "slow"}
"""Spans of conditions."""
_CUT: Final = frozenset(KINDS.values())
_ALL: Final = (*KINDS.values(), "unknown", "maintenance", "paused")


@dataclass(slots=True)
class Shift:
    """What maintenance windows did to monitors: of each window, which it took and which it gave back."""

    begun: dict[str, list[str]] = field(default_factory=dict)
    over: dict[str, list[str]] = field(default_factory=dict)


class Spans:
    """Those that have not ended, a few for each monitor."""

    __slots__ = ("_maintained", "_not_before", "_open")

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], float] = {}
        self._maintained: dict[str, tuple[str, float, float]] = {}
        """Id, begin and end of the maintenance that each monitor is in."""
        self._not_before: dict[str, float] = {}
        """End of the last maintenance of each monitor, for failures in it that are found after it; or its birth."""

    def restore(self, span: Span) -> None:
        """Go on with one of the records."""
        self._open[span.monitor, span.kind] = span.since
        if span.kind == "maintenance":
            self._maintained[span.monitor] = ("", span.since, math.inf)

    def of(self, monitor: str) -> tuple[Span, ...]:
        """The monitor's."""
        return tuple(
            Span(monitor=monitor, kind=kind, since=self._open[monitor, kind])
            for kind in _ALL
            if (monitor, kind) in self._open
        )

    def monitors(self) -> set[str]:
        """Whose there are."""
        return {monitor for monitor, _ in self._open} | self._not_before.keys()

    def maintenance(self, monitor: str) -> str:
        """Id of the maintenance that the monitor is in, as of the last :meth:`maintain`; empty when in none."""
        return self._maintained[monitor][0] if monitor in self._maintained else ""

    def maintained(self, monitor: str) -> bool:
        """Whether it is in one."""
        return monitor in self._maintained

    def begin(self, draft: Draft, monitor: str, kind: str, since: float) -> None:
        """Begin a span, unless it has begun or belongs to maintenance."""
        if (monitor, kind) in self._open:
            return
        if kind in _CUT:
            maintained = self._maintained.get(monitor)
            since = max(since, self._not_before.get(monitor, since))
            if maintained is not None:
                if since < maintained[1]:  # it had failed before the window, and was found in it
                    draft.span(Span(monitor=monitor, kind=kind, since=since, until=maintained[1]))
                return
        self._open[monitor, kind] = since
        draft.span(Span(monitor=monitor, kind=kind, since=since))

    def end(self, draft: Draft, monitor: str, kind: str, until: float) -> None:
        """End it, if there is one."""
        since = self._open.pop((monitor, kind), None)
        if since is not None:
            draft.span(Span(monitor=monitor, kind=kind, since=since, until=max(since, until)))

    def born(self, monitor: str, now: float) -> None:
        """It is watched from now on: it was not down before."""
        self._not_before[monitor] = now

    def drop(self, draft: Draft, monitor: str) -> None:
        """The monitor is gone or paused."""
        for kind in _ALL:
            if kind != "paused":
                self.end(draft, monitor, kind, draft.now)
        self._maintained.pop(monitor, None)
        self._not_before.pop(monitor, None)

    def maintain(self, draft: Draft, situation: Situation, *, reloaded: bool) -> Shift:
        """Begin and end what windows say.

        Args:
            draft: What is decided now.
            situation: With the windows, and what fails.
            reloaded: The windows themselves may be new; then what they take, they take from now on.
        """
        now, shift = draft.now, Shift()
        for monitor in sorted({*self._maintained, *situation.suppression.covered()}):
            before = self._maintained.get(monitor)
            found = situation.suppression.maintenance(monitor, now)
            ended = situation.suppression.last_end(monitor, now) if reloaded else None
            if ended is not None:  # also one that ended shortly before a restart
                self._not_before.setdefault(monitor, ended)
            if found is not None and before is None:
                since = now if reloaded else found[1].since
                for kind in KINDS.values():
                    self.end(draft, monitor, kind, since)
                self.begin(draft, monitor, "maintenance", since)
                self._maintained[monitor] = (found[0], since, found[1].until)
                shift.begun.setdefault(found[0], []).append(monitor)
            elif found is not None and before is not None:
                self._maintained[monitor] = (found[0], before[1], found[1].until)
            elif before is not None:
                end = min(now, before[2])
                del self._maintained[monitor]
                self._not_before[monitor] = end
                self.end(draft, monitor, "maintenance", end)
                self._resume(draft, monitor, situation.active.get(monitor, {}), end)
                shift.over.setdefault(before[0], []).append(monitor)
        return shift

    def mark_unknown(self, draft: Draft, situation: Situation) -> None:
        """Begin and end what nobody sees."""
        for monitor, watched in situation.surroundings.watched.items():
            if situation.blind(watched) and not watched.paused:
                self.begin(draft, monitor, "unknown", draft.now)
            else:
                self.end(draft, monitor, "unknown", draft.now)

    def _resume(self, draft: Draft, monitor: str, active: Iterable[Condition], since: float) -> None:
        for condition in active:
            if condition in KINDS:
                self.begin(draft, monitor, KINDS[condition], since)
