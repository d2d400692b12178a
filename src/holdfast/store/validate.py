"""What a decoder cannot see in the ``store:`` section."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from holdfast.kernel.settings import Problem
from holdfast.store.address import parse, redacted
from holdfast.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.store.settings import StoreSettings

RANGES: Final[dict[str, tuple[float, float]]] = {
    "connections": (2, 100),
    "deadline": (0.1, 600),
    "pending": (1, 1_000_000),
}
"""Lowest and highest value, both allowed. 100 connections are all that PostgreSQL gives by default."""


def validate(settings: StoreSettings) -> list[Problem]:
    """Everything that is wrong with the section; empty means sound."""
    return [*_url(settings.url), *_ranges(settings)]


def _url(url: str) -> Iterator[Problem]:
    try:
        parse(url)
    except StoreError as error:
        yield Problem(
            path=("url",),
            value=redacted(url),
            message=str(error),
            remedy="write sqlite:PATH, or postgresql://USER:PASSWORD@HOST/DATABASE",
        )


def _ranges(settings: StoreSettings) -> Iterator[Problem]:
    for name, (low, high) in RANGES.items():
        value = getattr(settings, name)
        if not (math.isfinite(value) and low <= value <= high):
            yield Problem(
                path=(name,), value=value, message="out of range", remedy=f"write a value from {low:g} to {high:g}"
            )
