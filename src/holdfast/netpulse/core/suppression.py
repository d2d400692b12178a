"""Why something that is down may not page: maintenance, silences, blindness.

Suppression stops opening. It never stops watching, resolving, or an incident that is open already.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.netpulse.core.incident import Condition
from holdfast.netpulse.core.maintenance import Occurrence, Window
from holdfast.netpulse.core.matching import matches
from holdfast.netpulse.core.ports import Silence
from holdfast.netpulse.core.settings import MaintenanceSettings
from holdfast.netpulse.core.surroundings import Surroundings, Watched


class Suppression:
    """The windows and silences of some surroundings, and which monitors they cover."""

    __slots__ = ("_silences", "_watched", "_windows_of", "windows")

    def __init__(self, surroundings: Surroundings, before: Suppression | None = None) -> None:
        """``before``: windows that stayed as they were go on where they are, instead of from their first occurrence."""
        known = before.windows if before is not None else {}
        self._watched = surroundings.watched
        self._silences = tuple(surroundings.silences)
        self.windows: dict[tuple[str, str], tuple[Window, MaintenanceSettings]] = {
            (tenant, id): same
            if (same := known.get((tenant, id))) is not None and same[1] == settings
            else (Window(settings), settings)
            for tenant, windows in surroundings.maintenance.items()
            for id, settings in windows.items()
        }
        # Labels change only with a reload, so who is covered is found once.
        self._windows_of: dict[str, list[tuple[str, Window]]] = {}
        for (tenant, id), (window, settings) in self.windows.items():
            for watched in self._watched.values():
                if watched.tenant == tenant and matches(settings.match, watched.labels):
                    self._windows_of.setdefault(watched.monitor, []).append((id, window))

    def maintenance(self, monitor: str, now: float) -> tuple[str, Occurrence] | None:
        """Id and time of the maintenance that the monitor is in; of several the one that ends last."""
        best: tuple[str, Occurrence] | None = None
        for id, window in self._windows_of.get(monitor, ()):
            occurrence = window.at(now)
            if occurrence is not None and (best is None or occurrence.until > best[1].until):
                best = id, occurrence
        return best

    def last_end(self, monitor: str, now: float) -> float | None:
        """When the last maintenance of the monitor ended."""
        ends = [end for _, window in self._windows_of.get(monitor, ()) if (end := window.last_end(now)) is not None]
        return max(ends, default=None)

    def silence(self, watched: Watched, condition: Condition, now: float) -> Silence | None:
        """The silence that covers a condition of a monitor."""
        for silence in self._silences:
            if silence.tenant == watched.tenant and silence.starts <= now < silence.ends:
                labels = {**watched.labels, "condition": condition.value}
                if matches(silence.match, labels):
                    return silence
        return None

    def covered(self) -> Sequence[str]:
        """Monitors that some maintenance is about."""
        return tuple(self._windows_of)

    def next_change(self, now: float) -> float | None:
        """When a window or a silence begins or ends next."""
        times = [at for window, _ in self.windows.values() if (at := window.next_change(now)) is not None]
        times += [at for silence in self._silences for at in (silence.starts, silence.ends) if at > now]
        return min(times, default=None)
