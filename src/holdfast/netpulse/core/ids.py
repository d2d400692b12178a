"""Ids that sort by time: a prefix and a ULID (48 bits of milliseconds, 80 of chance; Crockford's base 32)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(now: float, rng: Random, *, prefix: str = "inc") -> str:
    """``inc_`` and 26 characters. ``now``: seconds since the epoch."""
    value = int(now * 1000) << 80 | rng.getrandbits(80)
    return f"{prefix}_" + "".join(_DIGITS[value >> shift & 31] for shift in range(125, -1, -5))
