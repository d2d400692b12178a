"""Targets that are said to be down, slow or flapping, for a time: to see what would happen, clearly marked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from holdfast.netpulse.core.result import Failure, Observation, Outcome

KINDS: Final = ("down", "slow", "flapping")
LONGEST_S: Final = 86_400.0
_SLOW: Final = 20.0
"""Times slower."""
_FLAP_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """One monitor's."""

    kind: str
    began: float
    until: float
    actor: str

    def bent(self, seen: Observation) -> Observation:
        """What would have been seen."""
        if seen.outcome is not Outcome.UP:
            return seen
        if self.kind == "slow":
            return replace(seen, total_ms=max(2000.0, seen.total_ms * _SLOW), detail="simulated: slow", simulated=True)
        if self.kind == "flapping" and int((seen.at - self.began) // _FLAP_S) % 2:
            return replace(seen, simulated=True)
        return replace(
            seen,
            outcome=Outcome.DOWN,
            failure=Failure.STATUS,
            status=503,
            detail=f"simulated: {self.kind}",
            simulated=True,
        )
