"""Values of a client's body, with their types proved. What is wrong is refused by its path, as the real API does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from holdfast.gateway.core.conversation import JsonObject
from holdfast.gateway.errors import Refused


def wrong(param: str, message: str) -> Refused:
    """The refusal of what stands at ``param``."""
    return Refused("invalid_request", f"{param}: {message}", param=param)


def text_of(value: object, param: str, *, filled: bool = False) -> str:
    """A string; with ``filled``, not an empty one."""
    if not isinstance(value, str):
        raise wrong(param, "should be a string")
    if filled and not value:
        raise wrong(param, "should not be empty")
    return value


def optional_text(value: object, param: str) -> str | None:
    """A string or nothing."""
    return None if value is None else text_of(value, param)


def whole(value: object, param: str, *, least: int) -> int:
    """An integer from ``least``; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(param, "should be an integer")
    if value < least:
        raise wrong(param, f"should be {least} or more")
    return value


def share(value: object, param: str) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(param, "should be a number")
    if not 0 <= value <= 1:
        raise wrong(param, "should be from 0 to 1")
    return float(value)


def flag(value: object, param: str) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise wrong(param, "should be true or false")
    return value


def object_of(value: object, param: str) -> JsonObject:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise wrong(param, "should be an object")
    return value


def optional_object(value: object, param: str) -> JsonObject | None:
    """A JSON object or nothing."""
    return None if value is None else object_of(value, param)


def array_of(value: object, param: str) -> list[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise wrong(param, "should be an array")
    return value
