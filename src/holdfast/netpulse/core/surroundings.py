"""What incidents depend on and people set: the monitors as incidents see them, and what holds pages back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from holdfast.netpulse.core.ports import Silence
from holdfast.netpulse.core.settings import IncidentSettings, MaintenanceSettings

_DEFAULTS = IncidentSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A monitor, as far as incidents are concerned."""

    monitor: str
    """``TENANT/ID``."""
    tenant: str
    name: str
    """What people call it."""
    severity: str
    """``page`` or ``ticket``."""
    depends_on: tuple[str, ...] = ()
    """``TENANT/ID`` of its parents."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """``monitor`` (its id), ``group``, ``severity``, ``host``, ``address``, ``domain`` and its tags: what matchers and
    correlation see."""
    regions: tuple[str, ...] = ()
    """That probe it. When none of them sees, it is unknown; without any (a heartbeat, a foreign alert) it never is."""
    interval_s: float = 30.0
    timeout_s: float = 10.0
    paused: bool = False

    @property
    def asked(self) -> bool:
        """Whether it can be probed when somebody wants to know."""
        return bool(self.regions) and not self.paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything that incidents depend on and that people set. Replaced as a whole by a reload."""

    watched: Mapping[str, Watched]
    """By full name."""
    settings: IncidentSettings = _DEFAULTS
    maintenance: Mapping[str, Mapping[str, MaintenanceSettings]] = field(default_factory=dict)
    """By tenant and id; each is valid (:func:`.maintenance.problems`)."""
    silences: Sequence[Silence] = ()
    blind: str = ""
    """Why the engine itself cannot see; empty when it does."""
