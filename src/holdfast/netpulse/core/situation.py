"""All that the book knows at a moment: what fails, which incidents there are, who sees, who may not page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from holdfast.netpulse.core.case import Case
from holdfast.netpulse.core.dependencies import Dependencies
from holdfast.netpulse.core.flapping import Dampers
from holdfast.netpulse.core.grouping import as_bad, traits, worst
from holdfast.netpulse.core.incident import Condition, Member
from holdfast.netpulse.core.signal import Signal
from holdfast.netpulse.core.suppression import Suppression
from holdfast.netpulse.core.surroundings import Surroundings, Watched

BURN_TAIL_S: Final = {Condition.BURN_FAST: 2_100.0, Condition.BURN_SLOW: 23_400.0}
"""How long an outage that is over still burns in the shorter windows: 30 minutes of the fast rules, 6 hours of the
slow ones, and a check or two."""
_TICKETS: Final = frozenset({Condition.SLOW, Condition.CERTIFICATE, Condition.BURN_SLOW})

Key = tuple[str, str]
"""A monitor and a facet."""
_Trait = tuple[str, str, str]
"""Tenant, label, value."""


class Sight:
    """What was last seen of a monitor."""

    __slots__ = ("address", "down_at", "up_at")

    def __init__(self) -> None:
        self.up_at = -1.0
        self.down_at = -1.0
        self.address = ""


class Situation:
    """Indexes over monitors and incidents. Bounded by the monitors, and by the incidents of the reopen window."""

    def __init__(self) -> None:
        self.surroundings = Surroundings(watched={})
        self.graph = Dependencies({})
        self.suppression = Suppression(self.surroundings)
        self.dampers = Dampers(self.surroundings.settings)
        self.active: dict[str, dict[Condition, Signal]] = {}
        """What is wrong with each monitor now, by what said so."""
        self.cases: dict[str, Case] = {}
        self.of: dict[Key, str] = {}
        """Standing incident of each monitor that fails or failed in it."""
        self.past: dict[Key, str] = {}
        """The resolved one that would be reopened."""
        self.ended: dict[str, tuple[float, str, str]] = {}
        """When a monitor's last outage ended, its incident, its severity."""
        self.dismissed: dict[Key, tuple[str, Condition]] = {}
        """What somebody resolved by hand although it goes on."""
        self.sights: dict[str, Sight] = {}
        self.regions: dict[str, tuple[str, str]] = {}
        """State and reason of each region that was heard of."""
        self._incidents_by_trait: dict[_Trait, dict[str, None]] = {}
        self._monitors_by_trait: dict[_Trait, dict[str, None]] = {}

    # -- monitors

    def surround(self, surroundings: Surroundings, now: float) -> None:
        """Take over new surroundings."""
        if surroundings.settings != self.surroundings.settings:
            self.dampers.reconfigure(surroundings.settings, now)
        self.surroundings = surroundings
        self.graph = Dependencies({name: watched.depends_on for name, watched in surroundings.watched.items()})
        self.suppression = Suppression(surroundings, self.suppression)
        self.sights = {name: sight for name, sight in self.sights.items() if name in surroundings.watched}
        self.ended = {name: end for name, end in self.ended.items() if name in surroundings.watched}
        self._monitors_by_trait.clear()
        for name in surroundings.watched:
            self._index(name)

    def saw(self, monitor: str, *, at: float, up: bool, address: str) -> None:
        """Take note of a check."""
        sight = self.sights.get(monitor)
        if sight is None:
            if monitor not in self.surroundings.watched:
                return
            sight = self.sights[monitor] = Sight()
        if up:
            sight.up_at = max(sight.up_at, at)
        else:
            sight.down_at = max(sight.down_at, at)
        if address and address != sight.address:
            for trait in self._traits_of(monitor):
                self._monitors_by_trait.get(trait, {}).pop(monitor, None)
            sight.address = address
            self._index(monitor)

    def watched(self, monitor: str) -> Watched | None:
        """The monitor; for the name of a region, something like it."""
        found = self.surroundings.watched.get(monitor)
        if found is None and monitor in self.regions:
            labels = {"region": monitor, "severity": "page"}
            return Watched(monitor=monitor, tenant="", name=monitor, severity="page", labels=labels)
        return found

    def called(self, monitor: str) -> str:
        """Its name among people."""
        watched = self.watched(monitor)
        return (watched.name if watched else "") or monitor.partition("/")[2] or monitor

    def traits(self, monitor: str) -> dict[str, str]:
        """What ties it to others."""
        watched = self.surroundings.watched.get(monitor)
        if watched is None:
            return {}
        sight = self.sights.get(monitor)
        return traits(watched.labels, sight.address if sight else "")

    def relatives(self, monitor: str) -> Iterator[str]:
        """Monitors that share something with it, those that share the most telling first."""
        for trait in self._traits_of(monitor):
            for other in self._monitors_by_trait.get(trait, ()):
                if other != monitor:
                    yield other

    def severity(self, monitor: str, condition: Condition) -> str:
        """``ticket`` for what can wait whatever the monitor says, else the monitor's."""
        watched = self.watched(monitor)
        return "ticket" if condition in _TICKETS or watched is None else watched.severity

    def condition(self, monitor: str, facet_of: Iterable[Condition]) -> Condition | None:
        """The worst of these conditions that the monitor is in."""
        active = self.active.get(monitor, {})
        found = [condition for condition in facet_of if condition in active]
        return worst(found) if found else None

    # -- incidents

    def case(self, monitor: str, facet: str) -> Case | None:
        """The standing incident that the monitor is in."""
        id = self.of.get((monitor, facet))
        return self.cases[id] if id is not None else None

    def failing(self, monitor: str, facet: str) -> tuple[Case, Member] | None:
        """The same, when it has not recovered in it."""
        case = self.case(monitor, facet)
        member = case.members.get(monitor) if case else None
        return (case, member) if case and member and member.until is None else None

    def enter(self, case: Case, member: Member) -> None:
        """Make the monitor a member."""
        traits = self.traits(member.monitor)
        case.join(member)
        self.of[member.monitor, case.facet] = case.id
        if not self.dependent(case, member.monitor):
            known = case.common
            case.common = traits if known is None else {k: v for k, v in known.items() if traits.get(k) == v}
        case.traits.update((case.tenant, key, value) for key, value in traits.items())
        self._list(case)

    def close(self, case: Case) -> None:
        """The incident is resolved: nothing joins it any more, but it can be reopened."""
        for trait in case.traits:
            listed = self._incidents_by_trait.get(trait, {})
            listed.pop(case.id, None)
            if not listed:
                self._incidents_by_trait.pop(trait, None)
        for monitor, member in case.members.items():
            if self.of.get((monitor, case.facet)) == case.id:
                del self.of[monitor, case.facet]
                if case.opened is not None:
                    self.past[monitor, case.facet] = case.id
                if case.facet == "availability" and member.until is not None:
                    self.ended[monitor] = (member.until, case.id, case.severity)

    def reopen(self, case: Case) -> None:
        """It stands again."""
        for monitor in case.members:
            self.past.pop((monitor, case.facet), None)
            self.of.setdefault((monitor, case.facet), case.id)
        self._list(case)

    def forget(self, case: Case) -> None:
        """It is too old to be reopened."""
        del self.cases[case.id]
        for monitor in case.members:
            if self.past.get((monitor, case.facet)) == case.id:
                del self.past[monitor, case.facet]

    def sharing(self, monitor: str) -> Iterator[Case]:
        """Standing incidents of which some member shares a trait with it, the most telling trait first."""
        for trait in self._traits_of(monitor):
            for id in tuple(self._incidents_by_trait.get(trait, ())):
                yield self.cases[id]

    def dependent(self, case: Case, monitor: str) -> bool:
        """Whether it is in the incident because something that it depends on is."""
        return any(ancestor in case.members for ancestor in self.graph.ancestors(monitor))

    def roots(self, case: Case) -> list[Member]:
        """Failing members that no other failing member explains. In a circle of dependencies: all."""
        failing = case.failing
        found = [
            member
            for member in failing
            if not any(
                ancestor in case.members and case.members[ancestor].until is None
                for ancestor in self.graph.ancestors(member.monitor)
            )
        ]
        return found or failing

    # -- why not

    def blind(self, watched: Watched) -> bool:
        """Whether nobody sees it."""
        if self.surroundings.blind:
            return True
        return bool(watched.regions) and all(
            self.regions.get(region, ("seeing", ""))[0] != "seeing" for region in watched.regions
        )

    def why_not(self, case: Case, member: Member, now: float) -> str:
        """What keeps a member from paging: ``maintenance ID``, ``silence ID`` ...; empty when nothing does."""
        watched = self.watched(member.monitor)
        if watched is None:
            return ""
        maintenance = self.suppression.maintenance(member.monitor, now)
        if maintenance is not None:
            return f"maintenance {maintenance[0]}"
        silence = self.suppression.silence(watched, member.condition, now)
        if silence is not None:
            return f"silence {silence.id}"
        for ancestor in self.graph.ancestors(member.monitor):
            dismissed = self.dismissed.get((ancestor, case.facet))
            if dismissed is not None and as_bad(dismissed[1], member.condition):
                return f"parent {ancestor}"
        if case.facet == "objective":
            return self._burnt_by(member, now)
        return "blind" if case.facet != "agent" and self.blind(watched) else ""

    def outage_over(self, member: Member) -> float | None:
        """Until when an outage that was told already accounts for a burning budget; ``inf`` while it lasts."""
        outage = self._outage(member)
        return outage[0] + BURN_TAIL_S[member.condition] if outage else None

    def _burnt_by(self, member: Member, now: float) -> str:
        outage, over = self._outage(member), self.outage_over(member)
        if outage is None or over is None or now >= over:
            return ""
        weighs = outage[2] == "page" or self.severity(member.monitor, member.condition) == "ticket"
        return f"incident {outage[1]}" if weighs else ""

    def _outage(self, member: Member) -> tuple[float, str, str] | None:
        """End, incident and severity of the monitor's last outage."""
        case = self.case(member.monitor, "availability")
        if case is None:
            return self.ended.get(member.monitor)
        until = case.members[member.monitor].until
        return (math.inf if until is None else until, case.id, case.severity)

    # -- the index of traits

    def _traits_of(self, monitor: str) -> list[_Trait]:
        watched = self.surroundings.watched.get(monitor)
        tenant = watched.tenant if watched else ""
        return [(tenant, key, value) for key, value in self.traits(monitor).items()]

    def _list(self, case: Case) -> None:
        for trait in case.traits:
            self._incidents_by_trait.setdefault(trait, {})[case.id] = None

    def _index(self, monitor: str) -> None:
        for trait in self._traits_of(monitor):
            self._monitors_by_trait.setdefault(trait, {})[monitor] = None
