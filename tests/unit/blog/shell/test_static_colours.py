"""Colours that can be read, in light and in dark."""

from __future__ import annotations

import re
from importlib import resources

import pytest

LIGHT, DARK = ("#fbfcfb", "#f1f4f2", "#ffffff"), ("#131816", "#0d1110", "#1a211e")
"""Paper, sunken and raised of the site."""


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def pairs(name: str) -> list[tuple[str, str, str]]:
    css = resources.files("holdfast.blog").joinpath("static", name).read_text()
    return re.findall(r"(--[a-z0-9-]+):\s*light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", css)


@pytest.mark.parametrize("name", ["code.css", "figures.css"])
def test_every_colour_has_a_contrast_of_four_and_a_half(name: str) -> None:
    found = pairs(name)
    assert len(found) >= 5
    for variable, light, dark in found:
        assert min(contrast(light, paper) for paper in LIGHT) >= 4.5, variable
        assert min(contrast(dark, paper) for paper in DARK) >= 4.5, variable
