"""Off a platform that stops fitting: what does not fit today, what stops when, and what remains.

The model is App Runner: open for years, closed to accounts that never used it on a known day, still there for those
that did. What ends is read from the facts with a first or last day; nothing is predicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from holdfast.deploy.core.answer import Finding, Weighed
from holdfast.deploy.core.candidates import BY_ID, Candidate
from holdfast.deploy.core.constraints.case import satisfies, shown
from holdfast.deploy.core.facts import Fact, Facts
from holdfast.deploy.core.question import Question
from holdfast.deploy.core.score import CostOf
from holdfast.deploy.core.workload import DeploySettings, Workload
from holdfast.deploy.errors import Invalid

COMPARED: Final = (
    "protocols",
    "request_longest",
    "idle_longest",
    "drain_longest",
    "drain_configurable",
    "health_checks",
    "scale_signals",
    "scale_to_zero",
    "instances_most",
    "rollouts",
    "rolls_back",
    "exec",
    "sidecars",
    "user_namespaces",
    "isolation",
    "ingress_configurable",
)
"""Properties whose change a team notices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One day on which something about the platform changes."""

    day: date
    fact: Fact
    """What begins, or ceases, to hold."""
    findings: tuple[Finding, ...]
    """What speaks against the platform from that day on and did not before; empty: the change does not touch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Somewhere else to go."""

    weighed: Weighed
    difference: Decimal | None
    """USD a month more (less, when negative) than where it is; ``None``: one of the two costs is not known."""
    complete: bool
    """False: a price of one of the two is missing, so that the difference is not the whole of it."""
    changes: tuple[str, ...]
    """What is different there, by property."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """The answer for one workload."""

    workload: str
    region: str
    today: Weighed
    """Where it is: ``rejections`` and ``unknowns`` say what does not fit."""
    past: tuple[Stop, ...]
    """What has changed about the platform already, earliest first."""
    stops: tuple[Stop, ...]
    """What will, after the day of the question."""
    alternatives: tuple[Alternative, ...]
    """What fits or may fit elsewhere, best first."""


def migrate(
    name: str, workload: Workload, *, settings: DeploySettings, region: str, facts: Facts, cost: CostOf, at: date
) -> Migration:
    """What stops fitting where the workload is ``on``, and what remains viable.

    Raises :class:`~holdfast.deploy.errors.Invalid` when it says not, or wrongly, where it is.
    """
    here = _here(name, workload)
    question = Question(workload=workload, settings=settings, region=region, facts=facts, cost=cost, at=at)
    ranked = question.ranked()
    today = next(one for one in ranked if one.candidate == here)
    stops = [_stop(question, here, day, fact) for day, fact in _days(facts, here, region)]
    return Migration(
        workload=name,
        region=region,
        today=today,
        past=tuple(stop for stop in stops if stop.day <= at),
        stops=tuple(stop for stop in stops if stop.day > at),
        alternatives=tuple(
            _alternative(question, today, one) for one in ranked if one.may_fit and one.candidate != here
        ),
    )


def _here(name: str, workload: Workload) -> Candidate:
    if (here := BY_ID.get(workload.on)) is not None:
        return here
    said = f"{workload.on!r} is no platform that is weighed" if workload.on else "it does not say where it is"
    message = f"workload {name}: {said}; write `on: app-runner`, or one of {', '.join(BY_ID)}"
    raise Invalid(message)


def _days(facts: Facts, here: Candidate, region: str) -> list[tuple[date, Fact]]:
    """Days on which a property changes in the region, each told once: by what holds from then on, if anything does."""
    owners = dict.fromkeys((here.id, here.compute, here.ingress))
    days: dict[tuple[date, str, str], Fact] = {}
    for (owner, name), found in facts.entries.items():
        there = [fact for fact in found if owner in owners and (not fact.regions or region in fact.regions)]
        for fact in there:
            if fact.valid_to is not None:
                days.setdefault((fact.valid_to, name, owner), fact)
        for fact in there:
            if fact.valid_from is not None:
                days[fact.valid_from, name, owner] = fact
    return [(key[0], days[key]) for key in sorted(days)]


def _stop(question: Question, here: Candidate, day: date, fact: Fact) -> Stop:
    before = replace(question, at=date.fromordinal(day.toordinal() - 1)).weighed(here)
    after = replace(question, at=day).weighed(here)
    held = {(finding.rule, finding.verdict) for finding in before.findings}
    new = tuple(
        finding
        for finding in after.findings
        if finding.verdict != "holds" and (finding.rule, finding.verdict) not in held
    )
    return Stop(day=day, fact=fact, findings=new)


def _alternative(question: Question, today: Weighed, one: Weighed) -> Alternative:
    known = one.cost is not None and today.cost is not None
    return Alternative(
        weighed=one,
        difference=one.cost - today.cost if one.cost is not None and today.cost is not None else None,
        complete=known and one.cost_complete and today.cost_complete,
        changes=tuple(_changes(question, today.candidate, one.candidate)),
    )


def _changes(question: Question, here: Candidate, there: Candidate) -> Iterator[str]:
    old, new = question.case(here), question.case(there)
    for name in COMPARED:
        was, becomes = old.fact(name), new.fact(name)
        if was.value == becomes.value:
            continue
        word = "changes"
        if was.value is not None and becomes.value is not None:
            better, worse = satisfies(becomes.value, was.value), satisfies(was.value, becomes.value)
            if isinstance(was.value, bool):
                better, worse = bool(becomes.value), bool(was.value)
            word = "gained" if better and not worse else "lost" if worse and not better else word
        yield f"{name}: {shown(was)} -> {shown(becomes)} ({word})"
