"""Flap damping: what goes up and down too often is trusted less, and for longer.

After RFC 2439 (route flap damping) with the advice of RFC 7196 that the threshold be high
enough to spare what fails only now and then, scaled from minutes to seconds.

    each down transition     penalty += 1000, at most the ceiling
    with time                penalty halves every half-life, and nothing else lowers it
    penalty >= suppress      suppressed
    penalty <= reuse         released

    ceiling = reuse * 2 ** (max_suppress / half_life)        (RFC 2439, section 4.2)

so that the time from the ceiling down to ``reuse`` is exactly ``max_suppress``: however
often something flapped, that long after its last flap it is released.

Before it removes anything, the penalty lowers a weight. With p the penalty:

    factor = 1                                                   p <= reuse
             floor ** ((p - reuse) / (suppress - reuse))         reuse < p < suppress
             floor                                               p >= suppress

It is geometric, so that every further flap cuts by the same ratio: with the defaults one
flap leaves 77 % of the weight, a second soon after 30 %, a third 12 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from holdfast.resilience.change import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class DampingPolicy:
    """Penalties in points, times in seconds.

    Raises ``ValueError`` for figures with which suppression could never begin or never end;
    the message names the figure to change.
    """

    penalty: float = 1000.0
    """Added by each down transition (RFC 2439, section 4.2: one unit per withdrawal)."""
    half_life_s: float = 60.0
    """RFC 2439 suggests 15 minutes for routes; backends are replaced and repaired faster."""
    suppress: float = 3000.0
    """Reached by four flaps that are at most 17 s apart; flapping slower than every 35 s never
    reaches it. RFC 7196 found 2000 to 3000 too low for routes, because one failure far away
    looks like many flaps there; a backend's failure is seen once."""
    reuse: float = 750.0
    """750 is what routers ship with (RFC 7196, section 3)."""
    max_suppress_s: float = 300.0
    """Longest time from the last flap to release."""
    floor: float = 0.1
    """Weight factor that is left at ``suppress``: enough traffic to be seen, little to lose."""
    shortest_cycle_s: float = 1.0
    """The fastest flapping that is expected: one down transition per this many seconds.
    Used only to refuse figures whose penalty decays faster than it can gather."""

    @property
    def ceiling(self) -> float:
        """The penalty that takes exactly ``max_suppress_s`` to decay to ``reuse``."""
        return self.reuse * math.exp2(min(self.max_suppress_s / self.half_life_s, 1000.0))

    def __post_init__(self) -> None:
        """Refuse figures with which suppression could never begin or never end."""
        for name in ("penalty", "half_life_s", "suppress", "reuse", "max_suppress_s", "shortest_cycle_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"damping: {name} is {value:g}; it must be a finite number above 0")
        if not 0 < self.floor <= 1:
            raise ValueError(f"damping: floor is {self.floor:g}; it must be above 0 and at most 1")
        if self.reuse >= self.suppress:
            raise ValueError(
                f"damping: reuse {self.reuse:g} is not below suppress {self.suppress:g}, so nothing could stay "
                f"suppressed; lower reuse"
            )
        if self.ceiling <= self.suppress:
            needed_s = self.half_life_s * math.log2(self.suppress / self.reuse)
            raise ValueError(
                f"damping: suppress {self.suppress:g} can never be reached, because max_suppress "
                f"{self.max_suppress_s:g}s caps the penalty at {self.ceiling:g}; "
                f"raise max_suppress above {needed_s:g}s or lower suppress"
            )
        gathered = self.penalty / -math.expm1(-math.log(2) * self.shortest_cycle_s / self.half_life_s)
        if gathered <= self.suppress:
            raise ValueError(
                f"damping: suppress {self.suppress:g} can never be reached, because even one flap every "
                f"{self.shortest_cycle_s:g}s gathers only {gathered:.0f} with penalty {self.penalty:g} and half_life "
                f"{self.half_life_s:g}s; raise half_life or penalty, or lower suppress"
            )


class FlapDamping:
    """The penalty of one thing that may flap."""

    __slots__ = ("_at", "_penalty", "_policy", "_suppressed")

    def __init__(self, policy: DampingPolicy) -> None:
        """Start with a clean record."""
        self._policy = policy
        self._penalty = 0.0
        self._at = 0.0
        self._suppressed = False

    @property
    def suppressed(self) -> bool:
        """Whether the penalty has reached ``suppress`` and not yet decayed to ``reuse``."""
        return self._suppressed

    def reconfigure(self, policy: DampingPolicy, now: float) -> None:
        """Go on by other figures; the penalty of this moment stays (below the new ceiling)."""
        self._penalty = min(self.penalty(now), policy.ceiling)
        self._at = max(now, self._at)
        self._policy = policy

    def penalty(self, now: float) -> float:
        """Points at this moment, from 0 to the ceiling."""
        return self._penalty * math.exp2(-max(0.0, now - self._at) / self._policy.half_life_s)

    def factor(self, now: float) -> float:
        """What to multiply a weight with, in (0, 1]."""
        policy = self._policy
        share = (self.penalty(now) - policy.reuse) / (policy.suppress - policy.reuse)
        return math.pow(policy.floor, min(1.0, max(0.0, share)))

    def reuse_at(self, now: float) -> float | None:
        """When suppression will end if nothing flaps any more; ``None`` when not suppressed."""
        if not self._suppressed:
            return None
        ratio = max(1.0, self.penalty(now) / self._policy.reuse)
        return max(now, self._at) + self._policy.half_life_s * math.log2(ratio)

    def flap(self, now: float) -> Change | None:
        """Count one down transition; the change when that begins suppression."""
        policy = self._policy
        self._penalty = min(self.penalty(now) + policy.penalty, policy.ceiling)
        self._at = max(now, self._at)
        if self._suppressed or self._penalty < policy.suppress:
            return None
        self._suppressed = True
        return Change(at=now, rule="damping.suppress", before="used", after="suppressed", figures=self._figures(now))

    def tick(self, now: float) -> Change | None:
        """Let time work; the change when that ends suppression."""
        # The tolerance keeps a tick at exactly reuse_at() from missing it by a rounding error.
        if not self._suppressed or self.penalty(now) > self._policy.reuse * (1 + 1e-9):
            return None
        self._suppressed = False
        return Change(at=now, rule="damping.reuse", before="suppressed", after="used", figures=self._figures(now))

    def _figures(self, now: float) -> dict[str, float | str]:
        policy = self._policy
        figures: dict[str, float | str] = {
            "penalty": round(self.penalty(now), 1),
            "suppress": policy.suppress,
            "reuse": policy.reuse,
            "half_life_s": policy.half_life_s,
        }
        release = self.reuse_at(now)
        if release is not None:
            figures["release_in_s"] = round(release - now, 1)
        return figures
