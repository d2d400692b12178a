"""Each explanation is read as an operator would: the summary, then the decisive reason."""

from __future__ import annotations

import random

import pytest

from holdfast.balancer.core.explain import Explanation
from holdfast.balancer.core.health import ProbeResult
from holdfast.balancer.core.messages import BackendRef, BackendReport, FailureClass, Run
from holdfast.balancer.core.pool import PoolHealth
from holdfast.balancer.core.settings import BackendSettings, OutlierSettings, PoolSettings
from holdfast.kernel import Duration

PASS = ProbeResult(passed=True, status=200)
REFUSED = ProbeResult(passed=False, kind="connect")


@pytest.fixture
def pool() -> PoolHealth:
    backends = tuple(BackendSettings(id=name, url=f"http://{name}") for name in "abc")
    settings = PoolSettings(backends=backends, outlier=OutlierSettings(sustained=Duration(0.0)))
    pool = PoolHealth("web", settings, 0.0, random.Random(1))
    for name in "abc":
        pool.on_probe(name, PASS, 0.0)
        report(pool, name, None, 200, 0.0)
    return pool


def report(
    pool: PoolHealth, name: str, failure: FailureClass | None, count: int, now: float, *, trial: bool = False
) -> None:
    pool.on_reports(0, [BackendReport(BackendRef("web", name), (Run(failure, count),), 0, 0.0, trial)], now)


def eject(pool: PoolHealth, now: float) -> None:
    report(pool, "a", "reset", 6, now)
    report(pool, "b", None, 1, now)


def first(explanation: Explanation) -> tuple[str, str, str]:
    reason = explanation.reasons[0]
    return reason.effect, reason.rule, reason.text


def test_of_a_sound_backend_it_says_that_nothing_speaks_against_it(pool: PoolHealth) -> None:
    explanation = pool.explain("a", 75.0)
    assert explanation.summary == "web/a is in rotation for 1 min 15 s (state up for 1 min 15 s), weight 1 of 1."
    assert first(pool.explain("a", 1.0)) == (
        "none",
        "pool.sound",
        "Nothing speaks against it: 100.0% of 200 recent attempts succeeded.",
    )


def test_of_an_ejected_backend_it_says_what_traffic_saw_and_when_trials_begin(pool: PoolHealth) -> None:
    eject(pool, 1.0)
    pool.tick(2.5)
    explanation = pool.explain("a", 2.5)
    assert not explanation.in_rotation
    assert explanation.until_s is not None
    assert explanation.summary.startswith("web/a is out of rotation for 1.5 s (state open for 1.5 s), weight 0 of 1.")
    assert first(explanation) == (
        "out",
        "outlier.consecutive",
        (
            "Traffic: 6 attempts failed in a row while its peers did not; with 0.2% failures before, 5 are too "
            f"many for chance. It rests; trials begin in {explanation.until_s:.1f} s."
        ),
    )
    assert explanation.reasons[1].rule == "damping.penalty"


def test_checks_that_fail_later_do_not_hide_what_traffic_saw(pool: PoolHealth) -> None:
    eject(pool, 1.0)
    for now in (1.5, 2.0):
        pool.on_probe("a", REFUSED, now)
    explanation = pool.explain("a", 2.0)
    assert [(r.effect, r.rule) for r in explanation.reasons[:2]] == [
        ("out", "hysteresis.fall"),
        ("out", "outlier.consecutive"),
    ]
    assert first(explanation)[2] == (
        "Active checks took it out; passed checks in a row have reached 0 of 2 (last: connect)."
    )


def test_of_a_backend_on_trial_it_counts_the_successes(pool: PoolHealth) -> None:
    eject(pool, 1.0)
    pool.tick(6.1)
    report(pool, "a", None, 2, 6.2, trial=True)
    assert first(pool.explain("a", 6.2)) == (
        "trials",
        "breaker.half_open",
        "On trial after opening 1: 2 of 3 live requests succeeded.",
    )


def test_after_a_failed_trial_it_says_so(pool: PoolHealth) -> None:
    eject(pool, 1.0)
    pool.tick(6.1)
    report(pool, "a", "timeout", 1, 6.2, trial=True)
    effect, rule, text = first(pool.explain("a", 6.2))
    assert (effect, rule) == ("out", "breaker.trial_failed")
    assert text.startswith("Traffic: a trial request failed (opening 2 in a row). It rests;")


def test_of_a_mixed_failure_it_gives_the_ratio(pool: PoolHealth) -> None:
    now = 20.0
    for _ in range(20):
        report(pool, "a", "status", 2, now)
        report(pool, "a", None, 1, now)
        report(pool, "b", None, 1, now)
        now += 0.1
    assert "less than 50.0%, while its peers did not fail." in first(pool.explain("a", now))[2]


def test_of_a_suppressed_backend_it_gives_the_penalty_and_the_release(pool: PoolHealth) -> None:
    for _ in range(4):
        for result in (REFUSED, REFUSED, PASS, PASS):
            pool.on_probe("a", result, 1.0)
    explanation = pool.explain("a", 1.0)
    assert explanation.state == "suppressed"
    assert explanation.until_s == pytest.approx(144.9, abs=0.1)
    assert first(explanation) == (
        "out",
        "damping.suppress",
        "It flapped too much: penalty 4000 passed 3000 and must decay to 750, in 2 min 25 s.",
    )


def test_in_panic_it_says_why_a_bad_backend_gets_traffic(pool: PoolHealth) -> None:
    for name in "abc":
        for _ in range(2):
            pool.on_probe(name, REFUSED, 1.0)
    effect, rule, text = first(pool.explain("a", 1.0))
    assert (effect, rule) == ("in", "pool.panic")
    assert text.startswith("The pool panics: 0% of its weight is sound, less than 50%.")


def test_what_operators_did_is_named(pool: PoolHealth) -> None:
    pool.set_drain("a", True, 1.0)
    pool.set_weight("b", 0.0, 1.0)
    pool.set_weight("c", 0.5, 1.0)
    assert first(pool.explain("a", 1.0))[:2] == ("out", "admin.drain")
    assert first(pool.explain("b", 1.0))[:2] == ("out", "admin.weight")
    assert first(pool.explain("c", 1.0)) == ("none", "admin.weight", "An operator set weight 0.5 instead of 1.")


def test_a_failure_of_all_is_remembered(pool: PoolHealth) -> None:
    for name in "abc":
        report(pool, name, "status", 3, 1.0)
    for name in "abc":
        report(pool, name, "status", 3, 1.0)
    explanation = pool.explain("a", 4.0)
    assert explanation.state == "up"
    assert "failed together with its peers" in explanation.reasons[0].text
