"""Hysteresis: a verdict changes only after enough agreeing observations in a row.

    state   observation   effect
    ------  ------------  -----------------------------------------------------------
    up      pass          score = 0
    up      failure       score += weight; at ``fall`` -> down, score = 0
    down    failure       score = 0
    down    pass          score += weight; at ``rise`` -> up, score = 0

There is one score, because an observation that speaks for the present state wipes
whatever had gathered against it. Weights let a class of observation count for more or
less than one: nothing listens behind a refused connection, while a slow answer is still
an answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from holdfast.resilience.change import Change

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType({"connect": 1.5, "slow": 0.5})
"""A refused connection takes a backend out one check earlier (2 instead of 3), a slow answer
needs twice as many. Classes that are not named weigh 1."""

_TOLERANCE: Final = 1e-9
"""Ten weights of 0.1 must reach 1 although their floating-point sum falls short of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HysteresisPolicy:
    """How much agreement it takes. Defaults: HAProxy's ``rise 2 fall 3``.

    Raises ``ValueError`` when a score or a weight is not a positive finite number.
    """

    rise: float = 2.0
    """Score of passes in a row that brings up."""
    fall: float = 3.0
    """Score of failures in a row that takes down."""
    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    """What one observation of a class counts."""

    def __post_init__(self) -> None:
        """Refuse what could never change state or would always change it."""
        for name, value in (("rise", self.rise), ("fall", self.fall), *self.weights.items()):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"hysteresis: {name} is {value:g}; it must be a finite number above 0")


class Hysteresis:
    """The state of one watched thing: up or down, and the score against that."""

    __slots__ = ("_policy", "_score", "_up")

    def __init__(self, policy: HysteresisPolicy, *, up: bool = True) -> None:
        """Start up (optimistic) unless told otherwise."""
        self._policy = policy
        self._up = up
        self._score = 0.0

    @property
    def up(self) -> bool:
        """The verdict in force."""
        return self._up

    @property
    def score(self) -> float:
        """What speaks against the verdict in force: 0 up to :attr:`needed`."""
        return self._score

    @property
    def needed(self) -> float:
        """The score that turns the verdict."""
        return self._policy.fall if self._up else self._policy.rise

    def reconfigure(self, policy: HysteresisPolicy) -> None:
        """Judge by other scores from the next observation on; state and score stay."""
        self._policy = policy

    def reset(self) -> None:
        """Up again without observations, because nothing observes any more."""
        self._up = True
        self._score = 0.0

    def observe(self, *, passed: bool, kind: str, now: float) -> Change | None:
        """Take in one observation of class ``kind``; the change it caused, if any."""
        if passed == self._up:
            self._score = 0.0
            return None
        self._score += self._policy.weights.get(kind, 1.0)
        if self._score < self.needed - _TOLERANCE:
            return None
        figures: dict[str, float | str] = {"score": round(self._score, 3), "needed": self.needed, "last": kind}
        before, after, rule = ("up", "down", "hysteresis.fall") if self._up else ("down", "up", "hysteresis.rise")
        self._up = not self._up
        self._score = 0.0
        return Change(at=now, rule=rule, before=before, after=after, figures=figures)
