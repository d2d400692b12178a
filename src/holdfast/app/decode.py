"""A document tree as a settings struct: every problem at once, each with its line.

msgspec stops at the first problem and knows no lines, so this walks the tree along the type
information of :mod:`msgspec.inspect` instead. After a problem it goes on with the default of
the setting (or an empty stand-in), so that the checks which follow can still run; it
remembers those paths as *broken*, so that nobody complains about a stand-in.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from holdfast.app.diagnostics import Diagnostic, Path, quoted, shown
from holdfast.app.document import Mapping, Node, Scalar, Sequence
from holdfast.kernel import Duration, Size
from holdfast.telemetry.logs import MASK

S = TypeVar("S", bound=msgspec.Struct)

_INT: Final = re.compile(r"[+-]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,3})?")
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(slots=True)
class Report:
    """What decoding found, beside the struct itself."""

    problems: list[Diagnostic] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)

    def add(self, path: Path, line: int, message: str, remedy: str, *, value: str | None = None) -> None:
        """Note a problem with the value at ``path``."""
        self.problems.append(Diagnostic(line=line, path=path, value=value, message=message, remedy=remedy))
        self.broken.add(path)


class _Wrong(Exception):
    """A scalar does not fit; carries what and the remedy."""

    def __init__(self, message: str, remedy: str) -> None:
        self.message, self.remedy = message, remedy
        super().__init__(message)


def decode(cls: type[S], root: Node, report: Report) -> S:
    """Read ``root`` as a ``cls``. Always returns one; ``report`` says what in it is a stand-in."""
    value: S = _value(inspect.type_info(cls), root, (), report)
    return value


def _value(kind: inspect.Type, node: Node, path: Path, report: Report) -> Any:
    if isinstance(kind, inspect.UnionType):
        if isinstance(node, Scalar) and node.null:
            return None
        (kind,) = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
    if isinstance(kind, inspect.StructType):
        return _struct(kind, node, path, report)
    if isinstance(kind, inspect.DictType):
        return _dict(kind, node, path, report)
    if isinstance(kind, inspect.VarTupleType):
        return _tuple(kind, node, path, report)
    if isinstance(kind, inspect.AnyType):
        return _any(node)
    if path in report.broken:  # an unset variable was reported where it was met
        return _stand_in(kind)
    if not isinstance(node, Scalar):
        _mismatch(node, path, _wanted(kind), report)
        return _stand_in(kind)
    try:
        return _scalar(kind, node)
    except _Wrong as wrong:
        report.add(path, node.line, wrong.message, wrong.remedy, value=display(node, path))
        return _stand_in(kind)


def _struct(kind: inspect.StructType, node: Node, path: Path, report: Report) -> Any:
    if isinstance(node, Scalar) and node.null:  # `health:` with everything below it commented out
        node = Mapping(node.line, {}, {})
    if not isinstance(node, Mapping):
        _mismatch(node, path, "a section of KEY: VALUE lines", report)
        return _stand_in(kind)
    fields = {item.encode_name: item for item in kind.fields}
    for key in node.entries.keys() - fields.keys():
        close = difflib.get_close_matches(key, fields, n=1)
        remedy = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(fields)}"
        report.problems.append(
            Diagnostic(line=node.lines[key], path=(*path, key), message="unknown key", remedy=remedy)
        )
    values: dict[str, Any] = {}
    for name, item in fields.items():
        here = (*path, name)
        if name in node.entries:
            value = _value(item.type, node.entries[name], here, report)
            if here not in report.broken or item.required:
                values[item.name] = value
        elif item.required:
            report.add(here, node.line, "missing", f"add `{name}:` with {_wanted(item.type)}")
            values[item.name] = _stand_in(item.type)
    return kind.cls(**values)


def _dict(kind: inspect.DictType, node: Node, path: Path, report: Report) -> Any:
    if not isinstance(node, Mapping):
        _mismatch(node, path, "names with a section each", report)
        return {}
    return {key: _value(kind.value_type, value, (*path, key), report) for key, value in node.entries.items()}


def _tuple(kind: inspect.VarTupleType, node: Node, path: Path, report: Report) -> Any:
    if not isinstance(node, Sequence):
        _mismatch(node, path, f"a list, each item {_wanted(kind.item_type)}", report)
        return ()
    return tuple(_value(kind.item_type, item, (*path, index), report) for index, item in enumerate(node.items))


def _any(node: Node) -> Any:
    """What a setting of any type says, such as a part of a JSON Schema: read as YAML's core schema does."""
    if isinstance(node, Mapping):
        return {key: _any(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [_any(item) for item in node.items]
    if node.null:
        return None
    if not node.plain or node.interpolated:  # what the environment says is text, whatever it looks like
        return node.text
    if node.text in _BOOL:
        return _BOOL[node.text]
    if _INT.fullmatch(node.text):
        return int(node.text)
    return float(node.text) if _FLOAT.fullmatch(node.text) else node.text


def _mismatch(node: Node, path: Path, wanted: str, report: Report) -> None:
    if path in report.broken:
        return
    got = {Mapping: "a section", Sequence: "a list"}.get(type(node))
    if isinstance(node, Scalar):
        got = "nothing" if node.null else "a single value"
    value = display(node, path) if isinstance(node, Scalar) and not node.null else None
    report.add(path, node.line, f"wrong type: {got}", f"write {wanted}", value=value)


def display(node: Scalar, path: Path) -> str:
    """A scalar as a problem shows it: what the file says, and what the environment made of it."""
    text = shown(node.text, path, secret=node.secret)
    return text if text == MASK or not node.interpolated else f"{quoted(node.source)} is {text}"


def _scalar(kind: inspect.Type, node: Scalar) -> Any:
    if node.null:
        raise _Wrong("wrong type: nothing", f"write {_wanted(kind)}")
    reader = _READERS.get(type(kind))
    if reader is None:  # pragma: no cover - a setting of a type that this module does not know
        raise TypeError(f"no reader for settings of type {kind!r}")
    return reader(kind, node)


def _text(_kind: Any, node: Scalar) -> str:
    return node.text


def _bare(node: Scalar, wanted: str) -> str:
    """The text of a number or boolean; in quotes it is neither, unless a variable was put there."""
    if not node.plain and not node.interpolated:
        raise _Wrong("wrong type: a quoted text", f"write {wanted}, without quotes")
    return node.text.strip()


def _int(kind: Any, node: Scalar) -> int:
    text = _bare(node, _wanted(kind))
    if not _INT.fullmatch(text):
        raise _Wrong("not a whole number", f"write {_wanted(kind)}")
    return int(text)


def _float(kind: Any, node: Scalar) -> float:
    text = _bare(node, _wanted(kind))
    if not _FLOAT.fullmatch(text) or not math.isfinite(float(text)):
        raise _Wrong("not a number", f"write {_wanted(kind)}")
    return float(text)


def _bool(kind: Any, node: Scalar) -> bool:
    text = _bare(node, _wanted(kind))
    if text not in _BOOL:
        raise _Wrong("not true or false", f"write {_wanted(kind)}")
    return _BOOL[text]


def _literal(kind: Any, node: Scalar) -> str:
    if node.text not in kind.values:
        close = difflib.get_close_matches(node.text, [str(value) for value in kind.values], n=1)
        raise _Wrong("not one of the choices", f'did you mean "{close[0]}"?' if close else f"write {_wanted(kind)}")
    return node.text


def _custom(kind: Any, node: Scalar) -> Any:
    name = "duration" if kind.cls is Duration else "size"
    try:
        return kind.cls.parse(node.text)
    except ValueError:
        raise _Wrong(f"not a {name}", f"write {_wanted(kind)}") from None


_READERS: Final[dict[type, Callable[[Any, Scalar], Any]]] = {
    inspect.StrType: _text,
    inspect.IntType: _int,
    inspect.FloatType: _float,
    inspect.BoolType: _bool,
    inspect.LiteralType: _literal,
    inspect.CustomType: _custom,
}


def _wanted(kind: inspect.Type) -> str:
    """What a setting of this type looks like, for a remedy."""
    if isinstance(kind, inspect.UnionType):
        (kind,) = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
    if isinstance(kind, inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in kind.values)
    if isinstance(kind, inspect.CustomType):
        durations, sizes = (
            "a number with a unit, like 250ms, 10s or 1m30s",
            "a number with a unit, like 512B, 64KiB or 1GiB",
        )
        return durations if kind.cls is Duration else sizes
    if isinstance(kind, inspect.VarTupleType):
        return f"a list, each item {_wanted(kind.item_type)}"
    return {
        inspect.StrType: "a text",
        inspect.IntType: "a whole number",
        inspect.FloatType: "a number",
        inspect.BoolType: "true or false",
        inspect.StructType: "a section of KEY: VALUE lines",
        inspect.DictType: "names with a section each",
        inspect.AnyType: "a value",
    }[type(kind)]


def _stand_in(kind: inspect.Type) -> Any:
    """An empty value of the type, for what is required and was not readable."""
    if isinstance(kind, inspect.UnionType):
        return None
    if isinstance(kind, inspect.LiteralType):
        return kind.values[0]
    if isinstance(kind, inspect.CustomType):
        return Duration(0) if kind.cls is Duration else Size(0)
    if isinstance(kind, inspect.StructType):
        return kind.cls(**{item.name: _stand_in(item.type) for item in kind.fields if item.required})
    return {
        inspect.StrType: "",
        inspect.IntType: 0,
        inspect.FloatType: 0.0,
        inspect.BoolType: False,
        inspect.DictType: {},
        inspect.VarTupleType: (),
    }[type(kind)]
