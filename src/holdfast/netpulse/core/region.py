"""What a detector holds of each region and each failure domain, and how it is kept over a restart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import msgspec

from holdfast.netpulse.core.conditions import Latency
from holdfast.netpulse.core.filter import DISBELIEF, Path
from holdfast.netpulse.core.incident import Evidence
from holdfast.netpulse.core.settings import SimpleRule

SNAPSHOT: Final = 1
"""Format of :meth:`Detector.snapshot`."""
DISSENT: Final = 4.0
"""Most that successes in one domain count against failures in others: a little less than one success says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a detector decides by. Thresholds and caps in nats; see :func:`.calibration.policy_for`."""

    threshold: float
    cap: float
    """Of one domain: half of the threshold; all of it when there is only one."""
    lone_threshold: float
    """While one domain alone can be believed."""
    partial_threshold: float
    slow_threshold: float
    interval_s: float
    rule: SimpleRule | None = None
    """Decides instead of the evidence, when given."""
    slow_bound_ms: float | None = None
    """Stated; learned when ``None``."""
    cert_days: int = 0
    kind: str = "http"


class RegionState(msgspec.Struct, array_like=True):
    """A region as it is kept. Arrays on disk: the order of the fields is the format."""

    name: str
    bad: float
    stuck: float
    last: float
    probes: float
    failures: float
    spells: float
    answers: int
    median_ms: float
    high_ms: float
    run_failed: bool
    run_since: float
    sum: float
    """Of its domain, as the next two."""
    partial: float = 0.0
    slow: float = 0.0
    streak: int = 0


class DetectorState(msgspec.Struct, array_like=True):
    """A detector as it is kept."""

    format: int
    active: list[str]
    since: float
    simulated: bool
    cert_days: float | None
    regions: list[RegionState]


class Domain:
    """A failure domain: its evidence for "down", and, while it is down, for "up"."""

    __slots__ = ("common", "name", "recovery", "sum", "up_since")

    def __init__(self, name: str, common: Path | None) -> None:
        self.name = name
        self.common = common
        """The path that its regions may have in common; ``None`` for a single region."""
        self.sum = 0.0
        self.recovery = 0.0
        self.up_since = math.inf


class Region:
    """A place that probes: its path, its latency, its present run of equal results."""

    __slots__ = ("asked", "domain", "fails", "latency", "llr", "name", "path", "rounds", "run_failed", "run_since")

    def __init__(self, name: str, domain: Domain, policy: Policy) -> None:
        self.name = name
        self.domain = domain
        self.path = Path(policy.interval_s)
        self.latency = Latency(policy.slow_bound_ms)
        self.asked = -math.inf
        self.rounds = 0
        self.llr = 0.0
        self.fails = 0.0
        self.run_failed = False
        self.run_since = 0.0

    def state(self) -> RegionState:
        """What a restart would lose."""
        return RegionState(
            name=self.name,
            bad=self.path.bad,
            stuck=self.path.stuck,
            last=self.path.last,
            probes=self.path.probes,
            failures=self.path.failures,
            spells=self.path.spells,
            answers=self.latency.answers,
            median_ms=self.latency.median_ms,
            high_ms=self.latency.high_ms,
            run_failed=self.run_failed,
            run_since=self.run_since,
            sum=self.domain.sum,
        )

    def take(self, known: RegionState, policy: Policy) -> None:
        """Go on from it, under a policy that may have changed."""
        path, latency = self.path, self.latency
        path.probes, path.failures, path.spells = known.probes, known.failures, known.spells
        path.reckon_for(policy.interval_s)
        path.bad, path.stuck, path.last = known.bad, known.stuck, known.last
        path.resting = path.stuck < 1e-3 and path.bad <= 1.5 * path.rest_bad + 1e-9
        self.domain.sum = min(max(known.sum, -DISSENT), max(policy.cap, policy.lone_threshold))
        latency.answers, latency.median_ms, latency.high_ms = known.answers, known.median_ms, known.high_ms
        latency.state(policy.slow_bound_ms)
        self.run_failed, self.run_since = known.run_failed, known.run_since

    def ledger(self) -> Evidence:
        """One line of the evidence, for people."""
        path = self.path
        sane = 1.0 - path.stuck
        return {
            "region": self.name,
            "domain": self.domain.name,
            "last_at": path.last if path.last > -math.inf else None,
            "failing": self.run_failed,
            "predicted_fails": round(self.fails, 5),
            "llr": round(self.llr, 3),
            "good": round(sane * (1.0 - path.bad), 5),
            "bad": round(sane * path.bad, 5),
            "stuck": round(path.stuck, 5),
            "believed": path.stuck < DISBELIEF,
            "learned_fails": round(path.good_fails, 5),
            "learned_bad_share": round(path.bad_share, 5),
            "median_ms": round(self.latency.median_ms, 2),
            "slow_ms": None if self.latency.bound_ms == math.inf else round(self.latency.bound_ms, 2),
        }
