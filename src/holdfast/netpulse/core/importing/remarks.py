"""What an import says beside its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["refused", "dropped", "changed", "note"]
"""Refused: there is no such monitor now. Dropped: a part of it is not asked for any more. Changed: asked otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that was not taken over as it stood."""

    kind: Kind
    place: str
    """In the file that was read: ``endpoints[3].conditions[1]``."""
    monitor: str
    """Its name there; empty when the remark is about the whole file or about several."""
    message: str
    """What, and what to do about it. Never holds a secret."""

    def __str__(self) -> str:
        """One line."""
        about = " ".join(part for part in (self.place, f'"{self.monitor}"' if self.monitor else "") if part)
        return f"{self.kind}: {about}: {self.message}" if about else f"{self.kind}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A variable that the result takes from the environment."""

    name: str
    place: str
    """Where its value stands in the file that was read, or where that file takes it from the environment, too."""
    message: str

    def __str__(self) -> str:
        """One line."""
        return f"variable: {self.name}: {self.message} ({self.place})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A ``netpulse:`` section, and everything that has to be said about it."""

    section: Mapping[str, Any]
    """Plain values as the configuration file writes them: durations are text, ``$`` is ``$$``."""
    text: str
    """The same as YAML, under ``netpulse:``."""
    remarks: tuple[Remark, ...]
    references: tuple[Reference, ...]
