"""k of n, so many times in a row."""

from __future__ import annotations

from holdfast.netpulse.core.rules import Streaks
from holdfast.netpulse.core.settings import SimpleRule


def test_down_when_enough_regions_failed_often_enough_in_a_row() -> None:
    streaks = Streaks(SimpleRule(regions=2, in_a_row=2), ("a", "b", "c"))
    for region, failed in (("a", True), ("a", True), ("b", True), ("b", False), ("b", True)):
        streaks.add(region, failed)
    assert not streaks.down
    assert streaks.doubt == 0.75
    streaks.add("b", True)
    assert streaks.down


def test_up_needs_as_many_and_none_left_that_make_it_down() -> None:
    streaks = Streaks(SimpleRule(regions=1, in_a_row=1), ("a", "b"))
    streaks.add("a", True)
    streaks.add("b", False)
    assert streaks.down
    assert not streaks.up
    streaks.add("a", False)
    assert streaks.up


def test_a_rule_for_more_regions_than_watch_takes_all_of_them() -> None:
    streaks = Streaks(SimpleRule(regions=3, in_a_row=1), ("a",))
    streaks.add("a", True)
    assert streaks.down
