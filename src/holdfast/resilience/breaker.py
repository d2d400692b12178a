"""A circuit breaker that lets a backend rest, tries it with a few live requests, and returns it slowly.

    state      event                                       next       effect
    ---------  ------------------------------------------  ---------  -------------------------------
    closed     tripped                                     open       opening += 1, timer drawn
    closed     closed for ``reset_after_s`` and as long
               as the last opening was meant to last       closed     opening = 0
    open       timer runs out                              half_open  no trial out, no success counted
    open       hastened                                    open       timer cut short
    open       pardoned                                    closed     opening -= 1, no ramp
    half_open  trial succeeds, ``trial_successes`` so far  closed     ramp begins
    half_open  trial succeeds, fewer so far                half_open  its permit is free again
    half_open  trial fails                                 open       opening += 1, timer drawn
    half_open  trial silent for ``trial_timeout_s``        half_open  its permit is free again

The timer of the k-th opening in a row is drawn with equal jitter, so that breakers that
opened together do not try together:

    nominal = min(open_max, open_min * 2 ** (k - 1))          5, 10, 20, ... 300 s
    open    = nominal / 2 + random * nominal / 2              random in [0, 1)

After closing, the weight factor ramps up over ``ramp_s``; with x the share of it that has passed:

    linear        floor + (1 - floor) * x
    exponential   floor ** (1 - x)

Invariants: at most ``trials`` permits are out; none are outside half_open; the only way back
from half_open to closed is live traffic. There is no input for active health checks, so one
that passes cannot clear what traffic saw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from holdfast.resilience.change import Change

BreakerState = Literal["closed", "open", "half_open"]

RAMP_FLOOR: Final = 0.1
"""Factor at the moment of closing (Envoy slow start ``min_weight_percent``: 10 %)."""


class Chance(Protocol):
    """The one method of ``random.Random`` that is needed."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """Times in seconds. Raises ``ValueError`` when out of range."""

    open_min_s: float = 5.0
    """Nominal time of the first opening (Finagle and Hystrix: 5 s)."""
    open_max_s: float = 300.0
    """Bound of its growth (Finagle and Envoy ``max_ejection_time``: 300 s)."""
    trials: int = 3
    """Live requests admitted at once while half-open. One would make the answer depend on a
    single slow request; many would be a burst on a backend that is just back."""
    trial_successes: int = 3
    """Successes that close. A backend that fails half of its requests passes one trial in two,
    but three in a row only one time in eight."""
    trial_timeout_s: float = 15.0
    """After this a permit that did not report is free again: its holder may be gone. Longer than
    a request may take (10 s by default), so that a trial which only hangs still reports."""
    ramp_s: float = 10.0
    """Time from closing to full weight; 0 switches the ramp off."""
    ramp_shape: Literal["linear", "exponential"] = "linear"
    reset_after_s: float = 60.0
    """Closed at least this long, and at least as long as the last nominal opening, the next
    opening is a first one again. What fails once a minute is the business of flap damping."""

    def __post_init__(self) -> None:
        """Refuse times that do not fit each other and counts below 1."""
        for name in ("open_min_s", "open_max_s", "trial_timeout_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"breaker: {name} is {value:g}; it must be a finite time above 0")
        for name in ("ramp_s", "reset_after_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"breaker: {name} is {value:g}; it must be a finite time of at least 0")
        if self.open_max_s < self.open_min_s:
            raise ValueError(
                f"breaker: open_max {self.open_max_s:g}s is below open_min {self.open_min_s:g}s; raise open_max"
            )
        for name in ("trials", "trial_successes"):
            if getattr(self, name) < 1:
                raise ValueError(f"breaker: {name} is {getattr(self, name)}; it must be at least 1")

    def nominal_open_s(self, opening: int) -> float:
        """Nominal length of the ``opening``-th opening in a row (from 1)."""
        return min(self.open_max_s, self.open_min_s * math.exp2(min(opening - 1, 100)))

    def ramp_factor(self, closed_s: float) -> float:
        """Weight factor so long after closing, from the floor to 1."""
        if closed_s >= self.ramp_s:
            return 1.0
        share = max(0.0, closed_s) / self.ramp_s
        if self.ramp_shape == "exponential":
            return math.pow(RAMP_FLOOR, 1.0 - share)
        return RAMP_FLOOR + (1.0 - RAMP_FLOOR) * share


class Breaker:
    """The breaker of one backend."""

    __slots__ = (
        "_next_permit",
        "_opening",
        "_permits",
        "_policy",
        "_ramp_from",
        "_since",
        "_state",
        "_successes",
        "_until",
    )

    def __init__(self, policy: BreakerPolicy) -> None:
        """Start closed and at full weight."""
        self._policy = policy
        self._state: BreakerState = "closed"
        self._opening = 0
        self._since = -math.inf
        self._until = math.inf
        self._ramp_from = -math.inf
        self._successes = 0
        self._permits: dict[int, float] = {}  # permit -> when it expires
        self._next_permit = 1

    @property
    def state(self) -> BreakerState:
        """The state in force; time passes only in :meth:`tick`."""
        return self._state

    @property
    def opening(self) -> int:
        """Openings in a row; 0 when it has been closed long enough."""
        return self._opening

    @property
    def until(self) -> float | None:
        """Open: when trials begin."""
        return self._until if self._state == "open" else None

    @property
    def successes(self) -> int:
        """Half-open: trials that succeeded."""
        return self._successes

    @property
    def permits(self) -> tuple[int, ...]:
        """Permits that are out."""
        return tuple(self._permits)

    def ramp_factor(self, now: float) -> float:
        """Closed: weight factor in [0.1, 1]."""
        return self._policy.ramp_factor(now - self._ramp_from)

    def ramp_until(self, now: float) -> float | None:
        """When the ramp ends; ``None`` when there is none."""
        end = self._ramp_from + self._policy.ramp_s
        return end if self._state == "closed" and now < end else None

    def reconfigure(self, policy: BreakerPolicy) -> None:
        """Use other figures from the next event on. A timer that runs keeps running."""
        self._policy = policy

    def ramp(self, now: float) -> None:
        """Begin a ramp for another reason, such as passing health checks again."""
        self._ramp_from = now

    def trip(self, now: float, rng: Chance) -> Change | None:
        """Open, because traffic fails. Without effect unless closed."""
        return self._open("breaker.trip", now, rng) if self._state == "closed" else None

    def pardon(self, now: float) -> Change | None:
        """Take an opening back that turned out to be a misjudgement. Without effect unless open."""
        if self._state != "open":
            return None
        self._opening -= 1
        self._enter("closed", now)
        return Change(at=now, rule="breaker.pardon", before="open", after="closed", figures={"opening": self._opening})

    def hasten(self, open_s: float) -> None:
        """Open: let trials begin no later than so long after the opening, because capacity is short."""
        self._until = min(self._until, self._since + open_s) if self._state == "open" else self._until

    def tick(self, now: float) -> Change | None:
        """Let time work: end an opening, expire permits, forget old openings."""
        if self._state == "open" and now >= self._until:
            waited_s = round(now - self._since, 3)
            self._enter("half_open", now)
            self._successes = 0
            figures = {
                "open_s": waited_s,
                "trials": self._policy.trials,
                "successes_needed": self._policy.trial_successes,
            }
            return Change(at=now, rule="breaker.half_open", before="open", after="half_open", figures=figures)
        if self._state == "half_open":
            self._permits = {permit: expiry for permit, expiry in self._permits.items() if expiry > now}
        elif self._state == "closed" and self._opening:
            sustained_s = max(self._policy.reset_after_s, self._policy.nominal_open_s(self._opening))
            if now - self._since >= sustained_s:
                self._opening = 0
        return None

    def admit(self, now: float) -> int | None:
        """A permit for one live trial; ``None`` when not half-open or when all are out."""
        if self._state != "half_open" or len(self._permits) >= self._policy.trials:
            return None
        permit = self._next_permit
        self._next_permit += 1
        self._permits[permit] = now + self._policy.trial_timeout_s
        return permit

    def release(self, permit: int) -> None:
        """Give a permit back without a verdict (the trial never ran, or its request was to blame)."""
        self._permits.pop(permit, None)

    def report(self, permit: int, *, succeeded: bool, now: float, rng: Chance) -> Change | None:
        """The outcome of a trial. One whose permit expired, or is of an earlier opening, is ignored."""
        if self._permits.pop(permit, None) is None:
            return None
        if not succeeded:
            return self._open("breaker.trial_failed", now, rng)
        self._successes += 1
        if self._successes < self._policy.trial_successes:
            return None
        figures = {"successes": self._successes, "trial_s": round(now - self._since, 3), "ramp_s": self._policy.ramp_s}
        self._enter("closed", now)
        self._ramp_from = now
        return Change(at=now, rule="breaker.close", before="half_open", after="closed", figures=figures)

    def _open(self, rule: str, now: float, rng: Chance) -> Change:
        before = self._state
        self._opening += 1
        nominal_s = self._policy.nominal_open_s(self._opening)
        open_s = nominal_s / 2 + rng.random() * nominal_s / 2
        figures = {"opening": self._opening, "nominal_s": nominal_s, "open_s": round(open_s, 3)}
        self._enter("open", now)
        self._until = now + open_s
        return Change(at=now, rule=rule, before=before, after="open", figures=figures)

    def _enter(self, state: BreakerState, now: float) -> None:
        self._state = state
        self._since = now
        self._until = math.inf
        self._permits.clear()
