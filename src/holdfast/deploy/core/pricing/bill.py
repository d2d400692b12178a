"""The question (what is priced, where, when) and the bill that a family of platforms fills in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from holdfast.deploy.core.assumptions import Assumptions
from holdfast.deploy.core.candidates import Candidate
from holdfast.deploy.core.prices import Estimate, Line, Part, PriceTable
from holdfast.deploy.core.traffic import Load
from holdfast.deploy.core.workload import DeploySettings, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One workload on one candidate in one region on one day."""

    candidate: Candidate
    workload: Workload
    load: Load
    settings: DeploySettings
    region: str
    prices: PriceTable
    at: date

    @property
    def assume(self) -> Assumptions:
        """Planning figures."""
        return self.settings.assume


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a family of platforms needs around its compute."""

    balancer: str = ""
    """``alb`` or ``nlb``; empty: none, or one that the platform's price includes."""
    balancer_of: str = ""
    """Whose load balancer several workloads of a plan share: ``ECS``, ``Express``; empty: each has its own."""
    addresses: Decimal = Decimal(0)
    """Address-hours of tasks or instances where they stand in public subnets."""
    in_vpc: bool = False
    """Its own connections to the internet pass a NAT gateway where the account has one."""
    to_lambda: bool = False
    """The balancer's targets are functions, for which its capacity unit carries fewer bytes."""
    out_key: str = "data.out_gb"
    out_included: Decimal = Decimal(0)
    """Gigabytes a month that the platform's price includes."""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Lines of one estimate, under construction."""

    region: str
    prices: PriceTable
    at: date
    lines: list[Line] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)

    def add(self, part: Part, what: str, quantity: Decimal, key: str, note: str = "", *, once: str = "") -> None:
        """One more line. A price that is old or not known is said so in its note."""
        price = self.prices.get(key, region=self.region, at=self.at)
        notes = [note] if note else []
        if price.amount is None:
            notes.append(f"the price {key} is not known in {self.region}")
        elif self.prices.stale(price, at=self.at):
            notes.append(f"the price was looked up on {price.retrieved} and may have changed")
        once = f"{self.region} {once}" if once else ""
        self.lines.append(Line(what=what, quantity=quantity, price=price, note="; ".join(notes), part=part, once=once))

    def assume(self, text: str) -> None:
        """Something that the total rests on, said once."""
        if text not in self.assumptions:
            self.assumptions.append(text)

    def estimate(self, title: str) -> Estimate:
        """What was filled in."""
        return Estimate(title=title, lines=tuple(self.lines), assumptions=tuple(self.assumptions))


@dataclass(slots=True, kw_only=True)
class Bill(Ledger):
    """The ledger of one question."""

    asked: Question

    @classmethod
    def of(cls, asked: Question) -> Bill:
        """An empty one."""
        return cls(asked=asked, region=asked.region, prices=asked.prices, at=asked.at)
