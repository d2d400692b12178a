"""The agent's clock: wall time that does not jump while something is measured.

``now()`` is an anchor plus seconds since boot. When the system's clock is set, the anchor follows at the next
:meth:`Clock.adjust`, and only then: a probe that is under way measures by the boot clock, which knows no steps and,
unlike the monotonic one, goes on while the machine sleeps. What was written down before keeps the anchor that it was
written by, so that it can be told by the clock of today.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_S: Final = 0.25
"""A clock that differs by more was set; NTP's slewing moves both clocks alike."""


_since_boot: Final = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class Clock:
    """Seconds since the epoch, as this machine believes."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _since_boot) -> None:
        self._wall = wall
        self.steady = steady
        """Seconds since boot: for durations."""
        self.anchor = wall() - steady()
        self.offset_s = 0.0
        """What the engine adds to this clock's times."""

    def now(self) -> float:
        """The time that this agent reports."""
        return self.anchor + self.steady()

    def at(self, steady: float) -> float:
        """What this clock calls a moment of :attr:`steady`."""
        return self.anchor + steady

    def engine_now(self) -> float:
        """The time that schedules are kept by: the engine's, so that regions stay staggered where a clock is wrong."""
        return self.anchor + self.steady() + self.offset_s

    def adjust(self) -> float:
        """Follow the system's clock where it was set; by how much, mostly 0."""
        step = self._wall() - self.now()
        if abs(step) <= STEP_S:
            return 0.0
        self.anchor += step
        return step


def boot_id() -> str:
    """Names this start of the machine; empty where that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
