from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import pytest

from holdfast.balancer.core.events import Transition
from holdfast.balancer.core.health import ProbeResult
from holdfast.balancer.core.messages import BackendRef, BackendReport, Endpoint, FailureClass, Run, View
from holdfast.balancer.core.pool import PoolHealth
from holdfast.balancer.core.settings import (
    AdmissionSettings,
    BackendSettings,
    BreakerSettings,
    DampingSettings,
    HealthSettings,
    OutlierSettings,
    PoolSettings,
)
from holdfast.kernel import Duration

PASS = ProbeResult(passed=True, status=200)
FAIL = ProbeResult(passed=False, kind="status", status=503)


def settings(names: str = "abcd", **sections: Any) -> PoolSettings:
    # Runs count however short, so that a handful of failures decides.
    sections.setdefault("outlier", OutlierSettings(sustained=Duration(0.0)))
    return PoolSettings(
        backends=tuple(BackendSettings(id=name, url=f"http://127.0.0.1:{9000 + ord(name)}") for name in names),
        **sections,
    )


class World:
    """A pool with two workers, and a clock that the test moves."""

    def __init__(self, names: str = "abcd", **sections: Any) -> None:
        self.pool = PoolHealth("web", settings(names, **sections), 0.0, random.Random(1))
        self.now = 0.0
        self.number = 0
        self.seen: list[Transition] = []

    def took(self, transitions: list[Transition]) -> list[Transition]:
        self.seen += transitions
        return transitions

    def wait(self, seconds: float, *, probes: str = "") -> None:
        """Let time pass in steps of 100 ms; ``probes`` pass once a second."""
        for _ in range(round(seconds * 10)):
            self.now = round(self.now + 0.1, 6)
            if self.now == int(self.now):
                for name in probes:
                    self.took(self.pool.on_probe(name, PASS, self.now))
            self.took(self.pool.tick(self.now))

    def probe(self, name: str, *results: ProbeResult) -> list[Transition]:
        return [t for result in results for t in self.took(self.pool.on_probe(name, result, self.now))]

    def report(
        self, name: str, failure: FailureClass | None, count: int = 1, *, worker: int = 0, trial: bool = False
    ) -> list[Transition]:
        requests = tuple(range(self.number, self.number + count)) if failure else ()
        self.number += count
        run = Run(failure, count, requests)
        report = BackendReport(BackendRef("web", name), (run,), 1, 0.01, trial)
        return self.took(self.pool.on_reports(worker, [report], self.now))

    def serve(self, names: str, count: int = 1) -> None:
        for name in names:
            self.report(name, None, count)

    def kill(self, name: str, others: str) -> list[Transition]:
        """Traffic ejects one backend while others serve."""
        self.now += 0.01
        self.report(name, "connect", 30)
        self.now += 0.01
        self.serve(others)
        return [t for t in self.seen if t.backend == name and t.at >= self.now - 0.02]

    def views(self, worker: int = 0) -> dict[str, View]:
        return {view.ref.backend: view for view in self.pool.views((0, 1))[worker].views}

    def states(self) -> dict[str, str]:
        return {backend.id: backend.state for backend in self.pool.snapshot(self.now).backends}

    def weights(self) -> dict[str, float]:
        return {name: view.weight for name, view in self.views().items()}

    def until_half_open(self, name: str, *, probes: str = "") -> None:
        for _ in range(4000):
            if self.states()[name] == "half_open":
                return
            self.wait(0.1, probes=probes)
        raise AssertionError(f"{name} never became half-open: {self.states()}")


def test_backends_start_up_but_the_pool_is_ready_only_after_one_round_of_checks() -> None:
    world = World("ab")
    assert world.weights() == {"a": 1.0, "b": 1.0}
    assert not world.pool.probed
    world.probe("a", PASS)
    assert not world.pool.probed
    world.probe("b", FAIL)
    assert world.pool.probed


def test_without_checks_the_pool_is_ready_at_once() -> None:
    assert World("ab", health=HealthSettings(enabled=False)).pool.probed


def test_failed_checks_take_out_and_passed_ones_bring_back_with_a_ramp() -> None:
    world = World()
    world.probe("a", PASS)
    down = world.probe("a", FAIL, FAIL, FAIL)
    assert [(t.before, t.after, t.rule) for t in down] == [("up", "down", "hysteresis.fall")]
    assert world.weights()["a"] == 0.0
    world.now = 5.0
    up = world.probe("a", PASS, PASS)
    assert [(t.before, t.after, t.rule) for t in up] == [("down", "ramping", "hysteresis.rise")]
    assert world.weights()["a"] == pytest.approx(0.1 * 0.8, abs=0.02), "the ramp begins at a tenth, times damping"
    world.wait(11)
    assert world.states()["a"] == "up"


def test_traffic_ejects_a_backend_whose_checks_pass() -> None:
    world = World()
    world.serve("abcd", 100)
    ejected = world.kill("a", "bcd")
    assert [(t.before, t.after, t.rule) for t in ejected] == [("up", "open", "outlier.consecutive")]
    assert ejected[0].figures["sound_peers"] == 1, "the first peer that serves is alibi enough"
    world.probe("a", *[PASS] * 50)
    assert world.states()["a"] == "open", "no active check clears what traffic saw"
    assert world.weights()["a"] == 0.0


def test_checks_that_pass_clear_nothing_that_traffic_saw() -> None:
    world = World()
    world.report("a", "connect", 4)
    world.probe("a", FAIL, FAIL, FAIL, PASS, PASS)
    world.serve("bcd")
    world.now += 0.01
    assert world.states()["a"] == "ramping"
    world.report("a", "connect")
    world.now += 0.01
    world.serve("bcd")
    assert world.states()["a"] == "open"


def test_failures_from_before_a_long_absence_are_no_longer_counted() -> None:
    world = World()
    world.report("a", "connect", 4)
    world.probe("a", FAIL, FAIL, FAIL)
    world.wait(10.5)
    world.probe("a", PASS, PASS)
    world.report("a", "connect")
    world.now += 0.01
    world.serve("bcd")
    assert world.states()["a"] == "ramping"


def test_trials_are_shared_out_over_the_workers_and_never_exceed_their_bound() -> None:
    world = World()
    world.kill("a", "bcd")
    world.until_half_open("a")
    views = world.pool.views((0, 1, 2, 3, 4))
    trials = [view.trials for each in views.values() for view in each.views if view.ref.backend == "a"]
    assert sorted(trials) == [0, 0, 1, 1, 1]
    assert world.weights()["a"] == 0.0
    assert all(view.trials == 0 for view in world.views().values() if view.ref.backend != "a")


def test_three_successful_trials_close_and_ramp_up() -> None:
    world = World(damping=DampingSettings(enabled=False))
    world.kill("a", "bcd")
    world.until_half_open("a")
    changes = [t for _ in range(3) for t in world.report("a", None, trial=True)]
    assert [(t.before, t.after, t.rule) for t in changes] == [("half_open", "ramping", "breaker.close")]
    assert world.weights()["a"] == 0.1
    world.wait(5)
    assert world.weights()["a"] == pytest.approx(0.55)
    world.wait(5)
    assert (world.states()["a"], world.weights()["a"]) == ("up", 1.0)
    assert world.seen[-1].rule == "breaker.ramped"


def test_one_failed_trial_reopens_for_longer() -> None:
    world = World()
    world.kill("a", "bcd")
    world.until_half_open("a")
    world.report("a", None, trial=True)
    changes = world.report("a", "status", trial=True)
    assert [(t.before, t.after, t.rule) for t in changes] == [("half_open", "open", "breaker.trial_failed")]
    assert changes[0].figures["nominal_s"] == 10.0


def test_a_trial_that_fails_by_the_fault_of_its_request_proves_nothing() -> None:
    world = World()
    world.kill("a", "bcd")
    world.until_half_open("a")
    for name in "ba":
        report = BackendReport(BackendRef("web", name), (Run("reset", 1, (77_777,)),), 1, 0.01, name == "a")
        world.took(world.pool.on_reports(0, [report], world.now))
    assert world.states()["a"] == "half_open"
    assert sum(each["a"].trials for each in (world.views(0), world.views(1))) == 3


def test_requests_of_a_worker_are_not_taken_for_those_of_the_one_before_it() -> None:
    world = World()

    def fails(name: str, *, trial: bool = False) -> None:
        report = BackendReport(BackendRef("web", name), (Run("reset", 1, (1,)),), 1, 0.01, trial)
        world.took(world.pool.on_reports(0, [report], world.now))

    world.kill("a", "bcd")
    world.until_half_open("a")
    fails("b")
    world.pool.on_worker_gone(0)
    fails("a", trial=True)  # also the first request of its worker, but another one
    assert world.states()["a"] == "open"


def test_late_outcomes_of_ordinary_requests_do_not_decide_a_trial() -> None:
    world = World()
    world.kill("a", "bcd")
    world.until_half_open("a")
    world.report("a", "timeout", trial=False)
    assert world.states()["a"] == "half_open"


def test_permits_that_a_worker_does_not_use_move_on_to_others() -> None:
    world = World(breaker=BreakerSettings(trials=1))
    world.kill("a", "bcd")
    world.until_half_open("a")
    first = [world.views(worker)["a"].trials for worker in (0, 1)]
    world.wait(15.1)
    assert [world.views(worker)["a"].trials for worker in (0, 1)] == first[::-1]


def test_permits_of_a_worker_that_is_gone_go_to_those_that_are_left() -> None:
    world = World()
    world.kill("a", "bcd")
    world.until_half_open("a")
    world.views()
    world.pool.on_worker_gone(1)
    (view,) = (view for view in world.pool.views((0,))[0].views if view.ref.backend == "a")
    assert view.trials == 3


def test_one_outage_is_one_penalty_whoever_notices_it() -> None:
    world = World()
    world.probe("a", PASS)
    world.kill("a", "bcd")
    world.probe("a", FAIL, FAIL, FAIL)
    world.wait(2)
    assert world.pool.snapshot(world.now).backends[0].penalty == pytest.approx(1000.0, abs=20)


def test_a_backend_that_never_worked_pays_no_penalty() -> None:
    world = World()
    world.probe("a", FAIL, FAIL, FAIL)
    assert world.states()["a"] == "down"
    assert world.pool.snapshot(world.now).backends[0].penalty == 0.0


def flap(world: World, name: str, times: int) -> None:
    """Go down and up by active checks, one transition per call of each."""
    for _ in range(times):
        world.probe(name, PASS, PASS, FAIL, FAIL, FAIL)
    world.probe(name, PASS, PASS)


def test_what_flaps_too_much_is_suppressed_and_released_when_explain_said() -> None:
    world = World()
    flap(world, "a", 4)
    assert world.states()["a"] == "suppressed"
    assert world.weights()["a"] == 0.0
    until_s = world.pool.explain("a", world.now).until_s
    assert until_s is not None
    assert until_s == pytest.approx(60 * 2.415, abs=1)
    world.wait(until_s - 1)
    assert world.states()["a"] == "suppressed"
    world.wait(1.2)
    assert world.states()["a"] in ("up", "ramping")
    assert world.seen[-1].rule == "damping.reuse"
    assert world.weights()["a"] > 0


def test_suppression_never_takes_capacity_that_the_pool_needs() -> None:
    world = World("ab", admission=AdmissionSettings(panic_threshold=0.6))
    flap(world, "a", 4)
    world.wait(11)
    assert world.states()["a"] == "up"
    assert world.weights()["a"] == pytest.approx(0.1, abs=0.02), "the lowered weight stays"
    assert "damping.waived" in {reason.rule for reason in world.pool.explain("a", world.now).reasons}


def test_of_two_that_flap_only_as_many_are_suppressed_as_the_pool_can_spare() -> None:
    world = World("abc")
    flap(world, "a", 4)
    flap(world, "b", 4)
    states = world.states()
    assert states["b"] == "suppressed"
    assert states["a"] == "ramping", "it had to come back while b was down"
    assert world.weights()["a"] > 0


def test_a_waiver_lasts_until_the_next_flap() -> None:
    world = World("abc")
    world.probe("c", FAIL, FAIL, FAIL)
    flap(world, "a", 4)
    assert world.weights()["a"] > 0, "b alone would be a third"
    world.probe("c", PASS, PASS)
    assert world.weights()["a"] > 0, "taking it out now would be one more flip"
    flap(world, "a", 1)
    assert world.states()["a"] == "suppressed"


def test_panic_brings_back_suspects_by_what_they_carry_and_lowers_the_limit() -> None:
    world = World("abcd")
    world.serve("abcd", 500)
    for name in "abc":
        world.kill(name, "d")
        world.wait(1.5)
    states = world.states()
    assert world.pool.panic
    assert states["d"] == "up"
    assert set(states.values()) == {"panic", "up"}
    weights = world.weights()
    # Thirty failures after many successes leave an average of exp(-30 / 50), to steps of 0.05.
    assert weights == pytest.approx({"a": 0.55**2, "b": 0.55**2, "c": 0.55**2, "d": 1.0})
    limit = world.pool.in_flight_limit
    assert limit == math.ceil(64 * (1 + 3 * 0.55) / 4 * 1.25), "a pool that was never loaded showed no capacity"
    assert world.pool.views((0,))[0].pool_limits == {"web": limit}


def test_panic_drops_what_carries_nothing() -> None:
    world = World("abcd")
    world.serve("abcd", 500)
    for name in "abc":
        world.kill(name, "d")
        world.wait(1.5)
    world.report("a", "status", 500)
    assert world.weights()["a"] == 0.0
    assert world.states()["a"] in ("open", "half_open")


def test_panic_does_not_bring_back_what_fails_its_checks() -> None:
    world = World("abcd")
    for name in "abc":
        world.probe(name, FAIL, FAIL, FAIL)
    assert world.pool.panic
    assert world.weights() == {"a": 0.0, "b": 0.0, "c": 0.0, "d": 1.0}
    assert world.pool.in_flight_limit == 64 / 4 * 1.25


def test_in_panic_the_pool_admits_what_the_sound_part_carried_at_its_best() -> None:
    world = World("abcd")
    for name in "abcd":
        report = BackendReport(BackendRef("web", name), (Run(None, 10),), 100, 0.01)
        world.took(world.pool.on_reports(0, [report], world.now))
    for name in "abc":
        world.probe(name, FAIL, FAIL, FAIL)
    assert world.pool.in_flight_limit == 400 / 4 * 1.25


def test_what_a_pool_carried_is_forgotten_in_time() -> None:
    world = World("abcd")
    report = BackendReport(BackendRef("web", "a"), (Run(None, 10),), 1000, 0.01)
    world.took(world.pool.on_reports(0, [report], world.now))
    idle = BackendReport(BackendRef("web", "a"), (Run(None, 1),), 0, 0.01)
    world.took(world.pool.on_reports(0, [idle], world.now))
    world.wait(600.0)
    for name in "abc":
        world.probe(name, FAIL, FAIL, FAIL)
    assert world.pool.in_flight_limit == math.ceil(500 / 4 * 1.25)


def test_when_nothing_else_is_left_even_those_with_failed_checks_are_used() -> None:
    world = World("ab")
    for name in "ab":
        world.probe(name, FAIL, FAIL, FAIL)
    assert world.states() == {"a": "panic", "b": "panic"}
    assert all(weight > 0 for weight in world.weights().values())
    world.probe("a", PASS, PASS)
    assert world.states() == {"a": "ramping", "b": "down"}


def test_an_empty_rotation_is_panic_even_when_panic_is_configured_away() -> None:
    world = World("ab", admission=AdmissionSettings(panic_threshold=0.0))
    world.probe("a", FAIL, FAIL, FAIL)
    assert not world.pool.panic
    world.probe("b", FAIL, FAIL, FAIL)
    assert all(weight > 0 for weight in world.weights().values())


def test_a_half_open_backend_in_panic_is_tried_by_ordinary_traffic() -> None:
    world = World("abcd")
    world.serve("abcd", 500)
    for name in "abc":
        world.kill(name, "d")
        world.wait(1.5)
    world.wait(5)
    assert world.states()["a"] == "panic"
    for _ in range(3):
        world.report("a", None)
    assert world.states()["a"] == "ramping"


def test_a_failure_of_all_ejects_nobody_and_says_so_once() -> None:
    world = World()
    world.serve("abcd", 100)
    for _ in range(200):
        world.now += 0.002
        for name in "abcd":
            world.report(name, "status")
    world.wait(3)
    assert set(world.states().values()) == {"up"}
    assert world.pool.flips == 0
    spared = [t for t in world.seen if t.rule == "outlier.correlated"]
    assert 1 <= len(spared) <= 4
    assert all(t.before == t.after == "up" for t in spared)


def test_the_first_to_fail_in_a_failure_of_all_is_pardoned() -> None:
    world = World("ab")
    world.serve("ab", 100)
    world.kill("a", "b")
    assert world.states()["a"] == "open"
    world.now += 0.2
    world.report("b", "connect", 30)
    assert world.states() == {"a": "up", "b": "up"}
    assert "breaker.pardon" in {t.rule for t in world.seen}
    world.wait(5)
    assert world.pool.snapshot(world.now).backends[0].penalty == 0.0


def test_a_pool_that_panics_asks_at_least_every_thirty_seconds_whether_backends_are_back() -> None:
    world = World("abc", breaker=BreakerSettings(open_min=Duration(200.0)))
    world.kill("a", "bc")
    world.wait(2)
    assert world.pool.explain("a", world.now).until_s == pytest.approx(110, abs=20)
    world.kill("b", "c")
    assert world.pool.panic
    world.wait(29)
    assert world.pool.snapshot(world.now).backends[0].breaker == "half_open"


def test_draining_takes_out_without_penalty_and_undraining_brings_back() -> None:
    world = World()
    assert [t.rule for t in world.took(world.pool.set_drain("a", True, 1.0))] == ["admin.drain"]
    assert (world.states()["a"], world.weights()["a"]) == ("drained", 0.0)
    assert world.pool.set_drain("a", True, 2.0) == []
    assert [t.rule for t in world.pool.set_drain("a", False, 3.0)] == ["admin.undrain"]
    assert world.weights()["a"] == 1.0
    assert world.pool.snapshot(3.0).backends[0].penalty == 0.0


def test_draining_half_of_a_pool_is_no_panic() -> None:
    world = World()
    for name in "abc":
        world.pool.set_drain(name, True, 1.0)
    assert not world.pool.panic
    assert world.weights() == {"a": 0.0, "b": 0.0, "c": 0.0, "d": 1.0}


def test_a_weight_set_by_hand_outlives_a_reload_and_can_be_given_back() -> None:
    world = World()
    world.pool.set_weight("a", 0.25, 1.0)
    world.pool.reconfigure(settings(), 2.0)
    assert world.weights()["a"] == 0.25
    world.pool.set_weight("a", None, 3.0)
    assert world.weights()["a"] == 1.0
    with pytest.raises(ValueError, match="web/a"):
        world.pool.set_weight("a", -1.0, 4.0)
    with pytest.raises(KeyError):
        world.pool.set_weight("nobody", 1.0, 4.0)


def test_a_reload_keeps_the_state_of_those_that_stay() -> None:
    world = World()
    world.kill("a", "bcd")
    world.pool.set_drain("b", True, world.now)
    before = {b.id: b for b in world.pool.snapshot(world.now).backends}
    changes = world.pool.reconfigure(settings("abde", breaker=BreakerSettings(trials=1)), world.now)
    after = {b.id: b for b in world.pool.snapshot(world.now).backends}
    assert changes == []
    assert list(after) == ["a", "b", "d", "e"]
    assert (after["a"], after["b"]) == (before["a"], before["b"])


def test_the_same_name_at_another_url_is_another_backend() -> None:
    world = World()
    world.kill("a", "bcd")
    backends = (BackendSettings(id="a", url="http://127.0.0.1:1"), *settings("bcd").backends)
    world.pool.reconfigure(PoolSettings(backends=backends), world.now)
    assert world.states()["a"] == "up"
    assert world.pool.snapshot(world.now).backends[0].opening == 0


def test_a_reload_that_contradicts_itself_changes_nothing() -> None:
    world = World()
    with pytest.raises(ValueError, match="raise max_suppress"):
        world.pool.reconfigure(settings("z", damping=DampingSettings(suppress=50_000.0)), 1.0)
    assert world.pool.backends == ("a", "b", "c", "d")
    world.probe("a", PASS)


def test_switching_policies_off_and_on_by_reload_forgets_only_theirs() -> None:
    world = World()
    world.kill("a", "bcd")
    off = settings(breaker=BreakerSettings(enabled=False), damping=DampingSettings(enabled=False))
    world.pool.reconfigure(off, world.now)
    assert world.states()["a"] == "up"
    world.pool.reconfigure(settings(), world.now)
    assert world.states()["a"] == "up"


def test_discovered_backends_join_and_leave() -> None:
    world = World("a")
    found = (Endpoint("web", "n-1", "http://[::1]:80", 2.0), Endpoint("other", "x", "http://[::1]:81", 1.0))
    world.pool.reconfigure(settings("a"), 1.0, found)
    assert world.weights() == {"a": 1.0, "n-1": 2.0}
    world.pool.reconfigure(settings("a"), 2.0)
    assert world.weights() == {"a": 1.0}


def test_reports_about_others_are_ignored() -> None:
    world = World("ab")
    for ref in (BackendRef("web", "gone"), BackendRef("other", "a")):
        world.pool.on_reports(0, [BackendReport(ref, (Run("reset", 50, ()),), 0, 0.0)], 1.0)
    world.pool.on_probe("gone", FAIL, 1.0)
    assert world.states() == {"a": "up", "b": "up"}


def test_with_outlier_detection_off_traffic_is_ignored() -> None:
    world = World(outlier=OutlierSettings(enabled=False))
    world.kill("a", "bcd")
    assert world.states()["a"] == "up"


def test_with_the_breaker_off_traffic_counts_like_checks_and_checks_bring_back() -> None:
    world = World(breaker=BreakerSettings(enabled=False), damping=DampingSettings(enabled=False))
    world.report("a", "status", 3)
    assert world.states()["a"] == "down"
    world.probe("a", PASS, PASS)
    assert (world.states()["a"], world.weights()["a"]) == ("up", 1.0)
    world.report("a", "status", 2)
    world.report("a", None)
    world.report("a", "status", 2)
    assert world.states()["a"] == "up", "a success wipes the failures before it"


def test_with_the_breaker_off_a_failure_of_all_takes_all_out() -> None:
    """The negative control: this is what the breaker and the judgement are for."""
    world = World(breaker=BreakerSettings(enabled=False), damping=DampingSettings(enabled=False))
    for name in "abcd":
        world.report(name, "status", 3)
    assert set(world.states().values()) == {"panic"}


def test_flips_are_counted_when_a_backend_enters_or_leaves_rotation() -> None:
    world = World(breaker=BreakerSettings(ramp=Duration(0.0)))
    flap(world, "a", 2)
    assert world.pool.flips == 4
    world.pool.reconfigure(settings("bcd"), world.now)
    assert world.pool.flips == 4, "a counter never goes back"


def test_transitions_are_json() -> None:
    world = World()
    (transition,) = world.kill("a", "bcd")
    decoded = msgspec.json.decode(msgspec.json.encode(transition))
    assert decoded["from"] == "up"
    assert decoded["to"] == "open"
    assert decoded["rule"] == "outlier.consecutive"
    assert decoded["figures"]["required"] == 5
    assert msgspec.json.decode(msgspec.json.encode(transition), type=Transition) == transition


def test_every_transition_of_a_whole_life_is_json() -> None:
    world = World()
    world.probe("a", PASS)
    world.kill("a", "bcd")
    world.until_half_open("a")
    world.report("a", None, 3, trial=True)
    world.wait(11)
    flap(world, "a", 4)
    world.wait(400)
    world.took(world.pool.set_drain("a", True, world.now))
    world.took(world.pool.set_weight("b", 0.5, world.now))
    rules = {transition.rule for transition in world.seen}
    assert rules >= {"outlier.consecutive", "breaker.half_open", "breaker.close", "breaker.ramped", "hysteresis.fall"}
    assert rules >= {"hysteresis.rise", "damping.suppress", "damping.reuse", "admin.drain"}
    assert msgspec.json.decode(msgspec.json.encode(world.seen), type=list[Transition]) == world.seen


def test_explanations_and_snapshots_are_json() -> None:
    world = World()
    world.kill("a", "bcd")
    assert msgspec.json.decode(msgspec.json.encode(world.pool.explain("a", world.now)))["state"] == "open"
    assert msgspec.json.decode(msgspec.json.encode(world.pool.snapshot(world.now)))["pool"] == "web"
