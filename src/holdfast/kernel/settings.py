"""What every section of ``holdfast.yaml`` is made of, and what is said when one is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from a section down to a value."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: immutable, and strict about unknown keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, and what to do about it."""

    path: Path
    """Keys and indexes below the section that was judged."""
    value: object
    """The offending value; ``None`` when something is absent."""
    message: str
    remedy: str
    related: tuple[Path, ...] = ()
    """Other settings that the judgement rests on: if one of them was unreadable, it is void."""
