"""One backend: what each policy thinks of it, and what follows when they are put together.

Three witnesses speak independently, and none can silence another:

    active checks   hysteresis   up or down
    traffic         breaker      closed, open, half_open
    the past        damping      penalty, suppressed

A backend is *sound* while checks say up and the breaker is closed. Losing soundness is one
down transition, whoever noticed first, and costs one penalty; a backend that was never seen
working pays none, because it cannot have flapped. A penalty cannot be taken back (only time
lowers it), so that for an ejection by traffic is due only once a pardon is out of question.

It starts up, so that a balancer that restarts does not begin with an outage; that it has not
been checked yet is told by :attr:`BackendHealth.probed`.

What the state means for traffic is decided by the pool (:mod:`.pool`), which knows what else
is left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from holdfast.resilience import Breaker, Change, FlapDamping, Hysteresis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.balancer.core.events import State
    from holdfast.balancer.core.policies import Policies
    from holdfast.resilience import Judgement, OutlierWindow
    from holdfast.resilience.breaker import Chance

PARDON_S: Final = 1.0
"""Ejections this short before the pool turns out to fail as a whole are taken back: the first
backend to fail cannot be told from a single bad one until the second fails."""
CARRY_MEMORY: Final = 50.0
"""Attempts over which :attr:`BackendHealth.carries` averages. It counts attempts, not time: what a
backend was last seen to carry stays true while it gets no traffic."""
CARRY_STEP: Final = 0.05
"""Step of the share that is published, so that not every report pushes a new weight to all workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """The outcome of one active health check."""

    passed: bool
    kind: str = "pass"
    """``pass`` or ``slow`` when passed; a failure class (``connect``, ``timeout``, ``reset``,
    ``status``, ``protocol``) or ``slow`` when failed. Weighs as hysteresis says."""
    status: int | None = None
    latency_s: float = 0.0


class BackendHealth:
    """The state of one backend. The pool is the only caller; time goes forward between calls."""

    __slots__ = (
        "_carries",
        "_flap_due",
        "breaker",
        "changes",
        "configured_weight",
        "correlated_at",
        "damping",
        "drained",
        "flips",
        "hysteresis",
        "id",
        "in_flight",
        "last_probe",
        "last_probe_at",
        "latency_s",
        "latest",
        "leases",
        "override_weight",
        "rescued",
        "rotation_since",
        "since",
        "state",
        "suppression_enforced",
        "suppression_waived",
        "tripped_at",
        "url",
        "weight",
        "window",
        "working",
    )

    def __init__(
        self, backend: str, url: str, weight: float, policies: Policies, window: OutlierWindow, now: float
    ) -> None:
        """Start up, unchecked and with a clean record."""
        self.id = backend
        self.url = url
        self.configured_weight = weight
        self.override_weight: float | None = None
        self.drained = False
        self.hysteresis = Hysteresis(policies.hysteresis)
        self.breaker = Breaker(policies.breaker) if policies.breaker else None
        self.damping = FlapDamping(policies.damping) if policies.damping else None
        self.window = window
        self._carries = 0.5
        self._flap_due: float | None = None
        self.rescued = False
        """Panic: it gets traffic although it would be out."""
        self.working = False
        """It passed a check or served a request at least once."""
        self.last_probe: ProbeResult | None = None
        self.last_probe_at: float | None = None
        self.in_flight: dict[int, int] = {}
        self.latency_s: dict[int, float] = {}
        self.leases: dict[int, int] = {}
        """Half-open: trial permit -> worker that may use it."""
        self.tripped_at: float | None = None
        """When traffic opened the closed breaker, while it has not been tried since."""
        self.correlated_at: float | None = None
        """When evidence against it was last dismissed, because its peers failed too."""
        self.suppression_enforced = False
        self.suppression_waived = False
        """Set by the pool when it cannot do without; lasts until released or until the next flap."""
        self.state: State = "up"
        self.weight = weight
        """Effective weight, 0 when out of rotation."""
        self.since = now
        self.rotation_since = now
        self.flips = 0
        self.changes: list[Change] = []
        """What policies changed since the pool last looked."""
        self.latest: dict[str, Change] = {}
        """The latest change into each state of each policy, for whoever asks later."""

    @property
    def probed(self) -> bool:
        """Whether it was checked at all."""
        return self.last_probe is not None

    @property
    def share(self) -> float:
        """The weight that configuration or an operator gives it."""
        return self.configured_weight if self.override_weight is None else self.override_weight

    @property
    def member(self) -> bool:
        """Whether it is meant to get traffic when it is well."""
        return not self.drained and self.share > 0

    @property
    def closed(self) -> bool:
        """Whether traffic has nothing against it."""
        return self.breaker is None or self.breaker.state == "closed"

    @property
    def sound(self) -> bool:
        """Whether neither active checks nor traffic speak against it."""
        return self.hysteresis.up and self.closed

    @property
    def suppressed(self) -> bool:
        """Whether damping wants it out."""
        return self.damping is not None and self.damping.suppressed

    def factor(self, now: float) -> float:
        """Ramp times damping, in hundredths from 0.01 to 1."""
        ramp = self.breaker.ramp_factor(now) if self.breaker else 1.0
        damping = self.damping.factor(now) if self.damping else 1.0
        return max(0.01, round(ramp * damping, 2))

    @property
    def carries(self) -> float:
        """The share of its weight that it was last seen to carry, in [0, 1] by steps of 0.05.

        An exponential average of successes over the last 50 attempts; one half before the first.
        """
        return round(round(self._carries / CARRY_STEP) * CARRY_STEP, 2)

    def ramping(self, now: float) -> bool:
        """Whether it came back less than a ramp ago."""
        return self.breaker is not None and self.breaker.ramp_until(now) is not None

    def on_probe(self, result: ProbeResult, now: float) -> None:
        """Take in an active check."""
        self.last_probe, self.last_probe_at = result, now
        self.working = self.working or result.passed
        self._observe(passed=result.passed, kind=result.kind, now=now)

    def on_traffic(self, failure: str | None, count: int) -> None:
        """Take in attempts with the same outcome, for what they say about capacity."""
        outcome = 1.0 if failure is None else 0.0
        self.working = self.working or failure is None
        self._carries = outcome + (self._carries - outcome) * math.exp(-count / CARRY_MEMORY)

    def on_traffic_as_probe(self, failure: str | None, count: int, now: float) -> None:
        """Take in attempts the naive way, as if they were checks (breaker switched off).

        Successes only wipe failures; as with checks of traffic elsewhere, a backend that is
        down gets none, so only an active check brings it back.
        """
        passed = failure is None
        if passed and not self.hysteresis.up:
            return
        for _ in range(1 if passed else count):
            self._observe(passed=passed, kind=failure or "pass", now=now)

    def trip(self, judgement: Judgement, now: float, rng: Chance) -> None:
        """Open the breaker, because traffic convicted the backend."""
        if self.breaker is None:
            return
        sound = self.sound
        change = self.breaker.trip(now, rng)
        if change is None:
            return
        self.tripped_at = now
        peers = {"failing_peers": judgement.failing, "sound_peers": judgement.sound}
        figures = {**judgement.evidence.figures, **peers, **change.figures}
        self._note(
            Change(at=now, rule=judgement.evidence.rule, before=change.before, after=change.after, figures=figures)
        )
        if sound and self.working:
            self._flap_due = now + PARDON_S

    def pardon(self, now: float) -> None:
        """Take an opening back that the pool found to be part of a failure of all."""
        if self.breaker is not None and self.tripped_at is not None:
            self._note(self.breaker.pardon(now))
            self.window.clear()
            self.tripped_at = None
            self._flap_due = None

    def on_trial(self, worker: int, failure: str | None, count: int, now: float, rng: Chance) -> None:
        """Take in the outcome of half-open trials of one worker."""
        if self.breaker is None:
            return
        for _ in range(count):
            permit = self._lease_of(worker) or self.breaker.admit(now)
            if permit is None:
                return
            change = self.breaker.report(permit, succeeded=failure is None, now=now, rng=rng)
            self._note(change)
            if change is not None:
                self.leases.clear()
                if change.after == "closed":
                    self.window.clear()
                return
            # The worker may start its next trial before it hears from us, so the place stays its own.
            self._grant(worker, now)

    def excuse_trial(self, worker: int, now: float) -> None:
        """A trial failed by the fault of its request: the place is free, nothing is learned."""
        permit = self._lease_of(worker)
        if self.breaker is not None and permit is not None:
            self.breaker.release(permit)
            self._grant(worker, now)

    def lease_trials(self, workers: tuple[int, ...], now: float) -> None:
        """Half-open: share the permits out over the workers, the free ones to those who have fewest."""
        if self.breaker is None:
            return
        out = set(self.breaker.permits)
        for permit, worker in tuple(self.leases.items()):
            if permit not in out or worker not in workers:
                del self.leases[permit]
                self.breaker.release(permit)
        held = [*self.leases.values()]
        while workers and (free := self.breaker.admit(now)) is not None:
            # Numbers go up, so a permit that expired unused at one worker moves on to the next.
            turn = free % len(workers)
            holder = min((*workers[turn:], *workers[:turn]), key=held.count)
            self.leases[free] = holder
            held.append(holder)

    def revoke_trials(self) -> None:
        """Take all permits back."""
        if self.breaker is not None:
            for permit in self.leases:
                self.breaker.release(permit)
        self.leases.clear()

    def tick(self, now: float) -> None:
        """Let time work on each policy."""
        if self.breaker is not None:
            change = self.breaker.tick(now)
            self._note(change)
            if change is not None:
                self.tripped_at = None
        if self.damping is not None:
            change = self.damping.tick(now)
            self._note(change)
            if change is not None:
                self.suppression_waived = False
        if self._flap_due is not None and now >= self._flap_due:
            self._flap_due = None
            self._flap(now)

    def reconfigure(self, weight: float, policies: Policies, window: OutlierWindow, now: float) -> None:
        """Go on under other policies; whatever each has learned stays."""
        self.configured_weight = weight
        self.window = window
        self.hysteresis.reconfigure(policies.hysteresis)
        if policies.breaker is None:
            self.breaker = None
            self.leases.clear()
        elif self.breaker is None:
            self.breaker = Breaker(policies.breaker)
            self.window.clear()
        else:
            self.breaker.reconfigure(policies.breaker)
        if policies.damping is None:
            self.damping = None
        elif self.damping is None:
            self.damping = FlapDamping(policies.damping)
        else:
            self.damping.reconfigure(policies.damping, now)

    def forget_checks(self) -> None:
        """Active checks were switched off: what they said last is no longer true or false."""
        self.hysteresis.reset()

    def note_admin(self, rule: str, after: str, figures: Mapping[str, float], now: float) -> None:
        """Record what an operator did."""
        self._note(Change(at=now, rule=rule, before=self.state, after=after, figures=figures))

    def _observe(self, *, passed: bool, kind: str, now: float) -> None:
        sound = self.sound
        change = self.hysteresis.observe(passed=passed, kind=kind, now=now)
        if change is None:
            return
        self._note(change)
        if self.hysteresis.up and self.breaker is not None:
            self.breaker.ramp(now)
        self._count_flap(sound, now)

    def _count_flap(self, was_sound: bool, now: float) -> None:
        if was_sound and not self.sound and self.working:
            self._flap(now)

    def _flap(self, now: float) -> None:
        if self.damping is not None:
            self.suppression_waived = False
            self._note(self.damping.flap(now))

    def _note(self, change: Change | None) -> None:
        if change is not None:
            self.changes.append(change)
            self.latest[change.after] = change

    def _lease_of(self, worker: int) -> int | None:
        for permit, holder in self.leases.items():
            if holder == worker:
                del self.leases[permit]
                return permit
        return None

    def _grant(self, worker: int, now: float) -> None:
        permit = self.breaker.admit(now) if self.breaker is not None else None
        if permit is not None:
            self.leases[permit] = worker
