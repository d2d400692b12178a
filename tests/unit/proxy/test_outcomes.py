"""What is reported about a backend keeps the order in which it happened."""

from __future__ import annotations

from holdfast.proxy import OutcomeRun
from holdfast.proxy.backend import Outcomes


def test_runs_follow_each_other_in_order() -> None:
    outcomes = Outcomes()
    outcomes.ok += 2
    outcomes.failed("reset", 7)
    outcomes.failed("reset", 8)
    outcomes.failed("timeout", 9)
    outcomes.ok += 1
    assert outcomes.take() == (
        OutcomeRun(None, 2),
        OutcomeRun("reset", 2, (7, 8)),
        OutcomeRun("timeout", 1, (9,)),
        OutcomeRun(None, 1),
    )
    assert outcomes.take() == ()


def test_what_is_taken_is_forgotten() -> None:
    outcomes = Outcomes()
    outcomes.failed("connect", 1)
    outcomes.take()
    outcomes.failed("connect", 2)
    assert outcomes.take() == (OutcomeRun("connect", 1, (2,)),)
