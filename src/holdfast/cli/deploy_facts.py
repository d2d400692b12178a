"""Facts, as the command line shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from holdfast.deploy.core.facts import Fact, Facts, Value
from holdfast.deploy.core.properties import PROPERTIES
from holdfast.kernel import Duration, Size

FOREVER_S = 3650 * 86400.0
"""Where nothing limits a time, this stands for it."""


def value_text(value: Value | None, unit: str) -> str:
    """A value as people write it: ``2m``, ``3GiB``, ``yes``, ``http/1.1, sse``."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    if isinstance(value, str):
        return value
    if unit == "s":
        return "no limit" if value >= FOREVER_S else str(Duration(value))
    if unit == "B":
        return str(Size(value))
    return f"{value:g} {unit}".rstrip()


def facts_text(known: Facts, platforms: Sequence[str], *, region: str, at: date) -> str:
    """All of them, a platform a paragraph."""
    paragraphs = []
    for platform in (one for one in known.platforms if one.id in platforms):
        lines = [f"{platform.id}: {platform.name}. {platform.summary}"]
        for fact in _of(known, platform.id, region=region, at=at):
            lines.append(f"  {fact.name:<22} {value_text(fact.value, fact.unit)}")
            about = fact.cited if fact.known else ""
            if fact.known and fact.confidence != "documented":
                about += f" ({fact.confidence})"
            lines += [f"  {'':<22}   {text}" for text in (about, fact.note) if text]
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs)


def facts_json(known: Facts, platforms: Sequence[str], *, region: str, at: date) -> Any:
    """The same, for machines."""
    return {name: {fact.name: fact_json(fact) for fact in _of(known, name, region=region, at=at)} for name in platforms}


def fact_json(fact: Fact) -> dict[str, Any]:
    """One fact with all that is known of where it is from."""
    return {
        "id": fact.id,
        "value": sorted(fact.value) if isinstance(fact.value, frozenset) else fact.value,
        "unit": fact.unit,
        "source": fact.source,
        "url": fact.url,
        "retrieved": fact.retrieved and fact.retrieved.isoformat(),
        "confidence": fact.confidence if fact.known else None,
        "valid_from": fact.valid_from and fact.valid_from.isoformat(),
        "valid_to": fact.valid_to and fact.valid_to.isoformat(),
        "regions": sorted(fact.regions),
        "note": fact.note,
    }


def _of(known: Facts, platform: str, *, region: str, at: date) -> list[Fact]:
    """In the order of the table of properties; what nobody wrote of a platform does not concern it."""
    names = [name for name in PROPERTIES if (platform, name) in known.entries]
    return [known.get(platform, name, at=at, region=region) for name in names]
