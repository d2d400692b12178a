"""Decisions: incidents, their transitions, spans and notices, written together or not at all.

An incident may be written only as the next revisions of what is stored. The same again changes nothing, so a decision
whose commit was not confirmed can be stored again; anything else means that two minds decide, and fails.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from holdfast.netpulse.core.incident import Span
from holdfast.netpulse.core.ports import Restored
from holdfast.netpulse.errors import Conflict
from holdfast.netpulse.shell.records import codec, engine, outbox, sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.netpulse.core.incident import Decisions, Incident, Transition
    from holdfast.store import Tx


def decide(tx: Tx, *, decisions: Decisions, epoch: int) -> None:
    """One transaction. Raises ``Superseded``, and ``Conflict`` for a revision that is not the next."""
    engine.turn(tx, epoch)
    incidents = {incident.id: incident for incident in decisions.incidents}
    steps: dict[str, list[Transition]] = defaultdict(list)
    for transition in decisions.transitions:
        steps[transition.incident].append(transition)
    if alone := steps.keys() - incidents.keys():
        raise Conflict(f"transitions of {', '.join(sorted(alone))} come without their incident")
    stored = {
        id: (revision, data)
        for id, revision, data in tx.all(sql.of(tx.dialect, sql.REVISIONS), sql.several(tx.dialect, incidents))
    }
    for incident in incidents.values():
        revision, data = stored.get(incident.id, (0, b""))
        _write(tx, incident, steps[incident.id], revision, data)
    tx.many(sql.STORE_SPAN, [(span.monitor, span.kind, span.since, span.until) for span in decisions.spans])
    outbox.owe(tx, decisions.notices)


def _write(tx: Tx, incident: Incident, steps: Sequence[Transition], revision: int, data: bytes) -> None:
    """Store what comes after ``revision``, which is ``data``."""
    told = (
        {
            number: body
            for _, number, body in tx.all(
                sql.of(tx.dialect, sql.TRANSITIONS_AMONG),
                sql.several(tx.dialect, [incident.id]),
                min((step.number for step in steps), default=revision + 1),
            )
        }
        if revision
        else {}
    )
    for step in steps:
        if step.number <= revision and told.get(step.number) != codec.encoded(step):
            raise Conflict(f"transition {step.number} of {incident.id} is stored already, and is another one")
    new = [step for step in steps if step.number > revision]
    if [step.number for step in new] != list(range(revision + 1, max(revision, incident.revision) + 1)):
        raise Conflict(
            f"{incident.id} has revision {revision}; {incident.revision} with the transitions "
            f"{[step.number for step in steps]} does not follow"
        )
    body = codec.encoded(incident)
    if not new:
        if incident.revision == revision and body != data:
            raise Conflict(f"revision {revision} of {incident.id} is stored already, and is another one")
        return
    tx.many(sql.STORE_TRANSITION, [(incident.id, step.number, codec.encoded(step)) for step in new])
    tx.run(
        sql.STORE_INCIDENT,
        incident.id,
        incident.tenant,
        int(incident.standing),
        incident.revision,
        incident.resolved if not incident.standing else None,
        body,
    )
    tx.many(sql.STORE_MEMBER, [(member.monitor, incident.id) for member in incident.members])


def restore(tx: Tx, *, reopen_since: float) -> Restored:
    """What the engine starts with."""
    standing = [codec.incident(data) for (data,) in tx.all(sql.STANDING)]
    resolved = [codec.incident(data) for (data,) in tx.all(sql.RESOLVED_SINCE, reopen_since)]
    incidents = sorted((*standing, *resolved), key=lambda incident: incident.id)
    return Restored(
        states=dict(tx.all(sql.STATES)),
        incidents=incidents,
        told=_told(tx, incidents),
        spans=open_spans(tx),
    )


def open_spans(tx: Tx) -> list[Span]:
    """Not ended."""
    return [
        Span(monitor=monitor, kind=kind, since=since, until=until)
        for monitor, kind, since, until in tx.all(sql.OPEN_SPANS)
    ]


def _told(tx: Tx, incidents: Sequence[Incident]) -> Mapping[str, Mapping[str, float]]:
    told: dict[str, dict[str, float]] = {incident.id: {} for incident in incidents}
    for incident, key, at in tx.all(sql.of(tx.dialect, sql.TOLD), sql.several(tx.dialect, told)):
        told[incident][key] = at
    return told
