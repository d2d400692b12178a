"""Where a workload goes: constraints first, then one figure, then the reasons.

An answer is a function of the workload, the settings, the facts of a day and the prices: the same input gives the same
answer, whatever the order of the candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from holdfast.deploy.core.answer import Answer, Decisive, Weighed
from holdfast.deploy.core.constraints.case import amount
from holdfast.deploy.core.constraints.place import quota_need
from holdfast.deploy.core.facts import Facts
from holdfast.deploy.core.flips import decisive, ways_out
from holdfast.deploy.core.question import Question, choose
from holdfast.deploy.core.score import CostOf
from holdfast.deploy.core.workload import DeploySettings, Workload


def fit(
    name: str,
    workload: Workload,
    *,
    settings: DeploySettings,
    region: str,
    facts: Facts,
    cost: CostOf,
    at: date,
    explain: bool = True,
) -> Answer:
    """Place one workload in one region.

    ``explain=False`` leaves out what would change the answer (:attr:`.Answer.decisive`), which takes most of the time.
    """
    question = Question(workload=workload, settings=settings, region=region, facts=facts, cost=cost, at=at)
    weighed = question.ranked()
    chosen = choose(weighed)
    warnings = [*_warnings(question, chosen)] if chosen else []
    flips: tuple[Decisive, ...] = ()
    if chosen is None:
        warnings += [way.text for way in ways_out(question, weighed)]
    if explain:
        flips = decisive(question, weighed)
    return Answer(
        workload=name, region=region, chosen=chosen, weighed=weighed, decisive=flips, warnings=tuple(warnings)
    )


def _warnings(question: Question, chosen: Weighed) -> Iterator[str]:
    name = chosen.candidate.id
    for doubt in chosen.unknowns:
        yield f"{name} is chosen although a need is in doubt: {doubt.text}"
    if chosen.cost is None:
        yield f"what {name} costs could not be computed"
    elif not chosen.cost_complete:
        yield (
            f"a price of {name} in {question.region} is not known: it costs more than its total, and is ranked with "
            f"the price of another region"
        )
    case = question.case(chosen.candidate)
    limit = case.of_compute("quota")
    if chosen.candidate.compute in question.settings.account.quotas or not case.runs:
        return
    if isinstance(limit.value, int | float) and limit.unit in ("vCPU", "concurrent executions"):
        taken = quota_need(case, limit.unit)
        if taken > limit.value / 2:
            yield (
                f"an account of {name} begins with {amount(limit.value, limit.unit)}, and "
                f"{amount(taken, limit.unit)} are taken at the most ({limit.cited}); "
                f"state yours in account.quotas.{chosen.candidate.compute}"
            )
