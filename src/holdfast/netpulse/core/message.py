"""What people read: an incident as a message, before any channel gives it its form. Pure.

Everything from outside (names, what a server answered, what a person typed) becomes printable lines of bounded length
here, so that a channel has only its own syntax to escape.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from holdfast.netpulse.core.delivery import line
from holdfast.netpulse.core.incident import Condition, State
from holdfast.netpulse.core.story import weighed

if TYPE_CHECKING:
    from holdfast.netpulse.core.incident import Incident, Member, Notice

MEMBERS: Final = 10
"""Named in a message; of the others it says how many they are."""
_EVIDENCE: Final = 8
"""Lines about what the decision rested on."""
TITLE: Final = 200
LINE: Final = 300

_WRONG: Final[Mapping[Condition, tuple[str, str, str]]] = {
    # word for the title, "one is", "several are"
    Condition.DOWN: ("DOWN", "is down", "are down"),
    Condition.PARTIAL: ("PARTIAL", "fails in part", "fail in part"),
    Condition.SLOW: ("SLOW", "is slow", "are slow"),
    Condition.CERTIFICATE: ("CERTIFICATE", "has a certificate that expires soon", "have certificates that expire soon"),
    Condition.BURN_FAST: ("BURN", "uses up its error budget fast", "use up their error budgets fast"),
    Condition.BURN_SLOW: ("BURN", "uses up its error budget", "use up their error budgets"),
    Condition.AGENT: ("AGENT", "cannot be watched from", "cannot be watched from"),
}
_COLOURS: Final = {"open": "#d92d20", "ticket": "#f79009", "acknowledged": "#2e90fa", "resolved": "#12b76a"}
"""Of the state; an open ticket is amber."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Ready to be put into a channel's form. Texts are single printable lines."""

    key: str
    """Of the notice: the same in every attempt, so that a receiver can drop a repetition."""
    incident: str
    """Its id: what ties a message to the earlier ones. Of a test, the key."""
    tenant: str
    event: str
    status: str
    """``open``, ``acknowledged`` or ``resolved``."""
    severity: str
    condition: str
    """Empty for a test."""
    title: str
    summary: str
    """One sentence."""
    facts: tuple[tuple[str, str], ...] = ()
    """What, where, since when."""
    members: tuple[str, ...] = ()
    """The first :data:`MEMBERS`."""
    others: int = 0
    """Members that are not named."""
    evidence: tuple[str, ...] = ()
    began: float
    ended: float | None = None
    at: float
    """When the notice was decided."""
    acknowledge_url: str = ""
    incident_url: str = ""
    colour: str
    simulated: bool = False


def compose(notice: Notice, incident: Incident | None, *, acknowledge_url: str = "", incident_url: str = "") -> Message:
    """A notice in words. ``incident``: as it is to be told of; ``None`` only for a test."""
    if incident is None:
        return _test(notice)
    status = _status(notice, incident)
    members = sorted(incident.members, key=lambda member: (member.until is not None, member.began, member.monitor))
    return Message(
        key=notice.key,
        incident=incident.id,
        tenant=incident.tenant,
        event=notice.event,
        status=status,
        severity=incident.severity,
        condition=incident.condition.value,
        title=line(f"[{_word(notice, incident, status)}] {incident.title}", TITLE),
        summary=line(_summary(notice, incident, status), LINE),
        facts=tuple((name, line(text, LINE)) for name, text in _facts(incident, status)),
        members=tuple(_member(member) for member in members[:MEMBERS]),
        others=max(0, len(members) - MEMBERS),
        evidence=_evidence(members),
        began=incident.began,
        ended=incident.resolved if status == "resolved" else None,
        at=notice.at,
        acknowledge_url=acknowledge_url if status == "open" else "",
        incident_url=incident_url,
        colour=_COLOURS["ticket" if status == "open" and incident.severity == "ticket" else status],
        simulated=incident.simulated,
    )


def text_of(message: Message, *, links: bool = True) -> str:
    """The whole message as plain text, for channels that have nothing else. Without the title."""
    lines = [message.summary, ""]
    lines += [f"{name}: {text}" for name, text in message.facts]
    if message.members:
        lines += ["", *(f"- {member}" for member in message.members)]
    if message.others:
        lines.append(f"- and {message.others} more")
    if message.evidence:
        lines += ["", "Evidence:", *(f"- {text}" for text in message.evidence)]
    if links and message.acknowledge_url:
        lines += ["", f"Acknowledge: {message.acknowledge_url}"]
    if links and message.incident_url:
        lines += ["", f"Incident: {message.incident_url}"]
    return "\n".join(lines).strip()


def as_json(message: Message) -> dict[str, Any]:
    """The message for machines: what the webhook channel posts."""
    return {
        "version": 1,
        "key": message.key,
        "event": message.event,
        "at": rfc3339(message.at),
        "incident": {
            "id": message.incident,
            "tenant": message.tenant,
            "status": message.status,
            "severity": message.severity,
            "condition": message.condition,
            "began": rfc3339(message.began),
            "ended": rfc3339(message.ended) if message.ended is not None else None,
            "simulated": message.simulated,
            "url": message.incident_url,
        },
        "title": message.title,
        "summary": message.summary,
        "facts": dict(message.facts),
        "members": list(message.members),
        "others": message.others,
        "evidence": list(message.evidence),
        "acknowledge_url": message.acknowledge_url,
        "colour": message.colour,
    }


def rfc3339(at: float) -> str:
    """``2026-11-22T10:00:00.000Z``."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_time(at: float) -> str:
    """For people: ``2026-11-22 10:00:00 UTC``."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def lasting(seconds: float) -> str:
    """A duration in its two largest units: ``3 min 20 s``."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (parts and unit != "s"):
            parts.append(f"{count} {unit}")
    return " ".join([part for part in parts[:2] if not part.startswith("0 ")] or ["0 s"])


def short(monitor: str) -> str:
    """``TENANT/ID`` without the tenant."""
    return monitor.rpartition("/")[2]


def _test(notice: Notice) -> Message:
    return Message(
        key=notice.key,
        incident=notice.key,
        tenant=notice.tenant,
        event="test",
        status="open",
        severity="ticket",
        condition="",
        title=line(f"[TEST] Channel {notice.channel} works", TITLE),
        summary="Somebody pressed the test button; nothing is wrong.",
        began=notice.at,
        at=notice.at,
        colour=_COLOURS["acknowledged"],
    )


def _status(notice: Notice, incident: Incident) -> str:
    if notice.event in {"acknowledged", "resolved"}:
        return notice.event
    if incident.state in {State.ACKNOWLEDGED, State.RESOLVED}:
        return incident.state.value
    return "open"


def _word(notice: Notice, incident: Incident, status: str) -> str:
    if status == "resolved":
        return "RESOLVED"
    if notice.event in {"acknowledged", "flapping", "reopened", "escalated"}:
        return notice.event.upper()
    wrong = _WRONG[incident.condition][0]
    return {"repeated": f"STILL {wrong}", "joined": f"{wrong}, MORE"}.get(notice.event, wrong)


def _summary(notice: Notice, incident: Incident, status: str) -> str:
    who, several = _who(incident)
    wrong = _WRONG[incident.condition][2 if several else 1]
    since = clock_time(incident.began)
    if status == "resolved":
        ended = incident.resolved if incident.resolved is not None else notice.at
        by = f" {incident.resolved_by} resolved it by hand." if incident.resolved_by else ""
        return f"{who} {'are' if several else 'is'} well again, after {lasting(ended - incident.began)}.{by}"
    if notice.event == "flapping":
        return f"{who} {wrong} on and off since {since}; the next message comes when that has settled."
    if status == "acknowledged":
        return f"{incident.acknowledged_by or 'Somebody'} has it: {who} {wrong} since {since}."
    if notice.event == "reopened":
        return f"{who} {wrong} again, within the time to reopen; the incident began {since}."
    if notice.event in {"escalated", "repeated"}:
        return f"{who} {wrong} for {lasting(notice.at - incident.began)}, and nobody has acknowledged it."
    return f"{who} {wrong} since {since}."


def _who(incident: Incident) -> tuple[str, bool]:
    if len(incident.members) == 1:
        return short(incident.members[0].monitor), False
    return f"{len(incident.members)} monitors", True


def _facts(incident: Incident, status: str) -> list[tuple[str, str]]:
    facts = [
        ("Cause", f"{incident.cause.kind} {short(incident.cause.value)}"),
        ("Severity", incident.severity),
        ("Since", clock_time(incident.began)),
        ("Detected", f"{clock_time(incident.detected)} (after {lasting(incident.detected - incident.began)})"),
    ]
    if incident.acknowledged is not None:
        facts.append(("Acknowledged", f"{clock_time(incident.acknowledged)} by {incident.acknowledged_by}"))
    if status == "resolved" and incident.resolved is not None:
        facts.append(("Resolved", clock_time(incident.resolved)))
    if incident.reopenings:
        facts.append(("Reopened", f"{incident.reopenings} times"))
    if incident.simulated:
        facts.append(("Simulated", "yes: somebody forced this state"))
    return facts


def _member(member: Member) -> str:
    state = f"well since {clock_time(member.until)}" if member.until is not None else _WRONG[member.condition][1]
    return line(f"{short(member.monitor)} {state}", LINE)


def _evidence(members: list[Member]) -> tuple[str, ...]:
    """Of the first member that has some: what the others joined by is in the incident's ledger."""
    evidence = next((member.evidence for member in members if member.evidence), {})
    words = weighed(evidence)
    if words:
        return (line(words, LINE),)
    return tuple(line(f"{_name(key)} {_value(key, value)}", LINE) for key, value in list(evidence.items())[:_EVIDENCE])


_UNITS: Final = {"ms": "ms", "s": "s", "bytes": "bytes", "nats": "nats", "days": "days"}


def _name(key: str) -> str:
    head, _, unit = key.rpartition("_")
    return (head if head and unit in _UNITS else key).replace("_", " ") + ":"


def _value(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_name(name)} {_value(name, part)}" for name, part in list(value.items())[:_EVIDENCE])
    if isinstance(value, list | tuple):
        kinds = Counter(_value("", part) for part in value[: 4 * _EVIDENCE])
        return "; ".join(text if count == 1 else f"{count} times {text}" for text, count in kinds.items())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        value = f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    unit = key.rpartition("_")[2] if "_" in key else ""
    return f"{value} {_UNITS[unit]}" if unit in _UNITS else str(value)
