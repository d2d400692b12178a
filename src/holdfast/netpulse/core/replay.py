"""Recorded results through a policy, in virtual time: which pages it would have sent.

The engine is the one that runs; only its clock is that of the recording. What cannot be replayed is what the other
policy would have asked for: confirmations that were not sent then are not there, so detection may look slower than it
would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from holdfast.netpulse.core.engine import Engine
from holdfast.netpulse.core.ids import new_id
from holdfast.netpulse.core.incident import Decisions, Incident, Transition
from holdfast.netpulse.core.result import Observation
from holdfast.netpulse.core.world import World

if TYPE_CHECKING:
    from random import Random

_STEP_S: Final = 30.0
"""Time is looked at least this often between two results."""
NEAR_S: Final = 120.0
"""An incident then and one now are the same when they share a member and are at most so far apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One incident that somebody was told of."""

    incident: Incident
    pages: int
    """Messages that it was open, again open, or flapping."""
    opened: float
    """The first of them."""

    @property
    def delay_s(self) -> float:
        """From its first failure to the first message."""
        return self.opened - self.incident.began


@dataclass(slots=True)
class Played:
    """What a policy made of the recording."""

    results: int = 0
    since: float = 0.0
    until: float = 0.0
    incidents: dict[str, Incident] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)

    def told(self) -> list[Told]:
        """Incidents that were told of, the oldest first."""
        return told_of(self.incidents.values(), self.transitions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same thing, then and now; either may be missing."""

    then: Told | None
    now: Told | None
    why: str
    """In a sentence."""


def play(world: World, seen: Iterable[Sequence[Observation]], *, rng: Random) -> Played:
    """Run ``seen``, in the order in which it was stored, through an engine for ``world``."""
    engine = Engine(new_id=lambda now: new_id(now, rng))
    played = Played()
    now: float | None = None
    for batch in seen:
        for observation in batch:
            if now is None:
                now = played.since = observation.received
                _keep(played, engine.start(world, now))
            now = _advance(engine, played, now, max(now, observation.received))
            _keep(played, engine.observe((observation,), now))
            played.results += 1
    if now is not None:
        played.until = now
    return played


def told_of(incidents: Iterable[Incident], transitions: Iterable[Transition]) -> list[Told]:
    """Those of the incidents that somebody was told of, the oldest first."""
    moments: dict[str, list[float]] = {}
    for transition in transitions:
        if transition.tell in {"opened", "reopened", "flapping"}:
            moments.setdefault(transition.incident, []).append(transition.at)
    found = [
        Told(incident=incident, pages=len(moments[incident.id]), opened=min(moments[incident.id]))
        for incident in incidents
        if incident.id in moments
    ]
    return sorted(found, key=lambda told: told.opened)


def compared(then: Sequence[Told], now: Sequence[Told]) -> list[Pair]:
    """Each thing once, with what became of it then and what becomes of it now."""
    left = list(now)
    pairs = []
    for old in then:
        new = next((candidate for candidate in left if _same(old.incident, candidate.incident)), None)
        if new is not None:
            left.remove(new)
        pairs.append(Pair(then=old, now=new, why=_why(old, new)))
    pairs += [Pair(then=None, now=new, why=_why(None, new)) for new in left]
    return sorted(pairs, key=lambda pair: (pair.then or pair.now).opened)  # type: ignore[union-attr]


def _advance(engine: Engine, played: Played, now: float, to: float) -> float:
    while now < to:
        due = engine.due(now)
        step = min(to, now + _STEP_S, max(due, now + 0.01) if due is not None else to)
        now = step
        _keep(played, engine.tick(now))
    return now


def _keep(played: Played, decisions: Decisions) -> None:
    for incident in decisions.incidents:
        played.incidents[incident.id] = incident
    played.transitions += decisions.transitions


def _same(one: Incident, other: Incident) -> bool:
    if not {member.monitor for member in one.members} & {member.monitor for member in other.members}:
        return False
    ends = [incident.resolved if incident.resolved is not None else float("inf") for incident in (one, other)]
    return one.began <= ends[1] + NEAR_S and other.began <= ends[0] + NEAR_S


def _why(then: Told | None, now: Told | None) -> str:
    if then is None and now is not None:
        member = now.incident.members[0]
        return f"the evidence reaches the new threshold: {_figures(member.evidence)}"
    if now is None and then is not None:
        return f"the evidence stays below the new threshold; it had {_figures(then.incident.members[0].evidence)}"
    assert then is not None  # noqa: S101 - one of the two is there
    assert now is not None  # noqa: S101
    reasons = []
    if abs(then.delay_s - now.delay_s) >= 1.0:
        word = "later" if now.delay_s > then.delay_s else "sooner"
        reasons.append(f"told {abs(now.delay_s - then.delay_s):.0f} s {word}")
    if then.pages != now.pages:
        reasons.append(f"{now.pages} messages instead of {then.pages}")
    members = len(then.incident.members), len(now.incident.members)
    if members[0] != members[1]:
        reasons.append(f"{members[1]} members instead of {members[0]}")
    return ", ".join(reasons) or "the same"


def _figures(evidence: object) -> str:
    if not isinstance(evidence, dict):
        return "no figures"
    shown = [f"{name} {evidence[name]}" for name in ("total", "threshold") if name in evidence]
    return ", ".join(shown) or "no figures"
