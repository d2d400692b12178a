"""What is known about the platforms, and where it is from.

A fact is one value of one property (:mod:`.properties`) of one platform, for some regions, for some time, with its
source. What nobody has confirmed is *unknown*: :meth:`Facts.get` then answers a fact without a value, never a default,
and whoever rests on it has to say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, TypeAlias

Value: TypeAlias = bool | float | str | frozenset[str]
"""A flag; a number in the property's unit; a choice; or a set of words."""

Confidence: TypeAlias = Literal["documented", "announced", "measured", "inferred", "judged"]
"""``documented``: by the provider's reference. ``announced``: by its blog or a price page. ``measured``: by a record of
ours or a named third party. ``inferred``: follows from documented facts, or from the absence of an option in the
provider's own schema. ``judged``: our own opinion, such as how much work a platform is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One value of one property of one platform."""

    platform: str
    name: str
    """Of the property."""
    value: Value | None
    """``None``: not known."""
    unit: str = ""
    """As the property has it: ``s``, ``B``, ``vCPU``, ``USD``, or nothing."""
    source: str = ""
    """Title of the page, schema or record, so that it can be found; empty only when the value is unknown."""
    url: str = ""
    retrieved: date | None = None
    confidence: Confidence = "documented"
    valid_from: date | None = None
    valid_to: date | None = None
    """The first day on which it no longer holds."""
    regions: frozenset[str] = frozenset()
    """Where it holds; empty: everywhere."""
    note: str = ""
    """What a reader should know beside the value: a condition, a disagreement of two pages."""

    @property
    def known(self) -> bool:
        """Whether anything was confirmed."""
        return self.value is not None

    @property
    def id(self) -> str:
        """``ecs-express.request_longest``."""
        return f"{self.platform}.{self.name}"

    def holds(self, *, at: date, region: str) -> bool:
        """Whether it is about this day and region."""
        return (
            (self.valid_from is None or self.valid_from <= at)
            and (self.valid_to is None or at < self.valid_to)
            and (not self.regions or region in self.regions)
        )

    @property
    def cited(self) -> str:
        """Source and date, as a person cites them."""
        if not self.known:
            return "not known"
        return f"{self.source}, retrieved {self.retrieved}" if self.retrieved else self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A compute platform or an ingress, by the provider's name."""

    id: str
    name: str
    summary: str
    """One sentence on what it is for."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts, by platform and property.

    ``overrides`` are values that the operator states (``--what-if fact:ecs-express.request_longest=900``), which win.
    """

    platforms: tuple[Platform, ...]
    entries: dict[tuple[str, str], tuple[Fact, ...]]
    overrides: dict[tuple[str, str], Fact] = field(default_factory=dict)

    @classmethod
    def of(cls, platforms: Iterable[Platform], facts: Iterable[Fact]) -> Facts:
        """Index a list of facts; several of one property differ in regions or time."""
        entries: dict[tuple[str, str], tuple[Fact, ...]] = {}
        for fact in facts:
            key = (fact.platform, fact.name)
            entries[key] = (*entries.get(key, ()), fact)
        return cls(tuple(platforms), entries)

    def get(self, platform: str, name: str, *, at: date, region: str) -> Fact:
        """The fact that holds on that day in that region; one without a value when none does.

        A fact that names the region goes before one that holds everywhere, a later one before an earlier.
        """
        if (stated := self.overrides.get((platform, name))) is not None:
            return stated
        found = [fact for fact in self.entries.get((platform, name), ()) if fact.holds(at=at, region=region)]
        if not found:
            return Fact(platform=platform, name=name, value=None)
        return max(found, key=lambda fact: (bool(fact.regions), fact.valid_from or date.min))

    def changes(self, platform: str, *, after: date) -> Iterator[Fact]:
        """Facts of a platform that begin or end to hold after a day, earliest first."""
        found = [
            (day, fact)
            for (owner, _), facts in self.entries.items()
            if owner == platform
            for fact in facts
            for day in (fact.valid_from, fact.valid_to)
            if day is not None and day > after
        ]
        for _, fact in sorted(found, key=lambda pair: (pair[0], pair[1].name)):
            yield fact

    def stating(self, fact: Fact) -> Facts:
        """The same with one value stated by the operator."""
        return Facts(self.platforms, self.entries, {**self.overrides, (fact.platform, fact.name): fact})
