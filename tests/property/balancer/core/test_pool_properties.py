"""A pool under any interleaving of checks, traffic, trials, operators and reloads."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import msgspec
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.balancer.core.events import Transition
from holdfast.balancer.core.explain import BackendSnapshot
from holdfast.balancer.core.health import ProbeResult
from holdfast.balancer.core.messages import BackendRef, BackendReport, FailureClass, Run
from holdfast.balancer.core.pool import PoolHealth
from holdfast.balancer.core.settings import (
    AdmissionSettings,
    BackendSettings,
    BreakerSettings,
    DampingSettings,
    OutlierSettings,
    PoolSettings,
)

NAMES = ("a", "b", "c", "d")
WORKERS = (0, 1, 2)
BACKENDS = st.sampled_from(NAMES)
FAILURES: st.SearchStrategy[FailureClass | None] = st.sampled_from(
    (None, None, None, "connect", "reset", "status", "timeout")
)


def backends(weights: tuple[float, ...]) -> tuple[BackendSettings, ...]:
    return tuple(
        BackendSettings(id=name, url=f"http://{name}", weight=weight)
        for name, weight in zip(NAMES, weights, strict=False)
    )


WEIGHTS = st.lists(st.sampled_from((0.0, 1.0, 1.0, 3.0)), min_size=1, max_size=4).map(tuple)
SETTINGS = st.builds(
    PoolSettings,
    backends=WEIGHTS.map(backends),
    breaker=st.builds(BreakerSettings, enabled=st.sampled_from((True, True, False)), trials=st.integers(1, 4)),
    damping=st.builds(DampingSettings, enabled=st.sampled_from((True, True, False))),
    admission=st.builds(AdmissionSettings, panic_threshold=st.sampled_from((0.5, 0.5, 0.0, 0.3, 0.9, 1.0))),
    outlier=st.builds(OutlierSettings, enabled=st.sampled_from((True, True, True, False))),
)


def share(backend: BackendSnapshot) -> float:
    return backend.configured_weight if backend.override_weight is None else backend.override_weight


class PoolMachine(RuleBasedStateMachine):
    """The model follows the transitions and the weights, and checks what must hold between them."""

    @initialize(pool_settings=SETTINGS, seed=st.integers(0, 9))
    def begin(self, pool_settings: PoolSettings, seed: int) -> None:
        self.settings = pool_settings
        self.pool = PoolHealth("web", pool_settings, 0.0, random.Random(seed))
        self.now = 0.0
        self.number = 0
        self.state: dict[str, str] = dict.fromkeys(self.pool.backends, "up")
        self.weights = self.effective()
        self.flips = 0
        self.penalties: dict[str, tuple[float, float]] = {}

    def effective(self) -> dict[str, float]:
        return {backend.id: backend.weight for backend in self.pool.snapshot(self.now).backends}

    def took(self, transitions: list[Transition]) -> None:
        for transition in transitions:
            assert self.state[transition.backend] == transition.before
            assert transition.at == self.now
            assert "." in transition.rule
            self.state[transition.backend] = transition.after
            assert msgspec.json.decode(msgspec.json.encode(transition), type=Transition) == transition
        weights = self.effective()
        self.flips += sum((weights[n] > 0) != (w > 0) for n, w in self.weights.items() if n in weights)
        self.weights = weights

    @rule(wait_s=st.sampled_from((0.0, 0.05, 0.6, 3.0, 20.0, 100.0)))
    def wait(self, wait_s: float) -> None:
        self.now += wait_s
        self.took(self.pool.tick(self.now))

    @rule(name=BACKENDS, passed=st.booleans(), kind=st.sampled_from(("connect", "slow", "status")))
    def probe(self, name: str, passed: bool, kind: str) -> None:
        result = ProbeResult(passed=passed, kind="pass" if passed else kind)
        self.took(self.pool.on_probe(name, result, self.now))

    @rule(
        worker=st.sampled_from(WORKERS),
        outcomes=st.lists(st.tuples(BACKENDS, FAILURES, st.integers(1, 40)), min_size=1, max_size=4),
        known=st.booleans(),
        trial=st.booleans(),
    )
    def report(
        self, worker: int, outcomes: list[tuple[str, FailureClass | None, int]], known: bool, trial: bool
    ) -> None:
        reports = []
        for name, failure, count in outcomes:
            self.number += count
            # Numbers that repeat over backends are requests that were retried.
            requests = tuple(range(0 if known else self.number, count if known else self.number + count))
            reports.append(BackendReport(BackendRef("web", name), (Run(failure, count, requests),), 3, 0.1, trial))
        self.took(self.pool.on_reports(worker, reports, self.now))

    @rule(name=BACKENDS, drained=st.booleans())
    def drain(self, name: str, drained: bool) -> None:
        if name in self.state:
            self.took(self.pool.set_drain(name, drained, self.now))

    @rule(name=BACKENDS, weight=st.sampled_from((None, 0.0, 0.5, 2.0)))
    def weigh(self, name: str, weight: float | None) -> None:
        if name in self.state:
            self.took(self.pool.set_weight(name, weight, self.now))

    @rule(pool_settings=SETTINGS)
    def reload(self, pool_settings: PoolSettings) -> None:
        self.settings = pool_settings
        before = self.state
        transitions = self.pool.reconfigure(pool_settings, self.now)
        self.state = {name: before.get(name, "up") for name in self.pool.backends}
        self.penalties = {}
        self.took(transitions)
        self.flips = self.pool.flips  # one that joins a pool in panic may flip at once, unseen by the model

    @rule(worker=st.sampled_from(WORKERS))
    def worker_gone(self, worker: int) -> None:
        self.pool.on_worker_gone(worker)

    @invariant()
    def weight_is_what_the_state_promises(self) -> None:
        for backend in self.pool.snapshot(self.now).backends:
            assert backend.state == self.state[backend.id]
            if backend.state in ("up", "ramping"):
                assert (backend.weight > 0) == (share(backend) > 0)
                assert backend.weight <= share(backend)
            elif backend.state == "panic":
                assert self.pool.panic
                assert 0 < backend.weight <= share(backend)
            else:
                assert backend.weight == 0

    @invariant()
    def something_is_always_in_rotation(self) -> None:
        members = [b for b in self.pool.snapshot(self.now).backends if b.state != "drained" and share(b) > 0]
        assert not members or any(member.weight > 0 for member in members)

    @invariant()
    def suppression_leaves_the_pool_its_capacity(self) -> None:
        snapshot = self.pool.snapshot(self.now)
        if any(b.state == "suppressed" and share(b) > 0 for b in snapshot.backends):
            assert not snapshot.panic

    @invariant()
    def penalties_fall_with_time_alone(self) -> None:
        half_life_s = self.settings.damping.half_life
        for backend in self.pool.snapshot(self.now).backends:
            penalty, at = self.penalties.get(backend.id, (0.0, self.now))
            assert backend.penalty >= penalty * 2 ** (-(self.now - at) / half_life_s) - 0.1
            self.penalties[backend.id] = (backend.penalty, self.now)

    @invariant()
    def trials_over_all_workers_never_exceed_the_bound(self) -> None:
        views = self.pool.views(WORKERS)
        for place, name in enumerate(self.pool.backends):
            trials = sum(views[worker].views[place].trials for worker in WORKERS)
            assert trials <= self.settings.breaker.trials
            assert trials == 0 or self.state[name] == "half_open"

    @invariant()
    def the_limit_is_lowered_only_in_panic(self) -> None:
        limit = self.pool.in_flight_limit
        assert (limit is not None) == self.pool.panic
        assert limit is None or 1 <= limit <= max(len(NAMES), self.settings.admission.max_in_flight)

    @invariant()
    def flips_are_counted(self) -> None:
        assert self.pool.flips == self.flips

    @invariant()
    def every_answer_can_be_given(self) -> None:
        for name in self.pool.backends:
            explanation = self.pool.explain(name, self.now)
            assert msgspec.json.encode(explanation)
            assert explanation.in_rotation == (self.weights[name] > 0)
            assert explanation.in_rotation or any(r.effect in ("out", "trials") for r in explanation.reasons)
        assert msgspec.json.encode(self.pool.snapshot(self.now))


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(
    poison=st.lists(
        st.tuples(st.floats(0, 3), st.sampled_from(WORKERS), st.permutations(NAMES), st.integers(2, 3)), max_size=25
    ),
    spread_s=st.sampled_from((0.0, 0.02, 0.4)),
    kind=st.sampled_from(("reset", "timeout", "status", "protocol")),
    served_every_s=st.sampled_from((0.01, 1.0)),
)
@settings(max_examples=50, deadline=None)
def test_poison_requests_change_nothing_in_any_interleaving(
    poison: list[tuple[float, int, list[str], int]], spread_s: float, kind: FailureClass, served_every_s: float
) -> None:
    pool = PoolHealth("web", PoolSettings(backends=backends((1.0,) * 4)), 0.0, random.Random(1))
    events: list[tuple[float, int, str, Run]] = [
        (at + attempt * spread_s, worker, name, Run(kind, 1, (number,)))
        for number, (at, worker, order, attempts) in enumerate(poison)
        for attempt, name in enumerate(order[:attempts])
    ]
    events += [
        (step * served_every_s, 0, name, Run(None, 1)) for step in range(int(4 / served_every_s)) for name in NAMES
    ]
    for now, worker, name, run in sorted(events, key=lambda event: event[0]):
        assert pool.on_reports(worker, [BackendReport(BackendRef("web", name), (run,), 0, 0.0)], now) == []
    assert pool.tick(60.0) == []
    assert pool.snapshot(60.0).poison_requests == len(poison)


def run_flapping(pool_settings: PoolSettings, period_s: float, good_share: float, probes_see_it: bool) -> PoolHealth:
    """Four minutes of a pool in which ``a`` works only for the first part of every period."""
    pool = PoolHealth("web", pool_settings, 0.0, random.Random(3))
    request = 0
    for step in range(2400):
        now = step * 0.1
        works = now % period_s < period_s * good_share
        pool.tick(now)
        if step % 10 == 0:
            for name in pool.backends:
                failed = name == "a" and not works and probes_see_it
                pool.on_probe(name, ProbeResult(passed=not failed, kind="status" if failed else "pass"), now)
        reports = []
        retried: tuple[int, ...] = ()
        for view in pool.views((0,))[0].views:
            name = view.ref.backend
            if name == "a" and (view.weight > 0 or view.trials):
                count = view.trials or 4
                request += count
                retried = () if works else tuple(range(request - count, request))
                run = Run(None if works else "status", count, retried)
                reports.append(BackendReport(view.ref, (run,), 0, 0.0, view.trials > 0))
            elif name != "a":
                reports.append(BackendReport(view.ref, (Run(None, 4 + len(retried), retried),), 0, 0.0))
                retried = ()
        pool.on_reports(0, reports, now)
    return pool


@given(period_s=st.floats(0.4, 100.0), good_share=st.floats(0.05, 0.95), probes_see_it=st.booleans())
@settings(max_examples=10, deadline=None)
def test_however_a_backend_flaps_it_enters_and_leaves_rotation_a_bounded_number_of_times(
    period_s: float, good_share: float, probes_see_it: bool
) -> None:
    pool = run_flapping(PoolSettings(backends=backends((1.0,) * 4)), period_s, good_share, probes_see_it)
    by_name = {backend.id: backend for backend in pool.snapshot(240.0).backends}
    # Openings of at least 2.5, 5, 10, ... s leave room for eight in four minutes.
    assert by_name["a"].flips <= 16
    assert all(by_name[name].flips == 0 for name in "bcd")


def test_without_breaker_and_damping_the_same_flapping_costs_many_times_the_flips() -> None:
    """The negative control of the property above."""
    four = backends((1.0,) * 4)
    naive = PoolSettings(backends=four, breaker=BreakerSettings(enabled=False), damping=DampingSettings(enabled=False))
    held = run_flapping(PoolSettings(backends=four), 7.0, 0.6, probes_see_it=True)
    control = run_flapping(naive, 7.0, 0.6, probes_see_it=True)
    assert control.flips >= 5 * held.flips
