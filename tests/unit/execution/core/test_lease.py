"""What becomes of a job whose worker fell silent."""

from __future__ import annotations

from random import Random

from holdfast.execution.core.lease import Again, Dead, after_loss, expired_before, expires
from holdfast.execution.core.settings import LeaseSettings
from holdfast.kernel import Duration

LEASE = LeaseSettings()


def lost(attempt: int, *, counts: bool = True, seed: int = 1, settings: LeaseSettings = LEASE) -> Again | Dead:
    return after_loss(
        attempt, reason="worker w1 was silent", now=100.0, rng=Random(seed), settings=settings, counts=counts
    )


def test_a_lost_job_is_tried_again_after_a_backoff() -> None:
    outcome = lost(1)
    assert isinstance(outcome, Again)
    assert 100.0 <= outcome.not_before <= 101.0


def test_jobs_that_were_lost_together_do_not_come_back_together() -> None:
    assert len({outcome.not_before for seed in range(50) if isinstance(outcome := lost(2, seed=seed), Again)}) == 50


def test_the_backoff_doubles_up_to_its_bound() -> None:
    settings = LeaseSettings(attempts=100, backoff_min=Duration(1.0), backoff_max=Duration(60.0))

    def longest(attempt: int) -> float:
        outcomes = [lost(attempt, seed=seed, settings=settings) for seed in range(300)]
        return max(outcome.not_before - 100.0 for outcome in outcomes if isinstance(outcome, Again))

    assert 1.8 < longest(2) <= 2.0
    assert 3.6 < longest(3) <= 4.0
    assert 54.0 < longest(99) <= 60.0


def test_the_last_attempt_makes_a_dead_letter_with_the_reason() -> None:
    assert lost(3) == Dead(reason="worker w1 was silent (3 attempts of 3)")
    assert lost(1, settings=LeaseSettings(attempts=1)) == Dead(reason="worker w1 was silent (1 attempt of 1)")


def test_an_attempt_beyond_a_bound_that_was_lowered_is_the_last() -> None:
    assert isinstance(lost(7), Dead)


def test_an_orderly_shutdown_is_no_attempt_and_no_reason_to_wait() -> None:
    assert lost(3, counts=False) == Again(not_before=100.0)


def test_a_lease_holds_for_its_duration() -> None:
    assert expires(100.0, LEASE) == 115.0


def test_nobody_is_judged_until_renewals_were_possible_for_a_whole_lease() -> None:
    assert expired_before(114.9, started=100.0, settings=LEASE) is None
    assert expired_before(115.0, started=100.0, settings=LEASE) == 115.0


def test_a_clock_that_was_set_back_judges_nobody() -> None:
    assert expired_before(50.0, started=100.0, settings=LEASE) is None
