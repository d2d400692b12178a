"""What becomes of a workload where it is, as the command line shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from holdfast.cli.deploy_cost import money
from holdfast.cli.deploy_facts import fact_json, value_text
from holdfast.deploy.core.migrate import Alternative, Migration, Stop

SHOWN: Final = 4
"""Alternatives that are shown with what changes; the rest by name."""


def migration_text(moved: Migration) -> str:
    """What stops fitting and when, and where else it could be."""
    return "\n".join(_lines(moved))


def _lines(moved: Migration) -> Iterator[str]:
    today = moved.today
    price = money(today.cost, complete=today.cost_complete)
    yield f"{moved.workload}, {moved.region}: on {today.candidate.id} today, {price} a month"
    if not (today.rejections or today.unknowns):
        yield "  it fits there"
    for finding in today.rejections:
        sources = "; ".join(fact.cited for fact in finding.facts)
        yield f"  does not fit: {finding.text} [{sources}]"
    for finding in today.unknowns:
        yield f"  not known: {finding.text}"
    for stop in moved.past:
        yield f"  since {_stop(stop)}"
    for stop in moved.stops:
        yield f"  from {_stop(stop)}"
    if not moved.alternatives:
        yield "  nothing else carries it"
    for one in moved.alternatives[:SHOWN]:
        yield from _alternative(one)
    if rest := moved.alternatives[SHOWN:]:
        yield f"  also: {', '.join(one.weighed.candidate.id for one in rest)}"


def _stop(stop: Stop) -> str:
    fact = stop.fact
    said = f"{stop.day}: {fact.id} is {value_text(fact.value, fact.unit)}"
    reasons = "; ".join(finding.text for finding in stop.findings)
    return f"{said}: {reasons} [{fact.cited}]" if reasons else f"{said}, which does not touch it"


def _alternative(one: Alternative) -> Iterator[str]:
    word = "fits" if one.weighed.fits else "may fit"
    if one.difference is None:
        price = "difference in cost unknown"
    else:
        sign = "+" if one.difference >= 0 else "-"
        price = f"{sign}{money(abs(one.difference))} a month{'' if one.complete else ', of what is known'}"
    yield f"  to {one.weighed.candidate.id}: {word}, {price}"
    for change in one.changes:
        yield f"      {change}"
    for finding in one.weighed.unknowns:
        yield f"      to find out first: {finding.text}"


def migration_json(moved: Migration) -> dict[str, Any]:
    """All of it, for machines."""
    return {
        "workload": moved.workload,
        "region": moved.region,
        "on": moved.today.candidate.id,
        "does_not_fit": [finding.text for finding in moved.today.rejections],
        "unknown": [finding.text for finding in moved.today.unknowns],
        "past": [_stop_json(stop) for stop in moved.past],
        "stops": [_stop_json(stop) for stop in moved.stops],
        "alternatives": [
            {
                "candidate": one.weighed.candidate.id,
                "fits": one.weighed.fits,
                "difference": None if one.difference is None else str(one.difference),
                "complete": one.complete,
                "changes": list(one.changes),
            }
            for one in moved.alternatives
        ],
    }


def _stop_json(stop: Stop) -> dict[str, Any]:
    return {
        "day": stop.day.isoformat(),
        "fact": fact_json(stop.fact),
        "reasons": [finding.text for finding in stop.findings],
    }
