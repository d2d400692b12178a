"""Why an incident did, or did not, page: as sentences for somebody who was just woken by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from holdfast.netpulse.core.incident import Evidence, Incident, Notice, State, Transition

_SHOWN: Final = 60
"""Steps that are told one by one. Of more, the first and last are: the beginning says what it is, the end how it is."""
_PLAIN: Final = frozenset({"incident.note", "incident.acknowledged"})


def sentences(
    incident: Incident,
    transitions: Sequence[Transition],
    notices: Sequence[tuple[Notice, str, str]] = (),
) -> list[str]:
    """The story of an incident, a line each, in the order of time.

    Args:
        incident: As it stands.
        transitions: All of its steps.
        notices: Messages, each with its state (``waiting``, ``sent``, ``failed``) and the last error.
    """
    steps = list(transitions)
    left_out = len(steps) - _SHOWN
    if left_out > 0:
        steps = steps[: _SHOWN // 2] + steps[-_SHOWN // 2 :]
    lines: list[str] = []
    for number, step in enumerate(steps):
        if left_out > 0 and number == _SHOWN // 2:
            lines.append(f"({left_out} more steps are left out here; the timeline has them.)")
        lines.extend(_step(step))
    return [_headline(incident), *lines, *_told(notices), _outlook(incident)]


def _headline(incident: Incident) -> str:
    failing = sum(member.until is None for member in incident.members)
    count = len(incident.members)
    who = f"{failing} of {count} monitors still fail" if count > 1 else ("it still fails" if failing else "it is well")
    simulated = " This is a simulation." if incident.simulated else ""
    return f"{incident.title}: {incident.state} ({incident.severity}); {who}.{simulated}"


def _step(step: Transition) -> Iterator[str]:
    what = step.text or step.rule
    if step.rule in _PLAIN and step.actor and step.rule == "incident.note":
        what = f"{step.actor} noted: {what}"
    yield f"{_clock(step.at)} {what}"
    inner = step.evidence.get("evidence")
    if isinstance(inner, Mapping) and inner:
        plain = f"{step.evidence.get('rule', '')}: {figures(inner)}."
        yield f"         {weighed(inner) or plain}"
    elif step.rule == "incident.open" and step.evidence.get("settled_s"):
        waited = step.evidence["settled_s"]
        yield f"         Waited {waited} s for the answers of others, so that one page names the cause."
    elif step.rule == "incident.flapping":
        yield f"         Damping: {figures(step.evidence)}."
    if step.rule == "incident.reopened":
        yield f"         Its next recovery has to hold for {step.evidence.get('hold_s')} s."


def weighed(evidence: Evidence) -> str:
    """A detector's ledger in words; empty for what is none.

    ``eu, us, ap saw it fail. Evidence 18.14, needed 14.45; of one domain at most 7.22 (a 6.05, b 6.05, c 6.05).``
    """
    domains, regions = evidence.get("domains"), evidence.get("regions")
    if not isinstance(domains, list) or not isinstance(regions, list) or "threshold" not in evidence:
        return ""
    failing = [str(region.get("region")) for region in regions if region.get("failing") is True]
    doubted = [str(region.get("region")) for region in regions if region.get("believed") is False]
    text = f"{', '.join(failing)} saw it fail. " if failing else "Every region saw it up. "
    shares = ", ".join(f"{each.get('domain')} {each.get('sum')}" for each in domains)
    text += f"Evidence {evidence.get('total')}, needed {evidence['threshold']}"
    if evidence.get("lone"):
        text += f"; only one failure domain can be believed now, so it decides alone ({shares})."
    else:
        text += f"; of one failure domain at most {evidence.get('cap')} counts ({shares})."
    if doubted:
        text += f" {', '.join(doubted)} {'is' if len(doubted) == 1 else 'are'} not believed: stuck, or not heard."
    return text


def figures(evidence: Evidence) -> str:
    """Evidence as text: ``threshold 13.0, eu (sum 6.5, seen 3)``."""
    parts = []
    for name, value in evidence.items():
        label = name.replace("_", " ")
        if isinstance(value, Mapping):
            parts.append(f"{label} ({figures(value)})")
        elif isinstance(value, list):
            parts.append(f"{label} [{'; '.join(figures(item) for item in value)}]")
        elif value is not None and value != "":
            parts.append(f"{label} {_figure(value)}")
    return ", ".join(parts)


def _figure(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _told(notices: Sequence[tuple[Notice, str, str]]) -> Iterator[str]:
    if not notices:
        yield "No message was sent."
    for notice, state, error in notices:
        line = f"{_clock(notice.at)} {notice.channel}: {notice.event}, {state}"
        if notice.not_before > notice.at:
            line += f", not before {_clock(notice.not_before)} (quiet hours)"
        yield line + (f" ({error})." if error else ".")


def _outlook(incident: Incident) -> str:
    match incident.state:
        case State.DETECTED if incident.suppressed_by:
            return f"It may not page: {incident.suppressed_by}. If it still fails after that, it will."
        case State.DETECTED:
            return "Nobody was told yet: others are being asked whether they fail as well."
        case State.OPEN | State.REOPENED:
            return "Nobody has acknowledged it."
        case State.ACKNOWLEDGED:
            return f"{incident.acknowledged_by or 'Somebody'} has it; nobody else is called."
        case State.RECOVERING:
            return "Everything is well again; it is over when that has held."
        case State.FLAPPING:
            return "It changes too often, so nothing is told until it has settled; then how it ended."
        case State.RESOLVED if incident.resolved_by:
            return (
                f"{incident.resolved_by} resolved it. What still fails is not told again until it has recovered once."
            )
        case State.RESOLVED if incident.opened is None:
            return "It was over before anybody was told, so nobody was."
        case _:
            return "It is over."


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"
