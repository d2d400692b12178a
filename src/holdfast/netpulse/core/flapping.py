"""Flap damping of monitors, by :class:`holdfast.resilience.FlapDamping`.

Each failure after a recovery costs a monitor 1000 points; points halve every ``flap_half_life``. From
``flap_suppress`` on it is flapping, until it is down to ``flap_reuse`` again. With the defaults (30 minutes, 3000,
750) that is reached by

    4 failures at most 6 minutes apart      penalty 1000, 1870, 2628, 3288
    any number every 17.5 minutes           1000 / (1 - 2 ** (-17.5 / 30)) = 3006

and a monitor that failed every two minutes for a day is released two and a half hours after its last failure.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from holdfast.netpulse.core.settings import IncidentSettings
from holdfast.resilience import DampingPolicy, FlapDamping

_FORGOTTEN: Final = 50.0
"""Points that are as good as none: five hundredths of one failure."""


def policy(settings: IncidentSettings) -> DampingPolicy:
    """The figures for :class:`FlapDamping`. Raises ``ValueError``, as that does, for impossible ones."""
    return DampingPolicy(
        half_life_s=settings.flap_half_life,
        suppress=settings.flap_suppress,
        reuse=settings.flap_reuse,
        max_suppress_s=settings.flap_max,
        shortest_cycle_s=10.0,  # a recovery and a failure that both held take at least so long
    )


class Dampers:
    """One damper for each thing that failed of late; the others are forgotten."""

    __slots__ = ("_dampers", "_policy")

    def __init__(self, settings: IncidentSettings) -> None:
        self._policy = policy(settings)
        self._dampers: dict[Hashable, FlapDamping] = {}

    def __len__(self) -> int:
        return len(self._dampers)

    def reconfigure(self, settings: IncidentSettings, now: float) -> None:
        """Go on by other figures."""
        self._policy = policy(settings)
        for damper in self._dampers.values():
            damper.reconfigure(self._policy, now)

    def failed(self, key: Hashable, now: float) -> None:
        """Count a failure."""
        damper = self._dampers.get(key)
        if damper is None:
            damper = self._dampers[key] = FlapDamping(self._policy)
        damper.tick(now)
        damper.flap(now)

    def suppress(self, key: Hashable, now: float) -> None:
        """Take it for flapping: that it was is known from a record, its points are not."""
        while not self.flapping(key, now):
            self.failed(key, now)

    def flapping(self, key: Hashable, now: float) -> bool:
        """Whether it changes too often."""
        damper = self._dampers.get(key)
        if damper is None:
            return False
        damper.tick(now)
        return damper.suppressed

    def released_at(self, key: Hashable, now: float) -> float | None:
        """When it will not be flapping any more, unless it fails again; ``None`` when it is not."""
        return self._dampers[key].reuse_at(now) if self.flapping(key, now) else None

    def penalty(self, key: Hashable, now: float) -> float:
        """Points."""
        damper = self._dampers.get(key)
        return damper.penalty(now) if damper else 0.0

    def forget(self, now: float) -> None:
        """Drop what has next to no points left."""
        for key in [key for key, damper in self._dampers.items() if damper.penalty(now) < _FORGOTTEN]:
            if not self.flapping(key, now):
                del self._dampers[key]
