"""What a workload can be placed on: a compute platform with an ingress.

A managed platform brings its ingress with it (``app-runner``); others are put behind one or behind none
(``ecs-fargate+alb``, ``ecs-fargate``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from holdfast.deploy.core.facts import Fact, Facts
from holdfast.deploy.core.properties import PROPERTIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to run a workload."""

    compute: str
    """Platform that runs it."""
    ingress: str = ""
    """Platform in front: ``alb``, ``nlb``; the compute's own where that has one; empty for none."""

    @property
    def id(self) -> str:
        """``ecs-fargate+alb``; the compute's own name where there is nothing to choose."""
        return self.compute if self.ingress in ("", self.compute) else f"{self.compute}+{self.ingress}"

    def fact(self, facts: Facts, name: str, *, at: date, region: str) -> Fact:
        """What is known of a property: from the ingress where it is about that, else from the compute.

        What is known of the pair (``lambda+alb``) goes first: a load balancer in front of functions carries less than
        one in front of tasks.
        """
        if (of_pair := facts.get(self.id, name, at=at, region=region)).known:
            return of_pair
        owner = (self.ingress or self.compute) if PROPERTIES[name].about == "ingress" else self.compute
        return facts.get(owner, name, at=at, region=region)


def _with_own(*names: str) -> tuple[Candidate, ...]:
    return tuple(Candidate(compute=name, ingress=name) for name in names)


def _behind_any(*names: str) -> tuple[Candidate, ...]:
    return tuple(Candidate(compute=name, ingress=ingress) for name in names for ingress in ("", "alb", "nlb"))


CANDIDATES: Final = (
    *_with_own("app-runner", "ecs-express"),
    *_behind_any("ecs-fargate", "ecs-fargate-spot", "ecs-managed-instances", "ecs-ec2", "eks"),
    Candidate(compute="lambda"),
    Candidate(compute="lambda", ingress="lambda-url"),
    Candidate(compute="lambda", ingress="api-gateway"),
    Candidate(compute="lambda", ingress="alb"),
    *_with_own("lambda-web-functions", "lambda-microvms", "elastic-beanstalk", "lightsail-containers", "s3-cloudfront"),
)
"""Everything that is weighed, for every workload."""

BY_ID: Final = {candidate.id: candidate for candidate in CANDIDATES}
