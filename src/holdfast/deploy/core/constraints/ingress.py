"""What clients ask of the way in: protocols, reach, times, sizes and health checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.deploy.core.answer import Finding
from holdfast.deploy.core.constraints.case import Case, Rule, Verdict, Wants, satisfies, shown, verdict, words
from holdfast.deploy.core.workload import Workload
from holdfast.kernel import Duration

DRAIN_AT_MOST: Final = Duration(300.0)
"""Of a drain that is not written: the default of a target group."""


def drain_of(workload: Workload) -> Duration | None:
    """Time that open work needs before a task may go; ``None``: nobody asks for any, or 0 is written.

    Without clients only a written one counts: a job whose task goes is either run again or protected by its caller.
    """
    if workload.drain is not None:
        return workload.drain or None
    if not workload.protocols or workload.longest is None:
        return None
    return min(workload.longest, DRAIN_AT_MOST)


def _ingress(rule: Rule, case: Case) -> Iterator[Finding]:
    """Who has clients needs a way in that reaches them; who has none must not pay for one, or be probed by one."""
    if case.serves:
        name = "ingress_private" if case.workload.ingress == "private" else "ingress_public"
        fact = case.fact(name)
        need = name.removeprefix("ingress_") + " ingress"
        if fact.value is None:
            yield verdict(rule.name, need, (fact,), "unknown", f"whether {fact.platform} has a {need} is not known")
        else:
            answer: Verdict = "holds" if fact.value is True else "rejects"
            yield verdict(rule.name, need, (fact,), answer, f"{fact.id} is {shown(fact)}; wanted: a {need}")
        return
    if not case.runs or not case.candidate.ingress:
        return
    need = "no ingress: nobody connects to it"
    if case.candidate.ingress != case.candidate.compute:
        fact = case.fact("ingress_public")
        yield verdict(
            rule.name, need, (fact,), "rejects", f"nobody connects to it, and {fact.platform} is paid for nothing"
        )
        return
    fact = case.fact("health_checks")
    if fact.value is None:
        yield verdict(
            rule.name, need, (fact,), "unknown", f"how {fact.platform} treats who answers no requests is not known"
        )
    elif fact.value:
        text = f"{fact.platform} asks every task for its health ({shown(fact)}), and nobody listens"
        yield verdict(rule.name, need, (fact,), "rejects", text)
    else:
        yield verdict(rule.name, need, (fact,), "holds", f"{fact.platform} asks no task for its health")


def _health(rule: Rule, case: Case) -> Iterator[Finding]:
    """A task's own command counts beside what the ingress may ask."""
    health = case.workload.health
    if health is None or not case.runs:
        return
    wanted = frozenset(health.checks)
    asked = [case.fact("health_checks")]
    if case.candidate.ingress not in ("", case.candidate.compute):
        asked.append(case.of_compute("health_checks"))
    known = frozenset[str]().union(*(fact.value for fact in asked if isinstance(fact.value, frozenset)))
    need = f"health checks: {words(wanted)}"
    if missing := wanted - known:
        unknown = any(not fact.known for fact in asked)
        text = f"{case.candidate.id} offers {words(known) or 'none'}; missing: {words(missing)}"
        yield verdict(rule.name, need, tuple(asked), "unknown" if unknown else "rejects", text)
    else:
        yield verdict(rule.name, need, tuple(asked), "holds", f"{case.candidate.id} offers {words(known)}")


def _drain(rule: Rule, case: Case) -> Iterator[Finding]:
    """The ingress decides while it is in front; the platform's stop time where work comes from a queue or a clock.

    Behind a load balancer a task gets its signal only when it has been taken out, so the longer of the two counts.
    """
    drain = drain_of(case.workload)
    if drain is None or not case.runs:
        return
    alone = not case.serves and case.candidate.ingress == ""
    fact = case.fact("stop_longest" if alone else "drain_longest")
    need = f"a drain of {drain}"
    if fact.value is None:
        yield verdict(
            rule.name, need, (fact,), "unknown", f"how long {fact.platform} lets open work go on is not known"
        )
    else:
        answer: Verdict = "holds" if satisfies(fact.value, float(drain)) else "rejects"
        text = f"{fact.platform} lets open work go on for {shown(fact)}; wanted: {drain}"
        yield verdict(rule.name, need, (fact,), answer, text)


def _longest(case: Case) -> Wants:
    """The way in bounds a request, the platform what runs; both have to be long enough."""
    longest = case.workload.longest
    if longest is None or not case.runs:
        return {}
    return (
        {"request_longest": float(longest), "run_longest": float(longest)}
        if case.serves
        else {"run_longest": float(longest)}
    )


def _if_served(name: str, attribute: str) -> Rule:
    titles = {
        "silence": "Connections may be silent for that long.",
        "request_size": "Request bodies may be that large.",
    }
    return Rule(
        name=attribute.replace("_", "-"),
        text=titles.get(attribute, "Answers may be that large."),
        keys=(attribute,),
        wants=lambda case: (
            {name: float(value)} if case.serves and (value := getattr(case.workload, attribute)) is not None else {}
        ),
        properties=(name,),
    )


INGRESS_RULES: Final = (
    Rule(
        name="ingress",
        text="Reached from where it has to be; a worker without clients stands behind nothing that would probe it.",
        keys=("ingress",),
        wants=lambda _: {},
        judged=_ingress,
        properties=("ingress_public", "ingress_private", "health_checks"),
    ),
    Rule(
        name="protocols",
        text="Carries every protocol that the clients speak.",
        keys=("protocols",),
        wants=lambda case: {"protocols": frozenset(case.workload.protocols)} if case.serves else {},
        properties=("protocols",),
    ),
    Rule(
        name="longest",
        text="The longest request, stream or job is not cut: neither by the way in nor by what runs it.",
        keys=("longest",),
        wants=_longest,
        properties=("request_longest", "run_longest"),
    ),
    _if_served("idle_longest", "silence"),
    _if_served("request_largest", "request_size"),
    _if_served("response_largest", "response_size"),
    Rule(
        name="drain",
        text="Open work may end: by the ingress in front of a service, by the stop time of a worker.",
        keys=("drain",),
        wants=lambda _: {},
        judged=_drain,
        properties=("drain_longest", "stop_longest"),
    ),
    Rule(
        name="health",
        text="Can be asked for its health in every way that is needed.",
        keys=("health.checks", "health"),
        wants=lambda _: {},
        judged=_health,
        properties=("health_checks",),
    ),
)
"""In the order in which they are read."""
