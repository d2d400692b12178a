"""Burn rates and budgets from counts."""

from __future__ import annotations

import pytest

from holdfast.netpulse.core.incident import Condition
from holdfast.netpulse.core.objectives import WINDOWS_S, Counts, Objective, budget_left, burn_rate

TARGET = 0.999


def counts(bad: dict[float, int], *, every_s: float = 10.0) -> dict[float, Counts]:
    """Checks every ``every_s``; failures by window, at least as many in a longer one."""
    found: dict[float, Counts] = {}
    worst = 0
    for window in WINDOWS_S:
        total = max(int(window / every_s), 1)
        worst = min(max(worst, bad.get(window, 0)), total)
        found[window] = (total - worst, total)
    return found


def test_an_outage_of_some_minutes_burns_fast() -> None:
    objective = Objective("t/m", TARGET)
    signals = objective.judge(counts({300.0: 20}), 1_000_000.0)
    assert (signals[0].condition, signals[0].active) == (Condition.BURN_FAST, True)


@pytest.mark.parametrize("every_s", [10.0, 30.0, 60.0, 300.0, 3600.0])
def test_a_single_failure_never_burns(every_s: float) -> None:
    objective = Objective("t/m", 0.9999)
    assert objective.judge(counts({300.0: 1}, every_s=every_s), 0.0) == []


def test_one_failure_after_the_end_tells_nobody_again() -> None:
    objective = Objective("t/m", TARGET)
    objective.judge(counts({300.0: 20}), 0.0)
    (ended,) = (s for s in objective.judge(counts({3_600.0: 20}), 3_000.0) if s.condition is Condition.BURN_FAST)
    assert not ended.active
    again = objective.judge(counts({300.0: 1, 3_600.0: 21}), 3_100.0)
    assert all(signal.condition is not Condition.BURN_FAST for signal in again)


def test_it_goes_on_while_the_short_window_is_above_half_of_its_rate() -> None:
    objective = Objective("t/m", TARGET)
    objective.judge(counts({300.0: 2, 1_800.0: 10, 3_600.0: 20}, every_s=3.0), 0.0)
    assert Condition.BURN_FAST in objective.active
    objective.judge(counts({300.0: 1, 1_800.0: 3, 3_600.0: 20}, every_s=3.0), 10.0)
    assert Condition.BURN_FAST in objective.active


def test_a_slow_leak_is_a_ticket_not_a_page() -> None:
    objective = Objective("t/m", TARGET)
    signals = objective.judge(counts({300.0: 0, 7_200.0: 3, 21_600.0: 8, 86_400.0: 30, 259_200.0: 80}), 0.0)
    assert [signal.condition for signal in signals] == [Condition.BURN_SLOW]


def test_the_budget_is_what_is_left_of_what_may_fail() -> None:
    assert budget_left((9_995, 10_000), TARGET) == pytest.approx(0.5)
    assert budget_left((9_980, 10_000), TARGET) == pytest.approx(-1.0)
    assert burn_rate((0, 0), TARGET) == 0.0


@pytest.mark.parametrize("target", [0.0, 1.0, 1.5])
def test_a_target_that_leaves_no_budget_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        Objective("t/m", target)
