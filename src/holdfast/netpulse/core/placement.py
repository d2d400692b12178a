"""Where a failure belongs: to an incident that stands, to one that is just over, or to one of its own.

In this order:

1. the incident of something that it depends on, however far up, that fails as badly; or the incident of something
   that depends on it, if it began about when it did and this explains it wholly
2. an incident whose members all share a label with it (:mod:`.grouping`) and that began about when it did
3. the incident that it was in and that was resolved within the reopen window
4. a new one

"About when": at most ``correlate`` apart, and the interval of the later one more, because it may have failed for that
long before anybody looked.

When several incidents turn out to have one cause they are made one (:func:`gather`). The one that somebody was told
of first goes on, so that nobody is paged twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from holdfast.netpulse.core.case import TOLD, Case, Draft, Settle, listed, names
from holdfast.netpulse.core.grouping import as_bad
from holdfast.netpulse.core.incident import Member, State
from holdfast.netpulse.core.situation import Situation
from holdfast.netpulse.core.surroundings import Watched

ASKED_LIMIT: Final = 20
"""Parents, and relatives, that are asked again: enough to tell a host from a monitor, few enough not to be a burst."""
GRACE_S: Final = 5.0
"""For an answer to come and be decided upon, beyond the timeout of the check."""


def home(situation: Situation, watched: Watched, member: Member, facet: str, simulated: bool) -> Case | None:
    """The standing incident that a failing monitor belongs to (rules 1 and 2)."""
    for ancestor in situation.graph.ancestors(watched.monitor):
        found = situation.failing(ancestor, facet)
        if found is not None and _compatible(found[0], watched, simulated) and explains(found[1], member):
            return found[0]
    below = [case for case, _ in _explained_by(situation, watched, member, facet) if case.simulated is simulated]
    if below:
        return min(below, key=_age)
    if facet != "availability":
        return None
    traits = situation.traits(watched.monitor)
    for case in situation.sharing(watched.monitor):
        if case.facet != facet or not case.fails or not _compatible(case, watched, simulated):
            continue
        if case.common is None:
            case.common = _common(situation, case)
        if not any(traits.get(key) == value for key, value in case.common.items()):
            continue
        if _about_when(situation, watched, member.began, case):
            return case
    return None


def past(situation: Situation, monitor: str, facet: str, now: float) -> Case | None:
    """The resolved incident that it would reopen (rule 3)."""
    id = situation.past.get((monitor, facet))
    case = situation.cases.get(id) if id is not None else None
    if case is None or case.resolved is None or now - case.resolved > situation.surroundings.settings.reopen:
        return None
    return case


def ask(situation: Situation, draft: Draft, watched: Watched, member: Member, facet: str) -> Settle | None:
    """Have parents and relatives probed; what to wait for, ``None`` when there is nobody to ask.

    Who reports itself (a heartbeat) or is watched by somebody else cannot be asked.

    With ``settle`` set, that is the wait. Without, it lasts until each of them was checked after this failure began:
    at most the longest of their timeouts and 5 s. A parent whose check failed may be about to be found down, so it is
    waited for one of its intervals longer, at most ``correlate``.
    """
    if facet != "availability":
        return None
    settings = situation.surroundings.settings
    parents = [
        name
        for name in islice(situation.graph.ancestors(watched.monitor), ASKED_LIMIT)
        if situation.failing(name, facet) is None and situation.surroundings.watched[name].asked
    ]
    related = (
        name
        for name in dict.fromkeys(islice(situation.relatives(watched.monitor), 4 * ASKED_LIMIT))
        if name not in parents and situation.failing(name, facet) is None
    )
    relatives = [name for name in related if situation.surroundings.watched[name].asked][:ASKED_LIMIT]
    everybody = situation.surroundings.watched
    draft.want((everybody[name] for name in parents), f"{watched.monitor} depends on it and fails")
    draft.want((everybody[name] for name in relatives), f"{watched.monitor} shares a cause with it and fails")
    now = draft.now
    if settings.settle > 0:
        return Settle(since=member.began, until=now + settings.settle, doubt_until=now + settings.settle)
    if not parents and not relatives:
        return None
    asked = [everybody[name] for name in (*parents, *relatives)]
    until = now + max(other.timeout_s for other in asked) + GRACE_S
    interval = max((everybody[name].interval_s for name in parents), default=0.0)
    return Settle(
        since=member.began,
        parents=frozenset(parents),
        relatives=frozenset(relatives),
        until=until,
        doubt_until=min(until + interval, max(until, now + settings.correlate)),
    )


def settled(situation: Situation, settle: Settle, facet: str, now: float) -> bool:
    """Whether there is nothing left to wait for."""
    if now >= settle.doubt_until:
        return True
    for name in settle.parents:
        sight = situation.sights.get(name)
        fresh_up = sight is not None and sight.up_at >= settle.since
        fresh_down = sight is not None and sight.down_at >= settle.since
        if situation.failing(name, facet) is not None or (fresh_up and not fresh_down):
            continue
        if fresh_down or now < settle.until:
            return False
    if now >= settle.until:
        return True
    if not settle.parents and not settle.relatives:
        return False  # a wait by the clock
    return all(
        (sight := situation.sights.get(name)) is not None and max(sight.up_at, sight.down_at) >= settle.since
        for name in settle.relatives
    )


def gather(situation: Situation, draft: Draft, monitor: str, facet: str) -> None:
    """Make one what has one cause, now that this monitor fails (or fails worse)."""
    found = situation.failing(monitor, facet)
    if found is None:
        return
    case, member = found
    for ancestor in situation.graph.ancestors(monitor):
        above = situation.failing(ancestor, facet)
        if above is None or above[0] is case or not _kin(above[0], case):
            continue
        if explains(above[1], member) and _explained(situation, case, ancestor):
            case = _merge(situation, draft, above[0], case, ancestor)
            break
    watched = situation.surroundings.watched.get(monitor)
    if watched is not None:
        # What fails worse than before counts from when it did: some of its checks may have failed for long.
        worst = situation.active.get(monitor, {}).get(member.condition)
        member = member if worst is None else replace(member, began=max(member.began, worst.began))
        for below, descendant in list(_explained_by(situation, watched, member, facet)):
            current = situation.failing(descendant, facet)
            if below is not case and below.standing and current is not None and _kin(below, case):
                case = _merge(situation, draft, case, below, monitor)


def explains(cause: Member, effect: Member) -> bool:
    """Whether the failure of the one can be the reason for that of the other: what is slow takes nothing down."""
    return as_bad(cause.condition, effect.condition)


def _explained_by(situation: Situation, watched: Watched, member: Member, facet: str) -> Iterator[tuple[Case, str]]:
    """Incidents that began about when it failed and in which only what depends on it fails, and who leads there."""
    seen: set[str] = set()
    for descendant in situation.graph.descendants(watched.monitor):
        below = situation.failing(descendant, facet)
        if below is None or below[0].id in seen or below[0].tenant != watched.tenant:
            continue
        seen.add(below[0].id)
        if (
            explains(member, below[1])
            and _about_when(situation, watched, member.began, below[0])
            and _explained(situation, below[0], watched.monitor)
        ):
            yield below[0], descendant


def _kin(one: Case, other: Case) -> bool:
    return one.tenant == other.tenant and one.simulated == other.simulated


def _compatible(case: Case, watched: Watched, simulated: bool) -> bool:
    return case.tenant == watched.tenant and case.simulated == simulated


def _explained(situation: Situation, case: Case, ancestor: str) -> bool:
    """Whether everything that fails in the incident depends on it."""
    return all(
        member.monitor == ancestor or ancestor in situation.graph.ancestors(member.monitor) for member in case.failing
    )


def _about_when(situation: Situation, watched: Watched, began: float, case: Case) -> bool:
    window = situation.surroundings.settings.correlate
    if began > case.latest:
        return began - case.latest <= window + watched.interval_s
    interval = max(
        (other.interval_s for member in case.failing if (other := situation.watched(member.monitor))), default=0.0
    )
    return case.began - began <= window + interval


def _common(situation: Situation, case: Case) -> dict[str, str]:
    common: dict[str, str] | None = None
    for monitor in case.members:
        if not situation.dependent(case, monitor):
            traits = situation.traits(monitor)
            common = traits if common is None else {k: v for k, v in common.items() if traits.get(k) == v}
    return common or {}


def _age(case: Case) -> tuple[bool, bool, float, str]:
    told = case.state in TOLD
    return (
        not told,
        case.severity != "page",
        case.opened if told and case.opened is not None else case.detected,
        case.id,
    )


def _merge(situation: Situation, draft: Draft, one: Case, other: Case, cause: str) -> Case:
    keeper, goer = sorted((one, other), key=_age)
    moved = goer.failing
    told = goer.state in TOLD
    for member in moved:
        goer.leave(member.monitor, draft.now, draft.now)
    situation.close(goer)
    for member in moved:
        situation.past.pop((member.monitor, goer.facet), None)
        situation.ended.pop(member.monitor, None)
    keeper.common = None
    for member in moved:
        situation.enter(
            keeper,
            Member(
                monitor=member.monitor,
                condition=member.condition,
                began=member.began,
                joined=draft.now,
                evidence=member.evidence,
            ),
        )
        if keeper.state in TOLD and not told:
            keeper.unsaid[member.monitor] = None
    keeper.common = None
    evidence = {"cause": cause, **listed(member.monitor for member in moved)}
    who = names((member.monitor for member in moved), situation.called)
    goer.resolved = draft.now
    goer.settle, goer.suppressed_by = None, ""
    draft.step(
        goer,
        "incident.merged",
        f"It has the same cause as {keeper.id}: {situation.called(cause)}. It goes on there.",
        after=State.RESOLVED,
        evidence={"into": keeper.id, **evidence},
        tell="resolved" if told else "",
    )
    draft.step(
        keeper,
        "incident.members",
        f"{who} joined from {goer.id}: the cause is {situation.called(cause)}.",
        evidence={"from": goer.id, **evidence},
    )
    return keeper
