"""One timer for many paced streams.

A task or a timer per stream costs more than the frame that it sends; here all that is due in the same slot shares a
wake-up. Slots are 5 ms: a tenth of the pause between two tokens of a quick model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil
from typing import Final

SLOT_S: Final = 0.005


class TimerWheel:
    """Calls back at the time given, or up to a slot later; uvloop's milliseconds may make it one too early."""

    __slots__ = ("_due", "_loop", "_order", "_timer", "_timer_slot")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, list[Callable[[], None]]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_slot = 0

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` at ``when`` of the loop's clock. It cannot be taken back: callbacks check their state."""
        slot = ceil(when / SLOT_S)
        waiting = self._due.get(slot)
        if waiting is not None:
            waiting.append(callback)
            return
        self._due[slot] = [callback]
        heappush(self._order, slot)
        if self._timer is None or slot < self._timer_slot:
            self._arm()

    def close(self) -> None:
        """Forget everything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due.clear()
        self._order.clear()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_slot = self._order[0]
        self._timer = self._loop.call_at(self._timer_slot * SLOT_S, self._turn)

    def _turn(self) -> None:
        self._timer = None
        # uvloop's timers are whole milliseconds and may be early by one.
        now = int(self._loop.time() / SLOT_S + 0.3)
        while self._order and self._order[0] <= now:
            for callback in self._due.pop(heappop(self._order)):
                callback()
        if self._order and self._timer is None:
            self._arm()
