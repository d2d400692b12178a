"""A YAML text as a tree in which every node knows its line.

Built from the parser's events instead of PyYAML's composer, for three reasons: bounds on
depth and size hold *while* reading, a duplicate key can be reported with both lines, and
a scalar stays text until the setting it belongs to says how to read it. So ``id: no`` is
the name "no", and ``workers: ${WORKERS}`` is a number.

Not accepted: aliases, anchors and tags (a few lines of aliases expand to gigabytes, and no
setting needs them), more than one document, keys that are not scalars.

In the text of values ``${NAME}`` is replaced from the environment, ``${NAME:-default}`` also
when the variable is unset or empty, and ``$$`` is a dollar sign. The replacement is text: it
cannot add keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Environ
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import yaml

from holdfast.app.diagnostics import Diagnostic, Path, quoted
from holdfast.telemetry.logs import is_secret_name

MAX_DEPTH: Final = 24
"""Nesting; the deepest setting is at 7."""
MAX_NODES: Final = 50_000
"""Scalars and containers; a pool of 1,000 backends has about 6,000."""
MAX_SCALAR: Final = 16 * 1024
"""Characters of one value after interpolation."""

_REFERENCE: Final = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|)")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value. ``source`` is what the file says, ``text`` the same after interpolation."""

    line: int
    text: str
    source: str
    plain: bool
    """Written without quotes, so ``null`` is nothing and ``3`` may be a number."""
    secret: bool = False
    """A variable with the name of a secret went into it."""

    @property
    def interpolated(self) -> bool:
        """Whether the environment or an escape changed it."""
        return self.text != self.source

    @property
    def null(self) -> bool:
        """Whether it says "nothing": empty, ``~`` or ``null`` without quotes."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values; ``lines`` tells where each key stands."""

    line: int
    entries: dict[str, Node]
    lines: dict[str, int]


Node: TypeAlias = Scalar | Sequence | Mapping
Elsewhere: TypeAlias = Callable[[Path], bool]
"""Whether the setting at a path is none of whoever reads the file."""


class _Stop(Exception):
    """Reading cannot go on; carries why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


@dataclass(slots=True)
class _Reader:
    """One pass over the events; collects the problems that do not end it."""

    events: Iterator[yaml.Event]
    environ: Environ[str, str]
    elsewhere: Elsewhere
    problems: list[Diagnostic] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    nodes: int = 0

    def node(self, event: yaml.Event, path: Path) -> Node:
        line = _line(event)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _Stop(Diagnostic(line=line, message=f"more than {MAX_NODES} values", remedy="split the file"))
        if len(path) > MAX_DEPTH:
            raise _Stop(Diagnostic(line=line, message=f"nested deeper than {MAX_DEPTH} levels", remedy="flatten it"))
        if isinstance(event, yaml.AliasEvent):
            raise _Stop(_refused(line, path, f"*{event.anchor}", "an alias"))
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise _Stop(_refused(line, path, f"&{event.anchor}", "an anchor"))
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _Stop(_refused(line, path, str(tag), "a tag"))
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(line, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(line, path)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, line, path)
        raise _Stop(Diagnostic(line=line, path=path, message="not YAML: a value is missing", remedy="write a value"))

    def mapping(self, line: int, path: Path) -> Mapping:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event, path)
            here = (*path, key)
            value = self.node(next(self.events), here)
            key_line = _line(event)
            if key in entries:
                self.problems.append(
                    Diagnostic(
                        line=key_line,
                        path=here,
                        message=f"duplicate key, first on line {lines[key]}",
                        remedy="keep one of them",
                    )
                )
                continue
            entries[key], lines[key] = value, key_line
        return Mapping(line, entries, lines)

    def key(self, event: yaml.Event, path: Path) -> str:
        line = _line(event)
        if isinstance(event, yaml.ScalarEvent) and event.anchor is None and event.tag is None:
            return str(event.value)
        raise _Stop(
            Diagnostic(line=line, path=path, message="a key that is not a plain text", remedy="write NAME: VALUE")
        )

    def sequence(self, line: int, path: Path) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, len(items))))
        return Sequence(line, tuple(items))

    def scalar(self, event: yaml.ScalarEvent, line: int, path: Path) -> Scalar:
        source = str(event.value)
        text, secret = self.interpolate(source, line, path)
        if len(text) > MAX_SCALAR:
            raise _Stop(
                Diagnostic(
                    line=line, path=path, message=f"a value of more than {MAX_SCALAR} characters", remedy="shorten it"
                )
            )
        return Scalar(line, text, source, plain=bool(event.implicit[0]), secret=secret)

    def interpolate(self, source: str, line: int, path: Path) -> tuple[str, bool]:
        if "$" not in source:
            return source, False
        secret = False
        problems: list[Diagnostic] = []

        def replace(match: re.Match[str]) -> str:
            nonlocal secret
            if match["dollar"]:
                return "$"
            name = match["name"]
            if name is None:
                message, remedy = "a stray $", "write ${NAME} for a variable or $$ for a dollar sign"
                problems.append(Diagnostic(line=line, path=path, message=message, remedy=remedy))
                return ""
            secret = secret or is_secret_name(name)
            value = self.environ.get(name)
            if match["default"] is not None:
                return value or str(match["default"])
            if value is None and self.elsewhere(path):
                self.broken.add(path)
            elif value is None:
                message = f"environment variable {name} is not set"
                remedy = f"set it, or write ${{{name}:-default}}"
                problems.append(
                    Diagnostic(line=line, path=path, value=quoted(f"${{{name}}}"), message=message, remedy=remedy)
                )
            return value or ""

        text = _REFERENCE.sub(replace, source)
        if problems:
            self.problems += problems
            self.broken.add(path)
        return text, secret


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1


def _refused(line: int, path: Path, value: str, what: str) -> Diagnostic:
    return Diagnostic(
        line=line,
        path=path,
        value=quoted(value),
        message=f"{what}, which Holdfast does not accept",
        remedy="write the value out",
    )


@dataclass(frozen=True, slots=True)
class Document:
    """The tree, the problems met on the way, and the paths whose values must not be judged further."""

    root: Node | None
    problems: tuple[Diagnostic, ...]
    broken: frozenset[Path] = frozenset()


def nowhere(_: Path) -> bool:
    """Every setting of the file is used here."""
    return False


def parse(text: str, environ: Environ[str, str], *, elsewhere: Elsewhere = nowhere) -> Document:
    """Read a YAML text. Never raises on bad input; ``root`` is ``None`` when there is no usable tree.

    At a path that is used ``elsewhere`` a variable that is not set is no problem: another service has that secret, or
    another machine. The settings that it would fill are not judged.
    """
    reader = _Reader(iter(yaml.parse(text, Loader=_LOADER)), environ, elsewhere)
    try:
        root = _document(reader)
    except _Stop as stop:
        return Document(None, (*reader.problems, stop.diagnostic))
    except yaml.YAMLError as error:  # what was read before may be an artefact of the same slip
        return Document(None, (_syntax(error, text),))
    return Document(root, tuple(reader.problems), frozenset(reader.broken))


def _document(reader: _Reader) -> Node:
    empty = Diagnostic(
        message="the file is empty", remedy="start with `balancer:`; docs/configuration.md has an example"
    )
    next(reader.events)  # start of the stream
    if not isinstance(next(reader.events), yaml.DocumentStartEvent):
        raise _Stop(empty)
    root = reader.node(next(reader.events), ())
    next(reader.events)  # end of the document
    after = next(reader.events)
    if isinstance(after, yaml.DocumentStartEvent):
        line = _line(after)
        raise _Stop(Diagnostic(line=line, message="a second YAML document", remedy="keep one document per file"))
    if isinstance(root, Scalar) and root.null:
        raise _Stop(empty)
    return root


def _syntax(error: yaml.YAMLError, text: str) -> Diagnostic:
    mark = getattr(error, "problem_mark", None)
    detail = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    context = getattr(error, "context", None)
    line = None if mark is None else mark.line + 1
    # In {…} and […] the braces of a reference end the plain scalar: the one YAML error that our own syntax invites.
    near = "" if mark is None else "\n".join(text.splitlines()[max(0, mark.line - 1) : mark.line + 1])
    remedy = (
        'quote references inside { } and [ ]: "${NAME}"' if "${" in near else "check indentation, colons and quotes"
    )
    return Diagnostic(line=line, message=f"not YAML: {context + ': ' if context else ''}{detail}", remedy=remedy)
