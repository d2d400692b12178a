"""What a changed configuration would do, in words: not which lines differ, but what follows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.kernel import Duration
from holdfast.kernel.settings import Section
from holdfast.netpulse.core.engine import expected_delay
from holdfast.netpulse.core.matching import matches
from holdfast.netpulse.core.settings import NetpulseSettings, RouteSettings
from holdfast.netpulse.core.world import Entry, World, labels_of

_HIDDEN = frozenset(
    {"password", "bearer_token", "token", "secret", "bot_token", "routing_key", "webhook_url", "headers"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that would change."""

    kind: str
    """``added``, ``removed`` or ``changed``."""
    path: str
    """``monitors.web.interval``."""
    before: str | None
    after: str | None
    consequence: str = ""
    """What follows, where that is not plain."""


def differences(old: NetpulseSettings, new: NetpulseSettings) -> list[Difference]:
    """Everything that would change, in the order of the settings."""
    before, after = World(old), World(new)
    return [*_sections("", old, new, skip={"monitors"}), *_monitors(before, after), *_routing(before, after)]


def _monitors(before: World, after: World) -> Iterator[Difference]:
    old, new = before.settings.monitors, after.settings.monitors
    for name in old.keys() - new.keys():
        tenant = before.settings.tenant
        children = [entry.id for entry in after.entries.values() if f"{tenant}/{name}" in entry.parents]
        note = "an incident that stands for it ends; its history is kept until its retention is over"
        if children:
            note += f"; {', '.join(children)} would depend on nothing that is known"
        yield Difference(kind="removed", path=f"monitors.{name}", before=name, after=None, consequence=note)
    for name, spec in new.items():
        entry = after.entries[f"{after.settings.tenant}/{name}"]
        if name not in old:
            note = (
                f"watched from {_regions(after, entry)}; an outage is expected to be noticed in {_delay(after, entry)}"
            )
            yield Difference(kind="added", path=f"monitors.{name}", before=None, after=name, consequence=note)
            continue
        found = list(_sections(f"monitors.{name}", old[name], spec))
        was = before.entries[f"{before.settings.tenant}/{name}"]
        if found:
            yield from found
        delays = _delay(before, was), _delay(after, entry)
        if delays[0] != delays[1]:
            yield Difference(
                kind="changed",
                path=f"monitors.{name}",
                before=f"noticed in {delays[0]}",
                after=f"noticed in {delays[1]}",
                consequence="expected time from an outage to its detection",
            )


def _routing(before: World, after: World) -> Iterator[Difference]:
    """Whose pages would go elsewhere."""
    for key, entry in after.entries.items():
        was = before.entries.get(key)
        if was is None:
            continue
        told = _told(before, was), _told(after, entry)
        if told[0] != told[1]:
            yield Difference(
                kind="changed",
                path=f"monitors.{entry.id}",
                before=f"tells {told[0]}",
                after=f"tells {told[1]}",
                consequence="who is told when it is down",
            )


def _told(world: World, entry: Entry) -> str:
    labels = {**labels_of(entry), "condition": "down"}
    route: RouteSettings | None = next((each for each in world.settings.routes if matches(each.match, labels)), None)
    if route is None:
        return "nobody"
    return "; ".join(", ".join(step.channels) + (f" after {step.after}" if step.after else "") for step in route.steps)


def _regions(world: World, entry: Entry) -> str:
    return ", ".join(world.regions_of(entry))


def _delay(world: World, entry: Entry) -> str:
    delay_s = expected_delay(entry.spec, world.settings.false_pages_per_year, world.regions_of(entry))
    return str(Duration(round(delay_s)))


def _sections(
    path: str, old: Section, new: Section, *, skip: frozenset[str] | set[str] = frozenset()
) -> Iterator[Difference]:
    for name in old.__struct_fields__:
        if name in skip:
            continue
        here = f"{path}.{name}" if path else name
        yield from _values(here, name, getattr(old, name), getattr(new, name))


def _values(path: str, name: str, old: Any, new: Any) -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, Section) and type(old) is type(new):
        yield from _sections(path, old, new)
    elif isinstance(old, Mapping) and isinstance(new, Mapping) and name not in _HIDDEN:
        for key in sorted(old.keys() | new.keys()):
            yield from _values(f"{path}.{key}", key, old.get(key), new.get(key))
    else:
        kind = "added" if old is None else "removed" if new is None else "changed"
        yield Difference(kind=kind, path=path, before=_shown(name, old), after=_shown(name, new))


def _shown(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name in _HIDDEN:
        return "***"
    if isinstance(value, Section):
        return _masked(value)
    return str(value) if not isinstance(value, tuple) else _masked(value)


def _masked(value: Any) -> str:
    def mask(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: "***" if key in _HIDDEN and part else mask(part) for key, part in item.items()}
        return [mask(part) for part in item] if isinstance(item, list) else item

    return msgspec.json.encode(mask(msgspec.to_builtins(value, enc_hook=str))).decode()
