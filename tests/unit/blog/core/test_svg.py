"""The pen: what it writes, and what it refuses to write."""

from __future__ import annotations

import pytest

from holdfast.blog.core import svg


def test_text_is_escaped_and_what_xml_cannot_hold_is_replaced() -> None:
    assert svg.text('<a href="x">&\'\x00') == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;\ufffd"


@pytest.mark.parametrize("attribute", ["style", "onclick", "href", "xlink:href", "fill", "src"])
def test_an_attribute_that_a_figure_does_not_have_cannot_be_written(attribute: str) -> None:
    with pytest.raises(ValueError, match="has no attribute"):
        svg.element("g", {attribute: "x"})


def test_a_marker_of_another_place_cannot_be_referred_to() -> None:
    with pytest.raises(ValueError, match="not in the figure"):
        svg.element("path", {"marker-end": "url(https://example.com/#a)"})


def test_numbers_have_at_most_one_decimal_and_no_negative_zero() -> None:
    assert [svg.number(value) for value in (1.0, 1.25, -0.01, 0.06, -2.55, 10)] == [
        "1",
        "1.2",
        "0",
        "0.1",
        "-2.5",
        "10",
    ]


def test_a_figure_names_itself_and_says_what_it_shows() -> None:
    made = svg.figure("f", title="T", description="D", box=(0, 0, 10, 20), children=())
    assert 'role="img"' in made
    assert 'aria-labelledby="f-title f-desc"' in made
    assert '<title id="f-title">T</title><desc id="f-desc">D</desc>' in made
    assert 'viewBox="0 0 10 20"' in made
