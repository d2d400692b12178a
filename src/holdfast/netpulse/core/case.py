"""One incident while the book works on it, and the draft that its changes are gathered in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from holdfast.netpulse.core.grouping import FACETS, worst
from holdfast.netpulse.core.incident import (
    Cause,
    Condition,
    Decisions,
    Evidence,
    Incident,
    Member,
    Span,
    State,
    Transition,
    Wanted,
)
from holdfast.netpulse.core.surroundings import Watched

TOLD: frozenset[State] = frozenset(State) - {State.DETECTED, State.RESOLVED}
"""States of incidents that somebody was told of and that stand."""

_NO_CAUSE = Cause(kind="monitor", value="")


@dataclass(slots=True, kw_only=True)
class Settle:
    """Parents and relatives were asked; what is still to be waited for before an incident is told of."""

    since: float
    """Answers about checks that began later than this count."""
    parents: frozenset[str] = frozenset()
    relatives: frozenset[str] = frozenset()
    until: float
    """Then silence is an answer."""
    doubt_until: float
    """So long a parent whose last check failed is waited for: its detector may be about to decide."""


@dataclass(slots=True, kw_only=True)
class Case:
    """A mutable :class:`Incident`, with what only the book has to know of it."""

    id: str
    tenant: str
    facet: str
    simulated: bool
    began: float
    detected: float
    state: State = State.DETECTED
    severity: str = "ticket"
    """That it was told with; while detected, that it would be."""
    condition: Condition = Condition.DOWN
    title: str = ""
    cause: Cause = _NO_CAUSE
    members: dict[str, Member] = field(default_factory=dict)
    fails: int = 0
    """How many members have not recovered."""
    opened: float | None = None
    acknowledged: float | None = None
    acknowledged_by: str = ""
    recovering: float | None = None
    resolved: float | None = None
    resolved_by: str = ""
    reopenings: int = 0
    suppressed_by: str = ""
    revision: int = 0

    settle: Settle | None = None
    """While something that has to be told waits for answers."""
    reopens: str = ""
    """The resolved incident that this one would reopen."""
    quiet_since: float = 0.0
    """When the last member recovered, while none is failing."""
    turned: float = 0.0
    """When it last began to fail or stopped."""
    longest: float = 0.0
    """Longest time between two turns."""
    said: float = 0.0
    """Last message about who is in it."""
    unsaid: dict[str, None] = field(default_factory=dict)
    """Members that joined since."""
    traits: set[tuple[str, str, str]] = field(default_factory=set)
    """Of all of its members, as the index of incidents has them."""
    common: dict[str, str] | None = None
    """Labels that its members share, those aside that depend on another member; ``None``: to be found anew."""
    latest: float = 0.0
    """The latest first failure of a member."""
    wavered: bool = False
    """It has just begun to fail, or to fail again: the moment to ask whether it flaps."""
    told_flapping: bool = False

    @classmethod
    def of(cls, incident: Incident, now: float) -> Case:
        """Go on with one from the records."""
        case = cls(
            id=incident.id,
            tenant=incident.tenant,
            facet=FACETS[incident.condition],
            simulated=incident.simulated,
            began=incident.began,
            detected=incident.detected,
            said=now,
            turned=now,
        )
        for name in _KEPT:
            setattr(case, name, getattr(incident, name))
        case.members = {member.monitor: member for member in incident.members}
        case.fails = len(case.failing)
        case.quiet_since = max(
            (member.until or member.joined for member in incident.members), default=incident.detected
        )
        case.latest = max((member.began for member in incident.members), default=incident.began)
        case.told_flapping = incident.state is State.FLAPPING
        return case

    def frozen(self) -> Incident:
        """As it stands."""
        return Incident(
            id=self.id,
            tenant=self.tenant,
            simulated=self.simulated,
            began=self.began,
            detected=self.detected,
            members=tuple(self.members.values()),
            **{name: getattr(self, name) for name in _KEPT},
        )

    @property
    def standing(self) -> bool:
        """Whether it is not over."""
        return self.state is not State.RESOLVED

    @property
    def failing(self) -> list[Member]:
        """Members that have not recovered."""
        return [member for member in self.members.values() if member.until is None]

    def join(self, member: Member) -> None:
        """Take a member in, or back: what it was in the incident before counts, too."""
        if self.members and not self.fails:
            self.turn(member.joined)
        before = self.members.get(member.monitor)
        if before is not None:
            member = replace(
                before,
                until=None,
                condition=member.condition,
                evidence=member.evidence or before.evidence,
            )
        if before is None or before.until is not None:
            self.fails += 1
        self.members[member.monitor] = member
        self.began = min(self.began, member.began)
        self.latest = max(self.latest, member.began)
        self.condition = worst((self.condition, member.condition))

    def relent(self, monitor: str, condition: Condition) -> None:
        """A member still fails, but not as badly. The incident keeps the worst that there was."""
        self.members[monitor] = replace(self.members[monitor], condition=condition)

    def leave(self, monitor: str, until: float, now: float) -> None:
        """A member's part in it ends, with ``until`` as its first success."""
        member = self.members[monitor]
        self.members[monitor] = replace(member, until=max(until, member.began))
        self.unsaid.pop(monitor, None)
        self.fails -= member.until is None
        if not self.fails:
            self.quiet_since = now
            self.turn(now)

    def turn(self, now: float) -> None:
        """It began to fail, or stopped."""
        self.longest = max(self.longest, now - self.turned)
        self.turned = now


_KEPT = (
    "state",
    "severity",
    "condition",
    "title",
    "cause",
    "opened",
    "acknowledged",
    "acknowledged_by",
    "recovering",
    "resolved",
    "resolved_by",
    "reopenings",
    "suppressed_by",
    "revision",
)


class Draft:
    """What one call to the book decides, in the order in which it is decided."""

    __slots__ = ("_cases", "_spans", "_transitions", "_wanted", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        self._cases: dict[str, Case] = {}
        self._transitions: list[Transition] = []
        self._spans: dict[tuple[str, str, float], Span] = {}
        self._wanted: dict[str, Wanted] = {}

    def step(
        self,
        case: Case,
        rule: str,
        text: str,
        *,
        after: State | None = None,
        evidence: Evidence | None = None,
        actor: str = "",
        tell: str = "",
    ) -> None:
        """Record one step of an incident; ``after`` when that changes its state."""
        before = case.state if case.revision else None
        if after is not None:
            case.state = after
        case.revision += 1
        self._cases[case.id] = case
        self._transitions.append(
            Transition(
                incident=case.id,
                number=case.revision,
                at=self.now,
                rule=rule,
                before=before,
                after=case.state,
                evidence=evidence or {},
                actor=actor,
                text=text,
                tell=tell,
            ),
        )

    @property
    def cases(self) -> Iterable[Case]:
        """Those that a step was recorded of."""
        return self._cases.values()

    def span(self, span: Span) -> None:
        """A span began or ended. One that did both at the same moment never was."""
        self._spans[span.monitor, span.kind, span.since] = span

    def want(self, monitors: Iterable[Watched], reason: str) -> None:
        """Have these probed now, by all of their regions."""
        for watched in monitors:
            self._wanted.setdefault(
                watched.monitor, Wanted(monitor=watched.monitor, regions=watched.regions, reason=reason)
            )

    def decisions(self, describe: Callable[[Case], None]) -> Decisions:
        """All of it; ``describe`` brings title and cause of each incident up to date."""
        for case in self._cases.values():
            describe(case)
        return Decisions(
            incidents=tuple(case.frozen() for case in self._cases.values()),
            transitions=tuple(self._transitions),
            spans=tuple(self._spans.values()),
            wanted=tuple(self._wanted.values()),
        )


def names(monitors: Iterable[str], called: Callable[[str], str]) -> str:
    """``a, b, c and 47 more``."""
    found = list(monitors)
    first = ", ".join(called(monitor) for monitor in found[:3])
    return f"{first} and {len(found) - 3} more" if len(found) > 3 else first


def listed(monitors: Iterable[str]) -> Mapping[str, int | str]:
    """The same for evidence: how many, and at most the first twenty."""
    found = list(monitors)
    return {"count": len(found), "monitors": " ".join(found[:20])}
