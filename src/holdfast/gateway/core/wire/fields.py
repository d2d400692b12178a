"""Fields of a request's body, each of its type or refused with its path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, NoReturn

import msgspec

from holdfast.gateway.errors import Refused

__all__ = [
    "boolean",
    "integer",
    "items",
    "malformed",
    "number",
    "object_",
    "refuse",
    "required",
    "sendable",
    "string",
    "words",
]

_LARGEST = 1 << 40
_MANY = 100_000
"""Entries of a list: more than any real conversation has."""


def refuse(path: str, problem: str) -> NoReturn:
    """The request is wrong there."""
    msg = f"{path}: {problem}" if path else problem
    raise Refused("invalid_request", msg, param=path or None)


def malformed(problem: str) -> NoReturn:
    """What a provider sent is not its protocol: one kind of error, whatever is wrong."""
    raise ValueError(problem)


def string(body: Mapping[str, Any], key: str, path: str = "") -> str | None:
    """``None`` when it is missing or null."""
    value = body.get(key)
    return None if value is None else words(value, _at(path, key))


def required(body: Mapping[str, Any], key: str, path: str = "") -> str:
    """A string that has to be there and not be empty."""
    value = string(body, key, path)
    return value or refuse(_at(path, key), "a string that is not empty is required")


def words(value: object, path: str) -> str:
    """A string that can be sent on: no unpaired surrogate."""
    if not isinstance(value, str):
        refuse(path, f"a string is expected, not {_kind(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            refuse(path, "an unpaired surrogate is no text")
    return value


def integer(body: Mapping[str, Any], key: str, path: str = "", *, least: int = 0, most: int = _LARGEST) -> int | None:
    """Within ``least``..``most``; a float without a fraction counts, a boolean does not."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        refuse(_at(path, key), f"an integer is expected, not {_kind(value)}")
    if not least <= value <= most:
        refuse(_at(path, key), f"{value if abs(value) <= _LARGEST else 'it'} is not within {least}..{most}")
    return value


def number(body: Mapping[str, Any], key: str, path: str = "") -> float | None:
    """Any finite number; its range is the provider's matter."""
    value = body.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or abs(value) > _LARGEST or not isfinite(value):
        refuse(_at(path, key), f"a number is expected, not {_kind(value)}")
    return float(value)


def boolean(body: Mapping[str, Any], key: str, path: str = "") -> bool | None:
    """True, false, or ``None`` when it is missing or null."""
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        refuse(_at(path, key), f"true or false is expected, not {_kind(value)}")
    return value


def object_(body: Mapping[str, Any], key: str, path: str = "") -> Mapping[str, Any] | None:
    """A JSON object that can be sent on, or ``None`` when it is missing or null."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        refuse(_at(path, key), f"an object is expected, not {_kind(value)}")
    sendable(value, _at(path, key))
    return value


def items(body: Mapping[str, Any], key: str, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Path and value of each object in a list; nothing when it is missing or null."""
    value = body.get(key)
    if value is None:
        return
    at = _at(path, key)
    if not isinstance(value, list) or len(value) > _MANY:
        refuse(at, f"a list of objects is expected, not {_kind(value)}")
    for position, item in enumerate(value):
        if not isinstance(item, Mapping):
            refuse(f"{at}.{position}", f"an object is expected, not {_kind(item)}")
        yield f"{at}.{position}", item


def sendable(value: object, path: str) -> None:
    """Whatever it is, it can be written as JSON again."""
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        refuse(path, "it cannot be sent on: an unpaired surrogate, or nested too deeply")


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "this number"
        case str():
            return "a string"
        case list():
            return "this list"
        case _:
            return "an object"
