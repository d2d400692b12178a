"""Checks of CloudFormation templates, stricter than the stock ones about what fails only when it is deployed.

A rule looks at one reading of a template (:mod:`.resolve`); :func:`check` shows it all of them and says each finding
once. A finding that is meant is suppressed where it stands, with a reason::

    Metadata: {holdfast: {ignore: [{id: HF809, reason: a webhook that checks signatures itself}]}}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from holdfast.deploy.core.facts import Facts
from holdfast.deploy.core.plan import Plan
from holdfast.deploy.core.rules import (
    balancing,
    exposure,
    names,
    platforms,
    reach,
    refusals,
    secrecy,
    services,
    state,
    tasks,
    wiring,
)
from holdfast.deploy.core.rules.resolve import list_of, mapping_of, text_of, variants
from holdfast.deploy.core.rules.violation import RULES, Rule, Severity, Subject, Violation

__all__ = ["RULES", "Rule", "Severity", "Suppressed", "Violation", "check", "suppressed"]

_NO_FACTS = Facts((), {})
_MODULES = (tasks, services, balancing, names, exposure, secrecy, state, platforms, wiring, reach, refusals)
"""That register their rules when they are imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """A rule that a resource does not want to be held to."""

    resource: str
    rule: str
    reason: str


def suppressed(template: Mapping[str, Any]) -> Iterator[Suppressed]:
    """What a template suppresses, with or without a reason."""
    for id, body in mapping_of(template.get("Resources")).items():
        about = mapping_of(mapping_of(mapping_of(body).get("Metadata")).get("holdfast"))
        for entry in list_of(about.get("ignore")):
            named, reason = (text_of(mapping_of(entry).get(key)) or "" for key in ("id", "reason"))
            yield Suppressed(resource=str(id), rule=named, reason=reason.strip())


def check(
    template: Mapping[str, Any], *, region: str, facts: Facts | None = None, at: date, plan: Plan | None = None
) -> tuple[Violation, ...]:
    """Everything that the rules find in a template for a region, on a day.

    ``plan`` tells how long the work behind the resources takes, and what is particular to the account. Without it, and
    without ``facts``, the rules that need them hold to what the template says itself. Raises
    :class:`~holdfast.deploy.errors.Invalid` for what is no template.
    """
    found: dict[tuple[str, str, object, str], Violation] = {}
    ignored = {(one.resource, one.rule): one for one in suppressed(template)}
    for reading in variants(template, region=region):
        subject = Subject(template=reading, region=region, facts=facts or _NO_FACTS, at=at, plan=plan)
        for rule in RULES.values():
            for violation in rule.check(subject):
                meant = ignored.get((violation.resource, violation.rule))
                if meant is None or not meant.reason:
                    key = (violation.rule, violation.resource, violation.path, violation.text)
                    found.setdefault(key, violation)
    return (*found.values(), *_without_reason(ignored.values()))


def _without_reason(ignored: Iterable[Suppressed]) -> Iterator[Violation]:
    """Suppressions that suppress nothing, said as findings: a silent one would be taken for a clean template."""
    for one in ignored:
        if one.rule not in RULES:
            text = f"suppresses {one.rule or 'a rule without a name'}, which is no rule"
        elif not one.reason:
            text = f"suppresses {one.rule} without a reason"
        else:
            continue
        yield Violation(
            rule="HF001",
            severity="error",
            resource=one.resource,
            path=("Metadata", "holdfast", "ignore"),
            text=text,
            remedy="name a rule by its id, and say in a sentence why it does not apply here",
        )
