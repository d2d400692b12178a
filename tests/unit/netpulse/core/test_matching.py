"""Matchers over labels."""

from __future__ import annotations

import pytest

from holdfast.netpulse.core.matching import fits, matches, too_large


@pytest.mark.parametrize(
    ("pattern", "text", "result"),
    [
        ("web", "web", True),
        ("web", "Web", False),
        ("*", "", True),
        ("web-*", "web-", True),
        ("web-*", "my-web-1", False),
        ("*.example.org", "a.example.org", True),
        ("a*a", "a", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*ab*ab*", "ab", False),
        ("[a-z]?", "b1", False),
    ],
)
def test_a_star_stands_for_any_text_and_all_else_for_itself(pattern: str, text: str, result: bool) -> None:
    assert fits(pattern, text) is result


def test_every_pattern_has_to_fit_and_a_label_that_is_not_there_fits_none() -> None:
    labels = {"host": "h1", "env": "prod"}
    assert matches({"host": "h*", "env": "prod"}, labels)
    assert not matches({"host": "h*", "team": "*"}, labels)
    assert matches({}, labels)


def test_patterns_that_make_others_explode_cost_nothing() -> None:
    assert not fits("*a" * 128, "a" * 127 + "b")


def test_a_matcher_has_a_size() -> None:
    assert too_large({"a": "b"}) == ""
    assert "20 patterns" in too_large({str(n): "*" for n in range(20)})
    assert "longer" in too_large({"a": "*" * 300})
