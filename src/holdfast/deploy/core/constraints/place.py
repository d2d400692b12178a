"""Whether a candidate is there at all: offered, open, able to run what is deployed, large enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.deploy.core.answer import Finding
from holdfast.deploy.core.constraints.case import Case, Rule, Wants, amount, verdict

ALL_AT_ONCE: Final = frozenset({"canary", "linear", "blue-green"})
"""Rollouts that run the old and the new set beside each other."""


def _only(rule: Rule, case: Case) -> Iterator[Finding]:
    allowed = case.workload.only
    if not allowed:
        return
    fact = case.stated("only", frozenset(allowed))
    need = f"one of {', '.join(allowed)}"
    if case.candidate.id in allowed:
        yield verdict(rule.name, need, (fact,), "holds", "the settings allow it")
    else:
        yield verdict(rule.name, need, (fact,), "rejects", f"the settings allow only {', '.join(allowed)}")


def _customer(rule: Rule, case: Case) -> Iterator[Finding]:
    fact = case.fact("open_to_new_customers")
    need = "an account that may begin"
    customer = case.account.app_runner_customer if case.candidate.compute == "app-runner" else None
    if fact.value is True:
        yield verdict(rule.name, need, (fact,), "holds", f"{fact.platform} is open to new customers")
    elif fact.value is None:
        text = f"whether {fact.platform} is open to new customers is not known"
        yield verdict(rule.name, need, (fact,), "unknown", text)
    elif customer is None:
        text = f"{fact.platform} is closed to new customers, and account.app_runner_customer is not stated"
        yield verdict(rule.name, need, (fact,), "unknown", text)
    else:
        status = case.stated("app_runner_customer", customer)
        if customer:
            text = "closed to new customers; the account is an old one, says the file"
            yield verdict(rule.name, need, (fact, status), "holds", text)
        else:
            text = f"{fact.platform} is closed to new customers, and the account is none of the old ones"
            yield verdict(rule.name, need, (fact, status), "rejects", text)


def quota_need(case: Case, unit: str) -> float:
    """How much of an account limit the workload takes at its largest, in the limit's unit.

    A rollout that runs two sets beside each other takes all of it twice, not only the difference.
    """
    sets = 2 if case.workload.rollout in ALL_AT_ONCE else 1
    tasks = case.workload.scale.max * sets
    return case.workload.cpu * tasks if unit == "vCPU" else tasks


def _quota(rule: Rule, case: Case) -> Iterator[Finding]:
    """Only a limit that the account states rejects: a default one is raised on request, and is a warning."""
    limit = case.account.quotas.get(case.candidate.compute)
    if limit is None or not case.runs:
        return
    default = case.of_compute("quota")
    unit = default.unit or "vCPU"
    taken = quota_need(case, unit)
    stated = case.stated("quota", limit)
    need = f"an account limit of {amount(taken, unit)}"
    holds = taken <= limit
    text = f"the account's limit is {amount(limit, unit)}, and {amount(taken, unit)} are taken at the most"
    yield verdict(rule.name, need, (stated,), "holds" if holds else "rejects", text)


def _runtime(case: Case) -> Wants:
    return {"runtimes": frozenset({case.workload.runtime})} if case.workload.runtime else {}


PLACE_RULES: Final = (
    Rule(name="only", text="Candidates that the file allows.", keys=("only",), wants=lambda _: {}, judged=_only),
    Rule(
        name="region",
        text="Offered in the region.",
        keys=(),
        wants=lambda case: {"regions": frozenset({case.region})},
        properties=("regions",),
    ),
    Rule(
        name="customer",
        text="The account may begin to use it; `account.app_runner_customer` speaks for App Runner.",
        keys=("account.app_runner_customer",),
        wants=lambda _: {},
        judged=_customer,
        properties=("open_to_new_customers",),
    ),
    Rule(
        name="package",
        text="Runs what is deployed: an image, an archive or files.",
        keys=("package",),
        wants=lambda case: {"packages": frozenset({case.workload.package})},
        properties=("packages",),
    ),
    Rule(
        name="runtime",
        text="Has the runtime of an archive.",
        keys=("runtime",),
        wants=_runtime,
        properties=("runtimes",),
    ),
    Rule(
        name="architecture",
        text="Has the processor architecture.",
        keys=("architecture",),
        wants=lambda case: (
            {"architectures": frozenset({case.workload.architecture})} if case.workload.architecture else {}
        ),
        properties=("architectures",),
    ),
    Rule(
        name="cpu",
        text="Tasks are large enough. A smallest size is a matter of cost, not of fit.",
        keys=("cpu",),
        wants=lambda case: {"cpu_most": case.workload.cpu} if case.runs else {},
        properties=("cpu_most",),
    ),
    Rule(
        name="memory",
        text="Tasks have enough memory.",
        keys=("memory",),
        wants=lambda case: {"memory_most": float(case.workload.memory)} if case.runs else {},
        properties=("memory_most",),
    ),
    Rule(
        name="scratch",
        text="The scratch disk is large enough.",
        keys=("scratch",),
        wants=lambda case: {"ephemeral_most": float(case.workload.scratch)} if case.workload.scratch else {},
        properties=("ephemeral_most",),
    ),
    Rule(
        name="quota",
        text="Within the account's stated limit, at the most tasks, twice where a rollout runs two sets.",
        keys=("scale.max",),
        wants=lambda _: {},
        judged=_quota,
        properties=("quota",),
    ),
)
"""In the order in which they are read."""
