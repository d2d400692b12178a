"""What a placement costs in a month: without any work (:func:`idle`) and with the workload's traffic (:func:`busy`).

An estimate is a list of lines, each a quantity and a dated price. A price that is not known leaves the total
incomplete and the estimate says which line it is. Free tiers, credits, savings plans and taxes are never deducted:
they belong to an account, not to a placement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Final, TypeAlias

from holdfast.deploy.core.candidates import Candidate
from holdfast.deploy.core.prices import Estimate, Line, PriceTable
from holdfast.deploy.core.pricing import containers, flat, functions, instances
from holdfast.deploy.core.pricing.bill import Around, Bill, Question
from holdfast.deploy.core.pricing.surroundings import add_surroundings
from holdfast.deploy.core.traffic import MILLION, Load, load, silence
from holdfast.deploy.core.workload import DeploySettings, Workload

REMEMBERED: Final = 4096
"""Estimates that :func:`cost_of` keeps, about 26 candidates for 150 workloads."""
REFERENCE: Final = "us-east-1"
"""Region whose prices are known best. AWS prices its other regions higher, by about the same for everything, so a
ranking with its prices is close to the true one where a ranking without them is not."""
Family: TypeAlias = Callable[[Bill], Around | None]
CostOf: TypeAlias = Callable[[Candidate, Workload, str], Estimate | None]
"""What a workload costs a month on a candidate in a region; ``None``: it has no size that large."""

FAMILIES: Final[dict[str, Family]] = {
    "ecs-fargate": containers.price_fargate,
    "ecs-fargate-spot": containers.price_spot,
    "ecs-express": containers.price_express,
    "app-runner": containers.price_app_runner,
    "ecs-managed-instances": instances.price_managed,
    "ecs-ec2": instances.price_ec2,
    "eks": instances.price_eks,
    "elastic-beanstalk": instances.price_beanstalk,
    "lambda": functions.price_lambda,
    "lambda-web-functions": functions.price_web_function,
    "lambda-microvms": functions.price_microvm,
    "lightsail-containers": flat.price_lightsail,
    "s3-cloudfront": flat.price_site,
}
"""By the compute of a candidate."""


def idle(
    candidate: Candidate,
    workload: Workload,
    *,
    settings: DeploySettings,
    region: str,
    prices: PriceTable,
    at: date,
) -> Estimate | None:
    """A month in which nobody comes. ``None``: the platform has no size that holds the workload."""
    return _estimate(candidate, workload, silence(workload), "idle", settings, region, prices, at)


def busy(
    candidate: Candidate,
    workload: Workload,
    *,
    settings: DeploySettings,
    region: str,
    prices: PriceTable,
    at: date,
) -> Estimate | None:
    """A month with the workload's traffic: its busy share at its rate, the rest idle. ``None`` as for :func:`idle`."""
    return _estimate(candidate, workload, load(workload), "busy", settings, region, prices, at)


def per_million(estimate: Estimate, workload: Workload) -> Decimal | None:
    """USD for a million requests or jobs, everything included; ``None`` without traffic or with a price missing."""
    units = load(workload).units
    return estimate.total * MILLION / units if units and estimate.complete else None


def together(title: str, estimates: Sequence[Estimate]) -> Estimate:
    """One estimate of several workloads, in which what they share is counted once.

    That is NAT gateways, an EKS control plane, and the load balancer that the templates put before all services of a
    region. Where ``account.shared_alb`` says that others share the load balancer too, each estimate has its part, and
    the parts are summed.
    """
    lines: list[Line] = []
    at: dict[str, int] = {}
    for line in (line for estimate in estimates for line in estimate.lines):
        if line.once and line.once in at:
            place = at[line.once]
            lines[place] = max(lines[place], line, key=lambda one: one.quantity)
            continue
        if line.once:
            at[line.once] = len(lines)
        lines.append(line)
    assumptions = dict.fromkeys(text for estimate in estimates for text in estimate.assumptions)
    return Estimate(title=title, lines=tuple(lines), assumptions=tuple(assumptions))


def warnings(estimate: Estimate, *, prices: PriceTable, at: date) -> tuple[str, ...]:
    """What a reader of the total should know: prices that are missing from it, and old ones that it rests on."""
    missing = dict.fromkeys(line.price.key for line in estimate.missing)
    old = dict.fromkeys(
        f"{line.price.key} was looked up on {line.price.retrieved}, more than {prices.fresh_days} days ago"
        for line in estimate.lines
        if line.quantity and line.price.amount is not None and prices.stale(line.price, at=at)
    )
    found = [f"the total is incomplete: no price of {', '.join(missing)} is known"] if missing else []
    return (*found, *old)


def cost_of(settings: DeploySettings, prices: PriceTable, at: date) -> CostOf:
    """The same as a function of candidate, workload and region, for a ranking.

    It remembers what it was asked: a search for the facts that decide asks for the same price many times. What misses
    a price is given one of :data:`REFERENCE` to be compared with.
    """
    filled = replace(prices, instead=REFERENCE)

    @lru_cache(maxsize=REMEMBERED)
    def cost(candidate: Candidate, workload: Workload, region: str) -> Estimate | None:
        found = busy(candidate, workload, settings=settings, region=region, prices=prices, at=at)
        if found is None or found.complete:
            return found
        other = busy(candidate, workload, settings=settings, region=region, prices=filled, at=at)
        return found if other is None else replace(found, compared=other.total)

    return cost


def _estimate(
    candidate: Candidate,
    workload: Workload,
    traffic: Load,
    word: str,
    settings: DeploySettings,
    region: str,
    prices: PriceTable,
    at: date,
) -> Estimate | None:
    asked = Question(
        candidate=candidate,
        workload=workload,
        load=traffic,
        settings=settings,
        region=region,
        prices=prices,
        at=at,
    )
    bill = Bill.of(asked)
    around = FAMILIES[candidate.compute](bill)
    if around is None:
        return None
    add_surroundings(bill, around)
    return bill.estimate(f"{candidate.id}, {region}, {word}")
