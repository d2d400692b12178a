"""YAML in which every value knows its line, so that a mistake in a long table is found at once.

Scalars stay text until the field that they belong to says what they are: ``no`` is a word, ``1_000`` is not a number,
and a price keeps the digits that were written. Everything that is wrong is gathered, and raised together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final

import yaml

from holdfast.deploy.errors import Invalid
from holdfast.kernel.settings import Path, Problem

MAX_BYTES: Final = 1024 * 1024
"""Of a file; the facts about every platform take about 100 kB."""
MAX_DEPTH: Final = 12
"""Nesting; a fact of several regions is at 6."""
MAX_PROBLEMS: Final = 20
"""Shown at once; whoever has more has mixed up the file."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is there
_QUOTED: Final = 60  # characters of an offending value that a message shows


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file, and where it stands."""

    raw: yaml.Node
    path: Path

    @property
    def line(self) -> int:
        """Counted from 1."""
        return int(self.raw.start_mark.line) + 1

    @property
    def is_scalar(self) -> bool:
        """Neither a list nor a mapping."""
        return isinstance(self.raw, yaml.ScalarNode)

    @property
    def is_list(self) -> bool:
        """``[a, b]`` or lines that begin with a dash."""
        return isinstance(self.raw, yaml.SequenceNode)

    @property
    def is_mapping(self) -> bool:
        """``KEY: VALUE`` lines."""
        return isinstance(self.raw, yaml.MappingNode)

    @property
    def shown(self) -> str:
        """The value as a message quotes it."""
        if not self.is_scalar:
            return "a list" if self.is_list else "a mapping"
        text = str(self.raw.value)
        return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")


@dataclass(slots=True)
class Reading:
    """One file being read: what has been found wrong with it so far."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def say(self, node: Node, message: str, remedy: str) -> None:
        """Note a problem; reading goes on, so that all of them are seen at once."""
        place = ".".join(str(part) for part in node.path)
        self.lines.append(f"{self.file}:{node.line}: {place + ': ' if place else ''}{message}; {remedy}")
        value = node.raw.value if node.is_scalar else None
        self.problems.append(Problem(path=node.path, value=value, message=message, remedy=remedy))

    def finish(self) -> None:
        """Raise :class:`~holdfast.deploy.errors.Invalid` with everything that was said, if anything was."""
        if not self.problems:
            return
        more = len(self.lines) - MAX_PROBLEMS
        shown = self.lines[:MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise Invalid("\n".join(shown), self.problems)

    def root(self, data: bytes) -> Node:
        """The whole document. Raises ``Invalid`` for what is no YAML, too large, or says things by reference."""
        if len(data) > MAX_BYTES:
            raise Invalid(f"{self.file}: larger than {MAX_BYTES // 1024} KiB; split it or remove what is out of date")
        try:
            text = data.decode()
            self._bound(text)
            raw = yaml.compose(text, Loader=_LOADER)
        except UnicodeDecodeError as error:
            raise Invalid(f"{self.file}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f":{mark.line + 1}" if mark else ""
            reason = getattr(error, "problem", None) or "cannot be parsed"
            raise Invalid(f"{self.file}{where}: not YAML: {reason}; check the indentation and quotes") from error
        if raw is None:
            raise Invalid(f"{self.file}: empty; docs/deploy-facts.md shows what belongs into it")
        return Node(raw, ())

    def _bound(self, text: str) -> None:
        """Refuse what would cost without end, while reading: parsing is lazy, so nothing beyond the bound is parsed."""
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + 1 if event.start_mark else 1
            # An alias lets a few lines stand for gigabytes, and lets a value be changed far from where it is read.
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise Invalid(f"{self.file}:{line}: anchors and aliases are not read; write the value where it is")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise Invalid(f"{self.file}:{line}: nested more than {MAX_DEPTH} deep; check the brackets")

    def fields(self, node: Node, *, known: Collection[str] | None, needed: Collection[str] = ()) -> dict[str, Node]:
        """Values of a mapping by key; keys that are unknown, doubled, not text or left out are said."""
        if not node.is_mapping:
            self.say(node, f"{node.shown} where KEY: VALUE lines belong", "write a mapping")
            return {}
        found: dict[str, Node] = {}
        for raw_key, raw_value in node.raw.value:
            if not isinstance(raw_key, yaml.ScalarNode):
                self.say(Node(raw_key, node.path), "a key that is not a word", "write KEY: VALUE")
                continue
            name = str(raw_key.value)
            key = Node(raw_key, (*node.path, name))
            if name in found:
                self.say(key, f"{name!r} is there twice, first in line {found[name].line}", "keep one of them")
            elif known is not None and name not in known:
                self.say(key, f"{name!r} is not known here", f"write one of {', '.join(sorted(known))}")
            else:
                found[name] = Node(raw_value, key.path)
        for name in needed:
            if name not in found:
                self.say(node, f"{name!r} is missing", f"add {name}: ...")
        return found

    def entries(self, node: Node) -> Iterator[Node]:
        """The items of a list; a single value is a list of one."""
        if not node.is_list:
            yield node
            return
        for index, raw in enumerate(node.raw.value):
            yield Node(raw, (*node.path, index))

    def text(self, node: Node | None) -> str:
        """Words; empty where the field was left out."""
        if node is None:
            return ""
        if not node.is_scalar:
            self.say(node, f"{node.shown} where a text belongs", "write one line of text")
            return ""
        return str(node.raw.value).strip()

    def word(self, node: Node, words: Collection[str], what: str) -> str | None:
        """One of a few words."""
        text = self.text(node)
        if text in words:
            return text
        if node.is_scalar:
            self.say(node, f"{node.shown} is not a {what}", f"write one of {', '.join(sorted(words))}")
        return None

    def day(self, node: Node | None) -> date | None:
        """A day as ``2026-11-22``."""
        if node is None:
            return None
        try:
            return date.fromisoformat(self.text(node))
        except ValueError:
            self.say(node, f"{node.shown} is not a day", "write it as 2026-11-22")
            return None

    def number(self, node: Node) -> Decimal | None:
        """A number of zero or more, digit for digit as written."""
        try:
            number = Decimal(self.text(node))
        except InvalidOperation:
            self.say(node, f"{node.shown} is not a number", "write digits, as 0.25")
            return None
        if not number.is_finite() or number < 0:
            self.say(node, f"{node.shown} is not a number of zero or more", "write digits, as 0.25")
            return None
        return number
