"""What an answer hangs on: the single needs, facts and statements that would change it, found by asking again.

Nothing is derived: every flip was tried, and :attr:`~.answer.Decisive.becomes` is what came out. What is tried follows
from the findings: a rejection can be lifted by relaxing the need or by a fact that is otherwise; a need that the choice
meets can turn against it; and the appetite, the traffic and the account can tip the scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from holdfast.deploy.core.answer import Decisive, Finding, Weighed
from holdfast.deploy.core.candidates import Candidate
from holdfast.deploy.core.constraints import BY_NAME
from holdfast.deploy.core.constraints.case import ENDLESS, STATED
from holdfast.deploy.core.constraints.ingress import drain_of
from holdfast.deploy.core.facts import Fact, Value
from holdfast.deploy.core.prices import Estimate
from holdfast.deploy.core.properties import PROPERTIES
from holdfast.deploy.core.question import Question, choose
from holdfast.deploy.core.score import CostOf
from holdfast.deploy.core.whatif import stated, what_if
from holdfast.deploy.core.workload import Workload
from holdfast.deploy.errors import Invalid
from holdfast.kernel import Duration, Size

MOST: Final = 5
"""Flips that are told; the first ones matter most."""
CLOSEST: Final = 3
"""Candidates that are named when nothing fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut:
    """What would have to give for a rejected candidate."""

    candidate: Candidate
    changes: tuple[str, ...]
    """As ``--what-if`` takes them, all of them; none in its place when needs alone cannot do it."""
    text: str


def decisive(question: Question, weighed: Sequence[Weighed]) -> tuple[Decisive, ...]:
    """The few single changes that give another answer.

    First the needs that keep a better-scored candidate out, then facts that do, then what could turn against the
    choice. One flip for each outcome and kind is told, so that the list does not repeat itself.
    """
    chosen = choose(weighed)
    asked = replace(question, cost=_memoised(question.cost))
    now = chosen.candidate.id if chosen else ""
    found: list[Decisive] = []
    told: set[tuple[str, str]] = set()
    for kind, key, finding in _tries(asked, weighed, chosen):
        becomes = outcome(asked, key)
        if becomes is None or becomes == now or (kind, becomes) in told:
            continue
        told.add((kind, becomes))
        found.append(Decisive(key=key, text=_text(key, becomes), becomes=becomes, finding=finding))
        if len(found) == MOST:
            break
    return tuple(found)


def outcome(question: Question, *changes: str) -> str | None:
    """The candidate that is chosen with these changes; empty when nothing fits; ``None`` when they contradict."""
    try:
        for change in changes:
            question = asking(question, change)
    except Invalid:
        return None
    chosen = choose(question.ranked())
    return chosen.candidate.id if chosen else ""


def asking(question: Question, change: str) -> Question:
    """The same question with one thing changed. Raises :class:`~holdfast.deploy.errors.Invalid`."""
    asked = what_if(question.settings, question.workload, question.facts, change)
    return replace(question, settings=asked.settings, workload=asked.workload, facts=asked.facts)


def ways_out(question: Question, weighed: Sequence[Weighed]) -> Iterator[WayOut]:
    """For the closest candidates, the needs that would have to give; fewest first."""
    found = []
    for one in weighed:
        changes: tuple[str, ...] = ()
        for finding in one.rejections:
            change = next(
                (key for key in relaxed(question, finding) if _lifts(question, one, changes, key, finding)), None
            )
            if change is None:
                break
            if change not in changes:
                changes = (*changes, change)
        else:
            found.append((one, changes))
    found.sort(key=lambda pair: (len(pair[1]), len(pair[0].unknowns), pair[0].candidate.id))
    for one, changes in found[:CLOSEST]:
        doubts = f", with {len(one.unknowns)} in doubt" if one.unknowns else ""
        text = f"{one.candidate.id} would fit{doubts} with {' and '.join(changes)}"
        yield WayOut(candidate=one.candidate, changes=changes, text=text)
    if not found and weighed:
        first = weighed[0]
        rules = ", ".join(dict.fromkeys(finding.rule for finding in first.rejections))
        text = f"closest is {first.candidate.id}, which is rejected by: {rules}; relaxing needs alone does not admit it"
        yield WayOut(candidate=first.candidate, changes=(), text=text)


def relaxed(question: Question, finding: Finding) -> Iterator[str]:
    """Changes of the workload or account that may lift a rejection, the smallest first."""
    rule = BY_NAME[finding.rule]
    fact = finding.facts[0]
    workload = question.workload
    for key in rule.keys:
        if key.startswith(("needs-=", "needs+=")):
            yield key
        elif key == "account.app_runner_customer":
            yield f"{key}=true"
        elif key == "protocols" and isinstance(fact.value, frozenset):
            if kept := [name for name in workload.protocols if name in fact.value]:
                yield f"protocols={','.join(kept)}"
            if fact.value:
                yield f"protocols={'http/1.1' if 'http/1.1' in fact.value else min(fact.value)}"
        elif key == "health.checks":
            held = frozenset[str]().union(*(one.value for one in finding.facts if isinstance(one.value, frozenset)))
            health = workload.health
            if health and (left := [name for name in health.checks if name in held]):
                yield f"health.checks={','.join(left)}"
        elif key == "scale.interruptible":
            yield f"{key}=true"
        elif key == "package" and isinstance(fact.value, frozenset):
            yield from (f"package={word}" for word in sorted(fact.value))
        elif key in _QUANTITIES and isinstance(fact.value, float | int) and fact.value > 0:
            yield f"{key}={_quantity(key, float(fact.value))}"
            yield f"{key}="
        else:
            yield f"{key}="


INHERENT: Final = frozenset({"regions", "packages", "interruptible", "isolation", "keeps_tasks"})
"""What a platform is rather than what it can do: Spot that stays or a bucket that runs containers is another product,
and supposing it tells nobody anything. Regions are changed by moving, not by supposing."""
_QUANTITIES: Final = frozenset(
    {"longest", "silence", "drain", "request_size", "response_size", "start", "cpu", "memory", "scratch", "scale.max"}
)
_SIZES: Final = frozenset({"request_size", "response_size", "memory", "scratch"})
_WHOLE: Final = frozenset({"scale.max"})


def _quantity(key: str, value: float) -> str:
    if key in _SIZES:
        return str(Size(int(value)))
    if key in _WHOLE:
        return str(int(value))
    return f"{value:g}" if key == "cpu" else str(Duration(value))


def _tries(
    question: Question, weighed: Sequence[Weighed], chosen: Weighed | None
) -> Iterator[tuple[str, str, Finding]]:
    """Kind, change and the finding that it is about; what matters most comes first."""
    near = sorted(
        (one for one in weighed if one.rejections),
        key=lambda one: (
            len({finding.rule for finding in one.rejections}),
            one.cost is None,
            one.cost or 0,
            one.candidate.id,
        ),
    )
    single = [(one, one.rejections[0]) for one in near if len({finding.rule for finding in one.rejections}) == 1]
    for _, finding in single:
        for key in relaxed(question, finding):
            yield "need", key, finding
    for _, finding in single:
        for fact in finding.facts:
            if fact.source != STATED and (value := _wanted(question, fact)) is not None:
                yield "fact", stated(fact, value), finding
    seen = set[str]()
    for one in near:  # a need that keeps several out, each for other reasons too, can still matter
        for finding in one.rejections:
            for key in relaxed(question, finding):
                if key not in seen:
                    seen.add(key)
                    yield "need", key, finding
    if chosen is not None:
        yield from _against(question, chosen)


def _against(question: Question, chosen: Weighed) -> Iterator[tuple[str, str, Finding]]:
    """What could tip the scales against a choice."""
    first = chosen.findings[0]
    for appetite in ("low", "medium", "high"):
        yield "appetite", f"operations={appetite}", first
    if rate := question.workload.traffic.rate:
        for factor in (10.0, 0.1, 100.0, 0.01):
            yield "traffic", f"traffic.rate={rate * factor:g}", first
    for finding in (*chosen.unknowns, *(one for one in chosen.findings if one.verdict == "holds")):
        for fact in finding.facts:
            if fact.source != STATED and (value := _spoiled(fact)) is not None:
                yield "against", stated(fact, value), finding


def _wanted(question: Question, fact: Fact) -> Value | None:
    """The value with which a fact would not reject; ``None`` where another value says nothing."""
    workload = question.workload
    if fact.name in INHERENT:
        return None
    if isinstance(fact.value, bool):
        return not fact.value
    if isinstance(fact.value, frozenset):
        wants = {
            "protocols": workload.protocols,
            "architectures": (workload.architecture or "",),
            "runtimes": (workload.runtime,),
            "scale_signals": (workload.scale.signal or "",),
            "rollouts": (workload.rollout or "",),
            "health_checks": workload.health.checks if workload.health else (),
        }
        return fact.value | frozenset(wants.get(fact.name, ()))
    needed = _needed(workload)
    return needed.get(fact.name)


def _needed(workload: Workload) -> dict[str, float]:
    drain = float(drain_of(workload) or 0)
    return {
        "request_longest": float(workload.longest or 0),
        "run_longest": float(workload.longest or 0),
        "idle_longest": float(workload.silence or 0),
        "request_largest": float(workload.request_size or 0),
        "response_largest": float(workload.response_size or 0),
        "drain_longest": drain,
        "stop_longest": drain,
        "interruption_notice": drain,
        "cpu_most": workload.cpu,
        "memory_most": float(workload.memory),
        "ephemeral_most": float(workload.scratch or 0),
        "instances_most": float(workload.scale.max),
        "start_typical": float(workload.start or workload.latency or ENDLESS),
    }


def _spoiled(fact: Fact) -> Value | None:
    """A value that would speak against the choice, where a reader could believe it.

    Providers close platforms to new customers; they do not take features back. What is not known may turn out badly.
    """
    if fact.name == "open_to_new_customers" and fact.value is True:
        return False
    return False if fact.value is None and PROPERTIES[fact.name].kind == "flag" else None


def _lifts(question: Question, one: Weighed, before: tuple[str, ...], key: str, finding: Finding) -> bool:
    try:
        for change in (*before, key):
            question = asking(question, change)
    except Invalid:
        return False
    after = question.weighed(one.candidate)
    return not any(other.rule == finding.rule for other in after.rejections)


def _memoised(cost: CostOf) -> CostOf:
    """The same figures, computed once for each workload that is asked about."""
    kept: dict[tuple[Candidate, Workload, str], Estimate | None] = {}

    def remembered(candidate: Candidate, workload: Workload, region: str) -> Estimate | None:
        key = (candidate, workload, region)
        if key not in kept:
            kept[key] = cost(candidate, workload, region)
        return kept[key]

    return remembered


def _text(key: str, becomes: str) -> str:
    what = f"{becomes} would be chosen" if becomes else "nothing would fit"
    return f"with {key}, {what}"
