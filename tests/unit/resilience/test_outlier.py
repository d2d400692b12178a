from __future__ import annotations

import random

import pytest

from holdfast.resilience import OutlierPolicy, OutlierWindow
from holdfast.resilience.outlier import required_run

AT_ONCE = OutlierPolicy(sustained_s=0.0)  # a run counts however short, so that tests need not wait


def rule(window: OutlierWindow, now: float) -> str | None:
    evidence = window.evidence(now)
    return evidence.rule if evidence else None


def test_five_failures_in_a_row_are_evidence_against_a_backend_that_was_healthy() -> None:
    window = OutlierWindow(AT_ONCE)
    window.succeeded(1000, 0.0)
    window.failed(4, 1.0)
    assert rule(window, 1.0) is None
    window.failed(1, 1.0)
    evidence = window.evidence(1.0)
    assert evidence is not None
    assert evidence.rule == "outlier.consecutive"
    assert evidence.since == 1.0
    assert evidence.figures["consecutive"] == 5
    assert evidence.figures["volume_before"] == 1000


def test_five_failures_in_a_row_are_evidence_against_an_unknown_backend() -> None:
    window = OutlierWindow(AT_ONCE)
    window.failed(5, 0.0)
    assert rule(window, 0.0) == "outlier.consecutive"


def test_a_success_ends_the_run() -> None:
    window = OutlierWindow(AT_ONCE)
    window.succeeded(100, 0.0)
    window.failed(4, 0.0)
    window.succeeded(1, 0.0)
    window.failed(4, 0.0)
    assert rule(window, 0.0) is None


@pytest.mark.parametrize("rate", [10, 100, 1000])
def test_a_backend_that_steadily_resets_a_fifth_is_not_ejected_by_chance(rate: int) -> None:
    rng = random.Random(20 + rate)
    window = OutlierWindow(AT_ONCE)
    window.succeeded(rate * 6, 0.0)  # the window is warm, as the run before the test would leave it
    window.failed(rate * 2 - 1, 0.0)
    window.succeeded(1, 0.0)
    for attempt in range(120_000):
        now = attempt / rate
        if rng.random() < 0.2:
            window.failed(1, now)
            assert rule(window, now) is None
        else:
            window.succeeded(1, now)


@pytest.mark.parametrize(
    ("attempts", "failures", "needed"), [(0, 0, 5), (10_000, 0, 5), (1_000, 10, 5), (100, 20, 11), (10_000, 2_000, 15)]
)
def test_the_run_that_is_needed_grows_with_the_failures_before_it(attempts: int, failures: int, needed: int) -> None:
    assert required_run(attempts, failures, 5)[0] == needed


def test_even_after_nothing_but_failures_a_long_enough_run_is_evidence() -> None:
    needed, q = required_run(1000, 1000, 5)
    assert q == 0.99
    assert needed < 2500


def test_less_than_half_successes_over_enough_volume_is_evidence_without_any_run() -> None:
    window = OutlierWindow(AT_ONCE)
    for attempt in range(30):
        now = attempt * 0.1
        window.failed(2, now)
        window.succeeded(1, now)
        if attempt < 6:
            assert rule(window, now) is None, "fewer than 20 attempts"
    assert rule(window, 2.9) == "outlier.success_ratio"


def test_outcomes_leave_the_window_after_ten_seconds() -> None:
    window = OutlierWindow(AT_ONCE)
    window.failed(2, 0.5)
    window.succeeded(5, 9.9)
    assert window.totals(9.99).failures == 2
    assert window.totals(10.0).failures == 0
    assert window.totals(10.0).successes == 5


def test_a_held_failure_is_no_evidence_until_it_is_confirmed() -> None:
    window = OutlierWindow(AT_ONCE)
    marks = [window.hold(0.0) for _ in range(5)]
    assert rule(window, 0.0) is None
    for mark in marks:
        window.confirm(mark)
    assert rule(window, 0.0) == "outlier.consecutive"


def test_a_failure_confirmed_after_a_success_no_longer_counts_as_part_of_the_run() -> None:
    window = OutlierWindow(AT_ONCE)
    marks = [window.hold(0.0) for _ in range(5)]
    window.succeeded(1, 0.0)
    for mark in marks:
        window.confirm(mark)
    assert rule(window, 0.0) is None
    assert window.totals(0.0).failures == 5


def test_a_retracted_failure_never_was() -> None:
    window = OutlierWindow(AT_ONCE)
    window.failed(4, 0.0)
    mark = window.hold(0.0)
    window.retract(mark)
    assert rule(window, 0.0) is None
    assert window.run_length == 4
    assert window.totals(0.0).held == 0


def test_marks_from_before_a_clearing_are_void() -> None:
    window = OutlierWindow(AT_ONCE)
    mark = window.hold(0.0)
    window.clear()
    window.retract(mark)
    totals = window.totals(0.0)
    assert (totals.successes, totals.failures, totals.held, window.run_length) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        ({"consecutive": 0}, "consecutive"),
        ({"buckets": 0}, "buckets"),
        ({"minimum_volume": 0}, "minimum_volume"),
        ({"bucket_s": 0.0}, "bucket"),
        ({"success_ratio": 1.0}, "success_ratio"),
    ],
)
def test_figures_out_of_range_are_refused_by_name(figures: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        OutlierPolicy(**figures)  # type: ignore[arg-type]


def test_a_run_shorter_than_the_sustained_time_is_left_to_selection() -> None:
    window = OutlierWindow(OutlierPolicy(sustained_s=1.0))
    for step in range(14):
        window.failed(1, 100.0 + step * 0.05)
    assert window.evidence(100.7) is None
    assert window.evidence(105.0) is None, "silence after the last failure is no further failure"
    window.failed(1, 101.0)
    evidence = window.evidence(101.0)
    assert evidence is not None
    assert evidence.rule == "outlier.consecutive"


def test_a_flapper_that_recovers_within_the_sustained_time_is_never_out_for_its_runs() -> None:
    window = OutlierWindow(OutlierPolicy(sustained_s=1.0, success_ratio=0.0))
    now = 0.0
    for _ in range(100):
        for _ in range(20):
            window.succeeded(1, now)
            now += 0.035
        for _ in range(20):
            window.failed(1, now)
            assert window.evidence(now) is None
            now += 0.035
