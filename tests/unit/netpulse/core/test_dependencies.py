"""Who depends on whom."""

from __future__ import annotations

from holdfast.netpulse.core.dependencies import Dependencies, cycles, unknown


def test_ancestors_are_all_that_something_needs_the_nearest_first() -> None:
    graph = Dependencies({"db": (), "cache": (), "app": ("db", "cache"), "web": ("app",)})
    assert graph.ancestors("web") == ("app", "db", "cache")
    assert graph.descendants("db") == ("app", "web")


def test_circles_and_strangers_do_not_stop_a_walk() -> None:
    graph = Dependencies({"a": ("b", "a", "nobody"), "b": ("a",)})
    assert graph.ancestors("a") == ("b",)
    assert graph.ancestors("nobody") == ()


def test_a_circle_is_found_and_shown_as_a_way_round() -> None:
    assert cycles({"a": ("b",), "b": ("c",), "c": ("b",), "d": ("a", "d")}) == [("b", "c", "b"), ("d", "d")]


def test_two_ways_to_the_same_parent_are_no_circle() -> None:
    assert cycles({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}) == []


def test_a_long_chain_is_no_trouble() -> None:
    assert cycles({str(n): (str(n + 1),) for n in range(20_000)}) == []


def test_parents_that_do_not_exist_are_named() -> None:
    assert unknown({"a": ("b", "c"), "b": ()}) == [("a", "c")]
