"""What simulated cut-overs came to, strategy by strategy and fault by fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from holdfast.deploy.core.cutover.simulate import STRATEGIES, Run
from holdfast.deploy.core.cutover.world import FAULTS, Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One strategy against one fault."""

    fault: Fault
    strategy: str
    runs: int
    failed: float
    """Requests lost by the move, mean of the runs."""
    broken: float
    """Streams, likewise."""
    exposed: float
    """Requests that reached a target that is not sound, likewise."""
    rolled_back: float
    """Share of the runs that were taken back, 0 to 1."""
    detect_s: float | None
    """From the first traffic to the decision, median of those that came to one; ``None``: none did."""
    back_s: float | None
    """From the decision until everybody is back, likewise."""


def summarize(runs: Sequence[Run]) -> tuple[Row, ...]:
    """Rows by fault, then strategy; faults that no run had are left out."""
    return tuple(
        _row(fault, strategy.name, place, [run for run in runs if run.fault == fault])
        for fault in FAULTS
        if any(run.fault == fault for run in runs)
        for place, strategy in enumerate(STRATEGIES)
    )


def _row(fault: Fault, strategy: str, place: int, runs: Sequence[Run]) -> Row:
    outcomes = [run.outcomes[place] for run in runs]
    detected = [one.detect_s for one in outcomes if one.detect_s is not None]
    back = [one.back_s for one in outcomes if one.back_s is not None]
    return Row(
        fault=fault,
        strategy=strategy,
        runs=len(runs),
        failed=fmean(one.failed for one in outcomes),
        broken=fmean(one.broken for one in outcomes),
        exposed=fmean(one.exposed for one in outcomes),
        rolled_back=fmean(one.rolled_back for one in outcomes),
        detect_s=median(detected) if detected else None,
        back_s=median(back) if back else None,
    )
