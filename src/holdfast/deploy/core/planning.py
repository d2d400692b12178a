"""A whole file placed: each workload in each of its regions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from holdfast.deploy.core.answer import Answer, Weighed
from holdfast.deploy.core.candidates import Candidate
from holdfast.deploy.core.facts import Facts
from holdfast.deploy.core.fit import fit
from holdfast.deploy.core.plan import Placement, Plan
from holdfast.deploy.core.score import CostOf
from holdfast.deploy.core.workload import DeploySettings


def plan(settings: DeploySettings, *, facts: Facts, cost: CostOf, at: date, explain: bool = True) -> Plan:
    """Place everything in the file.

    A workload goes to the same candidate in all of its regions, the best one in the first region that no other region
    rejects: one way to run, watch and roll back it is worth more than the cheapest platform of each region. Where no
    candidate carries it everywhere, regions are grouped by what each of them chooses, and the answers say so.
    """
    placements: list[Placement] = []
    unplaced: list[Answer] = []
    for name, workload in settings.workloads.items():
        regions = tuple(dict.fromkeys(workload.regions)) or (settings.region,)
        answers = [
            fit(
                name,
                workload,
                settings=settings,
                region=region,
                facts=facts,
                cost=cost,
                at=at,
                explain=explain and region == regions[0],  # what decides is told once
            )
            for region in regions
        ]
        for answer, placed in _together(answers):
            if answer.chosen is None:
                unplaced.append(answer)
            else:
                candidate = answer.chosen.candidate
                placements.append(
                    Placement(name=name, workload=workload, candidate=candidate, regions=placed, answer=answer)
                )
    return Plan(settings=settings, placements=tuple(placements), unplaced=tuple(unplaced))


def _together(answers: list[Answer]) -> list[tuple[Answer, tuple[str, ...]]]:
    """Answers with the regions that they are for: one, if a candidate carries all regions."""
    chosen = [answer for answer in answers if answer.chosen is not None]
    if chosen:
        first = chosen[0]
        for one in first.weighed:
            if one.may_fit and all(_admits(answer, one.candidate) for answer in chosen):
                regions = tuple(answer.region for answer in chosen)
                placed = [(_on(first, one), regions)]
                return placed + [(answer, (answer.region,)) for answer in answers if answer.chosen is None]
    groups: dict[str, tuple[Answer, list[str]]] = {}
    for answer in answers:
        key = answer.chosen.candidate.id if answer.chosen else answer.region
        groups.setdefault(key, (answer, []))[1].append(answer.region)
    note = "no candidate carries it in all of its regions, so that regions differ"
    several = len(groups) > 1
    return [
        (replace(answer, warnings=(*answer.warnings, note)) if several else answer, tuple(regions))
        for answer, regions in groups.values()
    ]


def _admits(answer: Answer, candidate: Candidate) -> bool:
    return any(one.candidate == candidate and one.may_fit for one in answer.weighed)


def _on(answer: Answer, one: Weighed) -> Answer:
    """The answer with another choice than its own best, which then says why."""
    if answer.chosen is None or one.candidate == answer.chosen.candidate:
        return answer
    best = answer.chosen.candidate.id
    note = f"{best} would be chosen in {answer.region}, but not every region has it"
    return replace(answer, chosen=one, warnings=(*answer.warnings, note))
