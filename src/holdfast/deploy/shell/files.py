"""Reads the tables that the planner rests on: ``facts.yaml`` and ``prices.yaml``.

Both are kept by hand, so both are read strictly: an unknown property, a word that no rule knows, a value without its
source or a duration without a unit is an error with file and line, never a value that is silently left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Final, get_args

from holdfast.deploy.core.candidates import BY_ID, CANDIDATES
from holdfast.deploy.core.facts import Confidence, Fact, Facts, Platform, Value
from holdfast.deploy.core.prices import Price, PriceTable
from holdfast.deploy.core.properties import PROPERTIES, Property
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.nodes import Node, Reading
from holdfast.kernel import Duration, Size

UNKNOWN: Final = "unknown"
"""Written for a value that was looked for and not found; the note says where."""
EVERYWHERE: Final = "*"
"""Region of a price that is the same in all of them."""
PRICE_UNITS: Final = (
    *("vCPU-h", "GB-h", "GB-s", "GB-month", "GB", "h", "LCU-h", "NLCU-h", "month", "million", "thousand", "requests"),
    *("secret-month", "alarm-month", "zone-month", "metric-month", "event", "10000"),
)
"""What prices may count."""

_CONFIDENCE: Final = get_args(Confidence)
_COMPUTE: Final = frozenset(candidate.compute for candidate in CANDIDATES)
_INGRESS: Final = frozenset(candidate.ingress or candidate.compute for candidate in CANDIDATES)
"""What facts about an ingress can be about; of a compute platform with nothing in front, how its tasks are reached."""
_PAIRS: Final = frozenset(name for name in BY_ID if "+" in name)
"""A compute behind an ingress, where the two together are not what each of them is."""
_REGION: Final = re.compile(r"[a-z]{2,4}(?:-[a-z]+){1,2}-\d")
_PRICE_KEY: Final = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)+")


@dataclass(frozen=True, slots=True)
class _Source:
    title: str
    url: str
    retrieved: date | None


def load_facts(path: Path | None = None) -> Facts:
    """Read what is known about the platforms; without a path, the table that the package carries.

    Raises :class:`~holdfast.deploy.errors.Invalid` with file and line of everything that is wrong.
    """
    reading, root = _open(path, "facts.yaml")
    top = reading.fields(root, known=("sources", "platforms"), needed=("sources", "platforms"))
    sources = _sources(reading, top.get("sources"))
    platforms: dict[str, Platform] = {}
    facts: dict[str, dict[str, tuple[Fact, ...]]] = {}
    if "platforms" in top:
        for name, node in reading.fields(top["platforms"], known=_COMPUTE | _INGRESS | _PAIRS).items():
            fields = reading.fields(node, known=("name", "summary", "like", "facts"), needed=("name", "summary"))
            platforms[name] = Platform(
                id=name, name=reading.text(fields.get("name")), summary=reading.text(fields.get("summary"))
            )
            facts[name] = _taken_over(reading, fields.get("like"), name, facts)
            if "facts" in fields:
                for key, entry in reading.fields(fields["facts"], known=PROPERTIES).items():
                    facts[name][key] = tuple(_facts(reading, entry, name, key, sources))
    reading.finish()
    return Facts.of(platforms.values(), (fact for by in facts.values() for several in by.values() for fact in several))


def load_prices(path: Path | None = None) -> PriceTable:
    """Read the price table; without a path, the one that the package carries.

    Raises :class:`~holdfast.deploy.errors.Invalid` with file and line of everything that is wrong.
    """
    reading, root = _open(path, "prices.yaml")
    top = reading.fields(root, known=("fresh_days", "sources", "prices"), needed=("sources", "prices"))
    sources = _sources(reading, top.get("sources"))
    prices: list[Price] = []
    if "prices" in top:
        for key, node in reading.fields(top["prices"], known=None).items():
            if not _PRICE_KEY.fullmatch(key):
                reading.say(node, f"{key!r} is not a key of a price", "write SERVICE.WHAT, as fargate.vcpu_hour")
            prices.extend(_prices(reading, node, key, sources))
    fresh = reading.number(top["fresh_days"]) if "fresh_days" in top else None
    reading.finish()
    table = PriceTable.of(prices)
    return table if fresh is None else replace(table, fresh_days=int(fresh))


def _open(path: Path | None, packaged: str) -> tuple[Reading, Node]:
    """The file's bytes as nodes; of the package's own file the name alone is said, for it has no place of its own."""
    reading = Reading(str(path) if path else packaged)
    try:
        data = path.read_bytes() if path else resources.files("holdfast.deploy").joinpath("data", packaged).read_bytes()
    except OSError as error:
        raise Invalid(
            f"{reading.file}: cannot be read: {error.strerror}; check the path and its permissions"
        ) from error
    return reading, reading.root(data)


def _sources(reading: Reading, node: Node | None) -> dict[str, _Source]:
    found: dict[str, _Source] = {}
    needed = ("title", "retrieved")
    for key, entry in (reading.fields(node, known=None) if node else {}).items():
        fields = reading.fields(entry, known=("title", "url", "retrieved"), needed=needed)
        url = reading.text(fields.get("url"))
        if url and not url.startswith("https://"):
            reading.say(fields["url"], f"{fields['url'].shown} is not an https address", "write the page's address")
        found[key] = _Source(reading.text(fields.get("title")), url, reading.day(fields.get("retrieved")))
    return found


def _cited(reading: Reading, fields: dict[str, Node], node: Node, sources: dict[str, _Source]) -> _Source | None:
    """The source that an entry names; what is known must have one."""
    if "source" not in fields:
        reading.say(node, "a value without its source", "add source: KEY of one under sources, or write value: unknown")
        return None
    key = reading.text(fields["source"])
    if key not in sources:
        reading.say(fields["source"], f"{key!r} is not one of the sources", "add it under sources with title and date")
        return None
    return sources[key]


def _period(reading: Reading, fields: dict[str, Node]) -> tuple[date | None, date | None]:
    begins, ends = reading.day(fields.get("valid_from")), reading.day(fields.get("valid_to"))
    if begins and ends and ends <= begins:
        reading.say(fields["valid_to"], f"{ends} is not after valid_from, {begins}", "valid_to is the first day after")
    return begins, ends


def _region(reading: Reading, node: Node) -> str:
    name = reading.text(node)
    if node.is_scalar and not _REGION.fullmatch(name):
        reading.say(node, f"{node.shown} is not a region", "write it as eu-west-1")
    return name


def _taken_over(
    reading: Reading, like: Node | None, name: str, facts: dict[str, dict[str, tuple[Fact, ...]]]
) -> dict[str, tuple[Fact, ...]]:
    """What a platform shares with one that stands above it; what it says itself goes before that."""
    if like is None:
        return {}
    if (model := reading.word(like, facts, "platform that stands above this one")) is None:
        return {}
    return {key: tuple(replace(fact, platform=name) for fact in several) for key, several in facts[model].items()}


_FACT_FIELDS: Final = ("value", "unit", "source", "confidence", "valid_from", "valid_to", "regions", "note")


def _facts(reading: Reading, node: Node, platform: str, name: str, sources: dict[str, _Source]) -> Iterator[Fact]:
    """The facts about one property: one, or several that differ in time or region."""
    prop = PROPERTIES[name]
    owners = _COMPUTE if prop.about == "compute" else _INGRESS
    if platform not in owners | _PAIRS:
        reading.say(
            node, f"{name} is about the {prop.about}, and {platform} is none", "move it to the platform it is of"
        )
        return
    for entry in reading.entries(node):
        fields = reading.fields(entry, known=_FACT_FIELDS, needed=("value",))
        if "value" not in fields:
            continue
        value = None if _is_unknown(fields["value"]) else _value(reading, fields["value"], prop)
        note = reading.text(fields.get("note"))
        source: _Source | None = None
        if not _is_unknown(fields["value"]) or "source" in fields:
            source = _cited(reading, fields, entry, sources)
        elif not note:
            reading.say(entry, "unknown without a note", "add note: where it was looked for, or what the pages say")
        unit = reading.text(fields.get("unit"))
        if unit and prop.unit and unit != prop.unit:
            reading.say(fields["unit"], f"{unit!r} is not the unit of {name}", f"write {prop.unit!r}, or leave it out")
        begins, ends = _period(reading, fields)
        confidence = reading.word(fields["confidence"], _CONFIDENCE, "confidence") if "confidence" in fields else None
        yield Fact(
            platform=platform,
            name=name,
            value=value,
            unit=prop.unit or unit,
            source=source.title if source else "",
            url=source.url if source else "",
            retrieved=source.retrieved if source else None,
            confidence=confidence or "documented",  # type: ignore[arg-type]  # word() answers one of the literal's
            valid_from=begins,
            valid_to=ends,
            regions=frozenset(
                _region(reading, item) for item in (reading.entries(fields["regions"]) if "regions" in fields else ())
            ),
            note=note,
        )


def _is_unknown(node: Node) -> bool:
    return node.is_scalar and node.raw.value == UNKNOWN


def _value(reading: Reading, node: Node, prop: Property) -> Value | None:
    """The value in the property's kind and unit."""
    if prop.kind == "set":
        return _words(reading, node, prop.words)
    if not node.is_scalar:
        reading.say(node, f"{node.shown} where a {prop.kind} belongs", "write one value")
        return None
    if prop.kind == "flag":
        word = reading.word(node, ("true", "false", UNKNOWN), "flag")
        return None if word is None else word == "true"
    if prop.kind == "choice":
        return reading.word(node, prop.words, "choice of this property") if prop.words else reading.text(node)
    if prop.unit in ("s", "B"):
        text = reading.text(node)
        try:
            return float(Duration.parse(text) if prop.unit == "s" else Size.parse(text))
        except ValueError as error:
            reading.say(node, str(error), f"this property is in {prop.unit}")
            return None
    number = reading.number(node)
    return None if number is None else float(number)


def _words(reading: Reading, node: Node, known: Collection[str]) -> frozenset[str] | None:
    if not node.is_list:
        reading.say(node, f"{node.shown} where a list belongs", "write [a, b], or [] for none")
        return None
    found: set[str] = set()
    for item in reading.entries(node):
        word = reading.word(item, known, "word of this property") if known else reading.text(item)
        if word is not None and word in found:
            reading.say(item, f"{word!r} is there twice", "keep one of them")
        elif word is not None:
            found.add(word)
    return frozenset(found)


_PRICE_FIELDS: Final = ("usd", "source", "valid_from", "valid_to", "note")


def _prices(reading: Reading, node: Node, key: str, sources: dict[str, _Source]) -> Iterator[Price]:
    """Prices of one thing: by region an amount, or what differs there from the rest, or a list that differs in time."""
    fields = reading.fields(node, known=("unit", "source", "note", "usd"), needed=("unit", "usd"))
    if "unit" not in fields or "usd" not in fields:
        return
    unit = reading.word(fields["unit"], PRICE_UNITS, "unit") or ""
    for region, several in reading.fields(fields["usd"], known=None).items():
        if region != EVERYWHERE and not _REGION.fullmatch(region):
            reading.say(several, f"{region!r} is not a region", f"write it as eu-west-1, or {EVERYWHERE} for all")
        for entry in reading.entries(several):
            own: dict[str, Node] = {"usd": entry}
            if entry.is_mapping:
                own = reading.fields(entry, known=_PRICE_FIELDS, needed=("usd",))
            if "usd" not in own:
                continue
            stated = {name: fields[name] for name in ("source", "note") if name in fields} | own
            known = not _is_unknown(own["usd"])
            note = reading.text(stated.get("note"))
            if not known and not note:
                reading.say(entry, "unknown without a note", "add note: where it was looked for")
            source = _cited(reading, stated, entry, sources) if known or "source" in stated else None
            begins, ends = _period(reading, own)
            yield Price(
                key=key,
                amount=reading.number(own["usd"]) if known else None,
                unit=unit,
                region=region,
                source=source.title if source else "",
                url=source.url if source else "",
                retrieved=source.retrieved if source else None,
                valid_from=begins,
                valid_to=ends,
                note=note,
            )
