"""Between detection and incidents: a monitor's condition began or ended, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.netpulse.core.incident import Condition, Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """The detector changed its mind about one condition of one monitor."""

    monitor: str
    condition: Condition
    active: bool
    at: float
    """When it was decided, seconds since the epoch."""
    began: float
    """The first failure (or, when ``active`` is false, the first success) of the run that led here."""
    rule: str
    """``detector.alarm``, ``detector.recovered``, ``rule.k_of_n``, ``slow.bound`` ..."""
    evidence: Evidence = field(default_factory=dict)
    simulated: bool = False
