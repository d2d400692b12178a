"""How many workers are wanted."""

from __future__ import annotations

from typing import Any

from holdfast.execution.core.ports import QueueState
from holdfast.execution.core.scaling import ScalingState, Signal, scale
from holdfast.execution.core.settings import ScalingSettings

S = 1_000_000
SCALING = ScalingSettings()


def queue(**figures: Any) -> QueueState:
    defaults: dict[str, Any] = {
        "queued": 0,
        "running": 0,
        "backlog_us": 0,
        "oldest_s": 0.0,
        "slots": 0,
        "workers": 0,
        "drain_us_per_s": 4.0 * S,
    }
    return QueueState(**{**defaults, **figures})


class Scaler:
    """Keeps the state, as the one who asks every few seconds does."""

    def __init__(self, settings: ScalingSettings = SCALING, wanted: int = 0) -> None:
        self.settings = settings
        self.state: ScalingState | None = ScalingState(wanted=wanted, changed=-1000.0)

    def look(self, now: float, *, busy: int = 0, workers: int = 1, backlog_s: float = 0.0) -> Signal:
        """``backlog_s`` is for a single worker."""
        figures = queue(
            queued=int(backlog_s > 0),
            backlog_us=round(backlog_s * 4 * S),
            workers=workers,
            drain_us_per_s=4.0 * S * workers,
        )
        self.state, signal = scale(self.state, figures, busy_workers=busy, now=now, settings=self.settings)
        return signal


def test_nothing_to_do_wants_nobody() -> None:
    assert Scaler().look(0.0, workers=0).wanted_workers == 0


def test_anything_queued_wants_a_worker_at_once() -> None:
    scaler = Scaler()
    scaler.look(0.0, workers=0)
    signal = scaler.look(0.1, workers=0, backlog_s=0.001)
    assert (signal.wanted_workers, signal.why) == (1, "from zero")


def test_a_job_without_any_cost_still_wants_a_worker() -> None:
    _, signal = scale(None, queue(queued=1), busy_workers=0, now=0.0, settings=SCALING)
    assert signal.wanted_workers == 1


def test_one_worker_is_wanted_for_each_target_of_backlog() -> None:
    assert Scaler().look(0.0, backlog_s=35.0).wanted_workers == 4
    assert Scaler().look(0.0, backlog_s=1e9).wanted_workers == 8


def test_the_measured_rate_of_one_worker_is_what_counts() -> None:
    assert Scaler().look(0.0, workers=4, backlog_s=35.0).wanted_workers == 4


def test_going_up_again_waits_for_those_that_were_just_started() -> None:
    scaler = Scaler()
    scaler.look(0.0, backlog_s=15.0)
    signal = scaler.look(14.9, backlog_s=75.0)
    assert (signal.wanted_workers, signal.needed_workers, signal.why) == (2, 8, "up cooldown")
    assert scaler.look(15.0, backlog_s=75.0).wanted_workers == 8


def test_a_worker_is_given_up_when_it_was_not_needed_for_the_whole_cooldown() -> None:
    scaler = Scaler(wanted=3)
    assert scaler.look(0.0).why == "down cooldown"
    assert scaler.look(119.9).wanted_workers == 3
    signal = scaler.look(120.0)
    assert (signal.wanted_workers, signal.why) == (0, "down")


def test_a_burst_in_between_starts_the_cooldown_again() -> None:
    scaler = Scaler(wanted=2)
    scaler.look(0.0)
    assert scaler.look(100.0, backlog_s=15.0).why == "steady"
    scaler.look(110.0)
    assert scaler.look(229.0).wanted_workers == 2
    assert scaler.look(230.0).wanted_workers == 0


def test_going_down_stops_at_the_most_that_was_needed_meanwhile() -> None:
    scaler = Scaler(wanted=8)
    scaler.look(0.0)
    scaler.look(60.0, backlog_s=35.0)
    assert scaler.look(120.0).wanted_workers == 4
    assert scaler.look(239.0).wanted_workers == 4
    assert scaler.look(240.0).wanted_workers == 0


def test_workers_that_run_jobs_are_kept() -> None:
    scaler = Scaler(wanted=5)
    scaler.look(0.0, busy=2, workers=5)
    assert scaler.look(1000.0, busy=2, workers=5).wanted_workers == 2


def test_workers_that_run_jobs_are_kept_during_a_cooldown_too() -> None:
    scaler = Scaler()
    scaler.look(0.0, backlog_s=1.0)
    assert scaler.look(1.0, backlog_s=75.0, busy=3, workers=3).wanted_workers == 3


def test_the_bounds_hold_whatever_is_needed() -> None:
    settings = ScalingSettings(min_workers=2, max_workers=3)
    assert Scaler(settings, wanted=2).look(0.0).wanted_workers == 2
    assert Scaler(settings, wanted=2).look(0.0, busy=9, backlog_s=1e6).wanted_workers == 3


def test_bounds_that_were_changed_are_taken_over_at_once() -> None:
    signal = Scaler(ScalingSettings(max_workers=3), wanted=8).look(0.0, backlog_s=1e6)
    assert (signal.wanted_workers, signal.why) == (3, "bounds")


def test_a_fresh_start_wants_those_that_are_there() -> None:
    state, signal = scale(None, queue(workers=3), busy_workers=0, now=0.0, settings=SCALING)
    assert (signal.wanted_workers, signal.why) == (3, "down cooldown")
    _, signal = scale(state, queue(workers=3), busy_workers=0, now=120.0, settings=SCALING)
    assert signal.wanted_workers == 0


def test_a_clock_that_was_set_back_delays_at_most_one_cooldown() -> None:
    scaler = Scaler(wanted=3)
    scaler.look(1000.0)
    assert scaler.look(0.0).wanted_workers == 3
    assert scaler.look(120.0).wanted_workers == 0
    scaler.state = ScalingState(wanted=1, changed=1000.0)
    assert scaler.look(0.0, backlog_s=75.0).wanted_workers == 8


def test_the_signal_carries_the_figures() -> None:
    figures = queue(queued=7, running=4, backlog_us=40 * S, oldest_s=3.5, workers=2, slots=8, drain_us_per_s=2.0 * S)
    _, signal = scale(None, figures, busy_workers=2, now=0.0, settings=SCALING)
    assert (signal.backlog_s, signal.oldest_s, signal.queued, signal.running, signal.workers) == (20.0, 3.5, 7, 4, 2)
