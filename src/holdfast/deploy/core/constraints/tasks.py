"""What the tasks themselves ask: scale, waking, privileges, rollout, interruption, and each of the needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from holdfast.deploy.core.answer import Finding
from holdfast.deploy.core.constraints.case import Case, Rule, Wants, compare, shown, verdict
from holdfast.deploy.core.constraints.ingress import drain_of
from holdfast.deploy.core.workload import Need
from holdfast.kernel import Duration

NEEDS: Final[dict[str, str]] = {
    "privileged": "privileged",
    "user-namespaces": "user_namespaces",
    "gpu": "gpu",
    "sidecars": "sidecars",
    "exec": "exec",
    "service-discovery": "service_discovery",
    "private-egress": "private_egress",
    "static-address": "static_address",
    "client-address": "client_address",
    "tls-passthrough": "tls_passthrough",
    "persistent-disk": "persistent_disk",
    "background-work": "background_work",
    "ingress-control": "ingress_configurable",
    "rollout-control": "rollout_configurable",
    "weighted-targets": "weighted_targets",
}
"""The flag that each need wants; ``isolated-tasks`` is a choice and has a rule of its own."""
ISOLATED: Final = frozenset({"vm", "microvm", "instance"})
"""``instance``: each task has a machine of its own, and with it a kernel."""
SERVED: Final = frozenset(
    {"static-address", "client-address", "tls-passthrough", "ingress-control", "weighted-targets"}
)
"""Needs of who has clients: without any there is nothing to ask."""


def _need(name: str) -> Rule:
    def wants(case: Case) -> Wants:
        asked = name in case.workload.needs or (name == "persistent-disk" and case.workload.state == "disk")
        return {NEEDS[name]: True} if asked and (case.serves or name not in SERVED) else {}

    return Rule(
        name=name,
        text=f"Needs `{name}`.",
        keys=(f"needs-={name}",) if name != "persistent-disk" else (f"needs-={name}", "state"),
        wants=wants,
        properties=(NEEDS[name],),
    )


def _isolated(rule: Rule, case: Case) -> Iterator[Finding]:
    if "isolated-tasks" not in case.workload.needs:
        return
    fact = case.fact("isolation")
    need = "no kernel shared between two tasks"
    if fact.value is None:
        yield verdict(
            rule.name, need, (fact,), "unknown", f"what stands between two tasks of {fact.platform} is not known"
        )
        return
    text = f"between two tasks of {fact.platform} stands: {shown(fact)}"
    yield verdict(rule.name, need, (fact,), "holds" if fact.value in ISOLATED else "rejects", text)


def _kept(case: Case) -> Wants:
    """Who wants a kernel for each session or job starts one for each; everybody else waits for the platform to."""
    return {"keeps_tasks": True} if case.runs and "isolated-tasks" not in case.workload.needs else {}


def _work(case: Case) -> Wants:
    """A worker that nothing wakes has to be able to run on by itself."""
    if case.serves or not case.runs or case.workload.schedule is not None:
        return {}
    return {"background_work": True} if case.workload.scale.signal not in ("queue", "schedule") else {}


def _schedule(case: Case) -> Wants:
    by_timer = case.workload.schedule is not None or case.workload.scale.signal == "schedule"
    return {"starts_on_schedule": True} if by_timer and case.runs else {}


def _signal(case: Case) -> Wants:
    signal = case.workload.scale.signal
    return {"scale_signals": frozenset({signal})} if signal and case.runs else {}


def _to_zero(case: Case) -> Wants:
    """At zero somebody has to notice a request: a load balancer without a target answers 503 instead."""
    if not case.workload.scale.to_zero or not case.runs:
        return {}
    return {"scale_to_zero": True, "wakes_on_request": True} if case.serves else {"scale_to_zero": True}


def _start(rule: Rule, case: Case) -> Iterator[Finding]:
    """Quick enough; where a request waits for the start, within the latency objective too."""
    limits = [case.workload.start]
    if case.serves and case.workload.scale.to_zero:
        limits.append(case.workload.latency)
    stated = [limit for limit in limits if limit is not None]
    if not stated or not case.runs:
        return
    limit = min(stated)
    fact = case.fact("start_typical")
    need = f"a start within {limit}"
    if fact.value is None:
        yield verdict(rule.name, need, (fact,), "unknown", f"how fast {fact.platform} starts is not known")
        return
    quick = isinstance(fact.value, float | int) and fact.value <= limit
    text = f"{fact.platform} typically starts in {shown(fact)}; wanted: within {Duration(limit)}"
    yield verdict(rule.name, need, (fact,), "holds" if quick else "rejects", text)


def _interruption(rule: Rule, case: Case) -> Iterator[Finding]:
    """Capacity that may be taken away suits only work that survives it, and drains within the warning."""
    taken = case.fact("interruptible")
    if not case.runs or taken.value is False:
        return
    need = "tasks that stay"
    if taken.value is None:
        yield verdict(rule.name, need, (taken,), "unknown", f"whether {taken.platform} takes tasks away is not known")
        return
    if not case.workload.scale.interruptible:
        text = f"{taken.platform} may take a task away at any time, and the work does not survive that"
        yield verdict(rule.name, need, (taken,), "rejects", text)
        return
    yield verdict(
        rule.name, "work that survives its task", (taken,), "holds", "work survives a task that is taken away"
    )
    if (drain := drain_of(case.workload)) is not None:
        for name in ("interruption_notice", "stop_longest"):  # it is killed at the earlier of the two
            yield compare(rule.name, case.fact(name), float(drain))


TASK_RULES: Final = (
    Rule(
        name="instances",
        text="Runs as many tasks as it may need.",
        keys=("scale.max",),
        wants=lambda case: {"instances_most": float(case.workload.scale.max)} if case.runs else {},
        properties=("instances_most",),
    ),
    Rule(
        name="kept",
        text="Starts and replaces tasks by itself. Who needs `isolated-tasks` asks for one for each session or job.",
        keys=("needs+=isolated-tasks",),
        wants=_kept,
        properties=("keeps_tasks",),
    ),
    Rule(
        name="signal",
        text="Can be scaled by the signal.",
        keys=("scale.signal",),
        wants=_signal,
        properties=("scale_signals",),
    ),
    Rule(
        name="to-zero",
        text="Costs nothing for compute while idle, and is woken by what comes first.",
        keys=("scale.to_zero",),
        wants=_to_zero,
        properties=("scale_to_zero", "wakes_on_request"),
    ),
    Rule(
        name="start",
        text="Starts in time; within the latency objective where a request waits for it.",
        keys=("start", "latency"),
        wants=lambda _: {},
        judged=_start,
        properties=("start_typical",),
    ),
    Rule(
        name="work",
        text="A worker that nothing wakes works on by itself.",
        keys=("scale.signal",),
        wants=_work,
        properties=("background_work",),
    ),
    Rule(
        name="schedule",
        text="A timer can start it.",
        keys=("schedule",),
        wants=_schedule,
        properties=("starts_on_schedule",),
    ),
    Rule(
        name="interruption",
        text="Spot only for work that survives it, with a drain within the warning.",
        keys=("scale.interruptible", "drain"),
        wants=lambda _: {},
        judged=_interruption,
        properties=("interruptible", "interruption_notice", "stop_longest"),
    ),
    Rule(
        name="rollout",
        text="Brings out versions in the way that is asked for.",
        keys=("rollout",),
        wants=lambda case: {"rollouts": frozenset({case.workload.rollout})} if case.workload.rollout else {},
        properties=("rollouts",),
    ),
    *(_need(name) for name in get_args(Need) if name != "isolated-tasks"),
    Rule(
        name="isolated-tasks",
        text="No kernel is shared between two tasks.",
        keys=("needs-=isolated-tasks",),
        wants=lambda _: {},
        judged=_isolated,
        properties=("isolation",),
    ),
)
"""In the order in which they are read."""
