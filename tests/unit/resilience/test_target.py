"""What a target learns from attempts, and what time does to it."""

from __future__ import annotations

import pytest

from holdfast.resilience import Target


def ticked(target: Target, start: float, seconds: float, *, oldest_at: float | None = None) -> float:
    """Tick every 50 ms; returns the time at the end."""
    for step in range(1, round(seconds / 0.05) + 1):
        now = start + step * 0.05
        target.tick(now, 0.0 if oldest_at is None else now - oldest_at)
    return start + seconds


def answer(target: Target, now: float, latency_s: float, *, times: int = 1) -> None:
    for _ in range(times):
        target.began()
        target.succeeded(now, latency_s)


def fail(target: Target, now: float, latency_s: float = 0.0001, *, times: int = 1) -> None:
    for _ in range(times):
        target.began()
        target.failed(now, latency_s)


class TestInFlight:
    def test_every_ending_gives_the_place_back(self) -> None:
        target = Target("a")
        for _ in range(3):
            target.began()
        assert target.in_flight == 3
        target.succeeded(1.0, 0.01)
        target.failed(1.0, 0.01)
        target.abandoned()
        assert target.in_flight == 0

    def test_a_client_that_leaves_is_no_evidence(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.01)
        before = (target.success, target.latency_s, target.evidence_at)
        target.began()
        target.abandoned()
        assert (target.success, target.latency_s, target.evidence_at) == before


class TestSuccess:
    def test_five_failures_in_a_row_leave_a_sixth(self) -> None:
        target = Target("a")
        fail(target, 1.0, times=5)
        assert target.success == pytest.approx(0.7**5, abs=0.001)

    def test_it_is_never_zero(self) -> None:
        target = Target("a")
        fail(target, 1.0, times=10_000)
        assert target.success >= 1e-4

    def test_one_success_is_strong_evidence_of_a_return(self) -> None:
        target = Target("a")
        fail(target, 1.0, times=20)
        answer(target, 1.0, 0.01)
        assert target.success > 0.3

    def test_time_restores_it_within_a_second(self) -> None:
        target = Target("a")
        fail(target, 1.0, times=5)
        target.tick(1.0, 0.0)
        now = ticked(target, 1.0, 0.3)
        assert 0.4 < target.success < 0.6
        ticked(target, now, 0.7)
        assert target.success > 0.85

    def test_how_often_it_is_ticked_does_not_matter(self) -> None:
        seldom, often = Target("seldom"), Target("often")
        for target in (seldom, often):
            fail(target, 1.0, times=5)
            target.tick(1.0, 0.0)
        seldom.tick(2.0, 0.0)
        for step in range(1, 101):
            often.tick(1.0 + step / 100, 0.0)
        assert seldom.success == pytest.approx(often.success)

    def test_a_fifth_of_failures_leaves_about_four_fifths(self) -> None:
        target = Target("a")
        seen = []
        for attempt in range(2000):
            if attempt % 5 == 0:
                fail(target, 1.0)
            else:
                answer(target, 1.0, 0.01)
            seen.append(target.success)
        assert sum(seen) / len(seen) == pytest.approx(0.8, abs=0.05)


class TestLatency:
    def test_the_first_answer_sets_it(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.02)
        assert target.latency_s == 0.02

    def test_a_fast_failure_never_lowers_it(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.02)
        fail(target, 1.0, 0.0001, times=50)
        assert target.latency_s == 0.02

    def test_a_fast_failure_tells_nothing_about_an_unknown_latency(self) -> None:
        target = Target("a")
        fail(target, 1.0, 0.0001)
        assert target.latency_s == 0.0

    def test_a_slow_failure_raises_it(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.02)
        fail(target, 3.0, 2.0)
        assert target.latency_s > 0.4

    def test_one_hiccup_of_50_ms_does_not_make_a_2_ms_backend_a_50_ms_one(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.002, times=100)
        answer(target, 1.0, 0.05)
        assert target.latency_s < 0.015
        answer(target, 1.01, 0.002, times=50)
        assert target.latency_s < 0.004

    def test_it_rises_faster_than_it_falls(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.01)
        answer(target, 1.0, 0.02)
        risen = target.latency_s - 0.01
        answer(target, 1.0, 0.01)
        assert 0 < 0.01 + risen - target.latency_s < risen / 4

    def test_after_a_pause_a_single_answer_counts_for_much(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.1)
        answer(target, 3.0, 0.002)
        assert target.latency_s == pytest.approx(0.051)

    @pytest.mark.parametrize(("latency_s", "memory_s"), [(0.002, 2.0), (0.1, 4.0), (5.0, 10.0)])
    def test_an_idle_backend_is_unknown_again_the_sooner_the_faster_it_was(
        self, latency_s: float, memory_s: float
    ) -> None:
        target = Target("a")
        answer(target, 0.0, latency_s)
        ticked(target, 0.0, memory_s - 0.05)
        assert target.latency_s == latency_s
        ticked(target, memory_s, 0.1)
        assert target.latency_s == 0.0


class TestSilence:
    def test_a_hanging_backend_gets_costly_long_before_its_timeout(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.002)
        target.began()
        target.tick(1.0, 0.0)
        ticked(target, 1.0, 0.3, oldest_at=1.0)
        assert target.latency_s == pytest.approx(0.3)
        assert target.success < 0.4

    def test_one_slow_request_among_others_that_are_answered_is_no_hang(self) -> None:
        target = Target("a")
        target.began()
        for step in range(100):
            now = 1.0 + step * 0.05
            answer(target, now, 0.002, times=3)
            target.tick(now, now - 1.0)
        assert target.latency_s == pytest.approx(0.002)
        assert target.success == 1.0

    def test_a_backend_that_is_always_slow_is_not_taken_for_hanging(self) -> None:
        target = Target("a")
        answer(target, 1.0, 5.0)
        target.began()
        target.tick(1.0, 0.0)
        ticked(target, 1.0, 15.0, oldest_at=1.0)
        assert target.success == 1.0

    def test_the_first_answer_ends_it(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.002)
        target.began()
        target.tick(1.0, 0.0)
        now = ticked(target, 1.0, 1.0, oldest_at=1.0)
        answer(target, now, 0.002)
        assert target.latency_s == pytest.approx(0.002)
        assert target.success >= 0.3

    def test_requests_in_flight_that_were_answered_already_are_no_silence(self) -> None:
        target = Target("a")
        answer(target, 1.0, 0.002)
        target.began()  # a tunnel: in flight for an hour, and nothing waits for an answer
        target.tick(1.0, 0.0)
        ticked(target, 1.0, 60.0)
        assert target.success == 1.0


def test_a_subclass_needs_no_dictionary() -> None:
    class Backend(Target):
        __slots__ = ("address",)

        def __init__(self, id: str, address: str) -> None:
            super().__init__(id)
            self.address = address

    assert not hasattr(Backend("a", "127.0.0.1:9001"), "__dict__")


def test_a_drained_backend_keeps_a_nominal_weight() -> None:
    assert Target("a", weight=0.0).nominal_weight == 1.0
    assert Target("a", weight=3.0).nominal_weight == 3.0
