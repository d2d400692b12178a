"""What the filter of a path believes."""

from __future__ import annotations

import pytest

from holdfast.netpulse.core.filter import BAD_SHARE, DISBELIEF, GOOD_FAILS, Path


def see(path: Path, at: float, failed: bool) -> float:
    fails = path.fails(at)
    path.update(fails, failed)
    return fails


def rested(interval_s: float = 30.0) -> Path:
    path = Path(interval_s)
    for number in range(5):
        see(path, number * interval_s, False)
    return path


def test_a_failure_is_a_surprise_at_rest_and_less_of_one_after_another() -> None:
    path = rested()
    first, second, third = (see(path, 150.0 + 30.0 * number, True) for number in range(3))
    assert first < 0.005
    assert first < second < third < 0.9


def test_a_probe_at_once_is_expected_to_fail_more_than_one_much_later() -> None:
    soon, late = rested(), rested()
    see(soon, 150.0, True)
    see(late, 150.0, True)
    assert soon.fails(152.0) > 5 * late.fails(150.0 + 3_600.0)


def test_a_path_that_fails_for_a_quarter_of_an_hour_is_stuck_and_two_successes_free_it() -> None:
    path = rested()
    for number in range(30):
        see(path, 150.0 + 30.0 * number, True)
    assert path.stuck >= DISBELIEF
    see(path, 1_100.0, False)
    assert path.stuck > 0.5
    see(path, 1_130.0, False)
    see(path, 1_160.0, False)
    assert path.stuck < 0.01


def test_a_spell_of_two_minutes_is_not_taken_for_stuck() -> None:
    path = rested()
    for number in range(6):
        see(path, 150.0 + 30.0 * number, True)
    assert path.stuck < 0.05
    assert path.bad > 0.9


def test_it_rests_after_successes_and_rest_is_a_fixed_point() -> None:
    path = rested()
    assert path.resting
    before = path.bad
    see(path, 150.0, False)
    assert path.bad == pytest.approx(before, rel=1e-3)


def test_a_lossy_path_is_learned_and_a_failure_says_less() -> None:
    path = rested()
    for number in range(4_000):
        see(path, 150.0 + 30.0 * number, number % 20 == 0)
        path.learn()
    assert path.good_fails == pytest.approx(0.05, rel=0.3)


def test_what_was_about_the_target_teaches_nothing() -> None:
    path = rested()
    for number in range(20):
        see(path, 150.0 + 30.0 * number, True)
    path.forget_pending()
    path.settle()
    path.learn()
    assert path.good_fails == pytest.approx(GOOD_FAILS)
    assert path.bad_share == pytest.approx(BAD_SHARE, rel=0.01)


def test_memory_is_bounded() -> None:
    path = Path(30.0)
    for number in range(100_000):
        path.pending_probes += 1.0
        path.learn() if number % 1_000 == 0 else None
    path.learn()
    assert path.probes <= 21_000
