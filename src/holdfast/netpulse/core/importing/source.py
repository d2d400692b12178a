"""Somebody else's file as a tree of values that know where they stand.

Nothing in such a file is trusted: its depth and its size, aliases written out, are bounded while it is read, duplicate
keys and tags are refused, and a value of the wrong type is said with its place.

Scalars of YAML stay text until somebody says what they are meant to be. The programs whose files these are read YAML
1.2's core into typed fields (Go's yaml.v3), so ``country: no`` is a text there and must not become ``False`` here.
Anchors, aliases and merge keys are followed: files of Gatus and Prometheus are commonly written with them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import yaml

from holdfast.kernel import Duration
from holdfast.netpulse.errors import Invalid

MAX_BYTES: Final = 2**20
"""Of one file; five hundred monitors of Uptime Kuma, which says everything of each, are about this much."""
MAX_DEPTH: Final = 64
MAX_NODES: Final = 200_000
"""Values, each alias counted as what it stands for: nine lines of aliases can stand for gigabytes."""

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL: Final = ("", "~", "null", "Null", "NULL")
_TRUE: Final = frozenset({"true", "True", "TRUE", "yes", "Yes", "on", "1"})
_FALSE: Final = frozenset({"false", "False", "FALSE", "no", "No", "off", "0", ""})
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,15}")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][\w\-]{0,60}")
_SPAN: Final = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h|d|w|y))+")
_SPAN_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d|w|y)")
_SPAN_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 7 * 86_400.0,
    "y": 365 * 86_400.0,
}
"""Go's (``time.ParseDuration``) and Prometheus' (``model.ParseDuration``) together; they agree where both have one."""


class Misread(Exception):
    """A value is not what it has to be; says where."""

    def __init__(self, path: str, message: str) -> None:
        self.path, self.message = path, message
        super().__init__(f"{path}: {message}" if path else message)


@dataclass(frozen=True, slots=True)
class Place:
    """A value, and the way to it. Every reader raises :class:`Misread` for a value of another kind."""

    value: Any
    path: str = ""

    @property
    def absent(self) -> bool:
        """Whether there is nothing: no such key, or null."""
        return self.value is None

    def __getitem__(self, key: str) -> Place:
        """What stands below a key; absent when nothing does."""
        return self.entries().get(key) or Place(None, _below(self.path, key))

    def entries(self) -> dict[str, Place]:
        """Of a map; none when absent."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise Misread(self.path, f"{_kind(self.value)} where a map belongs")
        return {key: Place(value, _below(self.path, key)) for key, value in self.value.items()}

    def items(self) -> list[Place]:
        """Of a list; none when absent."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise Misread(self.path, f"{_kind(self.value)} where a list belongs")
        return [Place(value, f"{self.path}[{index}]") for index, value in enumerate(self.value)]

    def texts(self) -> dict[str, str]:
        """Of a map of texts."""
        return {key: value.text() for key, value in self.entries().items()}

    def text(self, default: str = "") -> str:
        """Of a scalar, as the file says it."""
        if self.value is None:
            return default
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, (dict, list)):
            raise Misread(self.path, f"{_kind(self.value)} where a text belongs")
        return str(self.value)

    def flag(self, *, default: bool = False) -> bool:
        """Of true or false; SQLite's 1 and 0 as well."""
        text = self.text("true" if default else "false")
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise Misread(self.path, "neither true nor false")

    def whole(self, default: int = 0) -> int:
        """Of a whole number."""
        text = self.text(str(default)).strip()
        if not _WHOLE.fullmatch(text):
            raise Misread(self.path, "not a whole number")
        return int(text)

    def seconds(self, default: float = 0.0) -> float:
        """Of a number of seconds."""
        text = self.text(str(default))
        try:
            found = float(text)
        except ValueError:
            found = -1.0
        if not 0.0 <= found < 1e9:
            raise Misread(self.path, "not a number of seconds")
        return found

    def span(self, default: float = 0.0) -> Duration:
        """Of a duration with units, as Go and Prometheus write it."""
        text = self.text()
        try:
            return Duration(default) if not text else span(text)
        except ValueError:
            raise Misread(self.path, "not a duration, like 30s or 1m30s") from None


def span(text: str) -> Duration:
    """Read ``1m30s`` as Go and Prometheus write it. Raises ``ValueError``."""
    if text == "0":
        return Duration(0.0)
    if not _SPAN.fullmatch(text):
        raise ValueError(text)
    return Duration(sum(float(number) * _SPAN_UNITS[unit] for number, unit in _SPAN_PART.findall(text)))


def read_json(text: str, file: str) -> Place:
    """The tree of a JSON text. Raises :class:`~holdfast.netpulse.errors.Invalid`."""
    try:
        return Place(json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant))
    except Misread as error:
        raise Invalid(f"{file}: {error}") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Invalid(f"{file}: {where}: not JSON: {error.msg.lower()}; export the backup again") from error
    except RecursionError as error:
        raise Invalid(f"{file}: nested deeper than any backup is") from error
    except ValueError as error:  # a number of thousands of digits
        raise Invalid(f"{file}: not JSON: a number that nothing can hold") from error


def read_yaml(text: str, file: str) -> Place:
    """The tree of a YAML text. Raises :class:`~holdfast.netpulse.errors.Invalid`."""
    reader = _Reader(iter(yaml.parse(text, Loader=_LOADER)))
    try:
        return Place(reader.document())
    except Misread as error:
        raise Invalid(f"{file}: line {reader.line}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        detail = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise Invalid(f"{file}: {where}not YAML: {detail}") from error


@dataclass(slots=True)
class _Reader:
    """One pass over the parser's events; an anchor is known once what it stands for is complete."""

    events: Iterator[yaml.Event]
    line: int = 1
    nodes: int = 0
    anchors: dict[str, tuple[Value, int]] = field(default_factory=dict)

    def next(self) -> yaml.Event:
        event = next(self.events)
        if event.start_mark is not None:
            self.line = event.start_mark.line + 1
        return event

    def document(self) -> Value:
        self.next()  # start of the stream
        if not isinstance(self.next(), yaml.DocumentStartEvent):
            return None
        root = self.value(self.next(), "", 0)
        self.next()  # end of the document
        if isinstance(self.next(), yaml.DocumentStartEvent):
            raise Misread("", "a second YAML document; keep one per file")
        return root

    def value(self, event: yaml.Event, path: str, depth: int) -> Value:
        if isinstance(event, yaml.AliasEvent):
            found, size = self.anchors.get(event.anchor or "", (None, 0))
            if not size:
                raise Misread(path, f"*{event.anchor:.40} stands for nothing, or for itself")
            self.count(size, path)
            return found
        if depth > MAX_DEPTH:
            raise Misread(path[:80], f"nested deeper than {MAX_DEPTH} levels")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise Misread(path, f"the tag {tag:.40}; write the value without it")
        anchor, before = getattr(event, "anchor", None), self.nodes
        self.count(1, path)
        found = self.content(event, path, depth)
        if anchor is not None:
            self.anchors[anchor] = (found, self.nodes - before)
        return found

    def content(self, event: yaml.Event, path: str, depth: int) -> Value:
        if isinstance(event, yaml.ScalarEvent):
            plain = bool(event.implicit[0])
            return None if plain and event.value in _NULL else str(event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Value] = []
            while not isinstance(inner := self.next(), yaml.SequenceEndEvent):
                items.append(self.value(inner, f"{path}[{len(items)}]", depth + 1))
            return items
        return self.mapping(path, depth)

    def mapping(self, path: str, depth: int) -> dict[str, Value]:
        own: dict[str, Value] = {}
        merged: dict[str, Value] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise Misread(path, "a key that is not a text")
            key = str(event.value)
            value = self.value(self.next(), _below(path, key), depth + 1)
            if key == "<<" and event.implicit[0]:
                merged = {**_merge(value, path), **merged}
            elif key in own:
                raise Misread(_below(path, key), "a duplicate key; keep one of them")
            else:
                own[key] = value
        return {**merged, **own}

    def count(self, size: int, path: str) -> None:
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise Misread(path, f"more than {MAX_NODES} values, aliases written out; split the file")


def _merge(value: Value, path: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            raise Misread(_below(path, "<<"), f"{_kind(each)} where a map belongs")
        found = {**each, **found}
    return found


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        key = next(key for key in keys if keys.count(key) > 1)
        raise Misread(_below("", key), "a duplicate key; keep one of them")
    return found


def _no_constant(name: str) -> Value:
    raise Misread("", f"not JSON: {name}")


def _below(path: str, key: str) -> str:
    shown = key if _PLAIN_KEY.fullmatch(key) else json.dumps(key[:60], ensure_ascii=True)
    return f"{path}.{shown}" if path else shown


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else "a single value"
