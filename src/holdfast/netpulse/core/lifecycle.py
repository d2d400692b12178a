"""What becomes of an incident: the transitions of :mod:`.incident`, one after the other until nothing changes.

Who is told, and how often::

    opening, reopening          once each
    more members                at most every 5 minutes, together
    severity ticket -> page     as an opening: nobody gets up for a ticket
    over                        once recovery has held for a minute

**Flapping.** A monitor whose damper says so (:mod:`.flapping`) makes its incident flapping the next time that it fails
again. That is told once and then nothing, until the damper lets go, and then how it ended. Two things keep a day of
flapping at two pages, whatever its rhythm:

- an incident that was reopened has to hold its recovery for three reopen windows, and twice as long after each
  further reopening; what comes and goes meanwhile is told to nobody
- who was told that it was reopened is not told that it flaps as well: to them it never went away

Something that flapped and is down for good must not wait hours for the damper. When it fails for three times as long
as it has ever been up or down in this incident, and for 15 minutes, it is open again, and told.
"""

from __future__ import annotations

import math
from typing import Final

from holdfast.netpulse.core.case import TOLD, Case, Draft, Settle, names
from holdfast.netpulse.core.grouping import KEYS, OWN_KINDS
from holdfast.netpulse.core.incident import Cause, Condition, Figure, State
from holdfast.netpulse.core.placement import GRACE_S, settled
from holdfast.netpulse.core.situation import Situation

HOLD_S: Final = 60.0
"""How long everything has to be well before an incident is over. The detector has been convinced before that; this
is for what it cannot know, such as a restart loop."""
JOINED_S: Final = 300.0
"""Least time between messages that more monitors joined (``group_interval`` of Alertmanager, by default)."""
STUCK_S: Final = 900.0
STUCK_FACTOR: Final = 3.0
_STEPS: Final = 6
"""More than any incident can take at one moment."""

_SAID: Final = {
    Condition.DOWN: ("is down", "are down"),
    Condition.PARTIAL: ("fails in part", "fail in part"),
    Condition.SLOW: ("is slow", "are slow"),
    Condition.CERTIFICATE: ("has a certificate that expires soon", "have certificates that expire soon"),
    Condition.BURN_FAST: ("uses up its error budget fast", "use up their error budgets fast"),
    Condition.BURN_SLOW: ("uses up its error budget", "use up their error budgets"),
    Condition.AGENT: ("does not see", "do not see"),
}


def review(situation: Situation, draft: Draft, case: Case) -> None:
    """Take every step that is due."""
    for _ in range(_STEPS):
        if not case.standing or not (_failing if case.fails else _calm)(situation, draft, case):
            return


def due(situation: Situation, case: Case, now: float) -> float | None:
    """When :func:`review` may find something, if nothing else happens before: then, or after ``now``."""
    if not case.standing:
        return None
    times: list[float] = []
    if not case.fails:
        times.append(_over_at(situation, case, now))
    elif case.state is State.FLAPPING:
        times.append(min(_released_at(situation, case, now), _stuck_at(case)))
    else:
        if case.settle is not None:
            times += [at for at in (case.settle.until, case.settle.doubt_until) if at > now]
        if case.state in TOLD and case.unsaid:
            times.append(case.said + JOINED_S)
        if case.suppressed_by.startswith("incident "):
            times += [at for m in case.failing if (at := situation.outage_over(m)) is not None and now < at < math.inf]
    return min(times, default=None)


def restless(case: Case) -> bool:
    """Whether :func:`due` may give a time, or the case may be forgotten, without anything else happening to it."""
    return (
        not case.standing
        or not case.fails
        or case.state is State.FLAPPING
        or case.settle is not None
        or bool(case.state in TOLD and case.unsaid)
        or case.suppressed_by.startswith("incident ")
    )


def hold_s(situation: Situation, case: Case) -> float:
    """How long a recovery has to last."""
    if not case.reopenings:
        return HOLD_S
    settings = situation.surroundings.settings
    return float(max(HOLD_S, min(settings.flap_max, 3 * settings.reopen * 2 ** min(case.reopenings - 1, 20))))


def describe(situation: Situation, case: Case) -> None:
    """Bring the title and the cause up to date."""
    members = case.failing or list(case.members.values())
    if not members:
        return
    roots = [m for m in members if not situation.dependent(case, m.monitor)] or members
    first = min(roots, key=lambda m: (m.began, m.monitor))
    one, many = _SAID[case.condition]
    key = next((key for key in KEYS if len(roots) > 1 and case.common and key in case.common), "")
    if case.facet == "agent":
        region = first.monitor
        state, reason = situation.regions.get(region, ("blind", ""))
        case.cause = Cause(kind="agent", value=region)
        case.title = f"Region {region} is {state if state != 'seeing' else 'blind'}" + (f": {reason}" if reason else "")
    elif key and case.common:
        value = case.common[key]
        case.cause = Cause(
            kind=key if key in OWN_KINDS else "tag", value=value if key in OWN_KINDS else f"{key}={value}"
        )
        case.title = f"{key.capitalize()} {value}: {len(members)} monitors {many}"
    elif len(members) > len(roots):
        case.cause = Cause(kind="parent", value=first.monitor)
        more = len(members) - 1
        case.title = f"{situation.called(first.monitor)} {one}, and {more} that depend{'s' if more == 1 else ''} on it"
    else:
        case.cause = Cause(kind="monitor", value=first.monitor)
        case.title = f"{situation.called(first.monitor)} {one}"


def reopen(situation: Situation, draft: Draft, case: Case, text: str) -> None:
    """It came back; its members are already in it."""
    case.reopenings += 1
    case.resolved, case.resolved_by = None, ""
    case.recovering = None
    case.acknowledged, case.acknowledged_by = None, ""
    case.suppressed_by = ""
    case.said, case.wavered = draft.now, True
    case.unsaid.clear()
    case.severity = _severity(situation, case)
    situation.reopen(case)
    evidence: dict[str, Figure] = {
        "reopenings": case.reopenings,
        "reopen_s": float(situation.surroundings.settings.reopen),
        "hold_s": hold_s(situation, case),
    }
    draft.step(case, "incident.reopened", text, after=State.REOPENED, evidence=evidence, tell="reopened")


def close(situation: Situation, draft: Draft, case: Case, rule: str, text: str, *, actor: str = "") -> None:
    """It is over."""
    told = case.state in TOLD
    case.resolved, case.resolved_by = draft.now, actor
    case.recovering = None
    case.settle = None
    case.suppressed_by = ""
    case.unsaid.clear()
    evidence: dict[str, Figure] = {
        "duration_s": round(max(0.0, draft.now - case.began), 3),
        "members": len(case.members),
    }
    situation.close(case)
    draft.step(
        case,
        rule,
        text,
        after=State.RESOLVED,
        actor=actor,
        evidence=evidence,
        tell="resolved" if told else "",
    )


# ---------------------------------------------------------------- nothing fails


def _calm(situation: Situation, draft: Draft, case: Case) -> bool:
    now = draft.now
    if case.state in (State.OPEN, State.REOPENED, State.ACKNOWLEDGED):
        case.recovering = now
        case.unsaid.clear()
        hold = hold_s(situation, case)
        text = f"Everything recovered. It is over when that has held for {hold:.0f} s."
        draft.step(case, "incident.recovering", text, after=State.RECOVERING, evidence={"hold_s": hold})
        return True
    if now < _over_at(situation, case, now):
        return False
    if case.state is State.DETECTED:
        held = f", held back by {case.suppressed_by}" if case.suppressed_by else ""
        text = f"It recovered before anybody was told{held}."
    elif case.state is State.FLAPPING:
        text = "It has settled, and everything is well."
    else:
        text = f"Recovery has held for {now - (case.recovering or now):.0f} s."
    close(situation, draft, case, "incident.resolved", text)
    return True


def _over_at(situation: Situation, case: Case, now: float) -> float:
    if case.state is State.FLAPPING:
        return max(_released_at(situation, case, now), case.quiet_since + HOLD_S)
    if case.state is State.RECOVERING and case.recovering is not None:
        return case.recovering + hold_s(situation, case)
    if case.state is State.DETECTED:
        return case.quiet_since + HOLD_S
    return now


# ---------------------------------------------------------------- something fails


def _failing(situation: Situation, draft: Draft, case: Case) -> bool:
    if case.state is State.DETECTED:
        return _detected(situation, draft, case)
    if case.state is State.FLAPPING:
        return _flapping(situation, draft, case)
    if case.state is State.RECOVERING:
        back = State.ACKNOWLEDGED if case.acknowledged is not None else State.OPEN
        case.recovering, case.wavered = None, True
        who = names((m.monitor for m in case.failing), situation.called)
        draft.step(case, "incident.relapsed", f"{who} failed again before it was over.", after=back)
        return True
    if case.wavered:
        case.wavered = False
        if all(situation.dampers.flapping((m.monitor, case.facet), draft.now) for m in case.failing):
            _to_flapping(situation, draft, case)
            return True
    return _worse(situation, draft, case) or _joined(situation, draft, case)


def _detected(situation: Situation, draft: Draft, case: Case) -> bool:
    now = draft.now
    case.severity = _severity(situation, case)
    why = _held_by(situation, case, now)
    if why != case.suppressed_by:
        before, case.suppressed_by = case.suppressed_by, why
        if why:
            draft.step(case, "incident.suppressed", f"Nobody is told: {why}.", evidence={"by": why})
        else:
            draft.step(case, "incident.released", f"It is not held back any more by {before}.", evidence={"by": before})
        if before == "blind" and not why:
            # What was known is from before the eyes were shut. Look once before waking somebody.
            failing = [watched for m in case.failing if (watched := situation.watched(m.monitor))]
            draft.want(failing, "it was out of sight")
            until = now + GRACE_S + max((watched.timeout_s for watched in failing), default=0.0)
            case.settle = Settle(since=now, until=until, doubt_until=until)
    if why or (case.settle is not None and not settled(situation, case.settle, case.facet, now)):
        return False
    waited, case.settle = now - case.detected, None
    old = situation.cases.get(case.reopens)
    if old is not None and not old.standing:
        _reopen_instead(situation, draft, case, old)
        return False
    case.opened, case.said, case.wavered, case.turned = now, now, True, now
    case.unsaid.clear()
    flapping = all(situation.dampers.flapping((m.monitor, case.facet), now) for m in case.failing)
    describe(situation, case)
    draft.step(
        case,
        "incident.open",
        f"{case.title}.",
        after=State.OPEN,
        evidence={
            "severity": case.severity,
            "cause": f"{case.cause.kind} {case.cause.value}",
            "members": len(case.failing),
            "settled_s": round(waited, 3),
        },
        tell="" if flapping else "opened",
    )
    return True


def _reopen_instead(situation: Situation, draft: Draft, case: Case, old: Case) -> None:
    moved = case.failing
    for member in moved:
        case.leave(member.monitor, draft.now, draft.now)
    close(situation, draft, case, "incident.merged", f"It is {old.id} again, and goes on there.")
    for member in moved:
        situation.ended.pop(member.monitor, None)
        situation.enter(old, member)
    who = names((m.monitor for m in moved), situation.called)
    reopen(situation, draft, old, f"{who} failed again within the reopen window.")
    review(situation, draft, old)


def _flapping(situation: Situation, draft: Draft, case: Case) -> bool:
    now = draft.now
    released, stuck = _released_at(situation, case, now), _stuck_at(case)
    if now < min(released, stuck):
        return False
    evidence = {"failing_s": round(now - case.turned, 3), "longest_s": round(case.longest, 3)}
    if now >= released:
        case.longest, case.told_flapping = 0.0, False
    case.said = now
    case.unsaid.clear()
    who = names((m.monitor for m in case.failing), situation.called)
    draft.step(
        case,
        "incident.settled",
        f"It does not flap any more: {who} stays down.",
        after=State.ACKNOWLEDGED if case.acknowledged is not None else State.OPEN,
        evidence=evidence,
        tell="opened",
    )
    return True


def _to_flapping(situation: Situation, draft: Draft, case: Case) -> None:
    first = case.failing[0].monitor
    settings = situation.surroundings.settings
    told = case.told_flapping or case.reopenings > 0
    case.told_flapping = True
    draft.step(
        case,
        "incident.flapping",
        f"{situation.called(first)} changes too often. Nobody is told more until it has settled; then how it ended.",
        after=State.FLAPPING,
        evidence={
            "penalty": round(situation.dampers.penalty((first, case.facet), draft.now), 1),
            "suppress": settings.flap_suppress,
            "reuse": settings.flap_reuse,
        },
        tell="" if told else "flapping",
    )


def _worse(situation: Situation, draft: Draft, case: Case) -> bool:
    """A ticket that became a page."""
    if case.severity == "page" or _severity(situation, case) != "page" or _held_by(situation, case, draft.now):
        return False
    if case.settle is not None and not settled(situation, case.settle, case.facet, draft.now):
        return False
    case.severity, case.settle = "page", None
    case.acknowledged, case.acknowledged_by = None, ""
    case.said = draft.now
    case.unsaid.clear()
    describe(situation, case)
    draft.step(
        case,
        "incident.worse",
        f"{case.title}. It was a ticket so far.",
        after=State.OPEN,
        evidence={"severity": "page"},
        tell="opened",
    )
    return True


def _joined(situation: Situation, draft: Draft, case: Case) -> bool:
    if not case.unsaid or draft.now < case.said + JOINED_S:
        return False
    who, count = names(case.unsaid, situation.called), len(case.unsaid)
    case.unsaid.clear()
    case.said = draft.now
    draft.step(case, "incident.joined", f"{who} joined.", evidence={"joined": count}, tell="joined")
    return True


def _severity(situation: Situation, case: Case) -> str:
    found = {situation.severity(m.monitor, m.condition) for m in case.failing}
    return "page" if "page" in found else "ticket"


def _held_by(situation: Situation, case: Case, now: float) -> str:
    """Why nobody may be told; what depends on something else has no say in it."""
    why = ""
    for member in situation.roots(case):
        found = situation.why_not(case, member, now)
        if not found:
            return ""
        why = why or found
    return why


def _released_at(situation: Situation, case: Case, now: float) -> float:
    times = [situation.dampers.released_at((monitor, case.facet), now) for monitor in case.members]
    return max((at for at in times if at is not None), default=now)


def _stuck_at(case: Case) -> float:
    return case.turned + max(STUCK_S, STUCK_FACTOR * case.longest)
