from __future__ import annotations

import pytest

from holdfast.resilience import Correlation, CorrelationPolicy, OutlierPolicy

AT_ONCE = OutlierPolicy(sustained_s=0.0)  # a run counts however short, so that tests need not wait


class Pool:
    """A correlation over backends a, b, c, ... with every backend in rotation unless put in ``out``."""

    def __init__(self, size: int = 3) -> None:
        self.correlation = Correlation(AT_ONCE, CorrelationPolicy())
        self.names = [chr(ord("a") + i) for i in range(size)]
        self.out: list[str] = []
        for name in self.names:
            self.correlation.add(name)
            self.correlation.succeeded(name, 100, (), 0.0)

    def fail(self, backend: str, *requests: int, kind: str = "reset", now: float = 1.0) -> None:
        self.correlation.failed(backend, kind, len(requests), requests, now)

    def serve(self, backend: str, *retried: int, now: float = 1.0) -> None:
        self.correlation.succeeded(backend, max(1, len(retried)), retried, now)

    def verdicts(self, now: float = 1.0) -> dict[str, bool]:
        self.correlation.settle(now)
        active = [name for name in self.names if name not in self.out]
        return {j.backend: j.eject for j in self.correlation.judge(active, self.out, now)}


def test_failures_whose_retries_succeed_elsewhere_convict_at_once() -> None:
    pool = Pool()
    for request in range(5):
        pool.fail("a", request)
        assert pool.verdicts() == {}
        pool.serve("b", request)
    assert pool.verdicts() == {"a": True}


def test_refused_connections_convict_without_waiting_for_their_retries() -> None:
    pool = Pool()
    pool.serve("b")
    pool.fail("a", 1, 2, 3, 4, 5, kind="connect")
    assert pool.verdicts() == {"a": True}


def test_failures_that_are_not_retried_convict_when_nothing_more_is_heard() -> None:
    pool = Pool()
    pool.fail("a", 1, 2, 3, 4, 5)
    pool.serve("b", now=1.2)
    assert pool.verdicts(1.4) == {}
    assert pool.verdicts(1.5) == {"a": True}


def test_a_timeout_leaves_its_retry_the_time_to_time_out_as_well() -> None:
    pool = Pool()
    pool.fail("a", 1, 2, 3, 4, 5, kind="timeout")
    pool.serve("b", now=3.0)
    assert pool.verdicts(3.4) == {}
    assert pool.verdicts(3.5) == {"a": True}


def test_a_poison_request_that_fails_everywhere_is_held_against_nobody() -> None:
    pool = Pool()
    for request in range(50):
        for backend in pool.names:
            pool.fail(backend, request)
    assert pool.verdicts(1.0) == {}
    assert pool.verdicts(60.0) == {}
    assert pool.correlation.poisoned == 50
    assert all(pool.correlation.window(name).totals(2.0).failures == 0 for name in pool.names)


def test_poison_that_reaches_its_second_backend_late_is_taken_back_from_the_first() -> None:
    pool = Pool()
    pool.fail("a", 7)
    pool.serve("b", now=2.0)
    assert pool.verdicts(2.0) == {}
    assert pool.correlation.window("a").totals(2.0).failures == 1, "counted, as nothing more was heard"
    pool.fail("b", 7, now=3.0)
    assert pool.correlation.window("a").totals(3.0).failures == 0
    pool.verdicts(4.0)
    assert pool.correlation.window("b").totals(4.0).failures == 0


def test_a_request_that_fails_twice_and_then_succeeds_is_not_poison() -> None:
    pool = Pool(5)
    for request in range(5):
        pool.fail("a", request)
        pool.fail("b", request)
        pool.serve("c", request)
    assert pool.verdicts() == {"a": True, "b": True}


def test_one_bad_backend_is_told_apart_from_poison_that_mixes_with_it() -> None:
    pool = Pool()
    for request in range(10):
        pool.fail("a", request)
        pool.serve("b", request)
        for backend in pool.names:
            pool.fail(backend, 1000 + request)
        pool.serve("b")
        pool.serve("c")
    assert pool.verdicts() == {"a": True}
    pool.out = ["a"]
    assert pool.verdicts(5.0) == {}


def test_when_all_backends_start_failing_nobody_is_ejected() -> None:
    pool = Pool()
    for round_ in range(100):
        for backend in pool.names:
            pool.fail(backend, round_, kind="connect", now=1.0 + round_ / 100)
            assert True not in pool.verdicts(1.0 + round_ / 100).values()


def test_while_peers_are_silent_it_waits_but_not_for_ever() -> None:
    pool = Pool()
    pool.fail("a", 1, 2, 3, 4, 5, kind="connect")
    assert pool.verdicts(1.0) == {}
    assert pool.verdicts(1.9) == {}
    assert pool.verdicts(2.0) == {"a": True}


def test_a_peer_whose_last_attempt_failed_is_no_alibi() -> None:
    pool = Pool()
    pool.fail("a", 1, 2, 3, 4, 5, kind="connect")
    for peer in "bc":
        pool.serve(peer, now=1.1)
        pool.fail(peer, 6, now=1.2)
    assert pool.verdicts(1.2) == {}
    pool.serve("b", now=1.3)
    assert pool.verdicts(1.3) == {"a": True}


def test_the_only_backend_is_never_ejected() -> None:
    pool = Pool(1)
    pool.fail("a", 1, 2, 3, 4, 5, kind="connect")
    assert pool.verdicts() == {"a": False}


def test_the_last_backend_in_rotation_is_never_ejected() -> None:
    pool = Pool()
    pool.out = ["b", "c"]
    pool.fail("a", 1, 2, 3, 4, 5, kind="connect")
    assert pool.verdicts() == {"a": False}


def test_one_sound_backend_of_five_is_enough_to_convict_the_rest() -> None:
    pool = Pool(5)
    for backend in "bcde":
        pool.fail(backend, 1, 2, 3, 4, 5, kind="connect")
    pool.serve("a")
    assert pool.verdicts() == dict.fromkeys("bcde", True)


def test_after_a_failure_of_all_each_must_fail_anew_to_be_convicted() -> None:
    pool = Pool()
    for backend in pool.names:
        pool.fail(backend, 1, 2, 3, 4, 5, kind="connect")
    assert pool.verdicts() == dict.fromkeys("abc", False)
    pool.serve("b", now=2.0)
    pool.fail("a", 6, 7, 8, 9, kind="connect", now=2.0)
    assert pool.verdicts(2.0) == {}
    pool.fail("a", 10, kind="connect", now=2.0)
    pool.serve("b", now=2.1)
    assert pool.verdicts(2.1) == {"a": True}


def test_a_peer_that_was_spared_still_counts_as_failing_until_it_serves_again() -> None:
    pool = Pool(2)
    pool.fail("a", 1, 2, 3, 4, 5, kind="connect")
    pool.fail("b", 1, 2, 3, kind="connect")
    assert pool.verdicts(1.0) == {"a": False}
    pool.fail("b", 4, 5, kind="connect", now=5.0)
    assert pool.verdicts(5.0) == {"b": False}
    pool.serve("a", now=6.0)
    pool.fail("b", 6, 7, 8, 9, 10, kind="connect", now=6.0)
    assert pool.verdicts(6.0) == {"b": True}


def test_remembered_requests_are_bounded() -> None:
    correlation = Correlation(AT_ONCE, CorrelationPolicy(max_requests=10))
    correlation.add("a")
    correlation.succeeded("a", 1, (), 0.0)
    for request in range(1000):
        correlation.failed("a", "reset", 1, (request,), 0.0)
    assert correlation.suspected == 10
    totals = correlation.window("a").totals(0.0)
    assert (totals.failures, totals.held) == (990, 10)


def test_requests_are_forgotten_in_time() -> None:
    pool = Pool()
    pool.fail("a", 1, 2, 3)
    pool.fail("b", 3)
    pool.correlation.settle(1.5)
    assert pool.correlation.suspected == 3
    pool.correlation.settle(11.5)
    assert pool.correlation.suspected == 0


def test_marks_of_a_removed_backend_do_not_reach_its_successor() -> None:
    pool = Pool()
    pool.fail("a", 1)
    pool.correlation.remove("a")
    pool.correlation.add("a")
    pool.correlation.settle(60.0)
    assert pool.correlation.window("a").totals(1.0).failures == 0


@pytest.mark.parametrize(
    "figures", [{"settle_s": -1.0}, {"failing_share": 0.0}, {"failing_run": 0}, {"remember_s": float("nan")}]
)
def test_figures_out_of_range_are_refused(figures: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(figures))):
        CorrelationPolicy(**figures)  # type: ignore[arg-type]
