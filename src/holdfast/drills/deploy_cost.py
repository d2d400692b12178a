"""What the platform of a service costs a month: placed by its needs, and everything on one platform.

The gateway and the balancer of the demo are placed by the planner and priced, idle and busy; then both on App Runner,
both on ECS Express Mode, both as plain ECS services behind a load balancer, needs or no needs. Beside that the idle
month of two bare sizes, the load balancer shared or not, and where the cheaper of App Runner and Express changes.
Computed from the tables that the package carries: the same numbers on every machine.
"""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Final

from holdfast.deploy.core.answer import Answer
from holdfast.deploy.core.candidates import BY_ID, Candidate
from holdfast.deploy.core.cost import busy, cost_of, idle, together
from holdfast.deploy.core.curves import crossover, moved
from holdfast.deploy.core.facts import Facts
from holdfast.deploy.core.fit import fit
from holdfast.deploy.core.prices import Estimate, PriceTable
from holdfast.deploy.core.traffic import cents
from holdfast.deploy.core.workload import Account, DeploySettings, HealthNeeds, ScaleNeeds, Traffic, Workload
from holdfast.deploy.shell.files import load_facts, load_prices
from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CONTROL, Findings, Setting
from holdfast.kernel import Duration, Size

REGION: Final = "us-east-1"
AT: Final = date(2026, 11, 22)
"""The day whose facts and prices count, so that the drill says the same on any other."""
SHARED: Final = 5
"""Services behind one load balancer, where it is shared."""
ONE_PLATFORM: Final = {CONTROL: "app-runner", "express": "ecs-express", "fargate": "ecs-fargate+alb"}
"""Contender -> the candidate that everything is put on."""
DUTIES: Final = 10
"""Steps from a service that nobody uses to one that is used all month."""

GATEWAY: Final = Workload(
    protocols=("http/1.1", "sse"),
    ingress="public",
    longest=Duration(600.0),
    silence=Duration(60.0),
    health=HealthNeeds(path="/readyz"),
    scale=ScaleNeeds(min=1, max=4),
    start=Duration(180.0),
    cpu=0.5,
    memory=Size(2**30),
    needs=("private-egress", "background-work"),
    state="scratch",
    traffic=Traffic(rate=2.0, busy=0.3, cpu=Duration(0.0036), duration=Duration(8.0)),
)
"""As ``holdfast deploy fit`` has the demo's AI gateway: streams of tokens, books that are settled after the answer."""
BALANCER: Final = Workload(
    protocols=("http/1.1", "websocket", "sse"),
    ingress="public",
    longest=Duration(3600.0),
    silence=Duration(3600.0),
    health=HealthNeeds(path="/readyz", checks=("http", "port", "thresholds")),
    scale=ScaleNeeds(signal="cpu", min=2, max=6),
    start=Duration(120.0),
    cpu=1.0,
    memory=Size(2**30),
    needs=(
        *("ingress-control", "rollout-control", "client-address", "private-egress", "service-discovery"),
        *("background-work", "exec"),
    ),
    rollout="rolling",
    traffic=Traffic(rate=50.0, busy=0.3, cpu=Duration(0.000030), duration=Duration(0.1)),
)
"""The demo's front door: tunnels of up to an hour, its own rules and roll-outs."""
SERVICES: Final = {"gateway": GATEWAY, "balancer": BALANCER}
SIZES: Final = {
    "small": Workload(protocols=("http/1.1",), cpu=0.25, memory=Size(2**29), traffic=Traffic(rate=1.0)),
    "large": Workload(protocols=("http/1.1",), cpu=1.0, memory=Size(2**31), traffic=Traffic(rate=1.0)),
}
"""A bare HTTP service of the smallest size that both platforms have, and of the usual one."""
BARE: Final = {
    "runner": ("app-runner", 1),
    "express": ("ecs-express", 1),
    "shared": ("ecs-express", SHARED),
    "task": ("ecs-fargate", 1),
}
"""Contender -> candidate and services that share its load balancer, for the bare sizes."""

KNOWN: Final = {
    ("runner", "small"): 2.56,
    ("express", "small"): 36.39,
    ("runner", "large"): 10.22,
    ("express", "large"): 63.42,
}
"""USD of an idle month, worked out by hand from the price list (``docs/deploy-cost.md``)."""


class DeployCost:
    """``holdfast drill run deploy-cost``."""

    name = "deploy-cost"
    title = "What do the gateway and the balancer cost a month where they fit, and on one platform for all?"
    packages = ("deploy", "drills", "evidence", "kernel")

    async def run(self, setting: Setting) -> Findings:
        """Everything is computed; a quick run is a full one."""
        found = Findings(control_what="both services on App Runner, whatever they need")
        bill = _Bill(load_facts(), load_prices())
        found.parameters |= {"region": REGION, "priced_on": AT.isoformat(), "shared": SHARED}
        setting.progress("deploy-cost: two services, placed and priced")
        _placed(found, bill)
        for contender, candidate in ONE_PLATFORM.items():
            await asyncio.sleep(0)
            _together(found, bill, contender, dict.fromkeys(SERVICES, BY_ID[candidate]))
        setting.progress("deploy-cost: two sizes, idle, and crossovers")
        _bare(found, bill)
        _crossovers(found, bill)
        _judge(found)
        return found


class _Bill:
    """The planner over the packaged tables."""

    def __init__(self, facts: Facts, prices: PriceTable) -> None:
        self.facts = facts
        self.prices = prices

    @staticmethod
    def settings(shared: int = 1) -> DeploySettings:
        """An account that may use App Runner: the comparison should not be decided by its door being closed."""
        return DeploySettings(region=REGION, account=Account(app_runner_customer=True, shared_alb=shared))

    def answer(self, name: str, workload: Workload) -> Answer:
        settings = self.settings()
        cost = cost_of(settings, self.prices, AT)
        return fit(name, workload, settings=settings, region=REGION, facts=self.facts, cost=cost, at=AT, explain=False)

    def month(self, candidate: Candidate, workload: Workload, *, used: bool, shared: int = 1) -> Estimate:
        """One estimate, complete. Raises :class:`DrillError` for one with a price missing."""
        price = busy if used else idle
        found = price(candidate, workload, settings=self.settings(shared), region=REGION, prices=self.prices, at=AT)
        if found is None or not found.complete:
            raise DrillError(f"{candidate.id} has no complete price in {REGION}; add it to deploy/data/prices.yaml")
        return found


def _placed(found: Findings, bill: _Bill) -> None:
    """Each service where the planner puts it; and what the other platforms do not give it."""
    places: dict[str, Candidate] = {}
    work: dict[str, float] = {}
    for name, workload in SERVICES.items():
        answer = bill.answer(name, workload)
        if answer.chosen is None:
            raise DrillError(f"the planner places {name} nowhere; run 'holdfast deploy fit' to see why")
        places[name] = answer.chosen.candidate
        found.parameters[f"{name}_on"] = answer.chosen.candidate.id
        for contender, candidate in ONE_PLATFORM.items():
            weighed = next(one for one in answer.weighed if one.candidate.id == candidate)
            found.add(contender, f"{name}_refusals", [len(weighed.rejections)])
            work[contender] = work.get(contender, 0.0) + (weighed.operations or 0.0)
            if weighed.rejections:
                reasons = "; ".join(rejection.text for rejection in weighed.rejections)
                found.notes.append(f"{candidate} does not carry the {name}: {reasons}")
        found.add("holdfast", f"{name}_refusals", [len(answer.chosen.rejections)])
        work["holdfast"] = work.get("holdfast", 0.0) + (answer.chosen.operations or 0.0)
    for contender, points in work.items():
        found.add(contender, "work", [points])
        found.metric(contender, "work", "sum($work)", unit="points", better="lower")
    _together(found, bill, "holdfast", places)


def _together(found: Findings, bill: _Bill, contender: str, places: dict[str, Candidate]) -> None:
    for word, used in (("idle", False), ("busy", True)):
        estimates = []
        for name, candidate in places.items():
            estimate = bill.month(candidate, SERVICES[name], used=used)
            found.add(contender, f"{name}_{word}_usd", [float(cents(estimate.total))])
            estimates.append(estimate)
        found.add(contender, f"{word}_usd", [float(cents(together("", estimates).total))])
    for name, candidate in places.items():
        # Where a month is used for tenths of it: index 0 is nobody, 10 is all of the time.
        months = [
            bill.month(candidate, moved(SERVICES[name], "busy", Decimal(step) / DUTIES), used=True)
            for step in range(DUTIES + 1)
        ]
        found.add(contender, f"{name}_usd_by_tenth_busy", [float(cents(month.total)) for month in months])
    for name in SERVICES:
        for word in ("idle", "busy"):
            found.metric(contender, f"{name}_{word}_usd", f"sum(${name}_{word}_usd)", unit="USD", better="lower")
        found.metric(contender, f"{name}_refusals", f"sum(${name}_refusals)", unit="needs", better="lower")
    for word in ("idle", "busy"):
        found.metric(contender, f"{word}_usd", f"sum(${word}_usd)", unit="USD", better="lower")
    refusals = " + ".join(f"sum(${name}_refusals)" for name in SERVICES)
    found.metric(contender, "refusals", refusals, unit="needs", better="lower")


def _bare(found: Findings, bill: _Bill) -> None:
    for contender, (candidate, shared) in BARE.items():
        for size, workload in SIZES.items():
            estimate = bill.month(BY_ID[candidate], workload, used=False, shared=shared)
            found.add(contender, f"{size}_idle_usd", [float(cents(estimate.total))])
            found.metric(contender, f"{size}_idle_usd", f"sum(${size}_idle_usd)", unit="USD", better="lower")


def _crossovers(found: Findings, bill: _Bill) -> None:
    """Duty and rate from which Express is cheaper than App Runner; no sample where it never is."""
    runner, express = BY_ID["app-runner"], BY_ID["ecs-express"]
    for contender, shared in (("express", 1), ("shared", SHARED)):
        cost = cost_of(bill.settings(shared), bill.prices, AT)
        for size, workload in SIZES.items():
            crossed = crossover(
                runner, express, workload, REGION, cost=cost, axis="busy", low=Decimal(0), high=Decimal(1)
            )
            found.add(contender, f"{size}_cheaper_from_duty", [float(crossing.at) for crossing in crossed.crossings])
            found.metric(
                contender, f"{size}_cheaper_from_duty", f"min(${size}_cheaper_from_duty)", unit="share", better="lower"
            )
            found.notes.append(f"{size}, load balancer shared by {shared}: {crossed.text}")
    cost = cost_of(bill.settings(), bill.prices, AT)
    crossed = crossover(
        runner, express, GATEWAY, REGION, cost=cost, axis="rate", low=Decimal("0.1"), high=Decimal(2000)
    )
    found.add("express", "gateway_cheaper_from_rate", [float(crossing.at) for crossing in crossed.crossings])
    found.metric(
        "express", "gateway_cheaper_from_rate", "min($gateway_cheaper_from_rate)", unit="requests/s", better="lower"
    )
    found.notes.append(f"the gateway: {crossed.text}")


def _judge(found: Findings) -> None:
    for size in SIZES:
        _ratio(found, f"{size}_idle_ratio", f"express.{size}_idle_usd", f"runner.{size}_idle_usd")
        _ratio(found, f"{size}_idle_ratio_shared", f"shared.{size}_idle_usd", f"runner.{size}_idle_usd")
    for word in ("idle", "busy"):
        found.metric(
            "holdfast", f"{word}_ratio", f"sum(${word}_usd) / sum(control.{word}_usd)", unit="times", better="lower"
        )
    found.metric(
        "holdfast", "busy_over_fargate", "sum($busy_usd) / sum(samples.fargate.busy_usd)", unit="times", better="lower"
    )
    found.metric("holdfast", "less_work", "sum(samples.fargate.work) - sum($work)", unit="points", better="higher")
    for (contender, size), usd in KNOWN.items():
        found.claim(
            f"the idle month of {BARE[contender][0]}, {size}, is that of the price list",
            f"{contender}.{size}_idle_usd",
            "==",
            usd,
            in_quick=True,
        )
    found.claim("what is placed gets all that it needs", "holdfast.refusals", "==", 0, in_quick=True)
    found.claim("Express does not carry both services", "express.refusals", ">=", 1, in_quick=True)
    found.claim("placing by needs costs more than App Runner would", "holdfast.idle_ratio", ">=", 1.0, in_quick=True)
    # Express brings a load balancer of its own, so that two kinds of ingress pay for two.
    found.claim("and more than plain ECS for both", "holdfast.busy_over_fargate", ">=", 1.0, in_quick=True)
    found.claim("for less work", "holdfast.less_work", ">=", 1.0, in_quick=True)


def _ratio(found: Findings, name: str, one: str, other: str) -> None:
    contender, _, series = one.partition(".")
    found.metric(contender, name, f"sum(${series}) / sum(samples.{other})", unit="times", better="lower")
