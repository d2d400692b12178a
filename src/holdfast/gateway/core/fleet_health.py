"""One deployment: what each policy thinks of it, and what follows when they are put together.

    witness     what it hears                                             what it says
    ----------  --------------------------------------------------------  ---------------------------------
    breaker     connect, reset, timeout, stalled, cut, server_error,      closed, open, half_open
                protocol; judged over all deployments (:mod:`.fleet`)
    cool-down   rate_limited, overloaded                                  a deadline that moves only forward
    damping     each opening of the breaker                               a weight, suppressed
    key         auth                                                      flagged; nobody is ejected for it

``rejected`` and ``filtered`` are the request's own fault and are heard by nobody.

    state       gets requests
    ----------  -----------------------------------------------------------------------------
    up          yes
    ramping     yes, with a growing weight
    suppressed  only when no tier has another one that is up or ramping: it may work
    half_open   ``health.trials`` at once
    open        never
    cooling     never

Open and cooling mean *never*, also for the last one of a route: a provider that said "not before" is believed, and a
request that nobody can answer is refused at once, with the time to come back, instead of being billed for a failure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

from holdfast.gateway.core.admission import TokenLimit
from holdfast.gateway.core.hedging import Quantiles
from holdfast.resilience import Breaker, BreakerPolicy, DampingPolicy, FlapDamping, OutlierPolicy, Target

if TYPE_CHECKING:
    from holdfast.gateway.core.deployments import Deployment
    from holdfast.gateway.core.settings import GatewaySettings, HealthSettings
    from holdfast.resilience import Change, Judgement, OutlierWindow
    from holdfast.resilience.breaker import Chance

State = Literal["up", "ramping", "suppressed", "half_open", "open", "cooling"]
IN_ROTATION: Final[frozenset[State]] = frozenset({"up", "ramping"})

ILL: Final = frozenset({"connect", "reset", "timeout", "stalled", "cut", "server_error", "protocol"})
"""Failures that speak against the deployment's health."""
BUSY: Final = frozenset({"rate_limited", "overloaded"})
"""Failures that say: not now. No illness; they set a deadline and lower the limit of tokens."""
PARDON_S: Final = 1.0
"""Openings this short before everything turns out to fail at once are taken back, as in the balancer."""
TRIAL_MARGIN_S: Final = 5.0
"""What a trial may take beyond the time for a first token before its place is free again."""
_BUCKETS: Final = 10


def outlier_policy(health: HealthSettings) -> OutlierPolicy:
    """The window, in ten buckets."""
    return OutlierPolicy(
        consecutive=health.consecutive,
        success_ratio=health.success_ratio,
        bucket_s=float(health.window) / _BUCKETS,
        buckets=_BUCKETS,
        minimum_volume=health.minimum_volume,
    )


def breaker_policy(settings: GatewaySettings) -> BreakerPolicy:
    """The breaker. A trial is over with its commit point, so its time is that of a first token."""
    health = settings.health
    return BreakerPolicy(
        open_min_s=float(health.open_min),
        open_max_s=float(health.open_max),
        trials=health.trials,
        trial_successes=health.trial_successes,
        trial_timeout_s=float(settings.timeouts.first_token) + TRIAL_MARGIN_S,
        ramp_s=float(health.ramp),
    )


class DeploymentHealth(Target):
    """The state of one deployment. The fleet is the only caller; time goes forward between calls."""

    __slots__ = (
        "auth_at",
        "batch_tokens",
        "breaker",
        "changes",
        "consecutive_busy",
        "cooled_at",
        "cooling_rule",
        "cooling_until",
        "correlated_at",
        "damping",
        "deployment",
        "first_tokens",
        "flap_due",
        "flips",
        "interactive_at",
        "latest",
        "longest_pause_s",
        "most_tokens",
        "offered",
        "pause_s",
        "rotation_since",
        "since",
        "state",
        "tokens",
        "tokens_in_flight",
        "tripped_at",
        "used_at",
        "window",
    )

    def __init__(self, deployment: Deployment, settings: GatewaySettings, window: OutlierWindow, now: float) -> None:
        """Start up and with a clean record."""
        super().__init__(deployment.name, deployment.weight, memory_s=30.0)
        self.deployment = deployment
        self.breaker = Breaker(breaker_policy(settings))
        self.damping = FlapDamping(DampingPolicy()) if settings.health.damping else None
        self.window = window
        self.tokens = TokenLimit(deployment.tokens_in_flight, adaptive=settings.admission.adaptive)
        self.first_tokens = Quantiles()
        self.pause_s = float(settings.health.rate_limit_pause)
        self.longest_pause_s = float(settings.health.longest_pause)
        self.tokens_in_flight = 0
        self.batch_tokens = 0
        """Of the tokens in flight: of batch requests."""
        self.most_tokens = 0
        """Most tokens in flight since the start."""
        self.interactive_at = -math.inf
        """When an interactive request last came here."""
        self.used_at = now
        self.offered: dict[int, float] = {}
        """Trial permits that were chosen and not begun yet -> when."""
        self.cooling_until = -math.inf
        self.cooling_rule = ""
        self.cooled_at = -math.inf
        self.consecutive_busy = 0
        self.auth_at: float | None = None
        """Since when its key is refused."""
        self.tripped_at: float | None = None
        self.flap_due: float | None = None
        self.correlated_at: float | None = None
        self.state: State = "up"
        self.since = now
        self.rotation_since = now
        self.flips = 0
        """How often it left rotation or came back."""
        self.latest: Change | None = None
        """The latest change of the breaker."""
        self.changes: list[dict[str, Any]] = []

    def reconfigure(self, deployment: Deployment, settings: GatewaySettings, window: OutlierWindow, now: float) -> None:
        """Go on under other figures; whatever each policy has learned stays."""
        adaptive = settings.admission.adaptive
        if (deployment.tokens_in_flight, adaptive) != (self.tokens.highest, self.tokens.adaptive):
            self.tokens = TokenLimit(deployment.tokens_in_flight, adaptive=adaptive)
        self.deployment = deployment
        self.nominal_weight = deployment.weight if deployment.weight > 0 else 1.0
        self.window = window
        self.breaker.reconfigure(breaker_policy(settings))
        if not settings.health.damping:
            self.damping = None
        elif self.damping is None:
            self.damping = FlapDamping(DampingPolicy())
        self.pause_s = float(settings.health.rate_limit_pause)
        self.longest_pause_s = float(settings.health.longest_pause)
        self._settle(now, "fleet.reconfigured", {})

    def until(self, now: float) -> float | None:
        """When the state ends by itself; ``None`` when that depends on what happens."""
        match self.state:
            case "cooling":
                breaker = self.breaker.until
                return self.cooling_until if breaker is None else max(self.cooling_until, breaker)
            case "open":
                return self.breaker.until
            case "suppressed":
                return self.damping.reuse_at(now) if self.damping is not None else None
            case "ramping":
                return self.breaker.ramp_until(now)
            case _:
                return None

    def cooling(self, now: float) -> bool:
        """Whether it said that it wants no requests now."""
        return now < self.cooling_until

    def tick(self, now: float, oldest_age_s: float) -> None:
        """Let time work on each policy. ``oldest_age_s``: of the attempt that waits longest for its first token."""
        # Until a first answer nobody knows what silence means at a model that may think for a minute.
        super().tick(now, oldest_age_s if self.usual_s > 0.0 else 0.0)
        if self.breaker.state != "closed":
            change = self.breaker.tick(now)
            if change is not None:
                self.latest, self.tripped_at = change, None
                self._settle(now, change.rule, dict(change.figures))
            for permit, at in tuple(self.offered.items()):
                if now - at > TRIAL_MARGIN_S:
                    self.breaker.release(permit)
                    del self.offered[permit]
        else:
            self.breaker.tick(now)
        if self.flap_due is not None and now >= self.flap_due:
            self.flap_due = None
            if self.damping is not None and (flapped := self.damping.flap(now)) is not None:
                self._settle(now, flapped.rule, dict(flapped.figures))
        if self.damping is not None and (released := self.damping.tick(now)) is not None:
            self._settle(now, released.rule, dict(released.figures))
        if self.state == "cooling" and not self.cooling(now):
            self.breaker.ramp(now)
            self._settle(now, "cooldown.over", {"cooled_s": round(now - self.since, 3)})
        elif self.state == "ramping" and self.breaker.ramp_until(now) is None:
            self._settle(now, "breaker.ramped", {})
        elif self.state in IN_ROTATION:
            self._weigh(now)

    def healthy(self, permit: int | None, now: float, rng: Chance) -> None:
        """It did what was asked."""
        self.consecutive_busy = 0
        if self.auth_at is not None:
            self._say(now, "key.accepted", {"refused_s": round(now - self.auth_at, 3)})
            self.auth_at = None
        if permit is not None:
            self._report(permit, succeeded=True, now=now, rng=rng)

    def ill(self, permit: int | None, now: float, rng: Chance) -> None:
        """A trial failed; what failed without one is judged over all deployments (:meth:`trip`)."""
        if permit is not None:
            self._report(permit, succeeded=False, now=now, rng=rng)

    def busy(self, failure: str, began: float, retry_after_s: float | None, now: float) -> None:
        """It said: not now. The deadline moves only forward; a burst of refusals counts as one."""
        if began >= self.cooled_at:
            self.consecutive_busy += 1
            self.cooled_at = now
        told = retry_after_s is not None and retry_after_s > 0
        if retry_after_s is not None and told:
            pause_s = retry_after_s
        else:
            pause_s = self.pause_s * math.exp2(min(self.consecutive_busy - 1, 30))
        pause_s = min(self.longest_pause_s, pause_s)
        lowered = self.tokens.refused(began, self.tokens_in_flight, now)
        if now + pause_s > self.cooling_until:
            self.cooling_until = now + pause_s
            self.cooling_rule = f"cooldown.{failure}"
        figures: dict[str, Any] = {
            "pause_s": round(pause_s, 3),
            "told": told,
            "consecutive": self.consecutive_busy,
            "token_limit": self.tokens.limit,
            "lowered": lowered,
        }
        self._settle(now, f"cooldown.{failure}", figures)

    def refuses_key(self, now: float) -> None:
        """Its key is no good there: said once for each episode."""
        if self.auth_at is None:
            self.auth_at = now
            self._say(now, "key.refused", {})

    def trip(self, judgement: Judgement, now: float, rng: Chance) -> None:
        """Open the breaker, because traffic convicted it."""
        change = self.breaker.trip(now, rng)
        if change is None:
            return
        self.tripped_at = now
        peers = {"failing_peers": judgement.failing, "sound_peers": judgement.sound}
        figures = {**judgement.evidence.figures, **peers, **change.figures}
        self.latest = change
        if self.window.last_success > -math.inf:  # what never worked cannot have flapped
            self.flap_due = now + PARDON_S
        self._settle(now, judgement.evidence.rule, figures)

    def pardon(self, now: float) -> None:
        """Take an opening back that turned out to be part of a failure of all."""
        if self.tripped_at is None or now - self.tripped_at > PARDON_S:
            return
        change = self.breaker.pardon(now)
        self.window.clear()
        self.tripped_at = self.flap_due = None
        if change is not None:
            self.latest = change
            self._settle(now, change.rule, dict(change.figures))

    def correlated(self, judgement: Judgement, now: float) -> None:
        """It failed together with its peers: nobody is ejected for that; said once in ten seconds."""
        if self.correlated_at is None or now - self.correlated_at > 10.0:
            figures = {**judgement.evidence.figures, "failing_peers": judgement.failing}
            self._say(now, "outlier.correlated", {**figures, "sound_peers": judgement.sound})
        self.correlated_at = now

    def _report(self, permit: int, *, succeeded: bool, now: float, rng: Chance) -> None:
        change = self.breaker.report(permit, succeeded=succeeded, now=now, rng=rng)
        if change is None:
            return
        self.latest = change
        self.offered.clear()
        if change.after == "closed":
            self.window.clear()
        self._settle(now, change.rule, dict(change.figures))

    def _weigh(self, now: float) -> None:
        damping = self.damping.factor(now) if self.damping is not None else 1.0
        self.weight = self.deployment.weight * max(0.01, self.breaker.ramp_factor(now) * damping)

    def _settle(self, now: float, rule: str, figures: dict[str, Any]) -> None:
        """Name the state that follows from all witnesses; tell when it is another one."""
        state = self._name(now)
        self._weigh(now)
        if state == self.state:
            return
        if (state in IN_ROTATION) != (self.state in IN_ROTATION):
            self.flips += 1
            self.rotation_since = now
        before, self.state = self.state, state
        self.since = now
        self._say(now, rule, figures, before)

    def _name(self, now: float) -> State:
        if self.cooling(now):
            return "cooling"
        if self.breaker.state != "closed":
            return self.breaker.state
        if self.damping is not None and self.damping.suppressed:
            return "suppressed"
        return "up" if self.breaker.ramp_until(now) is None else "ramping"

    def _say(self, now: float, rule: str, figures: dict[str, Any], before: State | None = None) -> None:
        change = {"deployment": self.id, "before": before or self.state, "after": self.state, "rule": rule, "at": now}
        self.changes.append({**change, **figures})
        del self.changes[:-64]  # nobody asked for them; the oldest are the least missed
