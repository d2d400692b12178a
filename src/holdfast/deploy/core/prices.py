"""Prices with their date and source. One that is not known makes every total that needs it incomplete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal, TypeAlias

MONTH_HOURS: Final = Decimal(730)
"""Hours of a month, as the provider's own calculator counts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one unit of something costs in one region."""

    key: str
    """``fargate.vcpu_hour``."""
    amount: Decimal | None
    """USD; ``None``: not known."""
    unit: str
    """What is counted: ``vCPU-h``, ``GB-h``, ``GB``, ``million``."""
    region: str
    source: str = ""
    url: str = ""
    retrieved: date | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """All prices, by key and region."""

    entries: dict[tuple[str, str], tuple[Price, ...]]
    fresh_days: int = 180
    """A price that was looked up longer ago than this is said to be old."""
    instead: str = ""
    """Region whose price stands in for one that is not known; none without. Only ever for a comparison."""

    @classmethod
    def of(cls, prices: Iterable[Price]) -> PriceTable:
        """Index a list of prices; several of one key and region differ in time."""
        entries: dict[tuple[str, str], tuple[Price, ...]] = {}
        for price in prices:
            key = (price.key, price.region)
            entries[key] = (*entries.get(key, ()), price)
        return cls(entries)

    def get(self, key: str, *, region: str, at: date) -> Price:
        """The price on that day, also one for every region (``*``); one without an amount when there is none."""
        for where in (region, "*", *([self.instead] if self.instead else ())):
            found = [
                price
                for price in self.entries.get((key, where), ())
                if (price.valid_from is None or price.valid_from <= at)
                and (price.valid_to is None or at < price.valid_to)
            ]
            if found:
                return max(found, key=lambda price: price.valid_from or date.min)
        return Price(key=key, amount=None, unit="", region=region)

    def stale(self, price: Price, *, at: date) -> bool:
        """Whether it should be looked up again."""
        return price.retrieved is not None and (at - price.retrieved).days > self.fresh_days


Part: TypeAlias = Literal[
    "compute", "storage", "requests", "ingress", "addresses", "nat", "logs", "data", "database", "other"
]
"""What a line is for, so that two candidates can be compared by part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an estimate."""

    what: str
    """For people: ``Fargate, 0.25 vCPU``."""
    quantity: Decimal
    price: Price
    note: str = ""
    part: Part = "compute"
    once: str = ""
    """Names what is there once however many workloads use it (``us-east-1 NAT``), so that a sum counts it once."""

    @property
    def amount(self) -> Decimal | None:
        """USD, not rounded; ``None`` while the price is not known. Nothing of it costs nothing, at any price."""
        if not self.quantity:
            return Decimal(0)
        return None if self.price.amount is None else self.quantity * self.price.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What something costs in a month."""

    title: str
    lines: tuple[Line, ...]
    assumptions: tuple[str, ...] = ()
    compared: Decimal | None = None
    """What it is ranked with when a price is missing: the total with those of another region in their place. It is no
    total, and is never shown as one; without it a platform whose prices nobody looked up would win every comparison."""

    @property
    def total(self) -> Decimal:
        """Of what is known, not rounded."""
        return sum((line.amount for line in self.lines if line.amount is not None), Decimal(0))

    @property
    def missing(self) -> tuple[Line, ...]:
        """Lines whose price is not known."""
        return tuple(line for line in self.lines if line.amount is None)

    @property
    def complete(self) -> bool:
        """Whether the total is the whole of it."""
        return not self.missing
