"""Measures read from the backends' ledgers."""

from __future__ import annotations

import pytest

from holdfast.drills import ledgers
from holdfast.drills.faults import Attempt, BackendSpec, Fault, Ledger
from holdfast.drills.flapping import fleet_spec


def test_attempts_are_counted_over_all_backends_and_by_request() -> None:
    entries = {
        "a": [Attempt(1, 0.0, "ok"), Attempt(2, 0.1, "reset")],
        "b": [Attempt(2, 0.2, "ok"), Attempt(-1, 0.3, "ok")],
    }
    ledger = Ledger(attempts=entries)
    assert ledgers.attempts(ledger) == 4
    assert ledgers.attempts_by_id(ledger) == {1: 1, 2: 2}


def test_ejection_ends_with_the_last_attempt_before_a_pause() -> None:
    assert ledgers.time_to_eject_s([10.0, 10.2, 10.9, 12.0], until=20.0) == pytest.approx(0.9)


def test_a_backend_that_is_never_tried_was_ejected_at_once() -> None:
    assert ledgers.time_to_eject_s([], until=20.0) == 0.0


def test_a_pause_up_to_the_end_counts() -> None:
    assert ledgers.time_to_eject_s([10.0, 10.5], until=20.0) == pytest.approx(0.5)


def test_without_a_pause_the_backend_was_never_ejected() -> None:
    assert ledgers.time_to_eject_s([10.0, 10.9, 11.8], until=12.0) == pytest.approx(2.0)


def test_restored_is_half_the_fair_share() -> None:
    seen = [0.1, 1.1, *(1.5 + number / 100 for number in range(30))]
    assert ledgers.time_to_restore_s(seen, start=0.0, until=5.0, fair_per_s=100.0) == 2.0


def test_a_backend_that_stays_out_is_restored_no_sooner_than_the_end() -> None:
    assert ledgers.time_to_restore_s([0.1], start=0.0, until=5.0, fair_per_s=100.0) == 5.0


def test_attempts_fall_into_their_second() -> None:
    assert ledgers.attempts_per_second({"a": [9.0, 10.0, 10.9, 12.5, 13.0]}, 10.0, 3) == {"a": [2, 0, 1]}


@pytest.mark.parametrize(
    ("fault", "good"),
    [
        (Fault(kind="healthy"), 200.0),
        (Fault(kind="flap", period_s=1.4, down_s=0.7), 200.0 * 0.68 / 1.4),
        (Fault(kind="reset", share=0.2), 160.0),
        (Fault(kind="slow", factor=10), 20.0),
        (Fault(kind="hidden"), 0.0),
        (Fault(kind="hang"), 0.0),
    ],
)
def test_good_capacity_is_what_a_backend_answers_well(fault: Fault, good: float) -> None:
    backend = BackendSpec(name="x", slots=4, service_s=0.02, schedule=(fault,))
    assert backend.good_capacity_per_s() == pytest.approx(good)


def test_giving_up_the_half_good_backends_does_not_carry_the_load_of_the_flapping_drill() -> None:
    spec = fleet_spec(1)
    healthy = sum(backend.capacity_per_s for backend in spec.backends if not backend.schedule)
    assert spec.good_capacity_per_s() == pytest.approx(760 + 200 * 0.68 / 1.4)
    assert healthy < 0.75 * spec.good_capacity_per_s()
