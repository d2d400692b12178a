"""What speaks against a candidate: one rule for each need, in a table.

Almost every rule is the same comparison (:func:`.case.compare`): it names the facts that a workload *wants* of a
candidate, and a flag has to be that flag, a quantity at least that much, a set has to contain those words. What is not
known is answered ``unknown``, never guessed. Rules that are about more than one fact have a judgement of their own.

:data:`RULES` is the order in which findings are listed; ``docs/deploy-fit.md`` is held to it.
"""

from __future__ import annotations

from typing import Final

from holdfast.deploy.core.answer import Finding
from holdfast.deploy.core.constraints.case import Case, Rule
from holdfast.deploy.core.constraints.ingress import INGRESS_RULES
from holdfast.deploy.core.constraints.place import PLACE_RULES
from holdfast.deploy.core.constraints.tasks import TASK_RULES

RULES: Final[tuple[Rule, ...]] = (*PLACE_RULES, *INGRESS_RULES, *TASK_RULES)
BY_NAME: Final = {rule.name: rule for rule in RULES}


def findings(case: Case) -> tuple[Finding, ...]:
    """What every rule that applies says of one candidate, in the order of :data:`RULES`."""
    return tuple(found for rule in RULES for found in rule.judge(case))


__all__ = ["BY_NAME", "RULES", "Case", "Rule", "findings"]
