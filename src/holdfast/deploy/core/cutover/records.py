"""Record sets of Route 53 as values, and what a change batch makes of them.

Rules, as Route 53 has them (API reference, ``ChangeResourceRecordSets`` and ``ResourceRecordSet``):

- A batch is one transaction: all of it or nothing. Deleting a CNAME and creating an alias in its place is one batch.
- DELETE names the record set exactly as it is, TTL and weight included.
- A CNAME stands alone at its name, and never at the apex of the zone.
- A name and type hold one simple record set, or weighted ones that each have an identifier; never both.
- A weight is 0 to 255. Members of a group have the same TTL; an alias has that of its target.

And one of ours: a group whose weights are all zero is refused. Route 53 takes it, and then answers with every member
equally often, the one that was to be out of use included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from holdfast.deploy.errors import DeployError

Action: TypeAlias = Literal["CREATE", "DELETE", "UPSERT"]
Zone: TypeAlias = frozenset["Record"]
"""All record sets under consideration."""

MAX_WEIGHT: Final = 255
MAX_CHANGES: Final = 1_000
"""Of one batch; an UPSERT counts twice. https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html"""


class Refused(DeployError):
    """Route 53 would not take the batch, or would and must not be given it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """What an alias points at."""

    dns: str
    """DNS name of the target, without the final dot."""
    zone: str
    """Hosted zone of the target's own name, not of ours."""
    evaluates: bool = False
    """``EvaluateTargetHealth``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record set: an alias, or values with a TTL."""

    name: str
    """Without the final dot, lower case."""
    type: str
    alias: Alias | None = None
    ttl: int | None = None
    """Seconds; ``None`` for an alias, which has its target's."""
    values: tuple[str, ...] = ()
    set_id: str | None = None
    weight: int | None = None

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes it one record set."""
        return (self.name, self.type, self.set_id)

    def faults(self) -> list[str]:
        """What is wrong with it by itself."""
        found = []
        if (self.alias is None) == (self.ttl is None or not self.values):
            found.append(f"{self.type} {self.name} has to be an alias, or values with a TTL")
        if self.alias is not None and (self.ttl is not None or self.type == "CNAME"):
            found.append(f"an alias of {self.name} has no TTL of its own and is of the target's type, not {self.type}")
        if (self.set_id is None) != (self.weight is None):
            found.append(f"{self.type} {self.name} needs both a weight and an identifier, or neither")
        if self.weight is not None and not 0 <= self.weight <= MAX_WEIGHT:
            found.append(f"the weight {self.weight} of {self.name} ({self.set_id}) is not within 0 to {MAX_WEIGHT}")
        if self.type == "CNAME" and len(self.values) != 1:
            found.append(f"the CNAME {self.name} needs exactly one value")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of a batch."""

    action: Action
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A transaction."""

    comment: str
    changes: tuple[Change, ...]


def apply(zone: Zone, batch: Batch, *, apex: str = "") -> Zone:
    """The records after a batch. Raises :class:`Refused`, and then nothing has changed."""
    if not 0 < sum(1 + (change.action == "UPSERT") for change in batch.changes) <= MAX_CHANGES:
        raise Refused(f"a batch holds 1 to {MAX_CHANGES} changes, an UPSERT counting twice")
    now = {record.key: record for record in zone}
    deleted: set[tuple[str, str, str | None]] = set()
    for change in batch.changes:
        record = change.record
        if faults := record.faults():
            raise Refused("; ".join(faults))
        there = now.get(record.key)
        if change.action == "DELETE":
            if record.key in deleted or there != record:
                raise Refused(f"DELETE of {_said(record)}, but there is {_said(there)}; it must name what is there")
            deleted.add(record.key)
            del now[record.key]
        elif change.action == "CREATE" and there is not None:
            raise Refused(f"CREATE of {_said(record)}, but there is {_said(there)}")
        else:
            now[record.key] = record
    if conflicts := conflicts_of(now.values(), apex=apex):
        raise Refused("; ".join(conflicts))
    return frozenset(now.values())


def conflicts_of(records: Iterable[Record], *, apex: str = "") -> list[str]:
    """What cannot stand side by side."""
    found = []
    by_name: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        by_name.setdefault(record.name, {}).setdefault(record.type, []).append(record)
    for name, types in by_name.items():
        if "CNAME" in types and len(types) > 1:
            found.append(f"{name} has a CNAME beside {', '.join(sorted(set(types) - {'CNAME'}))}; a CNAME stands alone")
        if "CNAME" in types and name == apex:
            found.append(f"{name} is the apex of the zone, where no CNAME may be; use an alias")
        for type, group in types.items():
            found += _group_conflicts(name, type, group)
    return found


def _group_conflicts(name: str, type: str, group: Sequence[Record]) -> list[str]:
    weights = [record.weight for record in group if record.weight is not None]
    if len(weights) != len(group):
        return [f"{type} {name} has a simple record beside others"] if len(group) > 1 else []
    if not any(weights):
        return [f"all weights of {type} {name} are zero: Route 53 would answer with every target equally often"]
    if len({record.ttl for record in group if record.alias is None}) > 1:
        return [f"the weighted records of {type} {name} have different TTLs"]
    return []


def _said(record: Record | None) -> str:
    if record is None:
        return "none of that name, type and identifier"
    to = record.alias.dns if record.alias else ", ".join(record.values)
    ttl = "" if record.ttl is None else f" TTL {record.ttl}"
    weight = "" if record.weight is None else f" weight {record.weight} ({record.set_id})"
    return f"{record.type} {record.name} to {to}{ttl}{weight}"


def to_api(batch: Batch) -> dict[str, Any]:
    """As ``change-resource-record-sets --change-batch`` and boto3 take it."""
    return {
        "Comment": batch.comment,
        "Changes": [{"Action": change.action, "ResourceRecordSet": _set(change.record)} for change in batch.changes],
    }


def _set(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = {"Name": record.name, "Type": record.type}  # always taken as fully qualified
    if record.set_id is not None:
        told |= {"SetIdentifier": record.set_id, "Weight": record.weight}
    if record.alias is None:
        return told | {"TTL": record.ttl, "ResourceRecords": [{"Value": value} for value in record.values]}
    alias = record.alias
    target = {"HostedZoneId": alias.zone, "DNSName": alias.dns, "EvaluateTargetHealth": alias.evaluates}
    return told | {"AliasTarget": target}


def from_api(told: dict[str, Any]) -> Record:
    """A record set as ``list-resource-record-sets`` gives it."""
    alias = told.get("AliasTarget")
    return Record(
        name=_name(told["Name"]),
        type=told["Type"],
        alias=None if alias is None else _alias(alias),
        ttl=told.get("TTL") if alias is None else None,
        values=tuple(value["Value"] for value in told.get("ResourceRecords", ())),
        set_id=told.get("SetIdentifier"),
        weight=told.get("Weight"),
    )


def _alias(told: dict[str, Any]) -> Alias:
    return Alias(
        dns=_name(told["DNSName"]), zone=told["HostedZoneId"], evaluates=told.get("EvaluateTargetHealth", False)
    )


def _name(text: str) -> str:
    return text.removesuffix(".").lower()
