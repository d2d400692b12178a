"""What workloads cost, as the command line shows it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from holdfast.deploy.core.candidates import BY_ID, Candidate
from holdfast.deploy.core.cost import busy, cost_of, idle, per_million
from holdfast.deploy.core.curves import crossover, curve, places
from holdfast.deploy.core.prices import Estimate
from holdfast.deploy.core.traffic import cents
from holdfast.deploy.core.workload import Workload
from holdfast.deploy.errors import Invalid

if TYPE_CHECKING:
    from holdfast.cli.deploy_given import Given

DRAWN: Final = 4
"""Curves in one chart; more cannot be told apart."""
SPAN: Final = Decimal(100)
"""A chart goes from a hundredth of a workload's rate to a hundred times it."""


def money(amount: Decimal | None, *, complete: bool = True) -> str:
    """``36.39 USD``; ``at least 9.01 USD`` while a price is missing."""
    if amount is None:
        return "unknown"
    return f"{'' if complete else 'at least '}{cents(amount):,.2f} USD"


def lines_of(estimate: Estimate) -> list[str]:
    """An estimate, a line each, its total last."""
    found = [f"  {estimate.title}"]
    for line in estimate.lines:
        amount = "unknown" if line.amount is None else f"{cents(line.amount):,.2f}"
        found.append(f"    {amount:>12}  {line.what}{f' ({line.note})' if line.note else ''}")
    found.append(f"    {'-' * 12}")
    found.append(
        f"    {cents(estimate.total):>12,.2f}  USD a month{'' if estimate.complete else ', and what is unknown'}"
    )
    return [*found, *(f"    assumed: {text}" for text in estimate.assumptions)]


def estimate_json(estimate: Estimate) -> dict[str, Any]:
    """An estimate for machines; money is text, so that no binary fraction touches it."""
    return {
        "title": estimate.title,
        "total": str(cents(estimate.total)),
        "complete": estimate.complete,
        "missing": [line.price.key for line in estimate.missing],
        "lines": [
            {
                "what": line.what,
                "part": line.part,
                "quantity": str(line.quantity),
                "price": None if line.price.amount is None else str(line.price.amount),
                "unit": line.price.unit,
                "key": line.price.key,
                "source": line.price.source,
                "retrieved": line.price.retrieved and line.price.retrieved.isoformat(),
                "amount": None if line.amount is None else str(line.amount),
                "note": line.note,
            }
            for line in estimate.lines
        ],
        "assumptions": list(estimate.assumptions),
    }


def candidates(given: Given, name: str, on: Sequence[str] | None) -> list[Candidate]:
    """Those that were named, or what fits the workload, best first."""
    if on:
        for wanted in on:
            if wanted not in BY_ID:
                raise Invalid(f"--on: {wanted}: no such candidate; there are: {', '.join(BY_ID)}")
        return [BY_ID[wanted] for wanted in on]
    answer = given.answer(name)
    found = [one.candidate for one in answer.weighed if one.fits] or [
        one.candidate for one in answer.weighed if one.may_fit
    ]
    return found[:DRAWN]


def priced(given: Given, name: str, one: Candidate) -> tuple[Estimate | None, Estimate | None]:
    """A month idle and a month busy."""
    workload = given.settings.workloads[name]
    region = given.region(name)
    return (
        idle(one, workload, settings=given.settings, region=region, prices=given.prices, at=given.at),
        busy(one, workload, settings=given.settings, region=region, prices=given.prices, at=given.at),
    )


def report(given: Given, name: str, chosen: Sequence[Candidate]) -> str:
    """Everything that one workload costs, for people."""
    workload = given.settings.workloads[name]
    paragraphs = [f"{name}: {workload.summary}".rstrip(": ")]
    for one in chosen:
        estimates = [estimate for estimate in priced(given, name, one) if estimate is not None]
        if not estimates:
            paragraphs.append(f"  {one.id} has no size that holds it")
            continue
        lines = [line for estimate in estimates for line in lines_of(estimate)]
        if (million := per_million(estimates[-1], workload)) is not None:
            lines.append(f"    {cents(million):>12,.2f}  USD a million {workload.traffic.unit}s")
        paragraphs.append("\n".join(lines))
    paragraphs += [f"  {text}" for text in _crossings(given, name, chosen)]
    return "\n".join(paragraphs)


def report_json(given: Given, name: str, chosen: Sequence[Candidate]) -> dict[str, Any]:
    """The same, for machines."""
    workload = given.settings.workloads[name]
    rows = []
    for one in chosen:
        nothing, work = priced(given, name, one)
        million = None if work is None else per_million(work, workload)
        rows.append(
            {
                "candidate": one.id,
                "idle": nothing and estimate_json(nothing),
                "busy": work and estimate_json(work),
                "per_million": None if million is None else str(cents(million)),
            }
        )
    return {
        "workload": name,
        "region": given.region(name),
        "candidates": rows,
        "crossovers": _crossings(given, name, chosen),
    }


def _ends(workload: Workload) -> tuple[Decimal, Decimal] | None:
    rate = Decimal(str(workload.traffic.rate))
    return (rate / SPAN, rate * SPAN) if rate else None


def _crossings(given: Given, name: str, chosen: Sequence[Candidate]) -> list[str]:
    workload = given.settings.workloads[name]
    if (ends := _ends(workload)) is None:
        return []
    cost = cost_of(given.settings, given.prices, given.at)
    return [
        crossover(
            one,
            other,
            workload,
            given.region(name),
            cost=cost,
            low=ends[0],
            high=ends[1],
            utilisation=given.settings.assume.utilisation,
        ).text
        for one, other in combinations(chosen[:DRAWN], 2)
    ]


def draw(given: Given, name: str, chosen: Sequence[Candidate], directory: Path) -> Path | None:
    """Write the chart of one workload; ``None`` without traffic to draw it over."""
    from holdfast.deploy.shell import charts

    workload = given.settings.workloads[name]
    if (ends := _ends(workload)) is None:
        return None
    cost = cost_of(given.settings, given.prices, given.at)
    utilisation = given.settings.assume.utilisation
    where = places(workload, "rate", *ends, utilisation=utilisation)
    curves = [curve(one, workload, given.region(name), cost=cost, axis="rate", places=where) for one in chosen[:DRAWN]]
    drawn = [one for one in curves if one is not None]
    if not drawn:
        return None
    crossings = [
        crossover(
            one.candidate,
            other.candidate,
            workload,
            given.region(name),
            cost=cost,
            low=ends[0],
            high=ends[1],
            utilisation=utilisation,
        )
        for one, other in combinations(drawn, 2)
    ]
    path = directory / f"{name}.svg"
    charts.write_chart(path, charts.draw(drawn, crossings, workload, title=f"What {name} costs a month"))
    return path
