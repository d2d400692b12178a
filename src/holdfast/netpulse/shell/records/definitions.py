"""What the API made: monitors, silences, maintenances; and documents, which are whatever their owner says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import msgspec

from holdfast.kernel import Duration, Size
from holdfast.netpulse.core.ports import Silence, StoredMaintenance, StoredMonitor
from holdfast.netpulse.shell.records import sql

if TYPE_CHECKING:
    from holdfast.store import Tx

Definition: TypeAlias = StoredMonitor | Silence | StoredMaintenance
D = TypeVar("D", StoredMonitor, Silence, StoredMaintenance)

KINDS: Final[dict[type[Definition], str]] = {
    StoredMonitor: "monitor",
    Silence: "silence",
    StoredMaintenance: "maintenance",
}


def put(tx: Tx, *, definition: Definition) -> None:
    """Make or replace it."""
    ends = definition.ends if isinstance(definition, Silence) else None
    tx.run(sql.DEFINE, KINDS[type(definition)], definition.tenant, definition.id, ends, _encode(definition))


def drop(tx: Tx, *, type: type[Definition], tenant: str, id: str) -> None:
    """Harmless when there is none."""
    tx.run(sql.UNDEFINE, KINDS[type], tenant, id)


def found(tx: Tx, *, type: type[D], since: float | None = None) -> list[D]:
    """All of a type, or those that end later than ``since``."""
    kind = KINDS[type]
    rows = tx.all(sql.DEFINITIONS, kind) if since is None else tx.all(sql.DEFINITIONS_SINCE, kind, since)
    return [_decode(data, type) for (data,) in rows]


def _plain(value: object) -> float | int:
    if isinstance(value, Duration):
        return float(value)
    if isinstance(value, Size):
        return int(value)
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _unit(type_: type, value: Any) -> Any:
    return type_(value)


def _encode(definition: Definition) -> bytes:
    return msgspec.json.encode(definition, enc_hook=_plain)


def _decode(data: bytes, type_: type[D]) -> D:
    return msgspec.json.decode(data, type=type_, dec_hook=_unit)
