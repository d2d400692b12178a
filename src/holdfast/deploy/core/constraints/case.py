"""One workload before one candidate, and the comparison that most rules are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal, TypeAlias

from holdfast.deploy.core.answer import Finding
from holdfast.deploy.core.candidates import Candidate
from holdfast.deploy.core.facts import Fact, Facts, Value
from holdfast.deploy.core.properties import PROPERTIES
from holdfast.deploy.core.workload import Account, Workload
from holdfast.kernel import Duration, Size

Verdict: TypeAlias = Literal["holds", "rejects", "unknown"]
Wants: TypeAlias = Mapping[str, Value]
"""By property, what a candidate has to be known for."""

ENDLESS: Final = Duration(3650 * 86400.0)
"""As the file of facts writes that nothing limits a time."""
STATED: Final = "stated in the settings"
"""Source of a fact that the operator wrote, not a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a rule looks at."""

    workload: Workload
    candidate: Candidate
    facts: Facts
    account: Account
    region: str
    at: date

    def fact(self, name: str) -> Fact:
        """What is known of a property of the candidate on that day in that region."""
        return self.candidate.fact(self.facts, name, at=self.at, region=self.region)

    def of_compute(self, name: str) -> Fact:
        """The same of what runs it, where compute and ingress both have a say (``command`` health checks)."""
        return self.facts.get(self.candidate.compute, name, at=self.at, region=self.region)

    def stated(self, name: str, value: Value) -> Fact:
        """What the settings say, in the form of a fact."""
        return Fact(platform=self.candidate.compute, name=name, value=value, source=STATED)

    @property
    def serves(self) -> bool:
        """Whether anybody connects to it."""
        return bool(self.workload.protocols)

    @property
    def runs(self) -> bool:
        """Whether there is anything to run: files only lie there."""
        return self.workload.package != "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One need, and how it is judged."""

    name: str
    text: str
    """What is asked, for the documentation."""
    wants: Callable[[Case], Wants]
    """Empty: the workload does not care."""
    keys: tuple[str, ...] = ()
    """Settings that the need comes from, as ``--what-if`` takes them; the first one is relaxed first."""
    judged: Callable[[Rule, Case], Iterator[Finding]] | None = None
    """Its own judgement, where comparing is not enough."""
    properties: tuple[str, ...] = ()
    """Facts that it may rest on."""

    def judge(self, case: Case) -> Iterator[Finding]:
        """Findings; none when the workload does not care."""
        if self.judged is not None:
            yield from self.judged(self, case)
            return
        for name, value in self.wants(case).items():
            yield compare(self.name, case.fact(name), value)


def compare(rule: str, fact: Fact, wanted: Value) -> Finding:
    """A fact against what is wanted of it."""
    need = _need(fact.name, wanted)
    if fact.value is None:
        return Finding(
            rule=rule,
            need=need,
            facts=(fact,),
            verdict="unknown",
            text=f"whether {fact.platform} has {need} is not known",
        )
    if satisfies(fact.value, wanted):
        return Finding(rule=rule, need=need, facts=(fact,), verdict="holds", text=f"{fact.id} is {shown(fact)}")
    return Finding(
        rule=rule, need=need, facts=(fact,), verdict="rejects", text=f"{fact.id} is {shown(fact)}; wanted: {need}"
    )


def satisfies(value: Value, wanted: Value) -> bool:
    """Whether what is known is enough: the same flag or choice, at least the quantity, all of the words."""
    if isinstance(value, frozenset) and isinstance(wanted, frozenset):
        return wanted <= value
    if isinstance(value, bool) or isinstance(wanted, bool) or isinstance(value, str) or isinstance(wanted, str):
        return value == wanted
    if isinstance(value, frozenset) or isinstance(wanted, frozenset):
        return False
    return value >= wanted


def verdict(rule: str, need: str, facts: tuple[Fact, ...], answer: Verdict, text: str) -> Finding:
    """A finding of a rule with a judgement of its own."""
    return Finding(rule=rule, need=need, facts=facts, verdict=answer, text=text)


def as_fact(fact: Fact, value: Value) -> Fact:
    """The same fact as the operator would state it."""
    return replace(fact, value=value, source=STATED, url="", retrieved=None, note="")


def words(value: frozenset[str]) -> str:
    """A set for people and for ``--what-if``: sorted, by commas."""
    return ",".join(sorted(value))


def amount(value: float, unit: str) -> str:
    """A quantity with its unit, as a person writes it."""
    if unit == "s":
        return "no limit" if value >= ENDLESS else str(Duration(value))
    if unit == "B":
        return str(Size(int(value)))
    return f"{value:g} {unit}".strip()


def shown(fact: Fact) -> str:
    """The value of a fact for people."""
    value = fact.value
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, frozenset):
        return (f"one of {len(value)} regions" if len(value) > 12 else words(value)) or "none"  # a list is unreadable
    if isinstance(value, str):
        return value
    prop = PROPERTIES.get(fact.name)
    return amount(value, fact.unit or (prop.unit if prop else ""))


def _need(name: str, wanted: Value) -> str:
    title = name.replace("_", " ")
    if isinstance(wanted, bool):
        return title if wanted else f"no {title}"
    if isinstance(wanted, frozenset):
        return f"{title}: {words(wanted)}"
    if isinstance(wanted, str):
        return f"{title} {wanted}"
    return f"{title} of at least {amount(wanted, PROPERTIES[name].unit)}"
