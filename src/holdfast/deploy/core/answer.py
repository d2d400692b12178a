"""What the planner answers: every candidate with its reasons, the ranking, and what would change it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from holdfast.deploy.core.candidates import Candidate
from holdfast.deploy.core.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule says about one candidate."""

    rule: str
    """Name of the rule: ``longest``, ``protocols``, ``user-namespaces``; stable, for programs."""
    need: str
    """What the workload asks for, in words with units: ``streams of up to 10 min``."""
    facts: tuple[Fact, ...]
    """What it rests on; each carries value, source and date."""
    verdict: str
    """``holds``, ``rejects`` or ``unknown``."""
    text: str
    """One sentence for people: ``requests end after 120 s, and streams of up to 10 min are needed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """One candidate for one workload."""

    candidate: Candidate
    findings: tuple[Finding, ...]
    """Of every rule that applied, in the order of the rules."""
    cost: Decimal | None
    """USD a month for the workload's traffic; ``None`` where it could not be computed at all."""
    cost_complete: bool
    """False: a price is missing, so the true cost is higher."""
    operations: float | None
    """Points of work that it leaves to the team."""
    score: float | None
    """Lower is better: USD a month and operations in one figure; ``None`` unless it fits or may fit."""

    @property
    def rejections(self) -> tuple[Finding, ...]:
        """Why not."""
        return tuple(finding for finding in self.findings if finding.verdict == "rejects")

    @property
    def unknowns(self) -> tuple[Finding, ...]:
        """What would have to be found out first."""
        return tuple(finding for finding in self.findings if finding.verdict == "unknown")

    @property
    def fits(self) -> bool:
        """Nothing speaks against it and nothing is in doubt."""
        return not self.rejections and not self.unknowns

    @property
    def may_fit(self) -> bool:
        """Nothing known speaks against it."""
        return not self.rejections


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisive:
    """Flip this and the answer changes."""

    key: str
    """What to flip, as ``--what-if`` takes it: ``longest=60s`` or ``fact:app-runner.request_longest=3600``."""
    text: str
    """``if no stream were longer than 2 min, app-runner would be chosen``."""
    becomes: str
    """Candidate that would be chosen then; empty: none."""
    finding: Finding
    """The rejection (or the holding) that decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where one workload goes in one region, and why."""

    workload: str
    region: str
    chosen: Weighed | None
    """``None``: nothing fits."""
    weighed: tuple[Weighed, ...]
    """Every candidate: what fits, best first; what may fit; what was rejected, fewest rejections first."""
    decisive: tuple[Decisive, ...]
    """The few facts and needs that the choice hangs on."""
    warnings: tuple[str, ...] = ()
    """What a reader should know: a price past its date, an answer that hangs on an unknown, a quota that is near."""
