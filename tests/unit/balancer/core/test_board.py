"""The pure half of the master: who is told what, and when."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.balancer.core.board import Board
from holdfast.balancer.core.health import ProbeResult
from holdfast.balancer.core.messages import BackendRef, BackendReport, Endpoint, Run
from holdfast.balancer.core.settings import (
    BackendSettings,
    BalancerSettings,
    DampingSettings,
    OutlierSettings,
    PoolSettings,
)
from holdfast.balancer.errors import NotFoundError, RequestError
from holdfast.kernel import Duration

A, B = BackendRef("web", "a"), BackendRef("web", "b")


def pool(*names: str) -> PoolSettings:
    return PoolSettings(backends=tuple(BackendSettings(id=name, url=f"http://{name}:80") for name in names))


def board(**pools: PoolSettings) -> Board:
    return Board(BalancerSettings(pools=pools or {"web": pool("a", "b")}), Random(1), 0.0)


def told(found: Board, *workers: int) -> dict[int, dict[str, float]]:
    return {
        worker: {view.ref.backend: view.weight for view in views.views} for worker, views in found.news(workers).items()
    }


def test_a_worker_is_told_everything_once_and_then_only_changes() -> None:
    found = board()
    assert told(found, 0) == {0: {"a": 1.0, "b": 1.0}}
    assert told(found, 0, 1) == {1: {"a": 1.0, "b": 1.0}}
    assert told(found, 0, 1) == {}
    found.set_weight("web", "b", 2.5, 1.0)
    assert told(found, 0, 1) == {0: {"b": 2.5}, 1: {"b": 2.5}}


def test_a_worker_with_a_new_configuration_is_told_everything_again() -> None:
    found = board()
    told(found, 0, 1)
    found.forget(1)
    assert told(found, 0, 1) == {1: {"a": 1.0, "b": 1.0}}
    found.on_worker_gone(0)
    assert told(found, 0) == {0: {"a": 1.0, "b": 1.0}}


def test_a_worker_whose_trial_failed_by_the_fault_of_its_request_hears_that_it_may_go_on() -> None:
    found = board(
        web=PoolSettings(
            backends=pool("a", "b").backends,
            outlier=OutlierSettings(sustained=Duration(0.0)),
        )
    )
    found.on_reports(0, [BackendReport(A, (Run("connect", 30),), 0, 0.1)], 1.0)
    found.on_reports(0, [BackendReport(B, (Run(None, 1),), 0, 0.1)], 1.1)
    found.tick(10.0)
    assert {view.ref: view.trials for view in found.news([0])[0].views}[A] == 3
    for ref in (B, A):
        report = BackendReport(ref, (Run("reset", 1, (77,)),), 0, 0.1, trial=ref == A)
        found.on_reports(0, [report], 10.0)
    # What it may do is what it could do before, but after a failed trial it waits for an answer.
    assert [(view.ref, view.trials) for view in found.news([0])[0].views] == [(A, 3)]
    assert found.news([0]) == {}


def test_the_limit_of_a_pool_in_panic_travels_once_each_way() -> None:
    found = board()
    assert found.news([0])[0].pool_limits == {"web": None}
    for _ in range(3):
        for ref in (A, B):
            found.on_probe(ref, ProbeResult(passed=False, kind="connect"), 1.0)
    first = found.news([0])[0].pool_limits
    assert first["web"] is not None
    assert all(not views.pool_limits for views in found.news([0]).values())
    for _ in range(2):
        for ref in (A, B):
            found.on_probe(ref, ProbeResult(passed=True), 2.0)
    assert found.news([0])[0].pool_limits == {"web": None}


def test_the_state_of_what_stays_survives_a_reconfiguration() -> None:
    found = board(web=pool("a", "b", "c"), old=pool("x"))
    found.set_drain("web", "a", True, 1.0)
    found.reconfigure(
        BalancerSettings(pools={"web": pool("a", "c"), "new": pool("y")}),
        [Endpoint("web", "d", "http://d:80", 0.5), Endpoint("gone", "e", "http://e:80", 1.0)],
        2.0,
    )
    assert found.backends() == [A, BackendRef("web", "c"), BackendRef("web", "d"), BackendRef("new", "y")]
    assert found.snapshot(2.0)["web"].backends[0].state == "drained"
    assert set(found.snapshot(2.0)) == {"web", "new"}


def test_reports_and_checks_of_what_is_gone_are_ignored() -> None:
    found = board()
    report = BackendReport(BackendRef("old", "x"), (Run("reset", 9),), 0, 0.1)
    assert found.on_reports(0, [report], 1.0) == []
    assert found.on_probe(BackendRef("old", "x"), ProbeResult(passed=False, kind="connect"), 1.0) == []
    assert found.on_probe(BackendRef("web", "x"), ProbeResult(passed=False, kind="connect"), 1.0) == []


def test_reports_of_several_pools_in_one_message_reach_each() -> None:
    found = board(web=pool("a", "b"), api=pool("a", "b"))
    reports = [
        BackendReport(BackendRef(name, backend), (Run(None, 1),), in_flight, 0.1)
        for name, backend, in_flight in (("web", "a", 1), ("api", "a", 2), ("web", "b", 3))
    ]
    found.on_reports(0, reports, 1.0)
    in_flight = {
        (name, each.id): each.in_flight for name, shot in found.snapshot(1.0).items() for each in shot.backends
    }
    assert in_flight == {("web", "a"): 1, ("web", "b"): 3, ("api", "a"): 2, ("api", "b"): 0}
    found.on_worker_gone(0)
    assert all(each.in_flight == 0 for shot in found.snapshot(1.0).values() for each in shot.backends)


@pytest.mark.parametrize(("name", "backend", "remedy"), [("wub", "a", "web"), ("web", "z", "a, b")])
def test_what_does_not_exist_is_named_with_what_does(name: str, backend: str, remedy: str) -> None:
    found = board()
    for ask in (
        lambda: found.explain(name, backend, 1.0),
        lambda: found.set_drain(name, backend, True, 1.0),
        lambda: found.set_weight(name, backend, 1.0, 1.0),
    ):
        with pytest.raises(NotFoundError, match=f"use one of: {remedy}"):
            ask()


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_that_is_none_is_a_bad_request(weight: float) -> None:
    with pytest.raises(RequestError, match="weight"):
        board().set_weight("web", "a", weight, 1.0)


def test_a_contradiction_is_found_before_anything_changes() -> None:
    found = board()
    absurd = DampingSettings(suppress=1e8)
    settings = BalancerSettings(pools={"new": pool("x"), "web": PoolSettings(damping=absurd)})
    with pytest.raises(ValueError, match="suppress"):
        Board.check(settings)
    with pytest.raises(ValueError, match="suppress"):
        found.reconfigure(settings, (), 1.0)
    assert found.backends() == [A, B]
