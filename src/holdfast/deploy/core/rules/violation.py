"""What a rule is, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Literal, TypeAlias

from holdfast.deploy.core.facts import Fact, Facts
from holdfast.deploy.core.plan import Plan
from holdfast.deploy.core.rules.resolve import Resolved

Severity: TypeAlias = Literal["error", "warning"]
"""``error``: it will not work, or it will harm. ``warning``: it works, and somebody will be sorry."""
Path: TypeAlias = tuple[str | int, ...]
"""Below the resource: ``("Properties", "Weight")``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that a template does wrong."""

    rule: str
    """``HF101``."""
    severity: Severity
    resource: str
    """Logical id."""
    path: Path
    text: str
    """What is wrong and what comes of it, with the figures."""
    remedy: str
    facts: tuple[Fact, ...] = ()
    """What it rests on, where that is a fact of a platform."""

    @property
    def where(self) -> str:
        """``Api.Properties.DesiredCount``."""
        return ".".join((self.resource, *map(str, self.path)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A template with one choice of its parameters, and what is known around it."""

    template: Resolved
    region: str
    facts: Facts
    """Empty where none were given."""
    at: date
    plan: Plan | None

    def fact(self, platform: str, name: str) -> Fact:
        """What is known of a platform here and now."""
        return self.facts.get(platform, name, at=self.at, region=self.region)


Found: TypeAlias = tuple[str, Path, str]
"""Logical id, path below it, text."""
FoundOnFacts: TypeAlias = tuple[str, Path, str, tuple[Fact, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One check."""

    id: str
    severity: Severity
    title: str
    """What it forbids, in a few words."""
    why: str
    """What happens otherwise."""
    remedy: str
    source: str
    """Documentation that it rests on, by title."""
    look: Callable[[Subject], Iterable[Found | FoundOnFacts]] = field(repr=False)

    def check(self, subject: Subject) -> Iterator[Violation]:
        """Everything that it finds."""
        for resource, path, text, *rest in self.look(subject):
            facts: Any = rest[0] if rest else ()
            yield Violation(
                rule=self.id,
                severity=self.severity,
                resource=resource,
                path=path,
                text=text,
                remedy=self.remedy,
                facts=tuple(fact for fact in facts if fact.known),
            )


RULES: Final[dict[str, Rule]] = {}
"""All rules by id, in the order in which they are checked."""


def rule(
    id: str, title: str, *, why: str, remedy: str, source: str, severity: Severity = "error"
) -> Callable[[Callable[[Subject], Iterable[Any]]], Callable[[Subject], Iterable[Any]]]:
    """Register a function as a rule."""

    def keep(look: Callable[[Subject], Iterable[Any]]) -> Callable[[Subject], Iterable[Any]]:
        if id in RULES:
            raise ValueError(f"there are two rules {id}")
        RULES[id] = Rule(id=id, severity=severity, title=title, why=why, remedy=remedy, source=source, look=look)
        return look

    return keep
