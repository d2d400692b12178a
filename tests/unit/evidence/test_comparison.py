"""Two runs of one drill: what changed, and when not to believe it."""

from __future__ import annotations

import pytest

from holdfast.evidence import Record, RecordsIncomparableError, compare
from tests.unit.evidence.records import small_record


def verdicts(after: Record) -> dict[str, str]:
    return {change.metric: change.verdict for change in compare(small_record(), after).changes}


def test_a_record_is_the_same_as_itself() -> None:
    assert set(verdicts(small_record()).values()) == {"same"}


def test_lower_is_better_where_the_metric_says_so() -> None:
    assert verdicts(small_record(attempts=10.0))["holdfast.attempts_per_request"] == "better"
    assert verdicts(small_record(attempts=20.0))["holdfast.attempts_per_request"] == "worse"


def test_overlapping_spreads_are_no_change() -> None:
    assert verdicts(small_record(rounds=(1.15, 1.3)))["holdfast.cpu_us"] == "same"
    assert verdicts(small_record(rounds=(1.3, 1.4)))["holdfast.cpu_us"] == "worse"


def test_without_a_spread_a_few_percent_are_noise() -> None:
    assert verdicts(small_record(attempts=11.5))["holdfast.attempts_per_request"] == "same"


def test_what_makes_a_comparison_doubtful_is_said() -> None:
    assert compare(small_record(), small_record()).doubts == ()
    assert "quick" in compare(small_record(), small_record(quick=True)).doubts[0]


def test_two_drills_are_not_compared() -> None:
    with pytest.raises(RecordsIncomparableError, match="outage"):
        compare(small_record(), small_record(drill="outage"))
