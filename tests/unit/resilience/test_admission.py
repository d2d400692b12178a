"""Admission: the queue, the adaptive limit, the bound of a pool in panic, Retry-After."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.resilience import GradientLimit, WaitQueue, capacity_limit, retry_after_s


class TestWaitQueue:
    def test_first_in_is_first_out(self) -> None:
        queue: WaitQueue[str] = WaitQueue(3)
        for name in "abc":
            assert queue.push(name, 1.0)
        assert [queue.pop(0.0) for _ in range(4)] == ["a", "b", "c", None]

    def test_a_full_queue_refuses(self) -> None:
        queue: WaitQueue[str] = WaitQueue(1)
        assert queue.push("a", 1.0)
        assert not queue.push("b", 1.0)

    def test_an_entry_that_pop_passed_over_is_still_handed_out_to_be_answered(self) -> None:
        queue: WaitQueue[str] = WaitQueue(2)
        queue.push("late", 1.0)
        queue.push("in time", 9.0)
        assert queue.pop(2.0) == "in time"
        assert len(queue) == 1
        assert queue.expired(2.0) == ["late"]
        assert len(queue) == 0

    def test_a_deadline_that_is_now_has_come(self) -> None:
        queue: WaitQueue[str] = WaitQueue(1)
        queue.push("a", 1.0)
        assert queue.pop(1.0) is None
        assert queue.expired(1.0) == ["a"]

    def test_nobody_waits_twice(self) -> None:
        queue: WaitQueue[str] = WaitQueue(2)
        queue.push("a", 1.0)
        with pytest.raises(ValueError, match="waits already"):
            queue.push("a", 2.0)

    def test_a_negative_bound_is_refused(self) -> None:
        with pytest.raises(ValueError, match="got -1"):
            WaitQueue(-1)


def serve(
    limit: GradientLimit, *, places: int, service_s: float, seconds: float, start: float, load: int = 10_000
) -> None:
    """Keep ``load`` requests at a server that slows down beyond its places, for some virtual time."""
    now = start
    while now < start + seconds:
        in_flight = min(limit.limit, load)
        latency_s = service_s * max(1.0, in_flight / places)
        now += latency_s / in_flight
        limit.sample(latency_s, in_flight, now, True)


class TestGradientLimit:
    @pytest.mark.parametrize("places", [10, 40, 200])
    def test_it_finds_the_places_of_a_server_from_below(self, places: int) -> None:
        limit = GradientLimit(initial=4)
        serve(limit, places=places, service_s=0.01, seconds=60, start=0)
        assert places <= limit.limit <= 1.5 * places + 2 * places**0.5 + 2

    def test_a_lasting_overload_is_not_forgiven(self) -> None:
        limit = GradientLimit(initial=4)
        serve(limit, places=40, service_s=0.01, seconds=60, start=0)
        serve(limit, places=40, service_s=0.01, seconds=300, start=60)
        assert 40 <= limit.limit <= 80

    def test_it_falls_when_half_of_the_places_are_lost_and_rises_when_they_return(self) -> None:
        limit = GradientLimit(initial=4)
        serve(limit, places=80, service_s=0.01, seconds=60, start=0)
        serve(limit, places=40, service_s=0.01, seconds=20, start=60)
        assert limit.limit < 80
        serve(limit, places=80, service_s=0.01, seconds=60, start=80)
        assert limit.limit >= 80

    def test_a_service_that_became_slower_for_good_is_not_choked_for_good(self) -> None:
        limit = GradientLimit(initial=4)
        serve(limit, places=40, service_s=0.005, seconds=60, start=0)
        serve(limit, places=40, service_s=0.05, seconds=300, start=60)
        assert limit.limit >= 40

    def test_an_idle_server_teaches_nothing_about_its_capacity(self) -> None:
        limit = GradientLimit(initial=20)
        serve(limit, places=40, service_s=0.01, seconds=60, start=0, load=5)
        assert limit.limit == 20

    def test_refusals_lower_the_limit_however_fast_they_are(self) -> None:
        limit = GradientLimit(initial=100)
        for step in range(5000):
            limit.sample(0.0001, 100, step * 0.01, False)
        assert limit.limit == 4

    def test_the_limit_stays_between_its_bounds(self) -> None:
        rng = Random(7)
        limit = GradientLimit(initial=5, lowest=3, highest=50)
        for step in range(20_000):
            limit.sample(rng.expovariate(100), rng.randint(1, 60), step * 0.01, rng.random() < 0.9)
            assert 3 <= limit.limit <= 50

    def test_random_latencies_of_a_server_with_room_do_not_choke_it(self) -> None:
        rng = Random(3)
        limit = GradientLimit(initial=20)
        for step in range(200_000):
            limit.sample(rng.expovariate(100), limit.limit, step * 0.001, True)
        assert limit.limit > 200

    def test_bounds_out_of_order_are_refused(self) -> None:
        with pytest.raises(ValueError, match="lowest=8, initial=4"):
            GradientLimit(initial=4, lowest=8)


class TestCapacityLimit:
    def test_a_third_of_the_weight_carries_a_third_and_some_headroom(self) -> None:
        assert capacity_limit(90, 1 / 3, backends=3) == 38

    def test_a_pool_that_was_given_up_still_lets_every_backend_be_asked(self) -> None:
        assert capacity_limit(90, 0.0, backends=5) == 5

    def test_a_pool_that_never_carried_anything_is_not_closed(self) -> None:
        assert capacity_limit(0, 0.5) == 1

    @pytest.mark.parametrize("arguments", [(-1, 0.5), (1, 1.5), (1, -0.1)])
    def test_impossible_figures_are_refused(self, arguments: tuple[float, float]) -> None:
        with pytest.raises(ValueError, match="share_left"):
            capacity_limit(*arguments)


class TestRetryAfter:
    def test_it_is_the_time_to_drain_and_up_to_half_more(self) -> None:
        seen = {retry_after_s(100, 10.0, Random(seed)) for seed in range(200)}
        assert seen <= set(range(10, 16))
        assert len(seen) >= 5

    def test_an_empty_queue_says_one_second(self) -> None:
        assert {retry_after_s(0, 50.0, Random(seed)) for seed in range(20)} == {1}

    def test_a_queue_that_does_not_move_says_long_but_not_all_the_same(self) -> None:
        seen = {retry_after_s(10, 0.0, Random(seed)) for seed in range(200)}
        assert min(seen) >= 20
        assert max(seen) == 30
        assert len(seen) > 5

    def test_it_is_always_a_whole_number_of_seconds_in_range(self) -> None:
        rng = Random(5)
        for _ in range(2000):
            seconds = retry_after_s(rng.randint(0, 5000), rng.choice([0.0, 0.01, 3.0, 1e6]), rng, longest_s=9)
            assert isinstance(seconds, int)
            assert 1 <= seconds <= 9
