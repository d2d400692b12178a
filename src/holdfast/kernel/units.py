"""Durations and sizes as people write them: ``250ms``, ``1m30s``, ``64KiB``.

A :class:`Duration` *is* a ``float`` of seconds and a :class:`Size` *is* an ``int`` of
bytes, so arithmetic needs no unwrapping. A bare number is refused for both (except 0):
``timeout: 10`` is the classic configuration bug, because nobody can tell what it means.

Grammar::

    duration = 1*( number ( "us" | "ms" | "s" | "m" | "h" | "d" ) ) | "0"
    size     = number ( "B" | "KiB" | "MiB" | "GiB" | "TiB" | "kB" | "MB" | "GB" ) | "0"
    number   = 1*DIGIT [ "." 1*DIGIT ]
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h|d)")
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:us|ms|s|m|h|d))+")
_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(B|kB|MB|GB|KiB|MiB|GiB|TiB)")


class Duration(float):
    """A length of time in seconds."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read ``250ms`` or ``1m30s``. Raises ``ValueError`` that says what is accepted."""
        compact = text.strip()
        if compact == "0":
            return cls(0.0)
        if not _DURATION.fullmatch(compact):
            raise ValueError(f"{text!r} is not a duration; write a number with a unit, like 250ms, 10s or 1m30s")
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(compact))
        if not math.isfinite(seconds):
            raise ValueError(f"a duration of {len(compact)} characters is too long")
        return cls(seconds)

    def __str__(self) -> str:
        """The shortest text that :meth:`parse` reads back to the same value."""
        seconds = float(self)
        if seconds == 0.0:
            return "0"
        # Whole numbers of the largest unit first; compared by multiplying, as parse does.
        for unit in ("d", "h", "m", "s", "ms"):
            count = round(seconds / _SECONDS[unit])
            if count >= 1 and count * _SECONDS[unit] == seconds:
                return f"{count}{unit}"
        micros = f"{seconds * 1e6:.3f}".rstrip("0").rstrip(".")
        if float(micros) * _SECONDS["us"] == seconds:
            return f"{micros}us"
        return f"{Decimal(repr(seconds)):f}s"  # repr is the shortest decimal that is this very float


class Size(int):
    """An amount of memory or data in bytes."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read ``64KiB`` or ``1.5GiB``. Raises ``ValueError`` that says what is accepted."""
        compact = text.strip()
        if compact == "0":
            return cls(0)
        match = _SIZE.fullmatch(compact)
        if match is None:
            raise ValueError(f"{text!r} is not a size; write a number with a unit, like 512B, 64KiB or 1GiB")
        number = Decimal(match[1])  # a float would round beyond 8 PiB
        return cls(round(number * _BYTES[match[2]]))

    def __str__(self) -> str:
        """The shortest text that :meth:`parse` reads back to the same value."""
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            if self and int(self) % _BYTES[unit] == 0:
                return f"{int(self) // _BYTES[unit]}{unit}"
        return f"{int(self)}B" if self else "0"
