"""What a policy hands back when it changes its mind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One transition of one policy, with the rule that made it and the figures behind it.

    A policy never logs; the caller keeps changes for the operator who asks why.
    """

    at: float
    """Monotonic seconds."""
    rule: str
    """``policy.rule``, for example ``hysteresis.fall`` or ``breaker.open``."""
    before: str
    after: str
    figures: Mapping[str, float | str] = field(default_factory=dict)
    """Names carry their unit (``open_s``); values are what the rule compared."""
