"""The question that everything asks: where does this workload go, given these facts and prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from holdfast.deploy.core.answer import Weighed
from holdfast.deploy.core.candidates import CANDIDATES, Candidate
from holdfast.deploy.core.constraints import Case, findings
from holdfast.deploy.core.facts import Facts
from holdfast.deploy.core.score import WEIGHTS, CostOf, order, weigh
from holdfast.deploy.core.workload import DeploySettings, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One workload in one region on one day."""

    workload: Workload
    settings: DeploySettings
    region: str
    facts: Facts
    cost: CostOf
    at: date

    def case(self, candidate: Candidate) -> Case:
        """What the rules look at."""
        return Case(
            workload=self.workload,
            candidate=candidate,
            facts=self.facts,
            account=self.settings.account,
            region=self.region,
            at=self.at,
        )

    def weighed(self, candidate: Candidate) -> Weighed:
        """One candidate with its findings, cost and score."""
        case = self.case(candidate)
        points = case.of_compute("operations").value
        return weigh(
            candidate,
            findings(case),
            float(points) if isinstance(points, int | float) else None,
            self.cost(candidate, self.workload, self.region),
            self.workload,
            WEIGHTS[self.workload.operations or self.settings.operations],
        )

    def ranked(self, candidates: Sequence[Candidate] = CANDIDATES) -> tuple[Weighed, ...]:
        """Every candidate, best first, whatever the order they came in."""
        return tuple(sorted((self.weighed(candidate) for candidate in candidates), key=order))


def choose(weighed: Sequence[Weighed]) -> Weighed | None:
    """The first of a ranking that fits, or may fit when nothing is certain; ``None`` when all are rejected."""
    return weighed[0] if weighed and weighed[0].may_fit else None
