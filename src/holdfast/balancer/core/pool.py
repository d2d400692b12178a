"""A pool of backends: who is in rotation, with what weight, and why.

Checks, reports of workers and the passing of time come in; transitions come out, and views
for the workers. After every input, in this order:

1. settle which requests were to blame for their own failures, and judge the backends with
   evidence against them (:mod:`holdfast.resilience.correlation`); open the breakers of those
   convicted;
2. decide about **suppression**: damping may lower a weight as it likes, but it may take a
   backend out only if what stays in carries at least ``panic_threshold`` of the pool's
   weight. Otherwise the suppression is waived until it ends or the backend flaps again, so
   that a waiver does not itself become a flap;
3. decide about **panic**: below that share of weight in rotation, backends that are out on
   suspicion (by traffic or damping) get traffic again, by the square of what each was last
   seen to carry, if that is anything, and the pool admits only as much as all in rotation carry together. Backends
   whose active checks fail are used only if there is nothing else at all;
4. name the states, set the weights, and report what changed.

The weight of the pool is that of its members: drained backends and those of weight 0 are
not part of it, because an operator who drains half of a pool means it.

Invariant: outside panic the weight is above 0 exactly in the states ``up`` and ``ramping``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from holdfast.balancer.core.events import State, Transition
from holdfast.balancer.core.explain import BackendSnapshot, Explanation, PoolFacts, PoolSnapshot, explain, snapshot
from holdfast.balancer.core.health import PARDON_S, BackendHealth, ProbeResult
from holdfast.balancer.core.messages import BackendRef, BackendReport, Endpoint, View, Views
from holdfast.balancer.core.policies import Policies
from holdfast.resilience import Change, Correlation, capacity_limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.balancer.core.settings import PoolSettings
    from holdfast.resilience.breaker import Chance

PANIC_OPEN_S: Final = 30.0
"""Longest opening while the pool panics: it may grow to minutes where others can stand in, but a pool
that is short of capacity asks more often whether the backend is back."""
RESCUE_ENTER: Final = 0.25
RESCUE_LEAVE: Final = 0.05
"""Panic brings back a backend that was last seen to carry a quarter of its traffic, and drops it again
when it carries next to nothing: attempts there would be lost for those who make them, and bring
nothing to the pool. Half-open trials go on all the same."""
EPISODE_S: Final = 10.0
"""Dismissed evidence is reported once per backend in this time."""

_CAUSES: Final[dict[State, tuple[str, ...]]] = {
    "up": ("breaker", "hysteresis", "damping", "admin"),
    "ramping": ("breaker", "hysteresis", "damping", "admin"),
    "down": ("hysteresis",),
    "open": ("outlier", "breaker"),
    "half_open": ("breaker",),
    "suppressed": ("damping",),
    "drained": ("admin",),
    "panic": (),
}
"""Whose change explains the entry into a state, when several policies changed at once."""

PEAK_HALF_LIFE_S: Final = 600.0
"""How fast the pool's best is forgotten: what it carried at noon says little at midnight."""
PEAK_UNKNOWN: Final = 64.0
"""Requests in flight that any pool is believed to carry. A pool that was never loaded showed
nothing of its capacity, and a bound derived from its idleness would shed the first burst."""


class PoolHealth:
    """The health of all backends of one pool. Not thread-safe; ``now`` never goes back."""

    def __init__(
        self, name: str, settings: PoolSettings, now: float, rng: Chance, discovered: Sequence[Endpoint] = ()
    ) -> None:
        """Start with all backends up. Raises ``ValueError`` when the settings contradict themselves."""
        self.name = name
        self._settings = settings
        self._policies = Policies.of(settings)
        self._rng = rng
        self._now = now
        self._backends: dict[str, BackendHealth] = {}
        self._correlation = Correlation(self._policies.outlier, self._policies.correlation)
        self._predecessors: dict[int, int] = {}
        """Worker -> how many before it had its number, and numbered their requests from 1 as well."""
        self._panic = False
        self._share_in = 1.0
        self._limit: int | None = None
        self._peak = 0.0
        """Most requests in flight while the pool was sound, fading."""
        self._peak_at = now
        self._removed_flips = 0
        self._set_backends(discovered, now)
        self._refresh(now)

    @property
    def backends(self) -> tuple[str, ...]:
        """Backends in order of configuration, discovered ones last."""
        return tuple(self._backends)

    @property
    def probed(self) -> bool:
        """Whether every backend was checked at least once (or checks are off): then the pool is ready."""
        return not self._settings.health.enabled or all(health.probed for health in self._backends.values())

    @property
    def panic(self) -> bool:
        """Whether too little weight is in rotation."""
        return self._panic

    @property
    def in_flight_limit(self) -> int | None:
        """Requests in flight that the pool admits, over all workers; ``None`` for the configured limit."""
        return self._limit

    @property
    def flips(self) -> int:
        """Times that a backend entered or left rotation since the start."""
        return self._removed_flips + sum(health.flips for health in self._backends.values())

    def on_probe(self, backend: str, result: ProbeResult, now: float) -> list[Transition]:
        """Take in an active check. One of a backend that is gone is ignored."""
        health = self._backends.get(backend)
        if health is not None:
            health.on_probe(result, now)
        return self._evaluate(now)

    def on_reports(self, worker: int, reports: Iterable[BackendReport], now: float) -> list[Transition]:
        """Take in what a worker saw. Reports about other pools or backends that are gone are ignored."""
        for report in reports:
            health = self._backends.get(report.ref.backend)
            if health is not None and report.ref.pool == self.name:
                self._take(health, worker, report, now)
        return self._evaluate(now)

    def on_worker_gone(self, worker: int) -> None:
        """Forget what a worker had in flight; its trial permits go to others with the next views."""
        self._predecessors[worker] = self._predecessors.get(worker, 0) + 1
        for health in self._backends.values():
            health.in_flight.pop(worker, None)
            health.latency_s.pop(worker, None)

    def tick(self, now: float) -> list[Transition]:
        """Let time work. Call it a few times a second: it also moves ramps and penalties."""
        for health in self._backends.values():
            health.tick(now)
        return self._evaluate(now)

    def set_drain(self, backend: str, drained: bool, now: float) -> list[Transition]:
        """Take a backend out or back in by hand. Raises ``KeyError`` for an unknown one."""
        health = self._backends[backend]
        if health.drained != drained:
            health.drained = drained
            health.note_admin("admin.drain" if drained else "admin.undrain", "drained" if drained else "used", {}, now)
        return self._evaluate(now)

    def set_weight(self, backend: str, weight: float | None, now: float) -> list[Transition]:
        """Override the configured weight, or with ``None`` return to it.

        Raises ``KeyError`` for an unknown backend, ``ValueError`` for a weight that is negative or not finite.
        """
        if weight is not None and not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"weight of {self.name}/{backend} is {weight:g}; it must be a finite number of at least 0")
        health = self._backends[backend]
        figures = {"weight_before": health.share}
        health.override_weight = weight
        figures["weight"] = health.share
        health.note_admin("admin.weight", "used", figures, now)
        return self._evaluate(now)

    def reconfigure(self, settings: PoolSettings, now: float, discovered: Sequence[Endpoint] = ()) -> list[Transition]:
        """Take other settings and backends; what stays (same id and URL) keeps all of its state.

        Raises ``ValueError``, and changes nothing, when the settings contradict themselves.
        """
        policies = Policies.of(settings)
        self._settings = settings
        self._policies = policies
        self._correlation.reconfigure(policies.outlier, policies.correlation)
        self._set_backends(discovered, now)
        return self._evaluate(now)

    def views(self, workers: Sequence[int]) -> dict[int, Views]:
        """What each worker may send to each backend, as of the last input."""
        known = tuple(workers)
        for health in self._backends.values():
            if health.state == "half_open":
                health.lease_trials(known, self._now)
            else:
                health.revoke_trials()
        limits = {self.name: self._limit}
        return {
            worker: Views(tuple(self._view(h, worker) for h in self._backends.values()), limits) for worker in known
        }

    def explain(self, backend: str, now: float) -> Explanation:
        """Why a backend is in or out, since when and until when. Raises ``KeyError`` for an unknown one."""
        return explain(self._backends[backend], self._facts(), now)

    def snapshot(self, now: float) -> PoolSnapshot:
        """All backends at a glance."""
        backends: tuple[BackendSnapshot, ...] = tuple(snapshot(health, now) for health in self._backends.values())
        return PoolSnapshot(
            pool=self.name,
            panic=self._panic,
            share_in_rotation=round(self._share_in, 3),
            in_flight_limit=self._limit,
            flips=self.flips,
            poison_requests=self._correlation.poisoned,
            backends=backends,
        )

    def _facts(self) -> PoolFacts:
        return PoolFacts(
            pool=self.name,
            settings=self._settings,
            panic=self._panic,
            share_in_rotation=self._share_in,
            in_flight_limit=self._limit,
        )

    def _view(self, health: BackendHealth, worker: int) -> View:
        trials = sum(1 for holder in health.leases.values() if holder == worker)
        return View(BackendRef(self.name, health.id), health.weight, trials, health.state)

    def _set_backends(self, discovered: Sequence[Endpoint], now: float) -> None:
        wanted = {backend.id: (backend.url, float(backend.weight)) for backend in self._settings.backends}
        for endpoint in discovered:
            if endpoint.pool == self.name:
                wanted.setdefault(endpoint.backend, (endpoint.url, float(endpoint.weight)))
        previous, self._backends = self._backends, {}
        for backend, health in previous.items():
            if backend not in wanted or wanted[backend][0] != health.url:  # another URL is another server
                self._correlation.remove(backend)
                self._removed_flips += health.flips
        for backend, (url, weight) in wanted.items():
            old = previous.get(backend)
            if old is None or old.url != url:
                self._correlation.add(backend)
                window = self._correlation.window(backend)
                self._backends[backend] = BackendHealth(backend, url, weight, self._policies, window, now)
                continue
            old.reconfigure(weight, self._policies, self._correlation.window(backend), now)
            if not self._settings.health.enabled:
                old.forget_checks()
            self._backends[backend] = old

    def _take(self, health: BackendHealth, worker: int, report: BackendReport, now: float) -> None:
        health.in_flight[worker] = report.in_flight
        health.latency_s[worker] = report.latency_s
        if not self._policies.heed_traffic:
            return
        if health.breaker is None:
            for run in report.runs:
                health.on_traffic(run.failure, run.count)
                health.on_traffic_as_probe(run.failure, run.count, now)
            return
        # In panic a half-open backend gets ordinary traffic instead of trials; it tries it just as well.
        trial = health.breaker.state == "half_open" and (report.trial or health.state == "panic")
        source = (worker, self._predecessors.get(worker, 0))
        for run in report.runs:
            health.on_traffic(run.failure, run.count)
            requests = tuple((source, number) for number in run.requests)
            if run.failure is None:
                self._correlation.succeeded(health.id, run.count, requests, now)
                excused = False
            else:
                excused = bool(requests) and all(
                    self._correlation.failed_elsewhere(request, health.id) for request in requests
                )
                self._correlation.failed(health.id, run.failure, run.count, requests, now)
            if trial and excused:
                health.excuse_trial(worker, now)
            elif trial:
                health.on_trial(worker, run.failure, run.count, now, self._rng)

    def _evaluate(self, now: float) -> list[Transition]:
        self._now = now
        self._correlation.settle(now)
        return [*self._judge(now), *self._refresh(now)]

    def _judge(self, now: float) -> list[Transition]:
        if not self._policies.heed_traffic or self._policies.breaker is None:
            return []
        members = [health for health in self._backends.values() if health.member]
        active = [health.id for health in members if health.sound]
        out = [health.id for health in members if not health.sound]
        spared: list[Transition] = []
        for judgement in self._correlation.judge(active, out, now):
            health = self._backends[judgement.backend]
            if judgement.eject:
                health.trip(judgement, now, self._rng)
                continue
            for peer in members:
                if peer.tripped_at is not None and now - peer.tripped_at <= PARDON_S:
                    peer.pardon(now)
            if health.correlated_at is None or now - health.correlated_at > EPISODE_S:
                figures = {**judgement.evidence.figures, "failing_peers": judgement.failing}
                figures["sound_peers"] = judgement.sound
                spared.append(self._transition(health, health.state, "outlier.correlated", figures, now))
            health.correlated_at = now
        return spared

    def _refresh(self, now: float) -> list[Transition]:
        members = [health for health in self._backends.values() if health.member]
        total = sum(health.share for health in members)
        carried = self._suppress(members, total, now)
        self._share_in = carried / total if total else 1.0
        # Nothing at all in rotation is panic whatever the threshold: an attempt may succeed, none cannot.
        self._panic = total > 0 and (carried == 0 or self._share_in < self._settings.admission.panic_threshold)
        weights = {health.id: health.share * health.factor(now) for health in members if self._is_in(health)}
        if self._panic:
            rescued = self._rescue(members, bool(weights))
            for health in rescued:
                # A failed attempt is carried by another backend in the end, and retries are budgeted, so
                # the share sent falls faster than the share that succeeds.
                weights[health.id] = health.share * max(RESCUE_LEAVE, health.carries) ** 2
                carried += health.share * max(RESCUE_LEAVE, health.carries)
            self._limit = self._panic_limit(min(1.0, carried / total), len(weights))
            for health in members:
                if health.breaker is not None:
                    health.breaker.hasten(PANIC_OPEN_S)
        else:
            rescued = []
            self._limit = None
            in_flight = sum(sum(health.in_flight.values()) for health in members)
            faded = self._peak * 0.5 ** ((now - self._peak_at) / PEAK_HALF_LIFE_S)
            self._peak, self._peak_at = max(float(in_flight), faded), now
        transitions = [
            self._enter(health, self._name(health, health in rescued, now), weights.get(health.id, 0.0), now)
            for health in self._backends.values()
        ]
        return [transition for transition in transitions if transition is not None]

    def _panic_limit(self, share: float, backends: int) -> int:
        """What a pool may have in flight of which only this share of the weight is sound."""
        carried = capacity_limit(max(self._peak, PEAK_UNKNOWN), share, backends=max(1, backends))
        return min(carried, max(backends, math.floor(self._settings.admission.max_in_flight * share)))

    def _suppress(self, members: list[BackendHealth], total: float, now: float) -> float:
        """Decide which suppressions are enforced; the weight that stays in rotation."""
        carried = sum(health.share for health in members if health.sound)
        # Those that are out already come first, so that a newcomer does not push them back in.
        wanted = sorted(
            (health for health in members if health.suppressed and not health.suppression_waived),
            key=lambda health: (not health.suppression_enforced, -health.damping.penalty(now) if health.damping else 0),
        )
        for health in self._backends.values():
            health.suppression_enforced = False
        for health in wanted:
            rest = carried - health.share if health.sound else carried
            if rest / total >= self._settings.admission.panic_threshold and rest > 0:
                health.suppression_enforced = True
                carried = rest
            else:
                health.suppression_waived = True
        return carried

    def _is_in(self, health: BackendHealth) -> bool:
        return health.member and health.sound and not health.suppression_enforced

    def _rescue(self, members: list[BackendHealth], anything_in: bool) -> list[BackendHealth]:
        """Panic: those that get traffic although they would be out."""
        out = [health for health in members if not self._is_in(health)]
        suspects = [health for health in out if health.hysteresis.up]
        chosen = [health for health in suspects if health.carries >= (RESCUE_LEAVE if health.rescued else RESCUE_ENTER)]
        if not chosen and not anything_in:
            chosen = suspects or out
        return chosen

    def _name(self, health: BackendHealth, rescued: bool, now: float) -> State:
        if health.drained:
            return "drained"
        if rescued:
            return "panic"
        if not health.hysteresis.up:
            return "down"
        if health.breaker is not None and health.breaker.state == "open":
            return "open"
        if health.suppression_enforced:
            return "suppressed"
        if not health.closed:
            return "half_open"
        return "ramping" if health.ramping(now) else "up"

    def _enter(self, health: BackendHealth, state: State, weight: float, now: float) -> Transition | None:
        changes, health.changes = health.changes, []
        health.rescued = state == "panic"
        if (weight > 0) != (health.weight > 0):
            health.flips += 1
            health.rotation_since = now
        health.weight = weight
        if state == health.state:
            return None
        cause = self._cause(health, state, changes, now)
        transition = self._transition(health, state, cause.rule, dict(cause.figures), now)
        health.state = state
        health.since = now
        return transition

    def _cause(self, health: BackendHealth, state: State, changes: list[Change], now: float) -> Change:
        for change in reversed(changes):
            if change.rule.split(".", 1)[0] in _CAUSES[state]:
                return change
        share: dict[str, float | str] = {
            "share_in_rotation": round(self._share_in, 3),
            "panic_threshold": self._settings.admission.panic_threshold,
        }
        if state == "panic":
            rule, figures = "pool.panic", {**share, "carries": health.carries}
        elif health.state == "panic":
            rule, figures = "pool.panic_over", share
        elif state == "suppressed":
            rule, figures = "damping.suppress", share
        elif health.state == "suppressed":
            rule, figures = "pool.capacity", share
        elif health.state == "ramping":
            rule, figures = "breaker.ramped", {"ramp_s": float(self._settings.breaker.ramp)}
        elif state in health.latest:
            # What was hidden behind another state shows now, like an open breaker behind a drain.
            rule, figures = health.latest[state].rule, dict(health.latest[state].figures)
        else:
            rule, figures = "pool.reconfigured", {}
        return Change(at=now, rule=rule, before=health.state, after=state, figures=figures)

    def _transition(
        self, health: BackendHealth, after: State, rule: str, figures: dict[str, float | str], now: float
    ) -> Transition:
        return Transition(
            at=now, pool=self.name, backend=health.id, before=health.state, after=after, rule=rule, figures=figures
        )
