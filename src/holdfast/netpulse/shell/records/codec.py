"""Incidents and what belongs to them as JSON: readable in the database, and open to fields that come later."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.netpulse.core.incident import (
    Cause,
    Condition,
    Incident,
    Member,
    Notice,
    State,
    Transition,
)


def encoded(value: Incident | Transition | Notice) -> bytes:
    """As JSON. The same value gives the same bytes."""
    return msgspec.json.encode(value)


def incident(data: bytes) -> Incident:
    """What :func:`encoded` made."""
    return _incident(msgspec.json.decode(data))


def transition(data: bytes) -> Transition:
    """What :func:`encoded` made."""
    fields = msgspec.json.decode(data)
    before = fields.pop("before")
    return Transition(**fields | {"before": None if before is None else State(before), "after": State(fields["after"])})


def notice(data: bytes) -> Notice:
    """What :func:`encoded` made."""
    fields = msgspec.json.decode(data)
    snapshot = fields.pop("snapshot")
    return Notice(**fields, snapshot=None if snapshot is None else _incident(snapshot))


def _incident(fields: dict[str, Any]) -> Incident:
    members = tuple(Member(**member | {"condition": Condition(member["condition"])}) for member in fields["members"])
    return Incident(
        **fields
        | {
            "state": State(fields["state"]),
            "condition": Condition(fields["condition"]),
            "cause": Cause(**fields["cause"]),
            "members": members,
        }
    )
